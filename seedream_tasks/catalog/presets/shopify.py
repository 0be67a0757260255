"""Shopify's product export, in its older (`Handle`, `Image Src`) and newer (`URL handle`, `Product image URL`) columns."""

from collections.abc import Iterator

from ..tables import Row, Table
from .products import JsonList, Names, Product

COLUMNS = {
    "handle": ("handle", "url handle"),
    "title": ("title",),
    "description": ("body (html)", "description"),
    "vendor": ("vendor",),
    "type": ("type",),
    "tags": ("tags",),
    "sku": ("variant sku", "sku"),
    "price": ("variant price", "price"),
    "image": ("image src", "product image url"),
    "position": ("image position",),
    **{f"option{n}": (f"option{n} name",) for n in (1, 2, 3)},
    **{f"value{n}": (f"option{n} value",) for n in (1, 2, 3)},
}


def shopify(table: Table) -> Iterator[Product]:
    """Consecutive lines with one handle are one product."""
    names = Names(table.columns, COLUMNS)
    group: list[Row] = []
    number = 0
    for row in table.rows:
        # A line of its own without a handle belongs to nobody: it becomes a record that says so.
        handle = names.cell(row, "handle")
        if group and (not handle or handle != names.cell(group[0], "handle")):
            number += 1
            yield _product(number, group, names)
            group = []
        group.append(row)
    if group:
        yield _product(number + 1, group, names)


def _product(number: int, group: list[Row], names: Names) -> Product:
    cell = names.cell
    first = group[0]
    images = [
        (_position(cell(row, "position"), order), cell(row, "image"))
        for order, row in enumerate(group)
        if cell(row, "image")
    ]
    urls = JsonList(dict.fromkeys(url for _, url in sorted(images, key=lambda each: each[0])))
    tags = cell(first, "tags")
    variants = JsonList(
        {
            "sku": cell(row, "sku"),
            "price": cell(row, "price"),
            "options": {
                cell(first, f"option{option}"): cell(row, f"value{option}")
                for option in (1, 2, 3)
                if cell(row, f"value{option}")
            },
        }
        for row in group
        if cell(row, "price") or cell(row, "value1")
    )
    return Product(
        number,
        first.line,
        first.cells,
        first.values,
        key=cell(first, "handle"),
        extra={
            "key": cell(first, "handle"),
            "title": cell(first, "title"),
            "description": cell(first, "description"),
            "brand": cell(first, "vendor"),
            "category": cell(first, "type") or tags.split(",")[0].strip(),
            "price": cell(first, "price"),
            "tags": tags,
            "image_url": urls[0] if urls else "",
            "image_urls": urls,
            "variants": variants,
        },
        error=next((row.error for row in group if row.error), None),
        file=first.file,
    )


def _position(text: str, order: int) -> tuple[int, int]:
    # Images without a position come after those with one, in the order of the file.
    return (int(text), order) if text.isdecimal() else (1_000_000, order)
