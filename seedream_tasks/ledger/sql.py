"""SQL that differs between SQLite and PostgreSQL: upserts, and the database's clock, which all leases share."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    TextClause,
    bindparam,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

# A database's clock that is corrected steps back by seconds, which must not end a lease.
_SLACK = 1.5


_INSERTS: Mapping[str, Callable[[sqlalchemy.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


# Microseconds since 1970 by the database's clock, by dialect.
DATABASE_NOW: Mapping[str, ColumnElement[int]] = {
    "sqlite": literal_column("CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)", BigInteger()),
    "postgresql": literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)", BigInteger()),
}


_NOW = {name: select(now) for name, now in DATABASE_NOW.items()}


def upsert(connection: Connection, table: sqlalchemy.Table) -> Any:
    """An INSERT that supports ON CONFLICT, in the database's dialect."""
    return _INSERTS[connection.dialect.name](table)


def insert_on_conflict(table: sqlalchemy.Table, then: str) -> TextClause:
    """An INSERT of all columns with `ON CONFLICT <then>`, which both databases write alike, for what every job needs.

    SQLAlchemy recompiles its own such statements at every execution, which takes longer than executing them.
    """
    names = [column.name for column in table.c]
    columns, values = ", ".join(names), ", ".join(f":{name}" for name in names)
    statement = text(f"INSERT INTO {table.name} ({columns}) VALUES ({values}) ON CONFLICT {then}")  # noqa: S608
    return statement.bindparams(*(bindparam(column.name, type_=column.type) for column in table.c))


def database_now(connection: Connection) -> int:
    """Microseconds since 1970 by the database's clock, which all holders of leases share."""
    return int(connection.scalar(_NOW[connection.dialect.name]) or 0)


def has_ended(until: ColumnElement[int], now: int, longest_s: float) -> ColumnElement[bool]:
    """Whether a lease has: one that ends further away than a lease can last was granted by a clock that has jumped since."""
    return (until < now) | (until > now + int(longest_s * _SLACK * 1_000_000))


def is_current(until: int, now: int, longest_s: float) -> bool:
    """Whether a lease that was read has not ended, see `has_ended`."""
    return now < until <= now + int(longest_s * _SLACK * 1_000_000)
