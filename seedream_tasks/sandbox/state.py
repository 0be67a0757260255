"""The state file: SQLite, written at the end of every turn of the event loop in which something changed.

It must survive a kill of the process, not of the machine: WAL, no fsync. A response leaves only after `durable()`, so
an entry that a client knows of is always in the file. Without a state file tasks live in memory alone and only
uploaded bytes go to a private temporary database, so that memory does not grow with them.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from seedream_tasks.sandbox.orders import Task

_SCHEMA = """
create table if not exists tasks (seq integer primary key, task_id text not null, fixed text not null, changing text);
create table if not exists requests (name text primary key, count integer not null);
create table if not exists facts (name text primary key, value text not null);
create table if not exists uploads (id text primary key, facts text not null, data blob not null);
create table if not exists thumbnails (sha256 text primary key, data blob not null);
"""


# How long to wait for a predecessor that is just exiting and still holds the file.
_WAIT_S = 2.0


class StateError(Exception):
    """The state file cannot be opened, another sandbox holds it, or it holds what nobody can go on with."""


class State:
    """The file, and what still has to be written to it."""

    def __init__(self, path: str | None) -> None:
        self.kept = path is not None
        self._new: list[Task] = []
        self._changed: dict[int, Task] = {}
        self._requests: dict[str, int] = {}
        self._facts: dict[str, Any] = {}
        self._written: asyncio.Future[None] | None = None
        try:
            # "" is a temporary database of this connection, in memory until it is large.
            self._db = sqlite3.connect(path or "", isolation_level=None, timeout=_WAIT_S)
        except sqlite3.Error as error:
            raise StateError(f"state file {path}: {error}") from error
        try:
            # One process per file: the lock is held for life, and a kill releases it.
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = off")
            self._db.execute("begin immediate")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute("commit")
        except sqlite3.Error as error:
            self._db.close()
            raise StateError(f"state file {path}: {error}") from error

    # What is read once, at the start.

    def tasks(self) -> Iterator[Task]:
        """All tasks, in the order they were accepted."""
        rows = self._db.execute("select seq, task_id, fixed, changing from tasks order by seq")
        for seq, task_id, fixed, changing in rows:
            yield Task.restore(seq, task_id, json.loads(fixed), json.loads(changing))

    def requests(self) -> dict[str, int]:
        """How often each route was called."""
        return dict(self._db.execute("select name, count from requests"))

    def fact(self, name: str) -> Any:
        """A named value, or None."""
        row = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    # What changes.

    def add_task(self, task: Task) -> None:
        """A task was accepted."""
        if self.kept:
            self._new.append(task)
            self._schedule()

    def save_task(self, task: Task) -> None:
        """A task changed."""
        if self.kept:
            self._changed[task.seq] = task
            self._schedule()

    def save_requests(self, name: str, count: int) -> None:
        """A route was called."""
        if self.kept:
            self._requests[name] = count
            self._schedule()

    def save_fact(self, name: str, value: Any) -> None:
        """A named value changed."""
        if self.kept:
            self._facts[name] = value
            self._schedule()

    async def durable(self) -> None:
        """Return once everything that changed so far is in the file."""
        if self._written is not None:
            await asyncio.shield(self._written)

    def reset(self) -> None:
        """Forget everything."""
        self._new.clear()
        self._changed.clear()
        self._requests.clear()
        self._facts.clear()
        self._db.execute("begin immediate")
        for table in ("tasks", "requests", "facts", "uploads", "thumbnails"):
            self._db.execute(f"delete from {table}")  # noqa: S608 - names from the line above
        self._db.execute("commit")

    def close(self) -> None:
        """Write what is left and close the file."""
        self._commit()
        self._db.close()

    # Bytes, written at once: they are few and large.

    def save_upload(self, upload_id: str, facts: dict[str, Any], data: bytes) -> None:
        """Keep an uploaded file."""
        self._db.execute("insert or replace into uploads values (?, ?, ?)", (upload_id, json.dumps(facts), data))

    def uploads(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All uploads, without their bytes."""
        for upload_id, facts in self._db.execute("select id, facts from uploads order by rowid"):
            yield upload_id, json.loads(facts)

    def upload(self, upload_id: str) -> bytes | None:
        """The bytes of one upload."""
        row = self._db.execute("select data from uploads where id = ?", (upload_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def drop_uploads(self, upload_ids: Iterable[str]) -> None:
        """Forget uploads."""
        self._db.executemany("delete from uploads where id = ?", [(upload_id,) for upload_id in upload_ids])

    def save_thumbnail(self, sha256: str, data: bytes) -> None:
        """Keep a reference's thumbnail."""
        self._db.execute("insert or ignore into thumbnails values (?, ?)", (sha256, data))

    def thumbnail(self, sha256: str) -> bytes | None:
        """A reference's thumbnail."""
        row = self._db.execute("select data from thumbnails where sha256 = ?", (sha256,)).fetchone()
        return None if row is None else bytes(row[0])

    def _schedule(self) -> None:
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            # All that this turn of the loop changes goes into one transaction.
            loop.call_soon(self._commit)

    def _commit(self) -> None:
        written, self._written = self._written, None
        try:
            self._write()
        except sqlite3.Error as error:
            if written is None or written.done():
                raise
            written.set_exception(error)
            # Nobody may be waiting for it; then the error would only be reported when the future is collected.
            written.add_done_callback(lambda future: future.exception())
            return
        if written is not None and not written.done():
            written.set_result(None)

    def _write(self) -> None:
        if not (self._new or self._changed or self._requests or self._facts):
            return
        new, changed = self._new, self._changed
        for task in new:
            changed.pop(task.seq, None)
        self._db.execute("begin immediate")
        try:
            self._db.executemany(
                "insert into tasks values (?, ?, ?, ?)",
                [(task.seq, task.task_id, _dump(task.fixed()), _dump(task.changing())) for task in new],
            )
            self._db.executemany(
                "update tasks set changing = ? where seq = ?",
                [(_dump(task.changing()), seq) for seq, task in changed.items()],
            )
            self._db.executemany("insert or replace into requests values (?, ?)", self._requests.items())
            self._db.executemany(
                "insert or replace into facts values (?, ?)",
                [(name, _dump(value)) for name, value in self._facts.items()],
            )
            self._db.execute("commit")
        except sqlite3.Error:
            self._db.execute("rollback")
            raise
        self._new, self._changed, self._requests, self._facts = [], {}, {}, {}


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
