"""XML read as a stream, without what makes XML dangerous: a document type is refused before anything in it counts.

Entities declared there can fill up a machine ("billion laughs") or name files of it; none of the formats we read needs one.
"""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

from ...core.errors import InputError

_BLOCK = 64 * 1024
_MOST_DEPTH = 64


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
                self._parser.Parse(block, False)
                yield
            self._parser.Parse(b"", True)
        except (expat.ExpatError, LookupError) as error:
            if not isinstance(error, expat.ExpatError):
                raise self.refused(f"not XML that can be read: {error}") from None
            why = f"not XML: {expat.ErrorString(error.code)}"
            raise self.refused(why, error.lineno) from None
        yield

    def refused(self, why: str, line: int | None = None) -> InputError:
        """An error at this line of the file."""
        line = line or self.line
        return InputError(f"{self._uri}: line {line}: {why}", line=line, field="catalog")

    def _doctype(self, *_: Any) -> None:
        raise self.refused(
            "a document type (<!DOCTYPE ...>) is not read: what it declares could be anything; take it out"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self.refused(f"elements stand more than {_MOST_DEPTH} deep in each other")
        space, _, local = name.rpartition(" ")
        self._on_start(local, attributes, space)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._on_end(name.rpartition(" ")[2])


def read_elements(uri: str, file: BinaryIO, seen: Callable[[str, dict[str, str]], None]) -> None:
    """Every element of a small file: local name and attributes (theirs without a namespace). Raises InputError."""

    def start(name: str, attributes: dict[str, str], _: str) -> None:
        seen(name, {key.rpartition(" ")[2]: value for key, value in attributes.items()})

    for _ in XmlStream(uri, start, lambda _: None, lambda _: None).blocks(file):
        pass
