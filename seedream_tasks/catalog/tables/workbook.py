"""An XLSX package, read as a stream with the standard library's ZIP and XML.

Of our own, for what openpyxl's reader does not do: tell a formula without a value from an empty cell, let a caller refuse
entities and parts that unpack to many times their size, leave a gap of a million empty rows out. It takes less than half the
time, too.
"""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from ...core.errors import InputError
from .number_formats import Form, form_of, is_shortened
from .rows import MOST_CELL_CHARACTERS
from .sources import CatalogSource
from .xml_stream import XmlStream, read_elements

# What Excel itself can hold.
MOST_ROWS, MOST_COLUMNS = 1_048_576, 16_384
# A part that unpacks to more than this, and to more than so many times its size, was made to fill up a machine. The texts of a
# workbook are held in memory.
_MOST_BYTES, _MOST_TEXT_BYTES = 16 * 1024**3, 1024**3
_BOMB_FROM, _BOMB_RATIO = 64 * 1024**2, 250
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


@dataclass(slots=True)
class Cell:
    """One cell as it stands in the sheet."""

    column: int  # from 0
    kind: str  # the file's own type: n, s, str, inlineStr, b, e, d
    style: int
    text: str | None = None  # None: no value
    formula: bool = False
    rich: bool = False  # what it shows is an image or another rich value


@dataclass(frozen=True)
class SheetEntry:
    """One sheet of a workbook."""

    title: str
    path: str  # in the package
    visible: bool


class Workbook:
    """What a package says of itself; `strings` and styles are read when it is opened."""

    def __init__(self, source: CatalogSource) -> None:
        self._source = source
        self.sheets: list[SheetEntry] = []
        self.from_1904 = False
        self._styles: list[Style] = []
        self._parts: dict[str, str] = {}  # "sharedStrings", "styles" -> path
        with self._package() as package:
            self._look(package)
        self.strings: list[str] = []

    def read_strings(self) -> None:
        """Take the workbook's shared texts into memory."""
        if "sharedStrings" in self._parts and not self.strings:
            with (
                self._package() as package,
                self._part(package, self._parts["sharedStrings"], _MOST_TEXT_BYTES) as file,
            ):
                strings = _Strings(self._source.uri)
                for _ in strings.xml.blocks(file):
                    pass
                self.strings = strings.found

    def style(self, number: int) -> "Style":
        """What a cell's style says of its number."""
        return self._styles[number] if number < len(self._styles) else _PLAIN

    def rows(self, entry: SheetEntry) -> Iterator[tuple[int, list[Cell]]]:
        """The rows that a sheet holds, with their numbers. Raises InputError."""
        with self._package() as package, self._part(package, entry.path) as file:
            sheet = _SheetXml(self._source.uri)
            for _ in sheet.xml.blocks(file):
                done, sheet.done = sheet.done, []
                yield from done

    @contextmanager
    def _package(self) -> Iterator[zipfile.ZipFile]:
        with self._source.open_stored() as file:
            try:
                package = zipfile.ZipFile(file)
            except zipfile.BadZipFile:
                head = _first_bytes(file)
                what = "an old Excel file (.xls), or one with a password" if head == b"\xd0\xcf\x11\xe0" else "no XLSX"
                raise InputError(
                    f"{self._source.uri}: is {what}", field="catalog", hint="save it as .xlsx without a password"
                ) from None
            with package:
                yield package

    @contextmanager
    def _part(self, package: zipfile.ZipFile, path: str, most: int = _MOST_BYTES) -> Iterator[BinaryIO]:
        try:
            info = package.getinfo(path)
        except KeyError:
            raise InputError(f"{self._source.uri}: is no XLSX: {path} is missing", field="catalog") from None
        # zipfile hands out no more bytes than the package states.
        if info.file_size > most or (
            info.file_size > _BOMB_FROM and info.file_size > _BOMB_RATIO * max(info.compress_size, 1)
        ):
            raise InputError(
                f"{self._source.uri}: {path} unpacks from {info.compress_size:,} to {info.file_size:,} bytes",
                field="catalog",
                code="bomb",
            )
        try:
            with package.open(info) as file:
                yield cast(BinaryIO, file)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise InputError(f"{self._source.uri}: cannot be unpacked: {error}", field="catalog") from None

    def _look(self, package: zipfile.ZipFile) -> None:
        main = next((path for kind, path in self._relations(package, "").values() if kind == "officeDocument"), None)
        if main is None:
            raise InputError(f"{self._source.uri}: is no XLSX: it holds no workbook", field="catalog")
        relations = self._relations(package, main)
        self._parts = {kind: path for kind, path in relations.values() if kind in ("sharedStrings", "styles")}

        def seen(name: str, attributes: dict[str, str]) -> None:
            if name == "workbookPr":
                self.from_1904 = attributes.get("date1904") in ("1", "true")
            elif name == "sheet":
                kind, path = relations.get(attributes.get("id", ""), ("", ""))
                if kind == "worksheet":  # not a chart
                    visible = attributes.get("state", "visible") == "visible"
                    self.sheets.append(SheetEntry(attributes.get("name", ""), path, visible))

        with self._part(package, main) as file:
            read_elements(self._source.uri, file, seen)
        if "styles" in self._parts:
            with self._part(package, self._parts["styles"]) as file:
                self._styles = _styles(self._source.uri, file)

    def _relations(self, package: zipfile.ZipFile, of: str) -> dict[str, tuple[str, str]]:
        """Id -> the kind and path of what a part names."""
        folder, name = posixpath.split(of)
        found: dict[str, tuple[str, str]] = {}

        def seen(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", ""))).lstrip("/")
                found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], target)

        with self._part(package, posixpath.join(folder, "_rels", f"{name}.rels")) as file:
            read_elements(self._source.uri, file, seen)
        return found


