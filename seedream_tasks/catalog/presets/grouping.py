"""The lines of one product, brought together wherever they stand: a spreadsheet may have sorted them apart.

A first reading finds the keys whose lines are not all next to each other. Only the lines of these are kept, on disk, until their
product is due; in memory is a number for each key.
"""

import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from ..tables import Row, Table

KeyOf = Callable[[Row], str]


def together(table: Table, key_of: KeyOf) -> Iterator[list[Row]]:
    """The lines of each key, in the order of the keys' first lines. A line without a key stands alone."""
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
    """Lines that follow each other with one key."""
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
    """The keys that come back after another key's line."""
    # Two keys of one hash are at worst kept on disk for nothing.
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
    """Lines on disk, by key, in their order; gone when it is closed."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("")  # a file of its own that SQLite removes
        self._file.execute("CREATE TABLE lines (key TEXT, line BLOB)")

    def keep(self, lines: Iterable[tuple[str, Row]]) -> None:
        self._file.executemany("INSERT INTO lines VALUES (?, ?)", ((key, pickle.dumps(row)) for key, row in lines))
        self._file.execute("CREATE INDEX of_key ON lines (key)")

    def lines(self, key: str) -> list[Row]:
        found = self._file.execute("SELECT line FROM lines WHERE key = ? ORDER BY rowid", (key,))
        return [pickle.loads(line) for (line,) in found]  # noqa: S301 - written by ourselves, a moment ago

    def close(self) -> None:
        self._file.close()
