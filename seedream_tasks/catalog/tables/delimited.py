"""CSV and TSV: the delimiter found in the header, cells as they stand, each row with the line it begins on."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.column_names import BadCell
from ...core.errors import InputError
from .encodings import Text, bounded_lines, read_text
from .headers import (
    SAMPLE_CHARACTERS,
    SAMPLE_ROWS,
    Line,
    find_header,
    looks_like_data,
    stated_header,
    told,
)
from .quotes import quotes_of, unclosed
from .rows import (
    MOST_CELL_CHARACTERS,
    Facts,
    Row,
    Table,
    named,
    text_schema,
    unfit,
)
from .sources import CatalogSource

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
# What spreadsheet programs write for an error, in the languages that have words of their own for it.
_ERRORS = frozenset({
    "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!",
    "#UNKNOWN!", "#CONNECT!", "#GETTING_DATA", "#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!", "#VALEUR!",
    "#NOM?", "#NOMBRE!", "#NUL!", "#N/D", "#VALOR!", "#¡VALOR!", "#¡REF!", "#¡DIV/0!", "#¿NOMBRE?", "#¡NUM!",
    "#¡NULO!", "#NULO!", "#VALORE!", "#RIF!", "#NOME?", "#NULLO!", "#WAARDE!", "#VERW!", "#NAAM?", "#GETAL!",
    "#LEEG!", "#ARG!", "#ADR!", "#LICZBA!", "#NAZWA?", "#ZERO!",
})  # fmt: skip
# Where several delimiters split the header, this many lines say which one the rows agree with.
_SAMPLE_LINES = 20


def open_delimited(source: CatalogSource) -> Table:
    """A CSV or TSV. Raises InputError; no row is read yet, but the file was read once for its encoding."""
    csv.field_size_limit(MOST_CELL_CHARACTERS)
    text = read_text(source)
    layout = _layout(text)
    reading = _Reading(text, layout.delimiter, layout.skipped)
    names, line = reading.header()
    details = [*text.details(), f"delimiter {DELIMITERS.get(layout.delimiter, repr(layout.delimiter))}"]
    warnings = text.warnings
    if layout.above is not None:
        details.append(f"header on line {line}")
        warnings += (told(source.uri, f"line {line}", layout.above, "CATALOG#header=N or --header-row N"),)
    facts = Facts(
        source.kind.upper(),
        tuple(details),
        warnings,
        header=f"line {line}",
        names_no_columns=looks_like_data(names),
    )
    return Table(source.uri, text_schema(names), facts, lambda: reading.rows(names), lambda: text.sha256)


@dataclass(frozen=True)
class _Layout:
    delimiter: str
    skipped: int = 0  # lines before the header
    above: Line | None = None  # the first of them, where they were found to be no part of the table


def _layout(text: Text) -> _Layout:
    """How the lines are parted, and which of them holds the columns' names."""
    stated = stated_header(text.source)
    with text.open() as file:
        lines = bounded_lines(text.source, file)
        skipped = [line for _, line in zip(range((stated or 1) - 1), lines, strict=False)]
        sample = _sample(lines)
    if stated is not None and (len(skipped) < stated - 1 or not sample or not sample[0].strip()):
        raise InputError(
            f"{text.source.uri}: line {stated} was named as the header, and holds nothing",
            line=stated,
            field="header_row",
        )
    parted = _excel_delimiter(skipped or sample)
    if stated is not None:
        return _Layout(parted or _delimiter(text.source, sample), stated - 1)
    if parted is not None:
        return _found(sample[1:], 1, parted) or _Layout(parted, 1)
    delimiter = _delimiter(text.source, sample)
    found = _found(sample, 0, delimiter)
    if found is None and text.source.kind != "tsv" and not _is_parted_by(sample[:_SAMPLE_LINES], delimiter):
        others = [_found(sample, 0, other) for other in DELIMITERS if other != delimiter]
        able = [each for each in others if each is not None]
        found = able[0] if len(able) == 1 else None
    return found or _Layout(delimiter)


def _sample(lines: Iterator[str]) -> list[str]:
    sample: list[str] = []
    characters = 0
    for line in lines:
        sample.append(line)
        characters += len(line)
        if len(sample) == SAMPLE_ROWS or characters > SAMPLE_CHARACTERS:
            break
    return sample


def _excel_delimiter(lines: Sequence[str]) -> str | None:
    """What Excel's first line `sep=;` states."""
    stated = lines[0].strip().strip('"') if lines else ""
    return stated[-1] if stated.startswith("sep=") and len(stated) == 5 else None


def _found(sample: Sequence[str], before: int, delimiter: str) -> _Layout | None:
    """Where another line than the first clearly is the header. `before`: lines that were left out already."""
    lines = [(number, cells) for number, cells in _records(sample, delimiter) if any(map(str.strip, cells))]
    place = find_header(lines) if lines else 0
    return _Layout(delimiter, before + lines[place][0] - 1, lines[0]) if place else None


