"""Connections to a ledger's database: commits are durable, and each read sees one snapshot."""

import sqlite3
import time
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import NoSuchModuleError

from ..core.errors import ConfigurationError

LOCK_WAIT_S = 30


def connect_to(url: sqlalchemy.URL, writes: bool) -> Engine:
    """An engine for writing or for reading only; nothing is opened yet. Raises ConfigurationError without the driver."""
    try:
        return _engine(url, writes)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"no driver for {url.get_backend_name()}: {error}",
            field="ledger",
            hint="pip install 'seedream-tasks[postgres]'",
        ) from None


def _engine(url: sqlalchemy.URL, writes: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": LOCK_WAIT_S})

        @event.listens_for(engine, "connect")
        def _connect(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # we begin transactions ourselves, see below
            cursor = connection.cursor()
            if writes:
                _into_wal(cursor)
                # Fully synchronous: a paid request follows the record.
                cursor.execute("PRAGMA synchronous=FULL")
            else:
                cursor.execute("PRAGMA query_only=ON")
            cursor.close()

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # A write lock from the start: a claim reads, then writes, with no other write in between.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine
    # A read sees a single snapshot, as in SQLite.
    level = "READ COMMITTED" if writes else "REPEATABLE READ"
    return sqlalchemy.create_engine(url, pool_size=2 if writes else 4, pool_pre_ping=True, isolation_level=level)


def _into_wal(cursor: Any) -> None:
    """Switch to WAL, waiting for another process doing the same: SQLite's busy timeout does not cover this."""
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
