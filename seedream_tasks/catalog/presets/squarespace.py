"""Squarespace's product export; its columns are those of https://support.squarespace.com/hc/en-us/articles/115000378108."""

import re
from collections.abc import Iterator

from ..tables import Row, Table
from .products import Names, Product, describe, grouped, says_no

COLUMNS = {
    "id": ("Product ID [Non Editable]", "Product ID"),
    "page": ("Product Page",),
    "url": ("Product URL",),
    "title": ("Title",),
    "description": ("Description",),
    "sku": ("SKU",),
    "price": ("Price",),
    "categories": ("Categories",),
    "tags": ("Tags",),
    "visible": ("Visible",),
    "images": ("Hosted Image URLs",),
    "option": ("Option Name {n}",),
    "value": ("Option Value {n}",),
}


def squarespace(table: Table) -> Iterator[Product]:
    """A line with a title begins a product; the lines below it, which have neither title nor id, are its variants."""
    names = Names(table.columns, COLUMNS)
    lines: list[Row] = []
    number = 0
    for row in table.rows:
        if lines and (names.cell(row, "title") or names.cell(row, "id")) and not _belongs(row, lines[0], names):
            number += 1
            yield _product(number, lines, names)
            lines = []
        lines.append(row)
    if lines:
        yield _product(number + 1, lines, names)


def _belongs(row: Row, lead: Row, names: Names) -> bool:
    """Whether a line repeats the product it belongs to."""
    number = names.cell(row, "id")
    return (
        bool(number)
        and number == names.cell(lead, "id")
        and names.cell(row, "title") in ("", names.cell(lead, "title"))
    )


def _product(number: int, lines: list[Row], names: Names) -> Product:
    cell = names.cell
    lead = lines[0]
    key = cell(lead, "url") or cell(lead, "id")
    categories = [part.strip() for part in cell(lead, "categories").split(",") if part.strip()]
    return grouped(
        number,
        lead,
        lines,
        describe(
            key=key,
            title=cell(lead, "title"),
            description=cell(lead, "description"),
            brand="",
            category=categories[0].strip("/").rpartition("/")[2] if categories else "",
            price=cell(lead, "price"),
            tags=cell(lead, "tags"),
            links=re.split(r"\s+", cell(lead, "images")) if cell(lead, "images") else [],
            variants=[_variant(lead, row, names) for row in lines if cell(row, "value", 1)],
        ),
        "it is not visible" if says_no(cell(lead, "visible")) else None,
        None,
    )


def _variant(lead: Row, row: Row, names: Names) -> dict[str, object]:
    cell = names.cell
    options = {
        cell(row, "option", n) or cell(lead, "option", n): cell(row, "value", n) for n in names.numbers("option")
    }
    return {
        "sku": cell(row, "sku"),
        "price": cell(row, "price"),
        "options": {name: value for name, value in options.items() if name and value},
    }
