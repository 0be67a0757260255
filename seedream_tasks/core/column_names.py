"""The names under which a template finds a row's cells, and the error when it finds none.

A name matches exactly, in lower snake case, or, where only one column can be meant, ignoring case and invisible marks. The
exact name always wins.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from .errors import RowError

# Zero-width characters: they do not identify a column.
INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\u00ad"
# Keywords of the template language.
_RESERVED = frozenset(
    {"and", "or", "not", "in", "is", "if", "else", "row", "true", "false", "none", "True", "False", "None"}
)
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_NOT_WORD = re.compile(r"[\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class BadCell(str):
    """A cell without a usable value: an error such as #N/A, an image. It harms a row only where a shot reads it."""

    why: str

    @classmethod
    def saying(cls, text: str, why: str) -> "BadCell":
        """A cell that reads as `text`."""
        cell = cls(text)
        cell.why = why
        return cell


def snake_case(column: str) -> str:
    """`Image Src` -> `image_src`; a leading digit gets an underscore so that the name is valid in a template."""
    name = _NOT_WORD.sub("_", _INVISIBLE.sub("", column).lower()).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def folded(name: str) -> str:
    """A name without case, invisible marks, and differences in how its accents are stored."""
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", name)).strip().casefold()


class Columns:
    """The names of a row's cells in templates."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        short = [snake_case(name) for name in names]
        exact = {name: place for place, name in enumerate(self.names)}
        # Two columns with the same short name are reached by row['...'] only: a guess could put the wrong text into an image.
        self._at = {name: place for place, name in enumerate(short) if name and short.count(name) == 1} | {
            name: place for name, place in exact.items() if name.isidentifier()
        }
        spelled = [
            {folded(name), folded(brief), folded(snake_case(_HUMP.sub("_", name)))} - {""}
            for name, brief in zip(self.names, short, strict=True)
        ]
        self._alike: dict[str, list[int]] = {}
        for place, spellings in enumerate(spelled):
            for each in spellings:
                self._alike.setdefault(each, []).append(place)
        self._nearest: dict[str, str] = {}

    def context(self, cells: Sequence[str], extra: Mapping[str, Any]) -> dict[str, Any]:
        """Template variables of one row; `extra` (a preset's) wins over columns."""
        values: dict[str, Any] = {name: cells[place] for name, place in self._at.items()}
        values.update(extra)
        row = RowCells(zip(self.names, cells, strict=True))
        row.update(extra)
        row._columns = self
        row._bad = {}
        if any(type(cell) is BadCell for cell in cells):
            row._bad = {name: cell for name, cell in row.items() if type(cell) is BadCell}
            for name in row._bad:
                dict.__delitem__(row, name)
            values = {name: value for name, value in values.items() if type(value) is not BadCell}
        values["row"] = row
        return values

    def names_of(self, place: int) -> str | None:
        """The shortest name of a column in a template; None where only row['...'] reaches it."""
        return next(iter(self.all_names_of(place)), None)

    def column(self, name: str) -> str | None:
        """The column that a template reaches by a name, however it is written."""
        at = self._at.get(name)
        return self.names[at] if at is not None else self.meant(name)

    def all_names_of(self, place: int) -> list[str]:
        """Every name of a column in a template: `productImageUrl` unchanged first, others in snake case first."""
        names = [name for name, at in self._at.items() if at == place and name not in _RESERVED]
        exact = self.names[place]
        return sorted(names, key=lambda name: name != exact) if _HUMP.search(exact) else names

    def meant(self, name: str) -> str | None:
        """The only column that an inexact name can mean."""
        places = self._alike.get(folded(name), ())
        return self.names[places[0]] if len(places) == 1 else None

    def no_such(self, name: str, extra: Iterable[str]) -> str:
        """Why a name is not found, and which name was probably meant."""
        if name not in self._nearest:
            self._nearest[name] = self._said_of(name, list(extra))
        return self._nearest[name]

    def _said_of(self, name: str, extra: list[str]) -> str:
        several = self._alike.get(folded(name), ())
        if len(several) > 1:
            ways = " or ".join(f"row[{self.names[place]!r}]" for place in several)
            return f"{name!r} could be any of {len(several)} columns; write {ways}"
        spellings = {folded(each): each for each in extra} | {
            spelling: self.names_of(places[0]) or f"row[{self.names[places[0]]!r}]"
            for spelling, places in self._alike.items()
        }
        holding = [each for each in spellings if len(name) > 2 and folded(name) in each]
        near = difflib.get_close_matches(folded(name), spellings, 1) or sorted(holding, key=len)[:1]
        nearest = f"; the nearest is {spellings[near[0]]}" if near else ""
        return f"{name!r} is undefined; no column has that name{nearest}"


class RowCells(dict[str, Any]):
    """A row's cells by column name. A cell without a usable value raises when read; the others do not."""

    _columns: Columns
    _bad: Mapping[str, BadCell]

    def __missing__(self, name: str) -> Any:
        if name in self._bad:
            self._refuse(name)
        meant = self._columns.meant(name)
        if meant is None:
            raise KeyError(name)
        return self[meant]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._bad

    def __iter__(self) -> Iterator[str]:
        self._check_whole()
        return super().__iter__()

    def __str__(self) -> str:
        self._check_whole()
        return super().__str__()

    def no_such(self, name: str, context: Iterable[str]) -> str:
        """Why a template does not find this name in this row."""
        return self._columns.no_such(name, [each for each in context if each != "row"])

    def get(self, name: str, default: Any = None) -> Any:
        """The cell, or the default where there is no such column."""
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> Any:
        """Names and cells."""
        self._check_whole()
        return super().items()

    def values(self) -> Any:
        """Cells."""
        self._check_whole()
        return super().values()

    def _check_whole(self) -> None:
        for name in self._bad:
            self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        raise bad_cell(name, self._bad[name])


def bad_cell(name: str, cell: BadCell) -> RowError:
    """The error for a shot that reads a cell without a usable value."""
    return RowError(f"the column {name!r} is read, and {cell.why}", field=name, error_code="bad_cell")


def find(row: RowCells, name: str, there: Mapping[str, Any]) -> Any:
    """Resolve a name that the template has no value for. Raises KeyError, or RowError for a bad cell."""
    meant = row._columns.column(name)
    if meant is None:
        alike = [each for each in there if folded(each) == folded(name)]  # a preset's name
        if len(alike) != 1:
            raise KeyError(name)
        return there[alike[0]]
    if meant in row._bad:
        raise bad_cell(meant, row._bad[meant])
    short = row._columns.names_of(row._columns.names.index(meant))
    return there[short] if short is not None and short in there else row[meant]
