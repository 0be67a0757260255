"""Google Merchant feeds: TSV, CSV or XML; columns named `image_link`, `image link` or `g:image_link`."""

from collections.abc import Iterator

from ..tables import Table
from .products import JsonList, Names, Product, split_links

COLUMNS = {
    "id": ("id",),
    "title": ("title",),
    "description": ("description", "summary", "content"),
    "brand": ("brand",),
    "category": ("product type", "google product category"),
    "price": ("price",),
    "image": ("image link",),
    "images": ("additional image link", "additional image links"),
    "labels": tuple(f"custom label {n}" for n in range(5)),
}


def merchant(table: Table) -> Iterator[Product]:
    """A line, or an item, is a product."""
    names = Names(table.columns, COLUMNS)
    labels = [Names(table.columns, {"label": (label,)}) for label in COLUMNS["labels"]]
    for number, row in enumerate(table.rows, 1):
        links = [*split_links(names.cell(row, "image")), *split_links(names.cell(row, "images"))]
        urls = JsonList(dict.fromkeys(links))
        extra = {
            "key": names.cell(row, "id"),
            "title": names.cell(row, "title"),
            "description": names.cell(row, "description"),
            "brand": names.cell(row, "brand"),
            "category": next(iter(_first(names.cell(row, "category"))), ""),
            "price": names.cell(row, "price"),
            # The feed has no tags; custom labels are what shops use instead.
            "tags": ", ".join(text for each in labels if (text := each.cell(row, "label"))),
            "image_url": urls[0] if urls else "",
            "image_urls": urls,
            "variants": JsonList(),
        }
        key = names.cell(row, "id")
        yield Product(number, row.line, row.cells, row.values, key, extra, row.error, row.file)


def _first(category: str) -> list[str]:
    """In XML a category may stand several times, which reads as a JSON list."""
    return split_links(category) if category.startswith("[") else [category]
