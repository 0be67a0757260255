"""Wix Stores' product export: the classic one (`handleId`, `productImageUrl`) and the newer one (`handle`, `media`).

The columns are those of the template that Wix offers for imports:
https://support.wix.com/en/article/wix-stores-importing-products-from-another-ecommerce-platform.
"""

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from ..tables import Row, Table
from .grouping import together
from .products import Names, Product, ProductFault, describe, grouped, says_no

COLUMNS = {
    "handle": ("handleId", "handle"),
    "kind": ("fieldType",),
    "title": ("name",),
    "description": ("description", "plainDescription"),
    "brand": ("brand",),
    "collection": ("collection", "categories"),
    "price": ("price",),
    "surcharge": ("surcharge",),
    "sku": ("sku",),
    "image": ("productImageUrl", "media"),
    "visible": ("visible",),
    "ribbon": ("ribbon",),
    "option": ("productOptionName{n}", "productOptionName[{n}]"),
    "value": ("productOptionDescription{n}", "productOptionChoices{n}", "productOptionChoices[{n}]"),
}
# Images hosted at Wix are given by file name.
_AT_WIX = "https://static.wixstatic.com/media/"
_WIX_FILE = re.compile(r"[0-9a-z_]+[^\s/]*~mv2[^\s/]*\.[a-z]{3,4}", re.IGNORECASE)


def wix(table: Table) -> Iterator[Product]:
    """Lines with the same handle are one product: Product, then Variant and Media, wherever they are."""
    names = Names(table.columns, COLUMNS)
    for number, lines in enumerate(together(table, lambda row: names.cell(row, "handle")), 1):
        yield _product(number, lines, names)


def _product(number: int, lines: list[Row], names: Names) -> Product:
    cell = names.cell
    lead = next((row for row in lines if cell(row, "kind").lower() == "product"), lines[0])
    handle = cell(lead, "handle")
    images = [lead, *(row for row in lines if cell(row, "kind").lower() == "media")]
    collections = [part.strip() for part in cell(lead, "collection").split(";") if part.strip()]
    return grouped(
        number,
        lead,
        lines,
        describe(
            key=handle,
            title=cell(lead, "title"),
            description=cell(lead, "description"),
            brand=cell(lead, "brand"),
            category=collections[0] if collections else "",
            price=cell(lead, "price"),
            tags=", ".join(collections),
            links=[_link(part) for row in images for part in cell(row, "image").split(";") if part.strip()],
            variants=[_variant(lead, row, names) for row in lines if cell(row, "kind").lower() == "variant"],
        ),
        "it is not visible" if says_no(cell(lead, "visible")) else None,
        _two_products(lines, names),
    )


def _two_products(lines: list[Row], names: Names) -> ProductFault | None:
    products = [row for row in lines if names.cell(row, "kind").lower() == "product"]
    if len(products) < 2:
        return None
    at = ", ".join(str(row.line) for row in products[:3] if row.line)
    handle = names.cell(products[0], "handle")
    return ProductFault(
        "two_products", f"{len(products)} products have the handle {handle!r}" + (f": lines {at}" if at else "")
    )


def _link(text: str) -> str:
    name = text.strip()
    return _AT_WIX + name if _WIX_FILE.fullmatch(name) else name


def _variant(lead: Row, row: Row, names: Names) -> dict[str, object]:
    cell = names.cell
    options = {
        cell(row, "option", n) or cell(lead, "option", n): cell(row, "value", n) for n in names.numbers("option")
    }
    return {
        "sku": cell(row, "sku"),
        "price": cell(row, "price") or _dearer(cell(lead, "price"), cell(row, "surcharge")),
        "options": {name: _choice(value) for name, value in options.items() if name and value},
    }


def _choice(value: str) -> str:
    """A choice without its colour: `#ff0000:Red`."""
    return value.partition(":")[2] if value.startswith("#") and ":" in value else value


def _dearer(price: str, surcharge: str) -> str:
    try:
        return str(Decimal(price) + Decimal(surcharge or "0"))
    except InvalidOperation:
        return price