def _delimiter(source: CatalogSource, sample: Sequence[str]) -> str:
    """Where several delimiters split the header, the one that the rows agree with."""
    if source.kind == "tsv":
        return "\t"
    able = []
    for order, delimiter in enumerate(DELIMITERS):
        fits, width = _fit(sample[:_SAMPLE_LINES], delimiter)
        if width > 1:
            able.append((fits, width, -order, delimiter))
    return max(able)[-1] if able else ","


def _is_parted_by(sample: Sequence[str], delimiter: str) -> bool:
    fits, width = _fit(sample, delimiter)
    return width > 1 and fits > 0.5


def _fit(sample: Sequence[str], delimiter: str) -> tuple[float, int]:
    """How many of the rows have as many cells as the first one, and how many that has."""
    records = [cells for _, cells in _records(sample, delimiter)]
    width = len(records[0]) if records else 0
    # The last line of the sample may end inside a quote.
    rest = records[1:-1] or records[1:]
    fitting = sum(len(each) == width or (len(each) > width and not any(each[width:])) for each in rest)
    return fitting / max(1, len(rest)), width


def _records(sample: Sequence[str], delimiter: str) -> list[Line]:
    """The records of some lines that are not blank, each with the line it begins on."""
    records: list[Line] = []
    reader = csv.reader(iter(sample), delimiter=delimiter)
    start = 1
    try:
        for cells in reader:
            if cells:
                records.append((start, cells))
            start = reader.line_num + 1
    except csv.Error:
        return records
    return records


class _Reading:
    """Reads one file as often as it is asked to."""

    def __init__(self, text: Text, delimiter: str, skipped: int) -> None:
        self._text = text
        self._uri = text.source.uri
        self._delimiter = delimiter
        self._skipped = skipped

    def header(self) -> tuple[list[str], int]:
        """The columns' names, and the line they stand on."""
        with self._text.open() as file:
            lines = _Lines(bounded_lines(self._text.source, file), self._skipped)
            return self._header(lines, csv.reader(lines, delimiter=self._delimiter))

    def _header(self, lines: "_Lines", reader: Any) -> tuple[list[str], int]:
        start = 1 + self._skipped
        try:
            for cells in reader:
                if cells:
                    break
                start = self._skipped + reader.line_num + 1
                lines.record.clear()
            else:
                raise InputError(f"{self._uri}: the file is empty", field="catalog", code="empty_catalog")
        except csv.Error:
            raise unclosed(self._uri, lines.record, start, self._delimiter) from None
        if quotes_of(lines.record, self._delimiter).open_on is not None:
            raise unclosed(self._uri, lines.record, start, self._delimiter)
        return named(cells, self._uri, start), start

    def rows(self, names: Sequence[str]) -> Iterator[Row]:
        """Every row; blank lines, and lines of empty cells only, are none."""
        digest = hashlib.sha256()
        last: list[str] = []
        last_start = 1
        width = len(names)
        with self._text.open(digest) as file:
            lines = _Lines(bounded_lines(self._text.source, file), self._skipped)
            reader = csv.reader(lines, delimiter=self._delimiter)
            self._header(lines, reader)
            while True:
                lines.record.clear()
                start = self._skipped + reader.line_num + 1
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    if "field larger" in str(error):
                        raise unclosed(self._uri, lines.record, start, self._delimiter) from None
                    raise InputError(f"{self._uri}: line {start}: {error}", line=start, field="catalog") from None
                if cells is None:
                    # A quote that never closes takes in the rest of the file, so only the last record can hold one.
                    if quotes_of(last, self._delimiter).open_on is not None:
                        raise unclosed(self._uri, last, last_start, self._delimiter)
                    break
                last, last_start = lines.record.copy(), start
                if any(cells):
                    yield self._row(names, width, start, cells, last)
        self._text.check_unchanged(digest)

    def _row(self, names: Sequence[str], width: int, start: int, cells: list[str], record: list[str]) -> Row:
        if len(cells) > width and not any(map(str.strip, cells[width:])):
            cells = cells[:width]  # a delimiter at the end of each line
        if len(cells) > width:
            error = f"line {start} has {len(cells)} cells, the header has {width}"
            return Row(start, cells[:width], cells[:width], error)
        if len(cells) < width:
            cells += [""] * (width - len(cells))
        if any("#" in line for line in record):
            cells = [_usable(cell) for cell in cells]
        if len(record) > 1 and (stray := quotes_of(record, self._delimiter).text_after) is not None:
            # A quote that was never closed met the next row's opening one: two rows would pass for one product.
            error = f"line {start + stray}: text follows a closing quote, in a record of {len(record)} lines"
            return Row(start, cells, cells, error)
        if self._text.holds_nul:
            whole, odd = unfit(names, cells)
            return Row(start, whole, whole, f"line {start}: {odd}" if odd else None)
        return Row(start, cells, cells)


def _usable(cell: str) -> str:
    """A spreadsheet saves a cell that holds an error as its name."""
    return BadCell.saying(cell, f"it holds the error {cell}") if cell.strip() in _ERRORS else cell


class _Lines:
    """Feeds the csv reader, keeping the lines of the record it is in: they say where a quote opened."""

    def __init__(self, lines: Iterator[str], skipped: int) -> None:
        self._lines = lines
        self.record: list[str] = []
        for _ in range(skipped):
            next(lines, None)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.record.append(line)
        return line
