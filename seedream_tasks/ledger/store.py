"""Opening or creating a ledger."""

import sqlite3
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from ..core.errors import ConfigurationError, LedgerFault
from .connections import connect_to
from .database_errors import reason_of
from .schema import SCHEMA_VERSION
from .urls import parse_url, shown_url
from .versions import bring_up, lock, make, version_in
from .writer import Ledger


def exists(text_url: str) -> bool:
    """Whether there is a ledger at this URL. Raises LedgerFault when that cannot be determined."""
    url = parse_url(text_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return False
    engine = connect_to(url, writes=False)
    try:
        return sqlalchemy.inspect(engine).has_table("meta")
    except SQLAlchemyError as error:
        raise LedgerFault(f"the ledger {shown_url(text_url)} cannot be read: {reason_of(error)}") from error
    finally:
        engine.dispose()


def open_ledger(text_url: str, create: bool, read_only: bool = False, migrates: bool | None = None) -> Ledger:
    """Open a ledger, or create one when there is none and `create` is set. `read_only`: nothing is written.

    An older version's ledger is migrated where `migrates` says so; None: an SQLite file is, after a copy of it was put beside,
    and a PostgreSQL database, which has other users and no such copy, is not.

    Raises LedgerFault for one that cannot be read, ConfigurationError for a URL that is none or another version's ledger.
    """
    url = parse_url(text_url)
    if not create and not exists(text_url):
        raise ConfigurationError(f"there is no ledger at {shown_url(text_url)}", field="ledger")
    is_file = url.get_backend_name() == "sqlite"
    if is_file and create:
        try:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerFault(f"no ledger can be made at {shown_url(text_url)}: {error}") from error
    engine, reader = connect_to(url, writes=not read_only), connect_to(url, writes=False)
    try:
        with engine.begin() as connection:
            if create:
                lock(connection)
                if not sqlalchemy.inspect(connection).has_table("meta"):
                    make(connection)
            version = version_in(connection)
        if version != SCHEMA_VERSION:
            allowed = not read_only and (is_file if migrates is None else migrates)
            bring_up(engine, shown_url(text_url), Path(str(url.database)) if is_file else None, allowed)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        engine.dispose()
        reader.dispose()
        reason = reason_of(error) if isinstance(error, SQLAlchemyError) else error
        raise LedgerFault(f"the ledger {shown_url(text_url)} cannot be opened: {reason}") from error
    except BaseException:
        engine.dispose()
        reader.dispose()
        raise
    return Ledger(text_url, engine, reader)
