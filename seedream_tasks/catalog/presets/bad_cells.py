"""Cells without a usable value, with presets: a preset's values no longer show which cell they come from.

So a row with such a cell in one of the shop's own columns is invalid; in any other column it affects only a shot that reads it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...core.column_names import BadCell
from ..tables import Row, Table
from . import known_columns


def refusing(table: Table, preset: str) -> Table:
    """The table as a preset may read it."""
    places = sorted(known_columns(preset, table.columns).places())
    return replace(table, _read=lambda: _rows(table, places))


def _rows(table: Table, places: Sequence[int]) -> Iterator[Row]:
    for row in table.rows:
        bad = next((cell for place in places if isinstance(cell := row.cells[place], BadCell)), None)
        if bad is not None and row.error is None:
            row.error = f"line {row.line}: {bad.why}" if row.line else bad.why
        yield row
