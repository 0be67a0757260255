"""Text files: in which encoding they are, found by a first pass over the whole file, so that nothing is mangled later.

    stated (CATALOG#encoding=NAME)        that one
    a byte order mark                     UTF-8, UTF-16 or UTF-32
    every byte is valid UTF-8             UTF-8
    else, where nothing speaks against it Windows-1252, with a warning
    else                                  an error with the way out

What speaks against Windows-1252: bytes it does not define; three accented letters, or four bytes beyond ASCII, in a row
(Cyrillic, Greek, CJK); a sign or a capital letter inside a word (DOS, Mac, Polish); the Icelandic letters, for which Turkish has
others. What Czech text without any of these would become is seen in `seedream plan`, whose first rows are there to be looked at.
"""

import codecs
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...core.errors import InputError
from .rows import MOST_LINE_CHARACTERS
from .sources import Source, check_magic

_BLOCK = 1024 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_LETTERS = rb"\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xd6\xd8-\xf6\xf8-\xff"
_CAPITAL = rb"[\x8a\x8c\x8e\x9f\xc0-\xd6\xd8-\xde]"
_SIGN = rb"[\x80\x82-\x84\x86-\x89\x8b\x93\x94\x98\x9b\xa1-\xa9\xac\xaf-\xb3\xb5\xb6\xb8\xb9\xbc-\xbf]"
_LETTER, _ANY_LETTER, _HIGH = b"[" + _LETTERS + b"]", b"[A-Za-z" + _LETTERS + b"]", rb"[\x80-\x9f\xa1-\xff]"
_NOT_1252 = re.compile(
    b"|".join(
        (
            rb"[\x81\x8d\x8f\x90\x9d\xd0\xdd\xde\xf0\xfd\xfe]",
            _LETTER + rb"{3}",
            *(_HIGH + b"{%d}" % n + _LETTER + _HIGH + b"{%d}" % (3 - n) for n in range(4)),
            _ANY_LETTER + _SIGN + _ANY_LETTER,
            rb"[a-z]" + _CAPITAL,
        )
    )
)


@dataclass(frozen=True)
class Text:
    """A text file that was read once."""

    source: Source
    encoding: str  # Python's name
    shown: str
    content: str  # sha256 of the unpacked bytes
    sha256: str  # of the stored ones
    holds_nul: bool
    warnings: tuple[str, ...] = ()

    def open(self, digest: "hashlib._Hash | None" = None) -> io.TextIOWrapper:
        """The text, its line ends as they stand."""
        return io.TextIOWrapper(self.source.open(digest), encoding=self.encoding, newline="")

    def details(self) -> tuple[str, ...]:
        """What `plan` says of it."""
        return (self.shown, *([self.source.packing] if self.source.packing else []))

    def check_unchanged(self, digest: "hashlib._Hash") -> None:
        """Raises InputError when the bytes just read are not those of the first pass."""
        if digest.hexdigest() != self.content:
            raise self.source.changed()


def read_text(source: Source, guess: bool = True) -> Text:
    """Read a file to its end and say in which encoding it is. Raises InputError. `guess`: it may be Windows-1252."""
    digest = hashlib.sha256()
    with source.open(digest) as file:
        head = file.read(_BLOCK)
        check_magic(source, head)
        encoding, shown = _by_mark(source, head)
        scan = _Scan(encoding)
        block = head
        while block:
            scan.add(block)
            block = file.read(_BLOCK)
        scan.end()
    content = digest.hexdigest()
    stored = source.stored_sha256() if source.packing else content
    if scan.bad is None:
        return Text(source, encoding, shown, content, stored, scan.holds_nul)
    if encoding != "utf-8" or source.stated.get("encoding") or not guess or scan.against_1252:
        raise _not_text(source, shown, scan, guess)
    told = (
        f"{source.uri}: not UTF-8 (line {scan.bad_line}), read as Windows-1252; `seedream plan` shows what became of it,"
        " and CATALOG#encoding=NAME says otherwise"
    )
    return Text(source, "cp1252", "Windows-1252 (guessed)", content, stored, scan.holds_nul, (told,))


def _by_mark(source: Source, head: bytes) -> tuple[str, str]:
    stated = source.stated.get("encoding")
    if stated:
        try:
            name = codecs.lookup(stated).name
            b"".decode(name)
        except LookupError:
            raise InputError(
                f"{source.uri}: there is no encoding {stated!r}",
                field="catalog",
                hint="such as utf-8, utf-16, windows-1250",
            ) from None
        marked = name == "utf-8" and head.startswith(codecs.BOM_UTF8)
        return ("utf-8-sig" if marked else name), f"{stated} (stated)"
    return next(((name, shown) for mark, name, shown in _MARKS if head.startswith(mark)), ("utf-8", "UTF-8"))


class _Scan:
    """What the first pass finds."""

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._wide = encoding.startswith(("utf-16", "utf-32"))
        self._lines = 0
        self._tail = b""
        self.holds_nul = False
        self.bad: str | None = None
        self.bad_line = 0
        self.against_1252: str | None = None

    def add(self, block: bytes) -> None:
        if self.bad is None:
            try:
                text = self._decoder.decode(block)
                self.holds_nul |= "\0" in text if self._wide else b"\0" in block
            except UnicodeDecodeError as error:
                self._failed(error)
        else:
            self.holds_nul |= b"\0" in block
        if not self._wide:
            self._weigh(block)
        self._lines += max(block.count(b"\n"), block.count(b"\r"))

    def end(self) -> None:
        if self.bad is None:
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                self._failed(error)

    def _failed(self, error: UnicodeDecodeError) -> None:
        before = bytes(error.object[: error.start])
        self.bad = error.reason
        self.bad_line = self._lines + max(before.count(b"\n"), before.count(b"\r")) + 1

    def _weigh(self, block: bytes) -> None:
        if self.against_1252 is None and not block.isascii():
            found = _NOT_1252.search(self._tail + block)
            self.against_1252 = found.group().decode("latin-1") if found else None
        self._tail = block[-3:]


def _not_text(source: Source, shown: str, scan: _Scan, guess: bool) -> InputError:
    also = f", nor does it look like Windows-1252 ({scan.against_1252!r})" if guess and scan.against_1252 else ""
    return InputError(
        f"{source.uri}: line {scan.bad_line}: not {shown}{also}: {scan.bad}",
        line=scan.bad_line,
        field="catalog",
        code="encoding",
        hint="save it as UTF-8, or say what it is: CATALOG#encoding=windows-1250",
    )


def bounded_lines(source: Source, file: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text as they stand. Raises InputError for one that is no line."""
    number = 0
    while line := file.readline(MOST_LINE_CHARACTERS):
        number += 1
        if len(line) >= MOST_LINE_CHARACTERS:
            raise InputError(
                f"{source.uri}: line {number} has more than {MOST_LINE_CHARACTERS:,} characters",
                line=number,
                field="catalog",
            )
        yield line
