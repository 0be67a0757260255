"""Amazon's flat files (inventory file templates, https://sellercentral.amazon.com/gp/help/1641) and listings reports.

The template's own rows are above the row of field names: settings, and the fields' labels in the seller's language. Older
templates call a field `item_sku`, newer ones `contribution_sku#1.value`, with marketplace and language in brackets, which are
ignored here.
"""

import re
from collections.abc import Iterator
from functools import partial

from ..tables import Row, Table
from .families import Member, families
from .products import Names, Product, describe

COLUMNS = {
    "sku": ("item_sku", "contribution_sku#1.value", "seller-sku", "sku"),
    "title": ("item_name", "item_name#1.value", "item-name"),
    "description": ("product_description", "product_description#1.value", "item-description"),
    "brand": ("brand_name", "brand", "brand#1.value"),
    "category": (
        "feed_product_type",
        "product_type#1.value",
        "item_type",
        "item_type_name",
        "item_type_keyword#1.value",
    ),
    "price": (
        *("standard_price", "purchasable_offer#1.our_price#1.schedule#1.value_with_tax", "list_price"),
        *("list_price#1.value", "list_price#1.value_with_tax", "price"),
    ),
    "tags": ("generic_keywords", "generic_keywords1", "generic_keyword#1.value"),
    "image": ("main_image_url", "main_product_image_locator#1.media_location", "image-url"),
    "images": ("other_image_url{n}", "other_product_image_locator_{n}#1.media_location"),
    "parent": ("parent_sku", "child_parent_sku_relationship#1.parent_sku"),
    "parentage": ("parent_child", "parentage", "parentage_level#1.value"),
    "color": ("color_name", "color#1.value"),
    "size": ("size_name", "size#1.value", "apparel_size#1.size"),
    "style": ("style_name", "style#1.value"),
    "action": ("update_delete", "::record_action"),
}
# The example that newer templates carry in the row below the field names.
_EXAMPLE = "ABC123"
_OPTIONS = ("color", "size", "style")


def amazon(table: Table) -> Iterator[Product]:
    """A line is a product; a child inherits missing values from its parent."""
    names = Names(bare(table.columns), COLUMNS)
    yield from families(table, partial(_member, names))


def bare(columns: list[str]) -> list[str]:
    """The fields without marketplace and language: `item_name[language_tag=en_US]#1.value` is `item_name#1.value`."""
    return [re.sub(r"\[[^\]]*\]", "", column) for column in columns]


def _member(names: Names, row: Row) -> Member:
    cell = names.cell
    sku, price, parent = cell(row, "sku"), cell(row, "price"), cell(row, "parent")
    return Member(
        row,
        describe(
            key=sku,
            title=cell(row, "title"),
            description=cell(row, "description"),
            brand=cell(row, "brand"),
            category=cell(row, "category"),
            price=price,
            tags=cell(row, "tags"),
            links=[
                link
                for link in (cell(row, "image"), *(cell(row, "images", n) for n in names.numbers("images")))
                if link
            ],
        ),
        names=() if parent or not sku else (sku,),
        parent=parent,
        variant={
            "sku": sku,
            "price": price,
            "options": {option: value for option in _OPTIONS if (value := cell(row, option))},
        },
        not_for_sale=_withheld(sku, cell(row, "action")),
    )


def _withheld(sku: str, action: str) -> str | None:
    if sku == _EXAMPLE:
        return f"{_EXAMPLE} is the template's own example"
    return "it is to be deleted" if action.lower() == "delete" else None
