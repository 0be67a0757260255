"""Presets: what a shop's export calls its columns, and which of its lines make one product.

A preset adds key, title, description, brand, category, price, tags, image_url, image_urls and variants to what a template sees.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import InputError
from .tables import Row


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


def plain(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[Product]:
    """No preset: a row is a product."""
    for number, row in enumerate(rows, 1):
        yield Product(number, row.line, row.cells, row.values, error=row.error)


def shopify(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[Product]:
    """Shopify's product export: consecutive lines with one Handle are one product."""
    at = {name: number for number, name in enumerate(columns)}

    def cell(row: Row, name: str) -> str:
        return row.cells[at[name]].strip() if name in at else ""

    group: list[Row] = []
    number = 0
    for row in rows:
        # A line of its own without a Handle belongs to nobody: it becomes a record that says so.
        if group and (not cell(row, "Handle") or cell(row, "Handle") != cell(group[0], "Handle")):
            number += 1
            yield _shopify_product(number, group, cell)
            group = []
        group.append(row)
    if group:
        yield _shopify_product(number + 1, group, cell)


def _shopify_product(number: int, group: list[Row], cell: Callable[[Row, str], str]) -> Product:
    first = group[0]
    images = [
        (_position(cell(row, "Image Position"), order), cell(row, "Image Src"))
        for order, row in enumerate(group)
        if cell(row, "Image Src")
    ]
    urls = JsonList(dict.fromkeys(url for _, url in sorted(images, key=lambda each: each[0])))
    tags = cell(first, "Tags")
    variants = JsonList(
        {
            "sku": cell(row, "Variant SKU"),
            "price": cell(row, "Variant Price"),
            "options": {
                cell(first, f"Option{option} Name"): cell(row, f"Option{option} Value")
                for option in (1, 2, 3)
                if cell(row, f"Option{option} Value")
            },
        }
        for row in group
        if cell(row, "Variant Price") or cell(row, "Option1 Value")
    )
    return Product(
        number,
        first.line,
        first.cells,
        first.values,
        key=cell(first, "Handle"),
        extra={
            "key": cell(first, "Handle"),
            "title": cell(first, "Title"),
            "description": cell(first, "Body (HTML)"),
            "brand": cell(first, "Vendor"),
            "category": cell(first, "Type") or tags.split(",")[0].strip(),
            "price": cell(first, "Variant Price"),
            "tags": tags,
            "image_url": urls[0] if urls else "",
            "image_urls": urls,
            "variants": variants,
        },
        error=next((row.error for row in group if row.error), None),
    )


def _position(text: str, order: int) -> tuple[int, int]:
    # Images without a position come after those with one, in the order of the file.
    return (int(text), order) if text.isdigit() else (1_000_000, order)


Preset = Callable[[Iterable[Row], Sequence[str]], Iterator[Product]]
PRESETS: dict[str, Preset] = {"shopify": shopify}
# Columns without which a table is not that shop's export.
NEEDS = {"shopify": ("Handle", "Title")}


def find_preset(name: str | None, columns: Sequence[str]) -> Preset:
    """The preset of that name for a table of these columns; None is no preset. Raises InputError."""
    if name is None:
        return plain
    if name not in PRESETS:
        raise InputError(f"there is no preset {name!r}; known: {', '.join(PRESETS)}", field="preset")
    missing = [column for column in NEEDS[name] if column not in columns]
    if missing:
        raise InputError(
            f"preset {name}: the catalog has no column {missing[0]!r}; it has {', '.join(columns[:12])}",
            field=missing[0],
            hint="leave --preset out, or export the products again",
        )
    return PRESETS[name]
