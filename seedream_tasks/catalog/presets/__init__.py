"""Presets: the column names of a shop's export, and which of its lines form one product.

A preset adds key, title, description, brand, category, price, tags, image_url, image_urls and variants to what a template sees.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...core.errors import InputError
from ..tables import Table
from . import amazon as _amazon
from . import bigcommerce as _bigcommerce
from . import magento as _magento
from . import merchant as _merchant
from . import prestashop as _prestashop
from . import shopify as _shopify
from . import squarespace as _squarespace
from . import wix as _wix
from . import woocommerce as _woocommerce
from . import woocommerce_languages as _languages
from .products import Names, Product, plain, tidy

__all__ = ["PRESETS", "Preset", "Product", "advice", "find_preset", "fitting_preset", "known_columns", "listed"]

Preset = Callable[[Table], Iterator[Product]]
_ALL = "all"  # `--preset shopify,all`: products that are not for sale too


@dataclass(frozen=True)
class Export:
    """One shop's export."""

    title: str
    preset: Preset
    names: Callable[[list[str]], Names]
    # One meaning of each group is required, given with the shop's spelling. The first group is the key's.
    needs: tuple[Mapping[str, str], ...]
    marks: frozenset[str]  # names unique to this shop's export: one of them identifies it
    check: Callable[[Table], None] = lambda table: None  # raises InputError for a file that it cannot read correctly
    way_out: str = "leave --preset out, or export the products again"  # hint when its columns are missing


def _known(
    columns: Mapping[str, Sequence[str]], bare: Callable[[list[str]], list[str]] = list
) -> Callable[[list[str]], Names]:
    return lambda there: Names(bare(there), columns)


def _marks(*names: str) -> frozenset[str]:
    return frozenset(tidy(name) for name in names)


PRESETS = {
    "shopify": Export(
        "a Shopify export",
        _shopify.shopify,
        _known(_shopify.COLUMNS),
        ({"handle": "Handle"}, {"title": "Title"}),
        _marks(
            *("body (html)", "variant price", "image src", "product image url", "option1 name", "variant sku"),
            *("url handle", "variant image url", "option1 linked to"),
        ),
    ),
    "woocommerce": Export(
        "a WooCommerce export",
        _woocommerce.woocommerce,
        lambda there: Names(there, _languages.columns_of(there)),
        ({"sku": "SKU", "id": "ID"}, {"name": "Name"}),
        frozenset(_languages.marks()),
        _languages.check_language,
    ),
    "merchant": Export(
        "a Google Merchant feed",
        _merchant.merchant,
        _known(_merchant.COLUMNS),
        ({"id": "id"}, {"title": "title"}),
        _marks("image link", "additional image link", "google product category", "item group id", "gtin", "mpn"),
    ),
    "amazon": Export(
        "an Amazon flat file",
        _amazon.amazon,
        _known(_amazon.COLUMNS, _amazon.bare),
        ({"sku": "item_sku"}, {"title": "item_name"}),
        _marks(
            *("item_sku", "item_name", "feed_product_type", "main_image_url", "other_image_url1", "parent_sku"),
            *("contribution_sku#1.value", "item_name#1.value", "product_type#1.value", "seller-sku", "item-name"),
        ),
        way_out="name the row of field names (item_sku, contribution_sku#1.value) with --header-row N: 3, in newer templates 5",
    ),
    "magento": Export(
        "a Magento export",
        _magento.magento,
        _known(_magento.COLUMNS),
        ({"sku": "sku"}, {"title": "name"}),
        _marks(
            *("store_view_code", "attribute_set_code", "base_image", "additional_images", "configurable_variations"),
            *("product_websites", "product_online", "additional_attributes"),
        ),
    ),
    "prestashop": Export(
        "a PrestaShop file",
        _prestashop.prestashop,
        _known(_prestashop.COLUMNS, _prestashop.bare),
        ({"reference": "Reference #", "id": "Product ID"}, {"title": "Name"}),
        _marks(
            *("reference #", "supplier reference #", "image urls (x,y,z...)", "price tax excluded"),
            *("price tax included", "price (tax excl.)", "price (tax incl.)", "categories (x,y,z...)", "active (0/1)"),
            *("url rewritten", "rewritten url", "tax rules id"),
        ),
    ),
    "wix": Export(
        "a Wix export",
        _wix.wix,
        _known(_wix.COLUMNS),
        ({"handle": "handleId"}, {"title": "name"}, {"kind": "fieldType"}),
        _marks(
            "handleid", "fieldtype", "productimageurl", "productoptionname1", "productoptiontype1", "plaindescription"
        ),
    ),
    "squarespace": Export(
        "a Squarespace export",
        _squarespace.squarespace,
        _known(_squarespace.COLUMNS),
        ({"url": "Product URL", "id": "Product ID [Non Editable]"}, {"title": "Title"}),
        _marks(
            *("product id [non editable]", "variant id [non editable]", "product type [non editable]"),
            *("product page", "hosted image urls"),
        ),
    ),
    "bigcommerce": Export(
        "a BigCommerce export",
        _bigcommerce.bigcommerce,
        _known(_bigcommerce.COLUMNS),
        ({"sku": "SKU", "id": "ID"}, {"title": "Name"}),
        _marks(
            *(
                "item type",
                "product code/sku",
                "inventory tracking",
                "internal image url (export)",
                "image url (import)",
            ),
            *("bin picking number", "product image file - 1", "image is thumbnail", "option set", "product visible"),
        ),
    ),
}


