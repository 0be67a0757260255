"""Exports in which each variation has its own line, names its parent, and inherits missing values from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..tables import Row, Table
from .products import JsonList, Product

_INHERITED = ("title", "description", "brand", "category", "price", "tags")


@dataclass(frozen=True, slots=True)
class Member:
    """A line as its preset reads it."""

    row: Row
    extra: dict[str, Any]
    names: Sequence[str] = ()  # names by which variations refer to it as their parent; none: it cannot be one
    parent: str = ""
    variant: Mapping[str, Any] = field(default_factory=dict)  # its data for a parent
    not_for_sale: str | None = None


@dataclass(slots=True)
class _Parent:
    """The values that variations inherit from their product."""

    extra: dict[str, Any]
    not_for_sale: str | None
    variants: JsonList = field(default_factory=JsonList)


def families(table: Table, read: Callable[[Row], Member]) -> Iterator[Product]:
    """A line is a product. A parent may follow its variations, so a first pass reads only the parents."""
    parents = _parents(table, read)
    for number, row in enumerate(table.rows, 1):
        member = read(row)
        row, extra = member.row, dict(member.extra)
        parent = parents.get(member.parent) if member.parent else None
        withheld = member.not_for_sale
        if parent is not None:
            extra |= {name: extra[name] or parent.extra[name] for name in _INHERITED}
            if not extra["image_urls"]:
                extra |= {name: parent.extra[name] for name in ("image_url", "image_urls")}
            withheld = withheld or (f"of its parent: {parent.not_for_sale}" if parent.not_for_sale else None)
        own = next((parents[name] for name in member.names if name in parents), None)
        extra["variants"] = own.variants if own is not None and parent is None else JsonList()
        product = Product(number, row.line, row.cells, row.values, extra["key"], extra, row.error, row.file, withheld)
        if product.error is None and not extra["title"] and member.parent:
            at = f"line {row.line}: " if row.line else ""
            product.error = f"{at}it has no name, and its parent {member.parent!r} is not in the catalog"
            product.error_code = "no_parent"
        yield product


def _parents(table: Table, read: Callable[[Row], Member]) -> dict[str, _Parent]:
    found: dict[str, _Parent] = {}
    variations: list[tuple[str, Mapping[str, Any]]] = []
    for member in map(read, table.rows):
        if member.names:
            parent = _Parent(member.extra, member.not_for_sale)
            for name in member.names:
                found.setdefault(name, parent)
        if member.parent:
            variations.append((member.parent, member.variant))
    for name, variant in variations:
        if name in found:
            found[name].variants.append(variant)
    return found
