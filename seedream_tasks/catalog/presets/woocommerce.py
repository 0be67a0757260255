"""WooCommerce's product export: each line is a product, a variation inherits missing values from its parent."""

import re
from collections.abc import Collection, Iterator
from functools import partial

from ..tables import Row, Table
from .escapes import undone, unguarded, with_breaks, with_commas
from .families import Member, families
from .products import Names, Product, describe, split_links
from .woocommerce_languages import columns_of

# Lists, whose items' own commas are written `\,`.
_LISTS = ("categories", "tags", "images", "value", "brand")
_BETWEEN = re.compile(r"(?<!\\),")
_ESCAPED_COMMA = "\\,"
_HELD = "\0"  # replaces an escaped comma while a list is split; no cell contains it
_NOT_PUBLISHED = {"0": "it is private", "-1": "it is a draft", "2": "it is pending review"}
# Names of the brand attribute in shops without a brand column.
_BRAND = frozenset({"brand", "marke", "marque", "marca", "merk", "marka"})


def woocommerce(table: Table) -> Iterator[Product]:
    """A line is a product; variations are products too."""
    names = Names(table.columns, columns_of(table.columns))
    texts, lists = names.places("description", "short description"), names.places(*_LISTS)
    yield from families(table, partial(_member, names, texts, lists))


def _member(names: Names, texts: Collection[int], lists: Collection[int], row: Row) -> Member:
    row = undone(row, unguarded, [place for place, text in enumerate(row.cells) if text[:1] == "'"])
    row = undone(row, with_breaks, texts)
    cell = names.cell
    kinds = [each.strip().lower() for each in cell(row, "type").split(",")]
    sku, number = cell(row, "sku"), cell(row, "id")
    published = cell(row, "published").removesuffix(".0")
    variation = "variation" in kinds
    return Member(
        undone(row, with_commas, lists),
        describe(
            key=sku or number,
            title=cell(row, "name"),
            description=cell(row, "description") or cell(row, "short description"),
            brand=with_commas(cell(row, "brand")) or _brand(row, names),
            category=with_commas(_BETWEEN.split(cell(row, "categories"))[0]).strip(),
            price=cell(row, "regular price") or cell(row, "sale price"),
            tags=with_commas(cell(row, "tags")),
            links=_links(cell(row, "images")),
        ),
        names=[name for name in (sku, f"id:{number}", number) if name] if "variable" in kinds else (),
        parent=re.sub(r"^id:\s*", "id:", cell(row, "parent"), flags=re.IGNORECASE) if variation else "",
        variant={"sku": sku, "price": cell(row, "regular price"), "options": _options(row, names)} if variation else {},
        not_for_sale=_NOT_PUBLISHED.get(published),
    )


def _links(text: str) -> list[str]:
    """Links are separated by comma and space, file names also by a comma alone."""
    held = text.replace(_ESCAPED_COMMA, _HELD)
    parts = split_links(held) if "://" in held else re.split(r"\s*[,|\n]\s*", held)
    return [part.replace(_HELD, ",") for part in parts if part]


def _options(row: Row, names: Names) -> dict[str, str]:
    found = {names.cell(row, "attribute", n): names.cell(row, "value", n) for n in names.numbers("attribute")}
    return {name: with_commas(value) for name, value in found.items() if name and value}


def _brand(row: Row, names: Names) -> str:
    return next((value for name, value in _options(row, names).items() if name.lower() in _BRAND), "")
