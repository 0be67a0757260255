"""WooCommerce's product export: each line is a product of its own, a variation takes what it lacks from its parent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..tables import Row, Table
from .products import JsonList, Names, Product, split_links

_ATTRIBUTES = range(1, 21)
COLUMNS = {
    "id": ("id",),
    "type": ("type",),
    "sku": ("sku",),
    "name": ("name",),
    "description": ("description", "short description"),
    "price": ("regular price", "sale price"),
    "categories": ("categories",),
    "tags": ("tags",),
    "images": ("images",),
    "parent": ("parent",),
    "brand": ("brands", "brand"),
    **{f"attribute{n}": (f"attribute {n} name",) for n in _ATTRIBUTES},
    **{f"value{n}": (f"attribute {n} value(s)",) for n in _ATTRIBUTES},
}
# A comma that parts two categories; one that belongs to a name is written `\,`.
_BETWEEN = re.compile(r"(?<!\\),")
_INHERITED = ("title", "description", "brand", "category", "price", "tags")


@dataclass(slots=True)
class _Parent:
    """What variations take from the product they belong to."""

    extra: dict[str, Any]
    variants: JsonList = field(default_factory=JsonList)


def woocommerce(table: Table) -> Iterator[Product]:
    """A line is a product. A parent may stand behind its variations, so a first pass takes in the parents, and nothing else."""
    names = Names(table.columns, COLUMNS)
    parents = _parents(table, names)
    for number, row in enumerate(table.rows, 1):
        extra = _extra(row, names)
        parent = parents.get(_parent_of(row, names))
        if parent is not None:
            extra |= {name: extra[name] or parent.extra[name] for name in _INHERITED}
            if not extra["image_urls"]:
                extra |= {name: parent.extra[name] for name in ("image_url", "image_urls")}
        own = parents.get(extra["key"])
        extra["variants"] = own.variants if own is not None and parent is None else JsonList()
        error = row.error
        if error is None and not extra["title"] and _parent_of(row, names) and _is(row, names, "variation"):
            at = f"line {row.line}: " if row.line else ""
            error = f"{at}it has no name, and its parent {names.cell(row, 'parent')!r} is not in the catalog"
        yield Product(number, row.line, row.cells, row.values, extra["key"], extra, error, row.file)


def _parents(table: Table, names: Names) -> dict[str, _Parent]:
    """By SKU and by `id:123`, which is how a variation names its parent."""
    found: dict[str, _Parent] = {}
    variations: list[tuple[str, dict[str, Any]]] = []
    for row in table.rows:
        if _is(row, names, "variable"):
            parent = _Parent(_extra(row, names))
            for name in (names.cell(row, "sku"), f"id:{names.cell(row, 'id')}", names.cell(row, "id")):
                if name:
                    found.setdefault(name, parent)
        elif _is(row, names, "variation") and _parent_of(row, names):
            variations.append((_parent_of(row, names), _variant(row, names)))
    for name, variant in variations:
        if name in found:
            found[name].variants.append(variant)
    return found


def _is(row: Row, names: Names, kind: str) -> bool:
    return kind in (each.strip().lower() for each in names.cell(row, "type").split(","))


def _parent_of(row: Row, names: Names) -> str:
    return re.sub(r"^id:\s*", "id:", names.cell(row, "parent"), flags=re.IGNORECASE)


def _extra(row: Row, names: Names) -> dict[str, Any]:
    cell = names.cell
    urls = JsonList(dict.fromkeys(split_links(cell(row, "images"))))
    return {
        "key": cell(row, "sku") or cell(row, "id"),
        "title": cell(row, "name"),
        "description": cell(row, "description"),
        "brand": cell(row, "brand") or _attributes(row, names).get("brand", ""),
        "category": _BETWEEN.split(cell(row, "categories"))[0].replace("\\,", ",").strip(),
        "price": cell(row, "price"),
        "tags": cell(row, "tags"),
        "image_url": urls[0] if urls else "",
        "image_urls": urls,
    }


def _variant(row: Row, names: Names) -> dict[str, Any]:
    options = {names.cell(row, f"attribute{n}"): names.cell(row, f"value{n}") for n in _ATTRIBUTES}
    return {
        "sku": names.cell(row, "sku"),
        "price": names.cell(row, "price"),
        "options": {name: value for name, value in options.items() if name and value},
    }


def _attributes(row: Row, names: Names) -> dict[str, str]:
    return {
        names.cell(row, f"attribute{n}").lower(): names.cell(row, f"value{n}")
        for n in _ATTRIBUTES
        if names.has(f"attribute{n}")
    }
