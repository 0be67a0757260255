"""A product: one row of the catalog after a preset's grouping, with what the preset adds to it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..tables import Row, Table

# A link may hold commas of its own, so a comma alone parts only where another link begins.
_BETWEEN_LINKS = re.compile(r"\s*,\s+|\s*,(?=https?://)|\s*[|\n]\s*")


class JsonList(list[Any]):
    """A list that a template can index, and that reads as a JSON list where it is put into text."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)


@dataclass(slots=True)
class Product:
    """One row of the catalog after grouping."""

    row_number: int
    line: int | None  # where it begins in the file
    cells: Sequence[str]
    values: Sequence[Any]
    key: str | None = None  # a preset's own; None: the key column's cell
    extra: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    file: str | None = None  # which part, where the catalog has several


class Names:
    """A shop's columns by the names that its exports have had, case ignored."""

    def __init__(self, columns: Sequence[str], known: Mapping[str, Sequence[str]]) -> None:
        at: dict[str, int] = {}
        for number, column in enumerate(columns):
            at.setdefault(tidy(column), number)
        self._at = {name: [at[each] for each in spellings if each in at] for name, spellings in known.items()}

    def has(self, name: str) -> bool:
        """Whether the table has this column."""
        return bool(self._at[name])

    def cell(self, row: Row, name: str) -> str:
        """The cell, stripped; the first that is not empty where two columns mean the same."""
        for number in self._at[name]:
            text = row.cells[number].strip()
            if text:
                return text
        return ""


def tidy(column: str) -> str:
    """A column's name as presets compare it: `g:image link` and `Image_Link` are `image link`."""
    return re.sub(r"[\s_]+", " ", column.strip().lower()).removeprefix("g:")


def plain(table: Table) -> Iterator[Product]:
    """No preset: a row is a product."""
    for number, row in enumerate(table.rows, 1):
        yield Product(number, row.line, row.cells, row.values, error=row.error, file=row.file)


def split_links(text: str) -> list[str]:
    """Several links in one cell: a JSON list, or parted by comma and blank, |, or newline."""
    if text.startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            items = None
        if isinstance(items, list):
            return [str(item).strip() for item in items if str(item).strip()]
    return [part for part in _BETWEEN_LINKS.split(text) if part]