def _first_bytes(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(4)


@dataclass(frozen=True, slots=True)
class Style:
    """What a cell's style says of its number."""

    form: Form = None
    shortened: bool = True  # a long number looks like 1.2E+12


_PLAIN = Style()


def _styles(uri: str, file: BinaryIO) -> list[Style]:
    """Every cell style of a workbook."""
    codes: dict[int, str] = {}
    styles: list[Style] = []
    inside: list[str] = []

    def start(name: str, attributes: dict[str, str], _: str) -> None:
        inside.append(name)
        if name == "numFmt":
            codes[int(attributes.get("numFmtId", "0"))] = attributes.get("formatCode", "")
        elif name == "xf" and inside[-2:-1] == ["cellXfs"]:
            number = int(attributes.get("numFmtId", "0"))
            styles.append(Style(form_of(number, codes), is_shortened(number, codes)))

    def end(_: str) -> None:
        inside.pop()

    for _ in XmlStream(uri, start, lambda _: None, end).blocks(file):
        pass
    return styles


class _Strings:
    """The shared texts, rich text joined, without the reading aids of East Asian ones."""

    def __init__(self, uri: str) -> None:
        self.xml = XmlStream(uri, self._start, self._text, self._end)
        self.found: list[str] = []
        self._parts: list[str] = []
        self._takes = False
        self._aside = False

    def _start(self, name: str, _: dict[str, str], __: str) -> None:
        if name == "si":
            self._parts.clear()
        elif name == "rPh":
            self._aside = True
        self._takes = name == "t" and not self._aside

    def _text(self, text: str) -> None:
        if self._takes:
            self._parts.append(text)

    def _end(self, name: str) -> None:
        self._takes = False
        if name == "rPh":
            self._aside = False
        elif name == "si":
            self.found.append(plain_text("".join(self._parts)))


def plain_text(text: str) -> str:
    """Characters that XML cannot hold are escaped in a sheet: `_x000D_`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


class _SheetXml:
    """Gathers whole rows of one sheet."""

    def __init__(self, uri: str) -> None:
        self.xml = XmlStream(uri, self._start, self._text, self._end)
        self.done: list[tuple[int, list[Cell]]] = []
        self._row = 0
        self._cells: list[Cell] = []
        self._cell: Cell | None = None
        self._parts: list[str] = []
        self._takes = False
        self._aside = False

    def _start(self, name: str, attributes: dict[str, str], _: str) -> None:
        if name == "c":
            column = _column(attributes["r"]) if "r" in attributes else self._next_column()
            if column >= MOST_COLUMNS:
                raise self.xml.refused(f"a sheet has at most {MOST_COLUMNS:,} columns")
            self._cell = Cell(column, attributes.get("t", "n"), int(attributes.get("s", "0")), rich="vm" in attributes)
            self._parts.clear()
        elif name in ("v", "t"):
            self._takes = self._cell is not None and not self._aside
        elif name == "f" and self._cell is not None:
            self._cell.formula = True
        elif name == "rPh":
            self._aside = True
        elif name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._cells = []
            if self._row > MOST_ROWS:
                raise self.xml.refused(f"a sheet has at most {MOST_ROWS:,} rows")

    def _next_column(self) -> int:
        return self._cells[-1].column + 1 if self._cells else 0

    def _text(self, text: str) -> None:
        if self._takes:
            self._parts.append(text)
            if len(text) > MOST_CELL_CHARACTERS:
                raise self.xml.refused(f"a cell has more than {MOST_CELL_CHARACTERS:,} characters")

    def _end(self, name: str) -> None:
        if name in ("v", "t"):
            self._takes = False
        elif name == "c" and self._cell is not None:
            if self._parts:
                self._cell.text = "".join(self._parts)
            self._cells.append(self._cell)
            self._cell = None
        elif name == "rPh":
            self._aside = False
        elif name == "row":
            self.done.append((self._row, self._cells))
            self._cells = []


def _column(name: str) -> int:
    number = 0
    for character in name:
        if not character.isalpha():
            break
        number = number * 26 + ord(character.upper()) - 64
    return number - 1


def coordinate(column: int, row: int) -> str:
    """`C5`."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"
