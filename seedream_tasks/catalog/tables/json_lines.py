"""JSON: one object a line, or one array of objects; rows may have different keys, so a first pass finds them all."""

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

from ...core.cells import cell_text
from ...core.errors import InputError
from .encodings import bounded_lines, read_text
from .rows import (
    MOST_LINE_CHARACTERS,
    Facts,
    Row,
    Table,
    named,
    text_schema,
    unfit,
)
from .sources import CatalogSource

_BLOCK = 64 * 1024


def open_json(source: CatalogSource) -> Table:
    """A JSONL file, or an array of objects. Raises InputError; the file was read once for its encoding and its keys."""
    text = read_text(source, guess=False)  # JSON is UTF-8 by its own standard
    with text.open() as file:
        is_array = _first_sign(file) == "["
    keys: dict[str, None] = {}
    only: dict[str, Any] | None = None
    with text.open() as file:
        for line, value in _values(source, file, is_array):
            if not isinstance(value, dict):
                raise InputError(
                    f"{source.uri}: line {line}: expected a JSON object, found {json.dumps(value)[:60]}",
                    line=line,
                    field="catalog",
                )
            only = None if keys else value
            keys.update(dict.fromkeys(value))
    if source.kind == "json" and only is not None:
        _check_wrapped(source, only)
    if not keys:
        raise InputError(f"{source.uri}: the file is empty", field="catalog", code="empty_catalog")
    names = named(list(keys), source.uri)
    facts = Facts("JSON array" if is_array else "JSONL", text.details())

    def rows() -> Iterator[Row]:
        digest = hashlib.sha256()
        with text.open(digest) as file:
            for line, value in _values(source, file, is_array):
                cells, odd = unfit(names, [cell_text(value.get(key)) for key in keys])
                yield Row(line, cells, cells, f"line {line}: {odd}" if odd else None)
        text.check_unchanged(digest)

    return Table(source.uri, text_schema(names), facts, rows, lambda: text.sha256)


def _check_wrapped(source: CatalogSource, value: dict[str, Any]) -> None:
    """Refuse an API response whose products are in a nested list. Raises InputError."""
    lists = [key for key, each in value.items() if isinstance(each, list) and each and isinstance(each[0], dict)]
    if len(lists) == 1 and not {"sku", "id", "handle"} & {key.lower() for key in value}:
        count = len(value[lists[0]])
        raise InputError(
            f"{source.uri}: one object, whose {lists[0]!r} is a list of {count} objects: a catalog is that list alone",
            field="catalog",
            hint=f"such as: jq .{lists[0]} FILE > products.json",
        )


def _first_sign(file: io.TextIOWrapper) -> str:
    while block := file.read(_BLOCK):
        if block.strip():
            return block.strip()[0]
    return ""


class _TwiceError(Exception):
    """A duplicate key in an object: it is ambiguous, and JSON readers take either value."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(f"duplicate key {next(name for name in names if names.count(name) > 1)!r} in one object")
    return found


def _values(source: CatalogSource, file: io.TextIOWrapper, is_array: bool) -> Iterator[tuple[int, Any]]:
    return _Array(source, file).values() if is_array else _of_lines(source, file)


def _of_lines(source: CatalogSource, file: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        for number, line in enumerate(bounded_lines(source, file), 1):
            if line.strip():
                yield number, json.loads(line, object_pairs_hook=_once)
    except _TwiceError as error:
        raise InputError(f"{source.uri}: line {number}: {error}", line=number, field="catalog") from None
    except (ValueError, RecursionError) as error:
        hint = "a .json file is one array of objects, [{...}, {...}], or one object a line" if number == 1 else None
        raise InputError(
            f"{source.uri}: line {number}: not JSON: {error}", line=number, field="catalog", hint=hint
        ) from None


class _Array:
    """Reads an array item by item: memory does not grow with it."""

    def __init__(self, source: CatalogSource, file: io.TextIOWrapper) -> None:
        self._source = source
        self._file = file
        self._text = ""
        self._at = 0
        self._line = 1  # on which `_text` begins
        self._ended = False

    def values(self) -> Iterator[tuple[int, Any]]:
        """Every item with the line it begins on. Raises InputError."""
        self._expect("[")
        if self._sign() == "]":
            self._at += 1
        else:
            while True:
                self._sign()
                line = self._here()
                yield line, self._item()
                if self._sign() == "]":
                    self._at += 1
                    break
                self._expect(",")
        if self._sign():
            raise self._refused("there is more after the array's end")

    def _sign(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            rest = self._text[self._at :].lstrip()
            self._at = len(self._text) - len(rest)
            if rest or not self._more():
                return rest[:1]

    def _expect(self, sign: str) -> None:
        if self._sign() != sign:
            raise self._refused(f"not JSON: expected {sign!r}")
        self._at += 1

    def _item(self) -> Any:
        decoder = json.JSONDecoder(object_pairs_hook=_once)
        wanted = _BLOCK
        while True:
            try:
                value, self._at = decoder.raw_decode(self._text, self._at)
                return value
            except _TwiceError as error:
                raise self._refused(str(error)) from None
            except (ValueError, RecursionError) as error:
                # It may just be incomplete.
                if self._ended or len(self._text) - self._at > MOST_LINE_CHARACTERS:
                    if isinstance(error, json.JSONDecodeError):
                        self._at = error.pos
                    raise self._refused(f"not JSON: {getattr(error, 'msg', error)}") from None
            self._more(wanted)
            wanted *= 2

    def _more(self, count: int = _BLOCK) -> bool:
        self._line = self._here()
        block = self._file.read(count)
        self._ended = not block
        self._text, self._at = self._text[self._at :] + block, 0
        return bool(block)

    def _here(self) -> int:
        return self._line + self._text.count("\n", 0, self._at)

    def _refused(self, why: str) -> InputError:
        line = self._here()
        return InputError(f"{self._source.uri}: line {line}: {why}", line=line, field="catalog")
