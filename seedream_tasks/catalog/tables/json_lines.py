"""JSONL: one JSON object a line; rows may have different keys, so a first pass finds them all."""

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

from ...core.errors import InputError
from ..cells import cell_text
from .encodings import Text, bounded_lines, read_text
from .rows import Facts, Row, Table, named, text_schema, unfit
from .sources import Source


def open_json_lines(source: Source) -> Table:
    """A JSONL file. Raises InputError; the file was read once for its encoding and its keys."""
    text = read_text(source, guess=False)  # JSON is UTF-8 by its own standard
    keys: dict[str, None] = {}
    with text.open() as file:
        for line, value in _values(source, file):
            if not isinstance(value, dict):
                raise InputError(f"{source.uri}: line {line}: expected a JSON object", line=line, field="catalog")
            keys.update(dict.fromkeys(value))
    if not keys:
        raise InputError(f"{source.uri}: the file is empty", field="catalog", code="empty_catalog")
    names = named(list(keys), source.uri)
    facts = Facts("JSONL", text.details())
    return Table(source.uri, text_schema(names), facts, lambda: _rows(text, tuple(keys), names), lambda: text.sha256)


def _rows(text: Text, keys: tuple[str, ...], names: list[str]) -> Iterator[Row]:
    digest = hashlib.sha256()
    with text.open(digest) as file:
        for line, value in _values(text.source, file):
            cells, odd = unfit(names, [cell_text(value.get(key)) for key in keys])
            yield Row(line, cells, cells, f"line {line}: {odd}" if odd else None)
    text.check_unchanged(digest)


def _values(source: Source, file: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        for number, line in enumerate(bounded_lines(source, file), 1):
            if line.strip():
                yield number, json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source.uri}: line {number}: not JSON: {error}", line=number, field="catalog") from None
