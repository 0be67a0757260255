"""The steps that bring an older ledger to this version: `steps/step_<number>.py`, each an alembic revision.

A step changes tables and what stands in them with alembic's operations, on SQLite and PostgreSQL alike. A new one gets the
next number, `down_revision` names the one before, and `HEAD` in ledger/schema.py names it; tables are changed in schema.py
too, since a new ledger is made from there. Which version a ledger has stands in its `meta` alone. Nothing is ever taken back:
the copy that was put beside a ledger is the way back.
"""

import contextlib
import logging
import os
import secrets
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, update

from ...core.errors import ConfigurationError
from ..known_runs import ALIVE_FOR_S
from ..schema import HEAD, SCHEMA_VERSION, meta, runs, version_of
from ..sql import database_now, has_ended

logger = logging.getLogger("seedream_tasks.ledger")


def migrate(connection: Connection, version: str, database: Path | None) -> Path | None:
    """Bring an older ledger to this version, within the caller's transaction, which nobody else can write beside.

    `database` is the file of an SQLite ledger: a copy of it is put beside first, whose path is returned. Raises
    ConfigurationError while a process of the older version is at work on it; any other error leaves everything as it was.
    """
    ended = has_ended(runs.c.alive_until, database_now(connection), ALIVE_FOR_S)
    at_work = connection.scalar(select(runs.c.run_id).where(~ended).limit(1))
    if at_work is not None:
        raise ConfigurationError(
            f"the ledger has version {version} and is to be migrated, but the run {at_work} is at work on it, or was a"
            " minute ago",
            field="ledger",
            code="ledger_at_work",
            hint="end what works on it, and start again",
        )
    kept = None if database is None else _copy_beside(database, version)
    run_steps(connection, version, SCHEMA_VERSION)
    connection.execute(update(meta).where(meta.c.key == "schema_version").values(value=SCHEMA_VERSION))
    logger.warning(
        "the ledger was migrated from version %s to %s%s",
        version,
        SCHEMA_VERSION,
        f"; as it was it stands in {kept}" if kept else "",
    )
    return kept


def run_steps(connection: Connection, after: str, until: str) -> None:
    """Run the steps that lead from one schema version (before the first one: "0") to another."""
    folder = Path(__file__).parent
    found = ScriptDirectory(str(folder), version_locations=[str(folder / "steps")])
    with Operations.context(MigrationContext.configure(connection)):
        for step in reversed(list(found.iterate_revisions(HEAD, "base"))):
            if int(after) < int(version_of(step.revision)) <= int(until):
                step.module.upgrade()


def _copy_beside(database: Path, version: str) -> Path:
    """A whole copy of an SQLite file, with what its write-ahead log holds, under a name of its own."""
    now = datetime.now(UTC)
    target = database.with_name(f"{database.name}.v{version}-{now:%Y%m%dT%H%M%SZ}")
    part = database.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        shutil.copymode(database, part)
        handle = os.open(part, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return target
