"""Text files: in which encoding they are, found by a first pass over the whole file, so that nothing is mangled later.

    stated (CATALOG#encoding=NAME)        that one
    a byte order mark                     UTF-8, UTF-16 or UTF-32
    every byte is valid UTF-8             UTF-8
    else, where one reading alone is text that one, with a warning (`readings`)
    else                                  an error with the readings there are, and the way out

What speaks against Windows-1252 whatever its letters: bytes it does not define; three accented letters, or four bytes beyond
ASCII, in a row (Cyrillic, Greek, CJK); a sign or a capital letter inside a word (DOS, Mac, Polish); the Icelandic letters, for
which Turkish has others.
"""

import codecs
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...core.errors import InputError
from .readings import Reading, Readings
from .rows import MOST_LINE_CHARACTERS
from .sources import CatalogSource

_BLOCK = 1024 * 1024
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_LIKE_1252 = ("cp1252", "iso8859-15")
_MOST_SHOWN = 5
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

    source: CatalogSource
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


def read_text(source: CatalogSource, guess: bool = True) -> Text:
    """Read a file to its end and say in which encoding it is. Raises InputError. `guess`: it may be another than UTF-8."""
    digest = hashlib.sha256()
    with source.open(digest) as file:
        head = file.read(_BLOCK)
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
    if encoding != "utf-8" or source.stated.get("encoding") or not guess:
        raise _not_text(source, shown, scan)
    found, able = _read_otherwise(source, scan)
    if found is None or scan.is_mixed() or (found.encoding in _LIKE_1252 and scan.against_1252):
        raise _unclear(source, scan, able)
    told = (
        f"{source.uri}: not UTF-8 (line {scan.bad_line}), read as {found.shown}: {scan.sample(found.encoding)!r}; `seedream plan`"
        " shows what became of it, and CATALOG#encoding=NAME says otherwise"
    )
    shown = f"{found.shown} (guessed)"
    return Text(source, found.encoding, shown, content, stored, scan.holds_nul, (told,))


def _by_mark(source: CatalogSource, head: bytes) -> tuple[str, str]:
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
        self._bad_text = b""
        self._bytes = self._nuls = self._even_nuls = self._in_utf_8 = self._beyond_ascii = 0

    def add(self, block: bytes) -> None:
        if self.bad is None:
            try:
                text = self._decoder.decode(block)
                self.holds_nul |= "\0" in text if self._wide else b"\0" in block
            except UnicodeDecodeError as error:
                self._failed(error)
                self.holds_nul |= b"\0" in block
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
        begins = max(before.rfind(b"\n"), before.rfind(b"\r")) + 1
        self._bad_text = bytes(error.object[max(begins, error.start - 40) : error.start + 60]).splitlines()[0]
        self.bad = error.reason
        self.bad_line = self._lines + max(before.count(b"\n"), before.count(b"\r")) + 1

    def sample(self, encoding: str) -> str:
        """How the first odd line reads."""
        return self._bad_text.decode(encoding, "replace").strip()

    def is_mostly_utf_8(self) -> bool:
        """Whether the file is UTF-8 but for some bytes: a file of two encodings is none."""
        return self._in_utf_8 > 0.6 * self._beyond_ascii

    def is_mixed(self) -> bool:
        """Whether no reading of it can be right."""
        return self.is_mostly_utf_8() or self.is_mostly_nul()

    def is_mostly_nul(self) -> bool:
        """Whether two bytes make each character: UTF-16 without a mark."""
        return self._nuls > 0.2 * self._bytes

    def two_byte_name(self) -> str:
        """Which of the two orders of UTF-16: the higher byte of most letters is NUL."""
        return "utf-16-be" if self._even_nuls * 2 > self._nuls else "utf-16-le"

    def _weigh(self, block: bytes) -> None:
        if self.against_1252 is None and not block.isascii():
            found = _NOT_1252.search(self._tail + block)
            self.against_1252 = found.group().decode("latin-1") if found else None
        self._tail = block[-3:]

    def count(self, block: bytes) -> None:
        """How much of the file is UTF-8 all the same, or NUL bytes."""
        self._even_nuls += block[self._bytes % 2 :: 2].count(0)
        self._bytes += len(block)
        self._nuls += block.count(0)
        self._beyond_ascii += len(block) - len(block.translate(None, _BEYOND_ASCII))
        self._in_utf_8 += sum(map(len, _UTF_8.findall(block)))


def _read_otherwise(source: CatalogSource, scan: _Scan) -> tuple[Reading | None, list[Reading]]:
    """What a file that is not UTF-8 may be: a second pass over the whole of it."""
    readings = Readings()
    with source.open() as file:
        while block := file.read(_BLOCK):
            readings.add(block)
            scan.count(block)
    return readings.end()


def _not_text(source: CatalogSource, shown: str, scan: _Scan) -> InputError:
    return InputError(
        f"{source.uri}: line {scan.bad_line}: not {shown}: {scan.bad}",
        line=scan.bad_line,
        field="catalog",
        code="encoding",
        hint="save it as UTF-8, or say what it is: CATALOG#encoding=windows-1250",
    )


def _unclear(source: CatalogSource, scan: _Scan, able: Sequence[Reading]) -> InputError:
    """The error for text that may be in several encodings, with what it would be in each."""
    if scan.is_mostly_utf_8():
        why = "the rest of the file is UTF-8, so it is in two encodings"
    elif scan.is_mostly_nul():
        why = "it is full of NUL bytes: UTF-16 without a byte order mark"
    elif len(able) == 1:
        why = (
            f"it may be {able[0].encoding}, in which this line is {scan.sample(able[0].encoding)!r}, but there is too little text"
            " to be sure"
        )
    elif able:
        readings = ", ".join(f"{each.encoding}: {scan.sample(each.encoding)!r}" for each in able[:_MOST_SHOWN])
        why = f"nobody can say for sure in which encoding it is; this line would be {readings}"
    else:
        why = "nor is it text in any other encoding that is known here"
    name = scan.two_byte_name() if scan.is_mostly_nul() else able[0].encoding if able else "windows-1250"
    return InputError(
        f"{source.uri}: line {scan.bad_line}: not UTF-8: {scan.bad}; {why}",
        line=scan.bad_line,
        field="catalog",
        code="encoding",
        hint=f"save it as UTF-8, or say what it is: CATALOG#encoding={name}",
    )


def bounded_lines(source: CatalogSource, file: io.TextIOWrapper) -> Iterator[str]:
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
