"""What identifies the rows of a catalog: which column, and how a program in between may have damaged its cells."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..catalog.presets import Product, advice, fitting_preset, known_columns, listed
from ..catalog.tables import Row, Table, names_a_key
from ..core.column_names import folded
from ..core.errors import InputError
from ..core.invisible import as_key, unseen
from .first_records import place

KEY_COLUMNS = ("sku", "id", "handle")
_SHORTENED = re.compile(r"[+-]?\d(?:[.,]\d+)?E\+?\d+", re.IGNORECASE)
_A_NAME = re.compile(r"[\w .()/-]{1,40}")
_MONTHS = "jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez"
_DATE = re.compile(
    rf"\d{{1,2}}[-. ]({_MONTHS})\.?|({_MONTHS})\.?[- ]\d\d(\d\d)?|\d{{4}}-\d\d-\d\d( 00:00:00)?", re.IGNORECASE
)
_WITH_A_POINT = re.compile(r"\d+[.,]0+")


class Keys:
    """The row keys of one catalog. `preset` and `key` are the options as given.

    Raises InputError if nothing identifies a row.
    """

    def __init__(self, table: Table, preset: str | None, key: str | None) -> None:
        self._uri = table.uri
        self.place = _place(table, preset, key)  # None if the preset provides the key
        self.warnings: list[str] = []
        self.column = None if self.place is None else table.columns[self.place]
        own = sorted(known_columns(preset, table.columns).places(*KEY_COLUMNS)) if preset is not None else []
        able = own if self.place is None else [self.place]
        self.warnings += [text for n in able if (text := table.facts.of_keys.get(table.columns[n])) is not None]
        self.table = self._with_digits(table, able)
        self._damage_was_told = False
        self._unseen_was_told = False

    def of(self, product: Product) -> str:
        """The cell that identifies a product, unchanged; warns once about one that looks damaged."""
        cell = (product.key if self.place is None else product.cells[self.place]) or ""
        if not self._damage_was_told and (damage := _damage(cell.strip())) is not None:
            self._damage_was_told = True
            at = place(product.file, product.line, product.row_number)
            self.warnings.append(f"{self._uri}: {at}: the key {cell.strip()!r} {damage}")
        if not self._unseen_was_told and as_key(cell) != cell.strip():
            self._unseen_was_told = True
            at = place(product.file, product.line, product.row_number)
            self.warnings.append(
                f"{self._uri}: {at}: the key {as_key(cell)!r} is written with what nobody sees ({unseen(cell)}):"
                " it is read without"
            )
        return cell

    def _with_digits(self, table: Table, able: Sequence[int]) -> Table:
        """A column of whole floats holds ids that were whole numbers before: they are read as such."""
        whole = [n for n in able if table.holds_whole_floats(table.columns[n])]
        for n in whole:
            self.warnings.append(
                f"{table.uri}: the column {table.columns[n]!r} identifies the rows and holds floats that are all whole"
                " (1001.0): read as whole numbers (1001); save it as text, or as whole numbers that may be missing"
            )
        return replace(table, _read=lambda: _in_digits(table, whole)) if whole else table


def _in_digits(table: Table, places: Sequence[int]) -> Iterator[Row]:
    for row in table.rows:
        cells = list(row.cells)
        for n in places:
            if cells[n]:
                cells[n] = str(int(row.values[n]))
        row.cells = cells
        yield row


def _damage(key: str) -> str | None:
    """How a program seems to have damaged a key, and what to do."""
    if _SHORTENED.fullmatch(key):
        return (
            "looks like a long number that a spreadsheet shortened, whose digits are lost: export the catalog again and do"
            " not save it from a spreadsheet, or give the column the format Text first"
        )
    if _WITH_A_POINT.fullmatch(key):
        return (
            "looks like a whole number that was read as a decimal one on the way, and is another key than without the"
            " point: export the catalog again, or read ids as text (pandas: dtype=str)"
        )
    if _DATE.fullmatch(key):
        return (
            "looks like a code such as 3-1 or MAR1 that a spreadsheet made a date of: export the catalog again and do not save"
            " it from a spreadsheet, or give the column the format Text first"
        )
    return None


def _place(table: Table, preset: str | None, key: str | None) -> int | None:
    names = table.columns
    where = table.facts.where_columns_are()
    if key is not None:
        alike = [name for name in names if name == key] or [name for name in names if folded(name) == folded(key)]
        if len(alike) != 1:
            raise InputError(f"--key: there is no column {key!r}; the catalog has {listed(names)}{where}", field="key")
        return names.index(alike[0])
    if preset is not None:
        return None
    plain = [folded(name) for name in names]
    for name in KEY_COLUMNS:
        if name in plain:
            return names.index(name) if name in names else plain.index(name)
    raise InputError(
        f"{table.uri}: no column identifies a row (sku, id or handle); it has {listed(names)}{where}",
        field="key",
        hint=_way_out(table),
    )


def _way_out(table: Table) -> str:
    """What to do if no column identifies a row: naming one does not help if these are not column names."""
    fits = fitting_preset(table.columns)
    preset = f"; or {advice(fits)}" if fits else ""
    if len(table.columns) == 1 and not _A_NAME.fullmatch(table.columns[0]) and not table.facts.others:
        return (
            "the file has one column: if its cells are parted by something else than comma, semicolon, tab or pipe, save it with"
            f" one of these{preset}"
        )
    if not table.facts.names_no_columns:
        likely = next((f", such as --key {name!r}" for name in table.columns if names_a_key([name])), "")
        return f"name one with --key{preset or likely}"
    other = ", or another sheet with CATALOG#sheet=NAME" if table.facts.others else ""
    return f"this row names no columns: say which one does with --header-row N{other}{preset}"


def no_rows(table: Table) -> InputError:
    """The error for a catalog with columns but no rows: a failed export, not a shop without products."""
    return InputError(
        f"{table.uri}: there is no row in it, only columns: {listed(table.columns)}{table.facts.where_columns_are()}",
        field="catalog",
        code="empty_catalog",
        hint="export the catalog again, or name the header where these are a row of it: --header-row N",
    )
