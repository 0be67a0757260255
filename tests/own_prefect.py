"""Prefect's server for the flows of a test process, and the database that a test's servers begin with."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

from seedream_tasks.orchestration.own_server import OwnServer

_MIGRATE = (
    "import asyncio; from prefect.server.database import provide_database_interface;"
    " asyncio.run(provide_database_interface().create_db())"
)


def migrated(root: Path) -> Path:
    """Prefect's empty database, made once for all processes that share `root`: migrating takes longer than a server's start."""
    made = root / "prefect.db"
    with (root / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = root / "prefect-unfinished.db"
            environment = {**os.environ, PREFECT_SERVER_DATABASE_CONNECTION_URL.name: _url(unfinished)}
            subprocess.run([sys.executable, "-c", _MIGRATE], env=environment, check=True, capture_output=True)
            with contextlib.closing(sqlite3.connect(unfinished)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            unfinished.rename(made)
    return made


def at_home(database: Path, home: Path) -> Path:
    """A PREFECT_HOME whose server finds that database."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(database, home / "prefect.db")
    return home


@contextlib.contextmanager
def prefect_api(database: Path) -> Iterator[str]:
    """A server with that database, which this process uses meanwhile; its address."""
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: _url(database)}):
        server = OwnServer()
        try:
            asyncio.run(server.ready())
            with temporary_settings({PREFECT_API_URL: server.api_url}):
                yield server.api_url
                # What is still to be sent goes to this server, not to the next one.
                with contextlib.suppress(RuntimeError):  # no flow has logged anything
                    APILogWorker.instance().drain()
                EventsWorker.drain_all(timeout=30)
        finally:
            server.stop()


def _url(database: Path) -> str:
    return f"sqlite+aiosqlite:///{database}"
