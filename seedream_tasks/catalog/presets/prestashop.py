"""PrestaShop's products: the file of its importer (Advanced Parameters > Import), and the list that the catalog page exports.

The columns are those of `AdminImportController` (controllers/admin of PrestaShop) and of the sample files beside it; their
headers carry hints such as `Categories (x,y,z...)`, which are ignored here.
"""

import re
from collections.abc import Iterator

from ..tables import Table
from .products import Names, Product, describe, says_no

COLUMNS = {
    "id": ("Product ID", "ID", "id product"),
    "reference": ("Reference #", "Reference"),
    "title": ("Name", "Product name"),
    "description": ("Description",),
    "summary": ("Summary", "Short description"),
    "brand": ("Brand", "Manufacturer"),
    "categories": ("Categories", "Category"),
    "price": (
        *("Price tax excluded", "Price (tax excl.)", "Price tax included", "Price (tax incl.)", "Price", "Base price"),
        *("Price tax excluded or Price tax included", "Price tax excl.", "Price tax incl."),
    ),
    "tags": ("Tags",),
    "images": ("Image URLs", "Image"),
    "active": ("Active", "Status"),
}


def prestashop(table: Table) -> Iterator[Product]:
    """A line is a product."""
    names = Names(bare(table.columns), COLUMNS)
    for number, row in enumerate(table.rows, 1):
        cell = names.cell
        key = cell(row, "reference") or cell(row, "id")
        categories = _parted(cell(row, "categories"))
        extra = describe(
            key=key,
            title=cell(row, "title"),
            description=cell(row, "description") or cell(row, "summary"),
            brand=cell(row, "brand"),
            category=_named(categories),
            price=cell(row, "price"),
            tags=", ".join(_parted(cell(row, "tags"))),
            links=_links(cell(row, "images")),
        )
        withheld = "it is not active" if says_no(cell(row, "active")) else None
        yield Product(number, row.line, row.cells, row.values, key, extra, row.error, row.file, withheld)


def bare(columns: list[str]) -> list[str]:
    """The headers without their hints: `Active (0/1)`, `Image URLs (x,y,z...)`, `Name *`."""
    return [
        re.sub(r"\s*\((x,\s?y,\s?z[.…]*|0/1|0 = No, 1 = Yes)\)", "", column, flags=re.IGNORECASE) for column in columns
    ]


def _parted(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,|]", text) if part.strip()]


def _named(categories: list[str]) -> str:
    """The first category that is more than the shop's root: by name, as a path's last part, never by number."""
    parts = [path.rpartition("/")[2] for path in categories]
    named = [part for part in parts if part and not part.isdecimal()]
    return next((part for part in named if part.lower() not in ("home", "root")), named[0] if named else "")


def _links(text: str) -> list[str]:
    """Links separated by commas; a comma inside a link is not followed by another link."""
    between = r"\s*[,|]\s*(?=https?://)|\s*\|\s*" if "://" in text else r"\s*[,|]\s*"
    return [part for part in re.split(between, text.strip(" ,")) if part]
