"""Undoing the escapes that exporters add to cells for spreadsheets and importers.

WooCommerce's is `WC_CSV_Exporter::escape_data`, `implode_values` and `WC_Product_CSV_Exporter::filter_description_field`
(plugins/woocommerce/includes/export).
"""

import re
from collections.abc import Callable, Collection
from dataclasses import replace

from ..tables import Row

# Such a cell would be a formula in a spreadsheet.
_GUARDED = re.compile(r"'(?=[=+\-@\t\r])")
# Codes are guarded too, so that a spreadsheet keeps leading zeros.
_GUARDED_CODE = re.compile(r"'(?=[=+\-@\t\r0-9])")
_BREAKS = re.compile(r"\\\\n|\\n")


def unguarded(text: str) -> str:
    """Without the apostrophe before `=`, `+`, `-`, `@`, tab or carriage return."""
    return text[1:] if _GUARDED.match(text) else text


def unguarded_code(text: str) -> str:
    """The same, also before a digit."""
    return text[1:] if text[:1] == "'" and _GUARDED_CODE.match(text) else text


def with_breaks(text: str) -> str:
    """Line breaks where `\\n` stands for one; two backslashes and an n were a backslash and an n."""
    return _BREAKS.sub(lambda found: "\\n" if len(found[0]) == 3 else "\n", text) if "\\n" in text else text


def with_commas(text: str) -> str:
    """Commas that belong to a list's item."""
    return text.replace("\\,", ",") if "\\" in text else text


def undone(row: Row, undo: Callable[[str], str], places: Collection[int]) -> Row:
    """The row with the original text of these columns."""
    changed = {place: text for place in places if (text := undo(row.cells[place])) != row.cells[place]}
    if not changed:
        return row
    cells, values = list(row.cells), list(row.values)
    for place, text in changed.items():
        cells[place] = text
        if isinstance(values[place], str):
            values[place] = text
    return replace(row, cells=cells, values=values)
