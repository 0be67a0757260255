"""Warnings about a catalog's cells: text that was encoded twice, several links in one cell."""

import re
from collections.abc import Sequence

from ..catalog.presets import Product
from ..core.column_names import Columns
from .first_records import place

# Rows checked for links.
_ROWS = 500
# How Windows-1252 shows the bytes of UTF-8: `Ã©`, `â€™`, `Å‘`, `Ð¯`.
_AFTER = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_TWICE = re.compile(f"[ÂÃÄÅÐÑ]{_AFTER}|[à-ï]{_AFTER}{{2}}|ð{_AFTER}{{3}}")
# What such letters are, if they are text that was encoded twice: letters, signs, punctuation, emoji.
_MENDED = re.compile(
    "[\u00a0-\u024f\u0370-\u04ff\u2010-\u2044\u20a0-\u20bf\u2100-\u214f\u2190-\u22ff\u3000-\u9fff\uac00-\ud7a3\U0001f000-\U0001ffff]"
)
_BETWEEN_LINKS = re.compile(r"https?://[^\s;|]+?(\s*[;,]\s*|[ \t]+)(?=https?://)", re.IGNORECASE)


class Notices:
    """Checks the rows of a catalog as they pass, and warns about each thing once."""

    def __init__(self, uri: str, columns: Columns, preset: str | None) -> None:
        self.warnings: list[str] = []
        self._uri = uri
        self._columns = columns
        self._links: set[int] | None = set() if preset is None else None  # columns warned about
        self._twice_was_told = False
        self._rows = 0

    def see(self, product: Product) -> None:
        """The next row."""
        self._rows += 1
        if not self._twice_was_told and not all(map(str.isascii, product.cells)):
            self._look_for_twice(product)
        if self._links is not None and self._rows <= _ROWS:
            self._look_for_links(product, self._links)

    def _look_for_twice(self, product: Product) -> None:
        for cell in product.cells:
            found = (
                None
                if cell.isascii()
                else next((each for each in _TWICE.finditer(cell) if _mended(each.group())), None)
            )
            if found is not None:
                self._twice_was_told = True
                start, end = cell.rfind(" ", 0, found.start()) + 1, cell.find(" ", found.end())
                word = cell[start : end if end > 0 else None][:60]
                self.warnings.append(
                    f"{self._uri}: {_at(product)}: {word!r} looks like text that was encoded twice, and should read"
                    f" {_TWICE.sub(lambda part: _mended(part.group()) or part.group(), word)!r}: export the catalog again, as"
                    " UTF-8, and do not save it from a program that reads it as something else"
                )
                return

    def _look_for_links(self, product: Product, told: set[int]) -> None:
        for number, cell in enumerate(product.cells):
            if number in told or cell.count("://") < 2 or cell.lstrip().startswith("["):
                continue
            found = _BETWEEN_LINKS.match(cell.strip())
            if found is not None:
                told.add(number)
                self._tell_links(product, number, found[1])

    def _tell_links(self, product: Product, number: int, between: str) -> None:
        name = self._columns.names_of(number) or f"row[{self._columns.names[number]!r}]"
        mark = ", " if between.startswith(", ") else between.strip()  # a link may hold commas of its own
        split = f"split('{mark}')" if mark else "split()"
        self.warnings.append(
            f"{self._uri}: {_at(product)}: the column {self._columns.names[number]!r} looks like several links, parted by"
            f" {repr(mark) if mark else 'blanks'}; as references they are split so: references:"
            f' ["{{{{ {name}.{split} }}}}"]'
        )


def _at(product: Product) -> str:
    return place(product.file, product.line, product.row_number)


def _mended(text: str) -> str | None:
    """The correct form of text that was encoded twice; None if it was not."""
    raw = bytearray()
    for sign in text:
        try:
            raw += sign.encode("cp1252")
        except UnicodeEncodeError:
            raw += sign.encode("latin-1", "ignore")
    try:
        mended = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return mended if _MENDED.fullmatch(mended) else None


def names_for_templates(columns: Columns, given: Sequence[str]) -> list[tuple[str, str]]:
    """Every name that a template may use, with its column; `given` are a preset's names, which take precedence."""
    names = [(name, "") for name in given]
    for number, column in enumerate(columns.names):
        able = [name for name in columns.all_names_of(number) if name not in given]
        names.append((able[0] if able else f"row[{column!r}]", column))
    return names
