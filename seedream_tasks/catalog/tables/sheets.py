"""XLSX: one sheet, its cells as the text that CSV has for the same table.

A sheet knows only one kind of number. As in pandas, a column of numbers that are all whole reads as whole numbers (5, however
the file spells it), one with a fraction among them as floats (19.9, 10.0); beside text, each number stands for itself. What a
number's format shows counts only where it is a date or time. A formula is the value that was last computed for it; nothing is
computed here. An error (#N/A), or a formula that was never computed, makes its row invalid.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta

from ...core.errors import InputError
from ..cells import cell_text
from .rows import Facts, Row, Table, named, text_schema, unfit
from .sources import Source
from .workbook import Cell, SheetEntry, Workbook, coordinate, plain_text

# Whole numbers from here on are not exact in a sheet any more.
_EXACT = 10.0**15


def open_sheet(source: Source) -> Table:
    """The first visible sheet of an XLSX, or the one its URI names. Raises InputError; it was read once for its columns."""
    workbook = Workbook(source)
    entry, among = _chosen(source, workbook)
    sheet = _Sheet(source, workbook, entry)
    names = sheet.look()
    total: list[str] = []

    def rows() -> Iterator[Row]:
        yield from sheet.rows(names)
        total[:] = [source.stored_sha256()]

    facts = Facts("XLSX", (f"sheet {entry.title!r}{among}",))
    return Table(source.uri, text_schema(names), facts, rows, lambda: "".join(total))


def _chosen(source: Source, workbook: Workbook) -> tuple[SheetEntry, str]:
    visible = [each for each in workbook.sheets if each.visible] or workbook.sheets
    wanted = source.stated.get("sheet")
    if wanted is None and visible:
        return visible[0], f", the first of {len(visible)} (another: CATALOG#sheet=NAME)" if len(visible) > 1 else ""
    for each in workbook.sheets:
        if each.title == wanted:
            return each, ""
    names = ", ".join(each.title for each in workbook.sheets)
    raise InputError(f"{source.uri}: there is no sheet {wanted!r}; it has {names or 'none'}", field="catalog")


class _Sheet:
    """One sheet, read as often as it is asked for."""

    def __init__(self, source: Source, workbook: Workbook, entry: SheetEntry) -> None:
        self._source = source
        self._workbook = workbook
        self._entry = entry
        self._start = 0  # the sheet's row that holds the names
        self._floats: frozenset[int] = frozenset()

    def look(self) -> list[str]:
        """The columns' names, and what kind of numbers each holds."""
        names: list[str] = []
        fractions: set[int] = set()
        others: set[int] = set()
        self._workbook.read_strings()
        for number, cells in self._workbook.rows(self._entry):
            if names:
                for cell in cells:
                    try:
                        kind = self._kind(cell)
                    except (ValueError, IndexError):
                        raise self._unreadable(cell, number) from None
                    if kind is not None:
                        (fractions if kind == "fraction" else others).add(cell.column)
                continue
            texts = self._texts(cells, number)
            if any(text.strip() for text in texts):
                while not texts[-1].strip():
                    texts.pop()
                names = named(texts, self._source.uri, number)
                self._start = number
        if not names:
            raise InputError(f"{self._source.uri}: the sheet {self._entry.title!r} is empty", field="catalog")
        self._floats = frozenset(fractions - others)
        return names

    def rows(self, names: Sequence[str]) -> Iterator[Row]:
        """Every row that holds something; a merged cell's text stands in the first of them."""
        width = len(names)
        for number, cells in self._workbook.rows(self._entry):
            if number <= self._start:
                continue
            texts = self._texts(cells, number)
            bad = next((each for each in cells if each.kind == "e" or (each.formula and each.text is None)), None)
            if bad is None and not any(texts):
                continue
            fitting, odd = unfit(names, texts[:width] + [""] * (width - len(texts)))
            error = f"line {number}: {odd}" if odd else None
            if any(texts[width:]):
                error = f"line {number} has {len(texts)} cells, the header has {width}"
            elif bad is not None:
                at = coordinate(bad.column, number)
                error = (
                    f"line {number}: the cell {at} holds the error {bad.text}"
                    if bad.text
                    else f"line {number}: the cell {at} holds a formula that was never computed;"
                    " open and save the file in a spreadsheet program"
                )
            yield Row(number, fitting, fitting, error)

    def _texts(self, cells: Sequence[Cell], row: int) -> list[str]:
        texts = [""] * (max((cell.column for cell in cells), default=-1) + 1)
        for cell in cells:
            if cell.text is not None:
                try:
                    texts[cell.column] = self._text(cell)
                except (ValueError, IndexError, OverflowError):
                    raise self._unreadable(cell, row) from None
        return texts

    def _kind(self, cell: Cell) -> str | None:
        """What a cell says of its column's numbers: a fraction, something else, or nothing."""
        if cell.text is None:
            return None
        if cell.kind == "n" and not self._workbook.format_of(cell.style):
            return None if self._number(cell).is_integer() else "fraction"
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
            form = self._workbook.format_of(cell.style)
            value = self._number(cell)
            if form is not None:
                return cell_text(_moment(value, form, self._workbook.from_1904))
            if cell.column not in self._floats and value.is_integer() and abs(value) < _EXACT:
                return cell_text(int(value))
            return cell_text(value)
        if cell.kind == "d":
            return cell_text(_from_iso(text))
        return plain_text(text)

    @staticmethod
    def _number(cell: Cell) -> float:
        return float(cell.text or "nan")


def _moment(days: float, form: str, from_1904: bool) -> date | time | datetime | timedelta:
    """A number of days as the point in time it stands for."""
    since = timedelta(milliseconds=round(days * 86_400_000))
    if form == "duration":
        return since
    # Excel counts a 29 February 1900 that never was.
    begin = date(1904, 1, 1) if from_1904 else date(1899, 12, 30 if days >= 60 else 31)
    moment = datetime.combine(begin, time()) + since
    if form == "time" and days < 1:
        return moment.time()
    return moment.date() if form == "date" and moment.time() == time() else moment


def _from_iso(text: str) -> date | datetime:
    return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
