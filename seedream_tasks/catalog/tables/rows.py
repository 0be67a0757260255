"""A catalog's rows, and the table they come from, whatever the format."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ...core.column_names import INVISIBLE
from ...core.errors import InputError

_MEANINGLESS = re.compile("[\ufeff\u200b\u2060]")
# A cell longer than this is a quote that was never closed; product descriptions stay far below.
MOST_CELL_CHARACTERS = 1_000_000
# A line longer than this is not a row: it is refused before it fills the memory.
MOST_LINE_CHARACTERS = 16_000_000


@dataclass(slots=True)
class Row:
    """One record of the file: its text cells, and for typed formats the values as they are."""

    line: int | None  # 1-based, of the file (XLSX: the sheet's row); None for Parquet
    cells: Sequence[str]
    values: Sequence[Any]  # what the manifest repeats
    error: str | None = None  # why it cannot be read as a row
    file: str | None = None  # which part of a catalog of several files; None where there is only one


@dataclass(frozen=True, slots=True)
class Facts:
    """How a catalog was read, in readable form."""

    format: str  # "CSV", "Parquet", ...
    details: tuple[str, ...] = ()  # "UTF-8", "delimiter ;", "gzip", "sheet 'Products'"
    warnings: tuple[str, ...] = ()  # what was guessed
    header: str = ""  # location of the column names: "line 1", "row 4 of the sheet 'Products'"
    others: tuple[str, ...] = ()  # a workbook's other sheets
    names_no_columns: bool = False  # the assumed header does not hold column names
    of_keys: Mapping[str, str] = field(default_factory=dict)  # warnings about a key column

    def where_columns_are(self) -> str:
        """For every error about columns: which row was taken for the header, and which other sheets there are."""
        if not self.header:
            return ""
        also = f"; other sheets: {', '.join(map(repr, self.others))} (CATALOG#sheet=NAME)" if self.others else ""
        return f"; {self.header} was taken for the header{also}"


@dataclass
class Table:
    """An open catalog. `schema` gives the columns as the manifest repeats them.

    `rows` may be asked for again: each time the file is read from its beginning. `sha256` is known once the rows are read.
    """

    uri: str
    schema: pa.Schema
    facts: Facts
    _read: Callable[[], Iterator[Row]]
    _sum: Callable[[], str]
    # Whether a column is of floats, all of which are whole: read where the format tells numbers apart.
    holds_whole_floats: Callable[[str], bool] = lambda _: False

    @property
    def columns(self) -> list[str]:
        """The column names, unchanged."""
        return list(self.schema.names)

    @property
    def rows(self) -> Iterator[Row]:
        """All rows. Raises InputError for a catalog that cannot be read to its end, or is another than when it was opened."""
        return self._read()

    @property
    def sha256(self) -> str:
        """Of the file's bytes as they are stored; of several files, of `sha256sum`'s lines for them.

        Empty before `rows` is read to its end.
        """
        return self._sum()


def named(header: Sequence[str], uri: str, line: int | None = None) -> list[str]:
    """Column names: an empty one gets its number, a duplicate is an error."""
    at = f"line {line}: " if line else ""
    names = [_bare(name) or f"column_{number}" for number, name in enumerate(header, 1)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{uri}: {at}duplicate column {name!r}",
                line=line,
                field=name,
                hint="rename one of the two: it is ambiguous; where this row is not the header, name it:"
                " --header-row N",
            )
        if "\0" in name:
            raise InputError(
                f"{uri}: {at}a column's name holds a NUL byte: this is not text",
                line=line,
                field="catalog",
                code="encoding",
                hint="if it is UTF-16 without a byte order mark, say so: CATALOG#encoding=utf-16-"
                + ("be" if header[0].startswith("\0") else "le"),
            )
    return names


def _bare(name: str) -> str:
    """Without blanks and invisible marks around it, and without those inside that belong to no script: files that were put
    together leave byte order marks behind.
    """
    before = None
    name = _MEANINGLESS.sub("", name)
    while name != before:
        before, name = name, name.strip().strip(INVISIBLE)
    return name


def text_schema(names: Sequence[str]) -> pa.Schema:
    """Columns of text."""
    return pa.schema([pa.field(name, pa.string()) for name in names])


def unfit(names: Sequence[str], cells: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """The cells without NUL and lone surrogates, which files and gateways reject, and the name of what was removed.

    JSON can hold the latter: a text cut inside an emoji.
    """
    joined = "".join(cells)
    if "\0" not in joined:
        try:
            joined.encode()
        except UnicodeEncodeError:
            pass
        else:
            return cells, None
    whole = [cell.encode("utf-8", "replace").decode().replace("\0", "") for cell in cells]
    field = next(name for name, cell, kept in zip(names, cells, whole, strict=True) if cell != kept)
    return whole, f"{field} holds " + ("a NUL byte" if "\0" in joined else "half a character")
