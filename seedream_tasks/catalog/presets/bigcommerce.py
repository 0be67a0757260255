"""BigCommerce's product export: the modern one (`Item` says Product, Variant, Image) and the older one (`Item Type`).

The columns are those of https://support.bigcommerce.com/s/article/Supported-Product-Fields and, for the older one,
https://support.bigcommerce.com/s/article/Importing-Exporting-Products.
"""

import re
from collections.abc import Iterator

from ..tables import Row, Table
from .products import (
    Names,
    Product,
    ProductFault,
    deepest,
    describe,
    grouped,
    says_no,
)

COLUMNS = {
    "item": ("Item", "Item Type"),
    "id": ("ID", "Product ID"),
    "title": ("Name", "Product Name"),
    "sku": ("SKU", "Product Code/SKU"),
    "brand": ("Brand Name", "Brand"),
    "description": ("Description", "Product Description"),
    "categories": ("Categories", "Category", "Category String"),
    "price": ("Price",),
    "keywords": ("Search Keywords",),
    "visible": ("Is Visible", "Product Visible"),
    "options": ("Options",),
    "image": ("Internal Image URL (Export)", "Image URL (Import)", "Image URL"),
    "variant image": ("Variant Image URL",),
    "thumbnail": ("Image is Thumbnail",),
    "order": ("Image Sort Order",),
    "file": ("Product Image URL - {n}", "Product Image File - {n}"),
    "file order": ("Product Image Sort - {n}",),
}
# The older export writes an option as `[S]Size=Large`, with its kind in brackets.
_KIND = re.compile(r"^\[[A-Z]+\]")
_LAST = 1_000_000


def bigcommerce(table: Table) -> Iterator[Product]:
    """A line of the kind Product begins a product; its variants and images stand below it."""
    names = Names(table.columns, COLUMNS)
    lines: list[Row] = []
    number = 0
    for row in table.rows:
        if lines and _kind(row, names) == "product":
            number += 1
            yield _product(number, lines, names)
            lines = []
        lines.append(row)
    if lines:
        yield _product(number + 1, lines, names)


def _kind(row: Row, names: Names) -> str:
    """A file without that column has a product on each line."""
    return names.cell(row, "item").lower() if names.has("item") else "product"


def _product(number: int, lines: list[Row], names: Names) -> Product:
    cell = names.cell
    lead = lines[0]
    key = cell(lead, "sku") or cell(lead, "id")
    return grouped(
        number,
        lead,
        lines,
        describe(
            key=key,
            title=cell(lead, "title"),
            description=cell(lead, "description"),
            brand=cell(lead, "brand"),
            category=_category(cell(lead, "categories")),
            price=cell(lead, "price"),
            tags=cell(lead, "keywords"),
            links=_links(lines, names),
            variants=[_variant(row, names) for row in lines if _kind(row, names) in ("variant", "sku")],
        ),
        "it is not visible" if says_no(cell(lead, "visible")) else None,
        _no_product(lead, names),
    )


def _no_product(lead: Row, names: Names) -> ProductFault | None:
    """A variant or image above every product: the file was sorted, or truncated."""
    kind = _kind(lead, names)
    at = f"line {lead.line}: " if lead.line else ""
    return None if kind == "product" else ProductFault("no_parent", f"{at}it is a {kind or 'line'} without a product")


def _category(text: str) -> str:
    """The last part of the first path (`Shop/Mugs;Sale`); the modern export has only numbers, which are useless."""
    paths = [path.strip() for path in re.split(r"(?<!\\);", text) if path.strip()]
    parts = [deepest(path.replace("\\/", "\0"), "/").replace("\0", "/") for path in paths]
    return next((part for part in parts if not part.isdecimal()), "")


def _links(lines: list[Row], names: Names) -> list[str]:
    """The product's images by their order, the thumbnail first."""
    cell = names.cell
    found = [
        ((not _says_yes(cell(row, "thumbnail")), _order(cell(row, "order"))), cell(row, "image"))
        for row in lines
        if cell(row, "image") and _kind(row, names) in ("image", "product")
    ]
    lead = lines[0]
    found += [((True, _order(cell(lead, "file order", n))), cell(lead, "file", n)) for n in names.numbers("file")]
    return [link for _, link in sorted(found, key=lambda each: each[0]) if link]


def _says_yes(text: str) -> bool:
    return bool(text) and not says_no(text)


def _order(text: str) -> int:
    whole = text.partition(".")[0]
    return int(whole) if whole.isdecimal() else _LAST


def _variant(row: Row, names: Names) -> dict[str, object]:
    """Options are `Type=Rectangles|Name=Size|Value=Large`, several one after another; in the older export `[S]Size=Large`."""
    text = names.cell(row, "options") or (names.cell(row, "title") if _kind(row, names) == "sku" else "")
    named = dict(re.findall(r"Name=([^|]*)\|Value=(.*?)(?=\s*\|*\s*Type=|$)", text))
    if not named:
        pairs = (_KIND.sub("", part.strip()).partition("=") for part in text.split(",") if "=" in part)
        named = {name: value.partition(":")[0] for name, _, value in pairs}
    return {
        "sku": names.cell(row, "sku"),
        "price": names.cell(row, "price"),
        "options": {name.strip(): value.strip() for name, value in named.items()},
    }
