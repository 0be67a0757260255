"""Product feeds in XML: RSS 2.0 and Atom with Google's `g:` elements, read as a stream.

Each item (or entry) is a row; its elements are the columns, without their prefix. A repeated element is a
JSON list, one with child elements a JSON object.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from ...core.cells import cell_text
from ...core.errors import InputError
from .rows import (
    MOST_CELL_CHARACTERS,
    Facts,
    Row,
    Table,
    named,
    text_schema,
    unfit,
)
from .sources import CatalogSource
from .xml_stream import XmlStream

_ITEMS = ("item", "entry", "product")
_GOOGLE = "http://base.google.com/"


def open_feed(source: CatalogSource) -> Table:
    """A product feed. Raises InputError; the file was read once for its elements."""
    keys: dict[str, None] = {}
    first = hashlib.sha256()
    for _, values in _items(source, first):
        keys.update(dict.fromkeys(values))
    if not keys:
        raise InputError(
            f"{source.uri}: no <item> and no <entry> with anything in it: this XML is not a product feed",
            field="catalog",
        )
    names = named(list(keys), source.uri)
    stored = source.stored_sha256() if source.packing else first.hexdigest()

    def rows() -> Iterator[Row]:
        again = hashlib.sha256()
        for line, values in _items(source, again):
            cells, odd = unfit(names, [cell_text(values.get(key)) for key in keys])
            yield Row(line, cells, cells, f"line {line}: {odd}" if odd else None)
        if again.digest() != first.digest():
            raise source.changed()

    details = (source.packing,) if source.packing else ()
    return Table(source.uri, text_schema(names), Facts("XML feed", details), rows, lambda: stored)


def _items(source: CatalogSource, digest: "hashlib._Hash") -> Iterator[tuple[int, dict[str, Any]]]:
    feed = _Feed(source)
    with source.open(digest) as file:
        for _ in feed.xml.blocks(file):
            yield from feed.taken()


class _Feed:
    """Gathers whole items."""

    def __init__(self, source: CatalogSource) -> None:
        # The file says itself in which encoding it is, unless its URI does.
        self.xml = XmlStream(source.uri, self._start, self._text, self._end, source.stated.get("encoding"))
        self._line = 0
        self._open: list[_Element] = []
        self._done: list[tuple[int, dict[str, Any]]] = []

    def taken(self) -> list[tuple[int, dict[str, Any]]]:
        """The items finished since the last call, each with the line it begins on."""
        done, self._done = self._done, []
        return done

    def _start(self, name: str, attributes: dict[str, str], space: str) -> None:
        if not self._open:
            if name.lower() not in _ITEMS:
                return
            self._line = self.xml.line
        element = _Element(name, space.startswith(_GOOGLE))
        if name == "link" and "href" in attributes:
            element.add(attributes["href"])  # Atom
        self._open.append(element)

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].add(text)
            if self._open[-1].length > MOST_CELL_CHARACTERS:
                raise self.xml.refused(f"an element has more than {MOST_CELL_CHARACTERS:,} characters")

    def _end(self, _: str) -> None:
        if not self._open:
            return
        element = self._open.pop()
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._done.append((self._line, element.fields()))


class _Element:
    """One element inside an item."""

    __slots__ = ("_parts", "children", "google", "length", "name")

    def __init__(self, name: str, google: bool) -> None:
        self.name = name
        self.google = google
        self.children: list[_Element] = []
        self.length = 0
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        self._parts.append(text)
        self.length += len(text)

    def value(self) -> Any:
        return self.fields() if self.children else "".join(self._parts).strip()

    def fields(self) -> dict[str, Any]:
        """Children by name; if both `title` and `g:title` are present, Google's counts."""
        by_name: dict[str, list[_Element]] = {}
        for child in self.children:
            by_name.setdefault(child.name, []).append(child)
        fields = {}
        for name, several in by_name.items():
            counted = [each for each in several if each.google] or several
            fields[name] = counted[0].value() if len(counted) == 1 else [each.value() for each in counted]
        return fields
