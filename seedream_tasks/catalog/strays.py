"""Rows of a table that are not products: repeated headers, where files were concatenated, and lines of totals."""

from collections.abc import Sequence

from ..core.amounts import read_amount
from ..core.column_names import folded

_TOTALS_TEXT = (
    "total|totals|grand total|subtotal|sub-total|total amount|sum|summe|gesamt|gesamtsumme|zwischensumme|insgesamt|somme"
    "|total général|sous-total|total general|suma|suma total|totale|totale complessivo|totaal|subtotaal|eindtotaal|soma"
    "|total geral|razem|celkem|spolu|összesen|ukupno|skupaj|i alt|summa|totalt|yhteensä|toplam|σύνολο|итого|всего|разом"
    "|合計|小計|総計|总计|合计|小计|합계"
)
_TOTALS = frozenset(_TOTALS_TEXT.split("|"))


def stray(columns: Sequence[str], cells: Sequence[str], key: str) -> str | None:
    """Why a row is not a product; None for all others."""
    if repeats_header(columns, cells):
        return "it repeats the header: these are the columns' names, not a product"
    if folded(key).rstrip(":. ") in _TOTALS:
        others = [cell for cell in cells if cell.strip() and folded(cell) != folded(key)]
        if others and all(read_amount(cell) is not None for cell in others):
            return f"it is a line of totals ({key!r} and nothing but numbers), not a product"
    return None


def repeats_header(columns: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether every non-empty cell (at least two) is the name of its column."""
    filled = 0
    for column, cell in zip(columns, cells, strict=True):
        if cell and cell != column and folded(cell) not in ("", folded(column)):
            return False
        filled += bool(cell)
    return filled > 1
