"""Presets: what a shop's export calls its columns, and which of its lines make one product.

A preset adds key, title, description, brand, category, price, tags, image_url, image_urls and variants to what a template sees.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...core.errors import InputError
from ..tables import Table
from . import merchant as _merchant
from . import shopify as _shopify
from . import woocommerce as _woocommerce
from .products import Names, Product, plain, tidy

__all__ = ["PRESETS", "Preset", "Product", "advice", "find_preset", "fitting_preset", "listed"]

Preset = Callable[[Table], Iterator[Product]]


@dataclass(frozen=True)
class Export:
    """One shop's export."""

    title: str
    preset: Preset
    columns: Mapping[str, Sequence[str]]  # meaning -> the names exports have had for it, tidy
    needs: tuple[tuple[str, ...], ...]  # of each group of meanings, one must be there
    marks: tuple[str, ...]  # names that no other shop's export has: one of them says whose it is


PRESETS = {
    "shopify": Export(
        "a Shopify export",
        _shopify.shopify,
        _shopify.COLUMNS,
        (("handle",), ("title",)),
        ("body (html)", "variant price", "image src", "product image url", "option1 name", "variant sku"),
    ),
    "woocommerce": Export(
        "a WooCommerce export",
        _woocommerce.woocommerce,
        _woocommerce.COLUMNS,
        (("sku", "id"), ("name",)),
        ("regular price", "visibility in catalog", "is featured?", "in stock?", "attribute 1 name", "grouped products"),
    ),
    "merchant": Export(
        "a Google Merchant feed",
        _merchant.merchant,
        _merchant.COLUMNS,
        (("id",), ("title",)),
        ("image link", "additional image link", "google product category", "item group id", "gtin", "mpn"),
    ),
}


def find_preset(name: str | None, columns: Sequence[str]) -> Preset:
    """The preset of that name for a table of these columns; None is no preset. Raises InputError."""
    if name is None:
        return plain
    if name not in PRESETS:
        raise InputError(f"there is no preset {name!r}; known: {', '.join(PRESETS)}", field="preset")
    missing = _missing(name, columns)
    if missing is not None:
        fits = fitting_preset(columns)
        raise InputError(
            f"preset {name}: the catalog has no column {missing!r}; it has {listed(columns)}",
            field=missing,
            hint=advice(fits) if fits else "leave --preset out, or export the products again",
        )
    return PRESETS[name].preset


def fitting_preset(columns: Sequence[str]) -> str | None:
    """The preset whose export these columns look like."""
    there = {tidy(column) for column in columns}
    marks = {name: len(there.intersection(each.marks)) for name, each in PRESETS.items() if not _missing(name, columns)}
    best = max(marks, key=lambda name: marks[name], default=None)
    return best if best is not None and marks[best] else None


def advice(name: str) -> str:
    """What to do with an export that a preset fits."""
    return f"this looks like {PRESETS[name].title}: --preset {name}"


def listed(columns: Sequence[str]) -> str:
    """The columns for a message."""
    return ", ".join(columns[:12]) + (f", ... ({len(columns)} in all)" if len(columns) > 12 else "")


def _missing(name: str, columns: Sequence[str]) -> str | None:
    """The first column without which a table is not that shop's export, as the shop spells it."""
    export = PRESETS[name]
    names = Names(columns, export.columns)
    for group in export.needs:
        if not any(names.has(meaning) for meaning in group):
            spelling = export.columns[group[0]][0]
            return {"sku": "SKU", "id": "id"}.get(spelling, spelling.title() if name != "merchant" else spelling)
    return None
