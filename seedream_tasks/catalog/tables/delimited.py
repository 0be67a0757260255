"""CSV and TSV: the delimiter found in the header, cells as they stand, each row with the line it begins on."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from ...core.errors import InputError
from .encodings import Text, bounded_lines, read_text
from .quotes import quotes_of, unclosed
from .rows import MOST_CELL_CHARACTERS, Facts, Row, Table, named, text_schema, unfit
from .sources import Source

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
# Where several delimiters split the header, this many lines say which one the rows agree with.
_SAMPLE_LINES = 20


def open_delimited(source: Source) -> Table:
    """A CSV or TSV. Raises InputError; no row is read yet, but the file was read once for its encoding."""
    csv.field_size_limit(MOST_CELL_CHARACTERS)
    text = read_text(source)
    delimiter, skipped = ("\t", 0) if source.kind == "tsv" else _delimiter(text)
    reading = _Reading(text, delimiter, skipped)
    names = reading.header()
    details = (*text.details(), f"delimiter {DELIMITERS.get(delimiter, repr(delimiter))}")
    facts = Facts(source.kind.upper(), details, text.warnings)
    return Table(source.uri, text_schema(names), facts, lambda: reading.rows(names), lambda: text.sha256)


def _delimiter(text: Text) -> tuple[str, int]:
    """The delimiter, and how many lines stand before the header only to say it (Excel's `sep=;`)."""
    with text.open() as file:
        sample = [line for _, line in zip(range(_SAMPLE_LINES), bounded_lines(text.source, file), strict=False)]
    if sample and (stated := sample[0].strip().strip('"')).startswith("sep=") and len(stated) == 5:
        return stated[-1], 1
    able = []
    for order, delimiter in enumerate(DELIMITERS):
        records = _records(sample, delimiter)
        width = len(records[0]) if records else 0
        if width > 1:
            # The last line of the sample may end inside a quote.
            rest = records[1:-1] or records[1:]
            able.append((sum(len(each) == width for each in rest) / max(1, len(rest)), width, -order, delimiter))
    return (max(able)[-1] if able else ","), 0


def _records(sample: Sequence[str], delimiter: str) -> list[list[str]]:
    records: list[list[str]] = []
    try:
        for cells in csv.reader(iter(sample), delimiter=delimiter):
            if cells:
                records.append(cells)
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

    def header(self) -> list[str]:
        """The columns' names."""
        with self._text.open() as file:
            lines = _Lines(bounded_lines(self._text.source, file), self._skipped)
            return self._header(lines, csv.reader(lines, delimiter=self._delimiter))

    def _header(self, lines: "_Lines", reader: Any) -> list[str]:
        start = 1 + self._skipped
        try:
            for cells in reader:
                if cells:
                    break
                start = self._skipped + reader.line_num + 1
                lines.record.clear()
            else:
                raise InputError(f"{self._uri}: the file is empty", field="catalog")
        except csv.Error:
            raise unclosed(self._uri, lines.record, start, self._delimiter) from None
        if quotes_of(lines.record, self._delimiter).open_on is not None:
            raise unclosed(self._uri, lines.record, start, self._delimiter)
        return named(cells, self._uri, start)

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
        if len(cells) > width:
            error = f"line {start} has {len(cells)} cells, the header has {width}"
            return Row(start, cells[:width], cells[:width], error)
        if len(cells) < width:
            cells += [""] * (width - len(cells))
        if len(record) > 1 and (stray := quotes_of(record, self._delimiter).text_after) is not None:
            # A quote that was never closed met the next row's opening one: two rows would pass for one product.
            error = f"line {start + stray}: text follows a closing quote, in a record of {len(record)} lines"
            return Row(start, cells, cells, error)
        if self._text.holds_nul:
            whole, odd = unfit(names, cells)
            return Row(start, whole, whole, f"line {start}: {odd}" if odd else None)
        return Row(start, cells, cells)


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
