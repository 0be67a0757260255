"""A ledger's version: creation, migration of an older one, refusal of a newer one."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select, text

from ..core.errors import ConfigurationError
from .schema import FIRST_VERSION, SCHEMA_VERSION, TABLES, meta


def lock(connection: Connection) -> None:
    """Prevent others from creating or migrating this ledger until our transaction ends; SQLite's own write lock does it too."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7136014518003)"))


def make(connection: Connection) -> None:
    """The tables of a new ledger, and its id."""
    TABLES.create_all(connection)
    first = {
        "ledger_id": secrets.token_hex(16),
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).isoformat(),
    }
    connection.execute(insert(meta), [{"key": key, "value": value} for key, value in first.items()])


def bring_up(engine: Engine, shown: str, database: Path | None, allowed: bool) -> None:
    """Migrate an older version's ledger if allowed. `database`: the file of an SQLite ledger, `shown`: its URL as it
    may be shown. Raises ConfigurationError.
    """
    with engine.begin() as connection:
        lock(connection)
        version = version_in(connection)  # another process may have been faster
        if version == SCHEMA_VERSION:
            return
        if not allowed or version is None or not _is_older(version):
            raise _other_version(shown, database is not None, version)
        # Alembic is loaded only where a step is due.
        from .migrations import migrate

        migrate(connection, version, database)


def version_in(connection: Connection) -> str | None:
    """A ledger's version."""
    return connection.scalar(select(meta.c.value).where(meta.c.key == "schema_version"))


def _is_older(version: str | None) -> bool:
    """Whether a ledger of this version can be migrated."""
    return version is not None and version.isdecimal() and int(FIRST_VERSION) <= int(version) < int(SCHEMA_VERSION)


def _other_version(shown: str, is_file: bool, version: str | None) -> ConfigurationError:
    said = f"the ledger {shown} has version {version}, this is version {SCHEMA_VERSION}"
    if _is_older(version):
        first = "" if is_file else "end all that works on it, put a copy aside (pg_dump), then: "
        return ConfigurationError(
            said, field="ledger", code="ledger_version", hint=f"{first}seedream ledger migrate --ledger {shown}"
        )
    newer = version is not None and version.isdecimal() and int(version) > int(SCHEMA_VERSION)
    hint = (
        "a newer seedream-tasks wrote it: install that version, or a newer one"
        if newer
        else f"versions {FIRST_VERSION} to {SCHEMA_VERSION} can be read"
    )
    return ConfigurationError(said, field="ledger", code="ledger_version", hint=hint)
