"""Google Merchant feeds: TSV, CSV or XML; columns named `image_link`, `image link` or `g:image_link`."""

from collections.abc import Iterator

from ..tables import Table
from .products import Names, Product, describe, split_links

COLUMNS = {
    "id": ("id",),
    "title": ("title",),
    "description": ("description", "summary", "content"),
    "brand": ("brand",),
    "category": ("product type", "google product category"),
    "price": ("price",),
    "image": ("image link",),
    "images": ("additional image link", "additional image links"),
    "label": ("custom label {n}",),
}


def merchant(table: Table) -> Iterator[Product]:
    """A line, or an item, is a product."""
    names = Names(table.columns, COLUMNS)
    labels = names.numbers("label")
    for number, row in enumerate(table.rows, 1):
        cell = names.cell
        extra = describe(
            key=cell(row, "id"),
            title=cell(row, "title"),
            description=cell(row, "description"),
            brand=cell(row, "brand"),
            category=next(iter(_first(cell(row, "category"))), ""),
            price=cell(row, "price"),
            # The feed has no tags; shops use custom labels instead.
            tags=", ".join(text for n in labels if (text := cell(row, "label", n))),
            links=[*split_links(cell(row, "image")), *split_links(cell(row, "images"))],
        )
        yield Product(number, row.line, row.cells, row.values, extra["key"], extra, row.error, row.file)


def _first(category: str) -> list[str]:
    """In XML a category may occur several times, read as a JSON list. Google's numeric ids mean nothing to a model."""
    found = split_links(category) if category.startswith("[") else [category]
    return [each for each in found if not each.isdecimal()]
