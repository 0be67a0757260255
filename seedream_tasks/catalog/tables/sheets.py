"""XLSX: one sheet, its cells as the text that CSV has for the same table.

A sheet knows only one kind of number. As in pandas, a column of numbers that are all whole reads as whole numbers (5, however
the file spells it), one with a fraction among them as floats (19.9, 10.0); beside text, each number is read by itself. Whole
numbers too long for a float are the digits in the file. A number's format counts if it is a date or time, or digits padded with
zeros. A formula is its last computed value; nothing is computed here, and one that was never computed makes its row invalid. An
error (#N/A) or an image is a `BadCell`.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from ...core.cells import cell_text
from ...core.column_names import BadCell
from ...core.errors import InputError
from .headers import (
    SAMPLE_ROWS,
    Line,
    find_header,
    is_clear,
    is_table,
    looks_like_data,
    stated_header,
    told,
)
from .number_formats import Zeros
from .rows import Facts, Row, Table, named, text_schema, unfit
from .sources import CatalogSource
from .workbook import Cell, SheetEntry, Workbook, coordinate, plain_text

# Whole numbers from here on are not exact in a float any more; a spreadsheet program keeps this many digits.
_EXACT, _KEPT_DIGITS = 10.0**15, 15
# A cell without a format of its own shows whole numbers of more digits as 1.2E+12.
_SHOWN_DIGITS = 11


def open_sheet(source: CatalogSource) -> Table:
    """The first visible sheet of an XLSX that holds a table, or the one its URI names.

    Raises InputError; it was read once for its columns.
    """
    workbook = Workbook(source)
    entry, among, passed_over = _chosen(source, workbook)
    sheet = _Sheet(source, workbook, entry)
    names = sheet.look()
    total: list[str] = []

    def rows() -> Iterator[Row]:
        yield from sheet.rows(names)
        total[:] = [source.stored_sha256()]

    at = f"row {sheet.start} of the sheet {entry.title!r}"
    details = [f"sheet {entry.title!r}{among}"]
    warnings = [*passed_over]
    if sheet.above is not None:
        details.append(f"header in row {sheet.start}")
        warnings.append(told(source.uri, at, sheet.above, "CATALOG#header=N or --header-row N"))
    if sheet.rounded is not None:
        warnings.append(f"{source.uri}: {sheet.rounded}")
    facts = Facts(
        "XLSX",
        tuple(details),
        tuple(warnings),
        header=at,
        others=tuple(each.title for each in workbook.sheets if each.visible and each is not entry),
        names_no_columns=looks_like_data(names),
        of_keys={name: f"{source.uri}: {sheet.long[n]}" for n, name in enumerate(names) if n in sheet.long},
    )
    return Table(source.uri, text_schema(names), facts, rows, lambda: "".join(total))


def _chosen(source: CatalogSource, workbook: Workbook) -> tuple[SheetEntry, str, list[str]]:
    """The sheet, which of how many it is, and the warning where it is not the first."""
    visible = [each for each in workbook.sheets if each.visible] or workbook.sheets
    wanted = source.stated.get("sheet")
    if wanted is None and visible:
        among = f", the first of {len(visible)} (another: CATALOG#sheet=NAME)" if len(visible) > 1 else ""
        other = _only_table(source, workbook, visible) if len(visible) > 1 else None
        if other is None:
            return visible[0], among, []
        first = visible[0].title
        warning = f"{source.uri}: the first sheet, {first!r}, holds no table; read was {other.title!r}"
        return (
            other,
            f", the only table of {len(visible)} sheets",
            [f"{warning}, and CATALOG#sheet=NAME says otherwise"],
        )
    for each in workbook.sheets:
        if each.title == wanted:
            return each, "", []
    names = ", ".join(each.title for each in workbook.sheets)
    raise InputError(f"{source.uri}: there is no sheet {wanted!r}; it has {names or 'none'}", field="catalog")


def _only_table(source: CatalogSource, workbook: Workbook, sheets: Sequence[SheetEntry]) -> SheetEntry | None:
    """The one other sheet that clearly is a table, where the first one is none: a page to read."""
    workbook.read_strings()
    first = _Sheet(source, workbook, sheets[0]).sample()
    is_page = not any(sum(bool(text.strip()) for text in texts) > 2 for _, texts in first)
    if is_clear(first) or (is_table(first) and not is_page):
        return None
    clear = [each for each in sheets[1:] if is_clear(_Sheet(source, workbook, each).sample())]
    return clear[0] if len(clear) == 1 else None


class _Sheet:
    """One sheet, read as often as it is asked for."""

    def __init__(self, source: CatalogSource, workbook: Workbook, entry: SheetEntry) -> None:
        self.start = 0  # the sheet's row that holds the names
        self.above: Line | None = None  # the first row, where it was found to be no part of the table
        self.rounded: str | None = None  # what is to be said of the first number that is longer than a program keeps
        self.long: dict[int, str] = {}  # by column: of the first number that looks shorter than it is
        self._source = source
        self._workbook = workbook
        self._entry = entry
        self._floats: frozenset[int] = frozenset()

    def sample(self) -> list[Line]:
        """The first non-empty rows."""
        found: list[Line] = []
        for number, cells in self._workbook.rows(self._entry):
            texts = self._texts(cells, number)
            if any(text.strip() for text in texts):
                found.append((number, texts))
                if len(found) == SAMPLE_ROWS:
                    break
        return found

    def look(self) -> list[str]:
        """The columns' names, and what kind of numbers each holds."""
        self._workbook.read_strings()
        names = self._names()
        fractions: set[int] = set()
        others: set[int] = set()
        for number, cells in self._workbook.rows(self._entry):
            if number <= self.start:
                continue
            for cell in cells:
                try:
                    kind = self._kind(cell)
                except (ValueError, IndexError, ArithmeticError):
                    raise self._unreadable(cell, number) from None
                if kind in ("whole", "zeros"):
                    self._note(cell, number)
                if kind not in (None, "whole"):
                    (fractions if kind == "fraction" else others).add(cell.column)
        self._floats = frozenset(fractions - others)
        return names

    def _names(self) -> list[str]:
        stated = stated_header(self._source)
        if stated is not None:
            texts = next((self._texts(cells, n) for n, cells in self._workbook.rows(self._entry) if n == stated), [])
            self.start = stated
        else:
            lines = self.sample()
            place = find_header(lines) if lines else 0
            self.above = lines[0] if place else None
            self.start, texts = lines[place] if lines else (0, [])
        while texts and not texts[-1].strip():
            texts.pop()
        if not texts:
            if stated is not None:
                raise InputError(
                    f"{self._source.uri}: row {stated} of the sheet {self._entry.title!r} was named as the header, and holds"
                    " nothing",
                    line=stated,
                    field="header_row",
                )
            others = [each.title for each in self._workbook.sheets if each.visible and each is not self._entry]
            raise InputError(
                f"{self._source.uri}: the sheet {self._entry.title!r} is empty"
                + (f"; other sheets: {', '.join(map(repr, others))} (CATALOG#sheet=NAME)" if others else ""),
                field="catalog",
                code="empty_catalog",
            )
        return named(texts, self._source.uri, self.start)

    def rows(self, names: Sequence[str]) -> Iterator[Row]:
        """Every non-empty row; a merged cell's text is in its first cell."""
        width = len(names)
        for number, cells in self._workbook.rows(self._entry):
            if number <= self.start:
                continue
            texts = self._texts(cells, number)
            unknown = next((each for each in cells if each.formula and each.text is None and each.kind != "e"), None)
            if unknown is None and not any(texts):
                continue
            fitting, odd = unfit(names, texts[:width] + [""] * (width - len(texts)))
            error = f"line {number}: {odd}" if odd else None
            if any(text.strip() for text in texts[width:]):
                error = f"line {number} has {len(texts)} cells, the header has {width}"
            elif unknown is not None:
                error = (
                    f"line {number}: the cell {coordinate(unknown.column, number)} holds a formula that was never computed;"
                    " open and save the file in a spreadsheet program"
                )
            yield Row(number, fitting, fitting, error)

    def _texts(self, cells: Sequence[Cell], row: int) -> list[str]:
        texts = [""] * (max((cell.column for cell in cells), default=-1) + 1)
        for cell in cells:
            if cell.kind == "e":
                at = coordinate(cell.column, row)
                holds = (
                    "an image, which a table cannot hand on"
                    if cell.rich
                    else f"the error {cell.text or 'of a formula'}"
                )
                texts[cell.column] = BadCell.saying(cell.text or "#N/A", f"the cell {at} holds {holds}")
            elif cell.text is not None:
                try:
                    texts[cell.column] = self._text(cell)
                except (ValueError, IndexError, ArithmeticError):
                    raise self._unreadable(cell, row) from None
        return texts

    def _kind(self, cell: Cell) -> str | None:
        """What a cell says of its column's numbers: a fraction, a whole number, something else, or nothing."""
        if cell.text is None or cell.kind == "e":
            return None
        if cell.kind == "n":
            form = self._workbook.style(cell.style).form
            if form is None:
                return "whole" if self._number(cell).is_integer() else "fraction"
            return "zeros" if isinstance(form, Zeros) and self._number(cell).is_integer() else "other"
        return "other" if cell.kind != "s" or self._workbook.strings[int(cell.text)] else None

    def _unreadable(self, cell: Cell, row: int) -> InputError:
        at = coordinate(cell.column, row)
        return InputError(
            f"{self._source.uri}: line {row}: the cell {at} cannot be read: {(cell.text or '')[:60]!r}",
            line=row,
            field="catalog",
        )

    def _text(self, cell: Cell) -> str:
        text = cell.text or ""
        if cell.kind == "s":
            return self._workbook.strings[int(text)]
        if cell.kind == "b":
            return cell_text(text.strip() in ("1", "true"))
        if cell.kind == "n":
            form = self._workbook.style(cell.style).form
            value = self._number(cell)
            if isinstance(form, str):
                return cell_text(_moment(value, form, self._workbook.from_1904))
            shown = form.text(Decimal(text)) if form is not None else None
            if shown is not None:
                return shown
            if value.is_integer() and (cell.column not in self._floats or abs(value) >= _EXACT):
                return _digits(cell)
            return cell_text(value)
        if cell.kind == "d":
            return cell_text(_from_iso(text))
        return plain_text(text)

    def _note(self, cell: Cell, row: int) -> None:
        """Keep what is to be said of a long whole number."""
        digits = _digits(cell).lstrip("-")
        if len(digits) <= _SHOWN_DIGITS:
            return
        at = coordinate(cell.column, row)
        style = self._workbook.style(cell.style)
        if style.form is None and style.shortened and cell.column not in self.long:
            self.long[cell.column] = (
                f"the keys hold numbers that a spreadsheet shows shortened: {digits} in the cell {at} looks like"
                f" {Decimal(digits):.5E}, and a CSV saved from this file has that instead; give the column the format 0, or Text"
            )
        if len(digits) > _KEPT_DIGITS and self.rounded is None:
            self.rounded = (
                f"the cell {at} holds the number {digits}, of {len(digits)} digits; a spreadsheet keeps {_KEPT_DIGITS} and puts"
                " zeros for the others, so it may be another number than was meant: enter ids and barcodes as text"
            )

    @staticmethod
    def _number(cell: Cell) -> float:
        return float(cell.text or "nan")


def _digits(cell: Cell) -> str:
    """A whole number: beyond a float's precision, the digits in the file."""
    value = float(cell.text or "nan")
    return cell_text(int(value)) if abs(value) < _EXACT else cell_text(int(Decimal(cell.text or "")))


def _moment(days: float, form: str, from_1904: bool) -> date | time | datetime | timedelta:
    """A number of days as a date and time."""
    since = timedelta(milliseconds=round(days * 86_400_000))
    if form == "duration":
        return since
    # Excel counts a nonexistent 29 February 1900.
    begin = date(1904, 1, 1) if from_1904 else date(1899, 12, 30 if days >= 60 else 31)
    moment = datetime.combine(begin, time()) + since
    if form == "time" and days < 1:
        return moment.time()
    return moment.date() if form == "date" and moment.time() == time() else moment


def _from_iso(text: str) -> date | datetime:
    return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
