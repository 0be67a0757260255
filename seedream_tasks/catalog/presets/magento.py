"""Magento 2's (Adobe Commerce's) product export.

The columns are those of https://experienceleague.adobe.com/docs/commerce-admin/systems/data-transfer/data-attributes-product.html.
Images are paths below the shop's `media/catalog/product`, such as `/m/b/mb01-blue-0.jpg`.
"""

import re
from collections.abc import Iterator

from ..tables import Row, Table
from .grouping import together
from .products import Names, Product, ProductFault, deepest, describe, grouped

COLUMNS = {
    "sku": ("sku",),
    "view": ("store_view_code",),
    "kind": ("product_type",),
    "title": ("name",),
    "description": ("description",),
    "short description": ("short_description",),
    "attributes": ("additional_attributes",),
    "brand": ("brand", "manufacturer"),
    "categories": ("categories",),
    "price": ("price",),
    "online": ("product_online",),
    "keywords": ("meta_keywords",),
    "image": ("base_image",),
    "images": ("additional_images",),
    "variations": ("configurable_variations",),
}
_ATTRIBUTES_OF_BRAND = ("brand", "manufacturer")
_DISABLED = frozenset({"0", "2", "0.0", "2.0", "disabled"})


def magento(table: Table) -> Iterator[Product]:
    """The lines with one SKU are one product; the one without a store view leads, the others translate it."""
    names = Names(table.columns, COLUMNS)
    for number, lines in enumerate(together(table, lambda row: names.cell(row, "sku")), 1):
        yield _product(number, lines, names)


def _product(number: int, lines: list[Row], names: Names) -> Product:
    cell = names.cell
    lead = next((row for row in lines if not cell(row, "view")), lines[0])
    sku = cell(lead, "sku")
    attributes = _pairs(cell(lead, "attributes"), ",")
    categories = cell(lead, "categories")
    category = categories.split("|" if "|" in categories else ",")[0]
    return grouped(
        number,
        lead,
        lines,
        describe(
            key=sku,
            title=cell(lead, "title"),
            description=cell(lead, "description") or cell(lead, "short description"),
            brand=cell(lead, "brand")
            or next((attributes[name] for name in _ATTRIBUTES_OF_BRAND if name in attributes), ""),
            category=deepest(category, "/"),
            price=cell(lead, "price"),
            tags=cell(lead, "keywords"),
            links=[
                _path(part) for part in (cell(lead, "image"), *re.split("[,|]", cell(lead, "images"))) if _path(part)
            ],
            variants=[_variant(part) for part in cell(lead, "variations").split("|") if part.strip()],
        ),
        "it is disabled" if cell(lead, "online").lower() in _DISABLED else None,
        _two_rows(lines, names),
    )


def _two_rows(lines: list[Row], names: Names) -> ProductFault | None:
    """Two products with one SKU: lines of different store views are one product, lines of the same view are not."""
    seen: dict[str, Row] = {}
    for row in lines:
        first = seen.setdefault(names.cell(row, "view"), row)
        if first is not row and names.cell(first, "title") != names.cell(row, "title") and names.cell(row, "title"):
            at = f": lines {first.line} and {row.line}" if row.line else ""
            return ProductFault("two_products", f"two products have the SKU {names.cell(row, 'sku')!r}{at}")
    return None


def _path(text: str) -> str:
    """A path below `media/catalog/product`, or a link unchanged; Magento writes `no_selection` for none."""
    path = text.strip()
    return "" if path == "no_selection" else path if "://" in path else path.lstrip("/")


def _pairs(text: str, between: str) -> dict[str, str]:
    """`name=value` separated by commas; a comma inside a value is not followed by a name."""
    found: dict[str, str] = {}
    last = ""
    for part in text.split(between):
        name, equals, value = part.partition("=")
        if equals:
            last = name.strip()
            found[last] = value.strip()
        elif last:
            found[last] += between + part
    return found


def _variant(text: str) -> dict[str, object]:
    options = _pairs(text, ",")
    return {"sku": options.pop("sku", ""), "price": options.pop("price", ""), "options": options}
