"""Ledgers that released versions of this project wrote, and what must never change in them; `keep_ledger.py` makes them."""

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import text

from seedream_tasks.ledger.migrations import run_steps
from seedream_tasks.ledger.urls import parse_url

KEPT = sorted((Path(__file__).parent / "kept").glob("v*.sql"))
MONEY = "quoted_usd", "reserved_usd", "billed_usd", "at_risk_usd", "billed_credits"


def restore(kept: Path, url: str) -> None:
    """Put a kept ledger at a URL, as its own version had it."""
    scratch = sqlite3.connect(":memory:")
    scratch.executescript(kept.read_text("utf-8"))
    target = parse_url(url)
    if target.get_backend_name() == "sqlite":
        path = Path(str(target.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path) as copy:
            scratch.backup(copy)
        copy.execute("PRAGMA journal_mode=WAL")
        copy.close()
    else:
        _into_postgres(scratch, sqlalchemy.create_engine(target), kept.stem.removeprefix("v"))
    scratch.close()


def _into_postgres(scratch: sqlite3.Connection, engine: sqlalchemy.Engine, version: str) -> None:
    """The same rows in the tables that the steps up to that version make."""
    with engine.begin() as connection:
        run_steps(connection, "0", version)
        found = sqlalchemy.MetaData()
        found.reflect(connection)
        for table in found.sorted_tables:
            names = [column.name for column in table.columns]
            rows = scratch.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchall()  # noqa: S608
            booleans = {column.name for column in table.columns if isinstance(column.type, sqlalchemy.Boolean)}
            values = [
                {name: bool(value) if name in booleans else value for name, value in zip(names, row, strict=True)}
                for row in rows
            ]
            if values:
                connection.execute(table.insert(), values)
        last = connection.scalar(text("SELECT coalesce(max(event_id), 0) FROM events"))
        connection.execute(text("SELECT setval('events_event_id_seq', :last)"), {"last": last})
    engine.dispose()


def money(kept: Path) -> dict[str, tuple[Any, ...]]:
    """Attempt -> its state and amounts, as the file itself states them."""
    scratch = sqlite3.connect(":memory:")
    scratch.executescript(kept.read_text("utf-8"))
    rows = scratch.execute(f"SELECT attempt_id, state, {', '.join(MONEY)} FROM attempts").fetchall()  # noqa: S608
    scratch.close()
    return {row[0]: (row[1], *(None if each is None else Decimal(each).scaleb(-6) for each in row[2:])) for row in rows}
