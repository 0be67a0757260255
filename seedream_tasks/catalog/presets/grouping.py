"""Grouping the lines of one product, wherever they are: sorting in a spreadsheet may have separated them.

A first pass finds the keys whose lines are not adjacent. Only their lines are kept, on disk, until their product is due; memory
holds one number per key.
"""

import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from ..tables import Row, Table

KeyOf = Callable[[Row], str]


def together(table: Table, key_of: KeyOf) -> Iterator[list[Row]]:
    """The lines of each key, in the order of the keys' first lines. A line without a key is a group of its own."""
    apart = _apart(table.rows, key_of)
    if not apart:
        yield from (lines for _, lines in _runs(table.rows, key_of))
        return
    with closing(_Spool()) as spool:
        spool.keep((key, row) for row in table.rows if (key := key_of(row)) in apart)
        done: set[str] = set()
        for key, lines in _runs(table.rows, key_of):
            if key not in apart:
                yield lines
            elif key not in done:
                done.add(key)
                yield spool.lines(key)


def _runs(rows: Iterable[Row], key_of: KeyOf) -> Iterator[tuple[str, list[Row]]]:
    """Adjacent lines with the same key."""
    lines: list[Row] = []
    before = ""
    for row in rows:
        key = key_of(row)
        if lines and (not key or key != before):
            yield before, lines
            lines = []
        lines.append(row)
        before = key
    if lines:
        yield before, lines


def _apart(rows: Iterable[Row], key_of: KeyOf) -> set[str]:
    """The keys that reappear after another key's line."""
    # At worst, two keys with the same hash are kept on disk needlessly.
    seen: set[int] = set()
    found: set[str] = set()
    before = ""
    for row in rows:
        key = key_of(row)
        if key == before:
            continue
        if key:
            if hash(key) in seen:
                found.add(key)
            seen.add(hash(key))
        before = key
    return found


class _Spool:
    """Lines on disk, by key, in order; deleted on close."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("")  # a temporary file that SQLite removes
        self._file.execute("CREATE TABLE lines (key TEXT, line BLOB)")

    def keep(self, lines: Iterable[tuple[str, Row]]) -> None:
        self._file.executemany("INSERT INTO lines VALUES (?, ?)", ((key, pickle.dumps(row)) for key, row in lines))
        self._file.execute("CREATE INDEX of_key ON lines (key)")

    def lines(self, key: str) -> list[Row]:
        found = self._file.execute("SELECT line FROM lines WHERE key = ? ORDER BY rowid", (key,))
        return [pickle.loads(line) for (line,) in found]  # noqa: S301 - written by ourselves, a moment ago

    def close(self) -> None:
        self._file.close()