def find_preset(name: str | None, table: Table, keyed: bool = False) -> Preset:
    """The preset of that name (`shopify`, or `shopify,all`) for a table; None: none. Raises InputError.

    `keyed`: another column gives the key, so the preset can do without its own.
    """
    if name is None:
        return plain
    bare, words = _words(name)
    if bare not in PRESETS or words not in ("", _ALL):
        raise InputError(
            f"there is no preset {name!r}; known: {', '.join(PRESETS)}",
            field="preset",
            hint=f"PRESET,{_ALL} also takes products that are not for sale" if words else None,
        )
    export = PRESETS[bare]
    columns = table.columns
    fits = fitting_preset(columns)
    missing = _missing(bare, columns, keyed)
    # The required columns may be there by chance: `sku` and `name` are common.
    another = fits is not None and fits != bare and not _marks_of(bare, columns) and _marks_of(fits, columns) > 1
    if missing is not None or another:
        if fits is None or fits == bare:
            export.check(table)
        what = f"has no column {missing!r}" if missing is not None else f"is {PRESETS[fits or bare].title}"
        raise InputError(
            f"preset {bare}: the catalog {what}; it has {listed(columns)}{table.facts.where_columns_are()}",
            field=missing or "preset",
            hint=advice(fits) if fits and fits != bare else export.way_out,
        )
    export.check(table)
    return _all(export.preset) if words else export.preset


def fitting_preset(columns: Sequence[str]) -> str | None:
    """The preset whose export these columns look like."""
    marks = {name: _marks_of(name, columns) for name in PRESETS if not _missing(name, columns)}
    best = max(marks, key=lambda name: marks[name], default=None)
    return best if best is not None and marks[best] else None


def known_columns(name: str, columns: Sequence[str]) -> Names:
    """The columns that a preset reads."""
    return PRESETS[_words(name)[0]].names(list(columns))


def advice(name: str) -> str:
    """What to do with an export that a preset fits."""
    return f"this looks like {PRESETS[name].title}: --preset {name}"


def listed(columns: Sequence[str]) -> str:
    """The columns for a message."""
    return ", ".join(columns[:12]) + (f", ... ({len(columns)} in all)" if len(columns) > 12 else "")


def _words(name: str) -> tuple[str, str]:
    """A preset's name, and the words after it."""
    bare, _, words = name.partition(",")
    return bare.strip(), words.strip()


def _marks_of(name: str, columns: Sequence[str]) -> int:
    there = {tidy(column) for column in (_amazon.bare(list(columns)) if name == "amazon" else columns)}
    return len(there & PRESETS[name].marks)


def _missing(name: str, columns: Sequence[str], keyed: bool = False) -> str | None:
    """The first column without which a table is not that shop's export, as the shop spells it."""
    export = PRESETS[name]
    names = export.names(list(columns))
    for group in export.needs[1:] if keyed else export.needs:
        if not any(names.has(meaning) for meaning in group):
            return next(iter(group.values()))
    return None


def _all(preset: Preset) -> Preset:
    def every(table: Table) -> Iterator[Product]:
        return (replace(product, not_for_sale=None) for product in preset(table))

    return every
