"""XML read as a stream, without what makes XML dangerous: a document type is refused before anything in it counts.

Entities declared there can fill up a machine ("billion laughs") or name files of it; none of the formats we read needs one.
"""

import re
from collections.abc import Callable, Iterator
from html.entities import name2codepoint
from typing import Any, BinaryIO
from xml.parsers import expat

from ...core.errors import InputError

_BLOCK = 64 * 1024
_MOST_DEPTH = 64
# So many bytes of a broken line are shown on either side.
_SHOWN = 40
_FIRST = (
    "<?xml ...?>, or the first element, must be the very first thing in the file: take out what stands above it, blank lines"
    " too"
)
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]*);")
_BARE = re.compile(rb"&(?!#?[A-Za-z0-9]+;)")


class XmlStream:
    """Calls start(local name, attributes, namespace), text(text) and end(local name) while a file is read."""

    def __init__(
        self,
        uri: str,
        start: Callable[[str, dict[str, str], str], None],
        text: Callable[[str], None],
        end: Callable[[str], None],
        encoding: str | None = None,
    ) -> None:
        self._uri = uri
        self._on_start = start
        self._on_end = end
        self._depth = 0
        self._recent = b""  # the last bytes that were read, for messages
        self._begun = False
        self._before = 0  # how many stood before them
        # A namespace is put before a name with a blank between.
        self._parser = expat.ParserCreate(encoding, " ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = text

    @property
    def line(self) -> int:
        """The line the parser is on."""
        return int(self._parser.CurrentLineNumber)

    def blocks(self, file: BinaryIO) -> Iterator[None]:
        """Read to the end; yields after every block. Raises InputError with the line."""
        try:
            while block := file.read(_BLOCK):
                kept = self._recent[-_SHOWN:]
                self._before += len(self._recent) - len(kept)
                self._recent = kept + block
                self._parser.Parse(block, False)
                yield
            self._parser.Parse(b"", True)
        except (expat.ExpatError, LookupError) as error:
            if not isinstance(error, expat.ExpatError):
                raise self.refused(f"not XML that can be read: {error}") from None
            raise self._broken(error) from None
        yield

    def refused(self, why: str, line: int | None = None) -> InputError:
        """An error at this line of the file."""
        line = line or self.line
        return InputError(f"{self._uri}: line {line}: {why}", line=line, field="catalog")

    def _broken(self, error: expat.ExpatError) -> InputError:
        """What stands where the file is no XML, and what to write instead."""
        at = max(0, self._parser.ErrorByteIndex - self._before)
        begins = max(self._recent.rfind(b"\n", 0, at) + 1, at - _SHOWN)
        line = self._recent[begins : at + _SHOWN].decode("utf-8", "replace").splitlines()
        stands = line[0].strip() if line else ""
        why = f"column {error.offset + 1}: not XML: {expat.ErrorString(error.code)}"
        found = self.refused(f"{why}; there stands {stands!r}" if stands else why, error.lineno)
        around = self._recent[max(0, at - _SHOWN) : at + _SHOWN]
        above = not self._begun and not self._recent[:at].lstrip().startswith(b"<")
        found.facts["hint"] = _FIRST if above else _instead(error.code, around, min(at, _SHOWN))
        return found

    def _doctype(self, *_: Any) -> None:
        raise self.refused(
            "a document type (<!DOCTYPE ...>) is not read: what it declares could be anything; take it out"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._begun = True
        if self._depth > _MOST_DEPTH:
            raise self.refused(f"elements stand more than {_MOST_DEPTH} deep in each other")
        space, _, local = name.rpartition(" ")
        self._on_start(local, attributes, space)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._on_end(name.rpartition(" ")[2])


def _instead(code: int, around: bytes, at: int) -> str | None:
    """What to write where a file is no XML."""
    said = expat.ErrorString(code)
    if said == expat.errors.XML_ERROR_UNDEFINED_ENTITY:
        entity = next((found for found in _ENTITY.finditer(around) if found.end() > at), None)
        name = entity[1].decode() if entity else ""
        if name in name2codepoint:
            return f"XML does not know &{name};: write &#{name2codepoint[name]};, or the character itself"
        return f"XML does not know &{name};: write the character itself; where & is meant, write &amp;"
    if said == expat.errors.XML_ERROR_INVALID_TOKEN:
        if _BARE.search(around[: at + 1]):
            return "a bare & must be written &amp;, in links too; or put the text into <![CDATA[...]]>"
        if around[at : at + 1] == b"<" or around[at - 1 : at] == b"<":
            return "a bare < must be written &lt;; or put the text into <![CDATA[...]]>"
        if around[at : at + 1] > b"\x7f":
            return "it is not in the encoding that it states (UTF-8 where it states none): CATALOG#encoding=NAME does"
        return "a character that XML does not allow here: take it out"
    if said in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN):
        return "the file ends too early: download or export it again"
    if said == expat.errors.XML_ERROR_TAG_MISMATCH:
        return "an element is closed that is not the one that was opened last, or the file was cut and put together"
    if said == expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT:
        return "a file has one outermost element: take out what stands behind its end"
    return None


def read_elements(uri: str, file: BinaryIO, seen: Callable[[str, dict[str, str]], None]) -> None:
    """Every element of a small file: local name and attributes (theirs without a namespace). Raises InputError."""

    def start(name: str, attributes: dict[str, str], _: str) -> None:
        seen(name, {key.rpartition(" ")[2]: value for key, value in attributes.items()})

    for _ in XmlStream(uri, start, lambda _: None, lambda _: None).blocks(file):
        pass
