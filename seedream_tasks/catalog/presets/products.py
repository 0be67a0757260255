"""A product: one row of the catalog after a preset's grouping, with the preset's values."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..tables import Row, Table

# A link may contain commas, so a comma separates links only where another link begins.
_BETWEEN_LINKS = re.compile(r"\s*,\s+|\s*,(?=https?://)|\s*[|\n]\s*")
_NO = frozenset({"0", "0.0", "false", "no", "n", "off", "disabled", "inactive"})


# The template values of every preset.
GIVEN = (
    *("key", "title", "description", "brand", "category", "price", "tags"),
    *("image_url", "image_urls", "variants"),
)


class JsonList(list[Any]):
    """A list that a template can index, and that renders as a JSON list."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)


@dataclass(slots=True)
class Product:
    """One row of the catalog after grouping."""

    row_number: int
    line: int | None  # where it begins in the file
    cells: Sequence[str]
    values: Sequence[Any]
    key: str | None = None  # a preset's own; None: the key column's cell
    extra: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    file: str | None = None  # which part, where the catalog has several
    not_for_sale: str | None = None  # why it is not for sale, according to the export
    error_code: str = "ragged_row"  # of `error`


@dataclass(frozen=True, slots=True)
class ProductFault:
    """What is wrong with a product as a whole."""

    code: str
    message: str


class Names:
    """A shop's columns by their names in all versions of its export, ignoring case and accents.

    `{n}` in a spelling is a number: `attribute {n} name` is found by `cell(row, "attribute", n)`.
    """

    def __init__(self, columns: Sequence[str], known: Mapping[str, Sequence[str]]) -> None:
        at: dict[str, int] = {}
        for number, column in enumerate(columns):
            at.setdefault(tidy(column), number)
        self._at: dict[tuple[str, int], list[int]] = {}
        for name, spellings in known.items():
            for spelling in spellings:
                for n, place in _places(tidy(spelling), at):
                    self._at.setdefault((name, n), []).append(place)
        self._numbers = {name: sorted(n for each, n in self._at if each == name) for name in known}

    def has(self, name: str) -> bool:
        """Whether the table has this column."""
        return bool(self._numbers[name])

    def cell(self, row: Row, name: str, n: int = 0) -> str:
        """The cell, stripped; the first that is not empty where two columns mean the same."""
        for number in self._at.get((name, n), ()):
            cell = row.cells[number]
            text = cell.strip()
            if text:
                return cell if text == cell else text  # a cell that cannot be used stays marked as such
        return ""

    def numbers(self, name: str) -> list[int]:
        """The numbers for which the table has this column."""
        return self._numbers[name]

    def places(self, *names: str) -> set[int]:
        """The columns that have one of these meanings, by their place; without names, all that have any."""
        return {place for (name, _), places in self._at.items() if not names or name in names for place in places}


def tidy(column: str) -> str:
    """A column's name as presets compare it: `g:image link` and `Image_Link` are `image link`, `Catégories` is `categories`."""
    letters = unicodedata.normalize("NFKD", column.casefold())
    text = "".join(each for each in letters if unicodedata.category(each) not in ("Mn", "Cf")).replace("’", "'")
    return re.sub(r"[\s_]+", " ", text).strip(" ?¿*").removeprefix("g:")


def _places(spelling: str, at: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """The index of a spelling's column, with its number (0 if none)."""
    if "{n}" not in spelling:
        if spelling in at:
            yield 0, at[spelling]
        return
    before, _, after = spelling.partition("{n}")
    numbered = re.compile(f"{re.escape(before)}([0-9]+){re.escape(after)}")
    for column, place in at.items():
        if found := numbered.fullmatch(column):
            yield int(found[1]), place


def plain(table: Table) -> Iterator[Product]:
    """No preset: a row is a product."""
    for number, row in enumerate(table.rows, 1):
        yield Product(number, row.line, row.cells, row.values, error=row.error, file=row.file)


def grouped(
    number: int,
    lead: Row,
    lines: Sequence[Row],
    extra: dict[str, Any],
    not_for_sale: str | None,
    fault: ProductFault | None,
) -> Product:
    """The product of several lines, with the columns of the leading one. `fault`: used when each line can be read."""
    error = next((row.error for row in lines if row.error), None)
    product = Product(number, lead.line, lead.cells, lead.values, extra["key"], extra, error, lead.file, not_for_sale)
    if error is None and fault is not None:
        product.error, product.error_code = fault.message, fault.code
    return product


def describe(
    key: str, title: str, description: str, brand: str, category: str, price: str, tags: str,
    links: Sequence[str], variants: Sequence[Any] = (),
) -> dict[str, Any]:  # fmt: skip
    """The values that every preset adds to a row."""
    urls = JsonList(dict.fromkeys(links))
    return {
        "key": key,
        "title": title,
        "description": description,
        "brand": brand,
        "category": category,
        "price": price,
        "tags": tags,
        "image_url": urls[0] if urls else "",
        "image_urls": urls,
        "variants": JsonList(variants),
    }


def split_links(text: str) -> list[str]:
    """Several links in one cell: a JSON list, or separated by comma and space, |, or newline."""
    if text.startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            items = None
        if isinstance(items, list):
            return [str(item).strip() for item in items if str(item).strip()]
    return [part for part in _BETWEEN_LINKS.split(text) if part]


def deepest(path: str, between: str = ">") -> str:
    """The last part of a category's path."""
    parts = [part.strip() for part in path.split(between) if part.strip()]
    return parts[-1] if parts else ""


def says_no(text: str) -> bool:
    """Whether a cell such as `visible` or `active` says no."""
    return text.strip().lower() in _NO
