"""Shopify's product export, in its older (`Handle`, `Image Src`) and newer (`URL handle`, `Product image URL`) columns.

The columns are those of https://help.shopify.com/en/manual/products/import-export/using-csv.
"""

import re
from collections.abc import Iterator

from ..tables import Row, Table
from .escapes import undone, unguarded, unguarded_code
from .grouping import together
from .products import Names, Product, ProductFault, deepest, describe, grouped

COLUMNS = {
    "handle": ("handle", "url handle"),
    "title": ("title",),
    "description": ("body (html)", "description"),
    "vendor": ("vendor",),
    "type": ("type", "custom product type"),
    "category": ("product category", "standardized product type", "standard product type"),
    "tags": ("tags",),
    "status": ("status",),
    "sku": ("variant sku", "sku"),
    "barcode": ("variant barcode", "barcode"),
    "price": ("variant price", "price"),
    "image": ("image src", "product image url"),
    "position": ("image position",),
    "option": ("option{n} name",),
    "value": ("option{n} value",),
}
_NOT_FOR_SALE = frozenset({"draft", "archived"})
_WHOLE = re.compile(r"([0-9]+)(?:\.0*)?")


def shopify(table: Table) -> Iterator[Product]:
    """Lines with the same handle are one product, wherever they are; the one with a title leads."""
    names = Names(table.columns, COLUMNS)
    codes, options = names.places("sku", "barcode"), names.places("option", "value")
    for number, lines in enumerate(together(table, lambda row: names.cell(row, "handle")), 1):
        lines = [undone(undone(row, unguarded_code, codes), unguarded, options) for row in lines]
        yield _product(number, lines, names)


def _product(number: int, lines: list[Row], names: Names) -> Product:
    cell = names.cell
    lead = next((row for row in lines if cell(row, "title")), lines[0])
    handle, status = cell(lead, "handle"), cell(lead, "status")
    return grouped(
        number,
        lead,
        lines,
        describe(
            key=handle,
            title=cell(lead, "title"),
            description=cell(lead, "description"),
            brand=cell(lead, "vendor"),
            category=cell(lead, "type") or deepest(cell(lead, "category")),
            price=cell(lead, "price") or next((text for row in lines if (text := cell(row, "price"))), ""),
            tags=cell(lead, "tags"),
            links=_links(lines, names),
            variants=_variants(lead, lines, names),
        ),
        f"its status is {status}" if status.lower() in _NOT_FOR_SALE else None,
        _two_titles(lead, lines, names),
    )


def _two_titles(lead: Row, lines: list[Row], names: Names) -> ProductFault | None:
    """Two products with one handle, as in concatenated files: the owner of the images is ambiguous."""
    title = names.cell(lead, "title")
    other = next((row for row in lines if names.cell(row, "title") not in ("", title)), None)
    if other is None:
        return None
    at, also = (f" on line {row.line}" if row.line else "" for row in (lead, other))
    return ProductFault(
        "two_products",
        f"the handle {names.cell(lead, 'handle')!r} has two titles: {title!r}{at}"
        f" and {names.cell(other, 'title')!r}{also}",
    )


def _links(lines: list[Row], names: Names) -> list[str]:
    found = [
        (_position(names.cell(row, "position"), order), link)
        for order, row in enumerate(lines)
        if (link := names.cell(row, "image"))
    ]
    return [link for _, link in sorted(found, key=lambda each: each[0])]


def _position(text: str, order: int) -> tuple[int, int]:
    # Images without a position come after those with one, in the order of the file. pandas writes 3 as 3.0.
    whole = _WHOLE.fullmatch(text)
    return (int(whole[1]), order) if whole else (1_000_000, order)


def _variants(lead: Row, lines: list[Row], names: Names) -> list[dict[str, object]]:
    cell = names.cell
    numbers = names.numbers("value")
    # Their names are on the first line; in a hand-made file they may be elsewhere.
    options = {n: cell(lead, "option", n) or _first(lines, names, n) for n in numbers}
    return [
        {
            "sku": cell(row, "sku"),
            "price": cell(row, "price"),
            "options": {options[n]: value for n in numbers if (value := cell(row, "value", n))},
        }
        for row in lines
        if cell(row, "price") or cell(row, "value", 1)
    ]


def _first(lines: list[Row], names: Names, n: int) -> str:
    return next((text for row in lines if (text := names.cell(row, "option", n))), "")
