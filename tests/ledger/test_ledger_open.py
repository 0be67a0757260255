"""Opening: a ledger is found, made or refused, and never mistaken for an empty one."""

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ledger_book import RUN, Book, far_off, make_job, on_both
from sqlalchemy import update

from seedream_tasks.core.errors import ConfigurationError, LedgerFault
from seedream_tasks.core.secrets import without_secrets
from seedream_tasks.ledger import identity
from seedream_tasks.ledger.queries import list_attempts
from seedream_tasks.ledger.schema import SCHEMA_VERSION, attempts, meta
from seedream_tasks.ledger.store import exists, open_ledger
from seedream_tasks.ledger.urls import holds_password, parse_url, shown_url


def test_what_is_not_there_does_not_exist_and_is_not_made_by_looking(ledger_url: str) -> None:
    """Asking whether a ledger exists, or opening one that does not, makes nothing."""
    assert not exists(ledger_url)
    with pytest.raises(ConfigurationError, match="there is no ledger"):
        open_ledger(ledger_url, create=False)
    assert not exists(ledger_url)


def test_a_new_ledger_exists_and_keeps_its_id(ledger_url: str) -> None:
    """A ledger's id is given once; opening it again, with or without `create`, finds the same one."""
    ids = []
    for create in (True, False, True):
        ledger = open_ledger(ledger_url, create=create)
        ids.append(ledger.read_now(identity.ledger_id))
        ledger.close()
    assert exists(ledger_url)
    assert len(set(ids)) == 1
    assert len(ids[0]) == 32


def test_opening_again_keeps_what_stands_in_it(ledger_url: str) -> None:
    """Attempts, slots and money are there when the ledger is opened the next time."""
    with Book(ledger_url) as book:
        book.open_run(max_usd="1")
        book.accepted(book.claim(capped=True))
        before = book.rows()
    with Book(ledger_url, create=False) as again:
        assert again.rows() == before


def test_another_versions_ledger_is_refused_and_left_as_it_is(ledger_url: str) -> None:
    """A ledger of another schema version is a configuration error that names both versions, and nothing in it changes."""
    with Book(ledger_url) as book:
        book.claim()
        book.write(lambda connection: connection.execute(
            update(meta).where(meta.c.key == "schema_version").values(value="99")
        ))  # fmt: skip
        before = book.rows()
        for create in (True, False):
            with pytest.raises(ConfigurationError, match=f"version 99, this is version {SCHEMA_VERSION}"):
                open_ledger(ledger_url, create=create)
        assert book.rows() == before


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to look at" * 100, b"SQLite format 3\0" * 50]
)
@pytest.mark.parametrize("create", [True, False])
def test_an_unreadable_file_is_a_fault_and_never_an_empty_ledger(tmp_path: Path, content: bytes, create: bool) -> None:
    """A file that is no database is reported as unreadable, and its bytes stay."""
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(LedgerFault):
        open_ledger(f"sqlite:///{path}", create=create)
    with pytest.raises(LedgerFault):
        exists(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_ledger_cut_off_in_the_middle_is_a_fault(tmp_path: Path) -> None:
    """A damaged ledger raises when it is read; it does not look like one without attempts."""
    path = tmp_path / "ledger.db"
    with Book(f"sqlite:///{path}") as book:
        for number in range(40):
            book.claim(make_job(f"sku-{number}"))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LedgerFault):
        _read_all(f"sqlite:///{path}")


def _read_all(url: str) -> None:
    with Book(url, create=False) as book:
        book.rows()


def test_a_folder_in_the_ledgers_place_is_a_fault(tmp_path: Path) -> None:
    """A path that cannot be opened as a file is a fault, whether one asks or opens."""
    for question in (exists, lambda url: open_ledger(url, create=True)):
        with pytest.raises(LedgerFault):
            question(f"sqlite:///{tmp_path}")


def test_a_database_without_our_tables_is_no_ledger(tmp_path: Path) -> None:
    """Somebody else's SQLite file is not a ledger."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    assert not exists(f"sqlite:///{path}")
    with pytest.raises(ConfigurationError):
        open_ledger(f"sqlite:///{path}", create=False)


@pytest.mark.parametrize("url", ["ledger.db", "mysql://host/name", "sqlite://", ""])
def test_what_is_no_ledger_url_is_a_configuration_error(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A URL that names no SQLite file and no PostgreSQL database is refused before anything is opened."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError):
        open_ledger(url, create=True)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_in_memory_is_refused() -> None:
    """`:memory:` would be gone with the process, and with it what was paid for."""
    with pytest.raises(ConfigurationError):
        open_ledger("sqlite:///:memory:", create=True)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@host/name",
        "postgresql+psycopg://me:secret@host/name",
        "postgresql://me:se%40cret-secret@host:5432/name",
        "postgresql://me@host/name?password=secret&sslmode=require",
        "postgresql://me@host/name?PassWord=secret",
        "postgresql://host/name?sslpassword=secret",
    ],
)
def test_a_password_is_found_and_not_shown(url: str) -> None:
    """The one rule finds it wherever it is, and neither a message nor what Prefect stores of such a text repeats it."""
    assert holds_password(url)
    assert shown_url(url).startswith("postgresql")
    for shown in (shown_url(url), without_secrets(url)):
        assert "secret" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@host/name",
        "postgresql://me@host:5432/name?sslmode=require&application_name=shop",
        "postgresql://host/name?passfile=/run/pgpass",
        "sqlite:////data/u:x@y/ledger.db",
    ],
)
def test_what_holds_no_password_is_handed_on_as_it_is(url: str) -> None:
    """Users, ports, options and odd paths are no password; such a URL may be a parameter, and is stored whole."""
    assert not holds_password(url)
    assert without_secrets(url) == url


@pytest.mark.parametrize("url", ["postgresql:/me:secret@host", "//me:secret@host/x", "me:secret@host"])
def test_what_is_no_ledger_url_is_not_repeated_with_its_password(url: str) -> None:
    """The message shows what was given, without what stands before the @."""
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


def test_opening_to_read_writes_nothing(ledger_url: str) -> None:
    """A ledger opened read-only shows what stands in it and is left as it was."""
    with Book(ledger_url) as book:
        book.claim()
        before = book.rows()
        reader = open_ledger(ledger_url, create=False, read_only=True)
        assert [each.job_key for each, _, _ in reader.read_now(lambda c: list(list_attempts(c)))] == [
            make_job().job_key
        ]
        reader.close()
        assert book.rows() == before


def test_a_closed_ledger_takes_no_writes(book: Book) -> None:
    """Closing twice is fine; a write afterwards raises instead of waiting for ever."""
    book.ledger.close()
    book.ledger.close()
    with pytest.raises(LedgerFault, match="closed"):
        book.write(identity.ledger_id)


def test_sqlite_puts_every_commit_on_the_disk(tmp_path: Path) -> None:
    """The writer's connection is in WAL mode with synchronous=FULL."""
    with Book(f"sqlite:///{tmp_path / 'ledger.db'}") as book:
        assert book.write(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
        assert book.write(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar()) == 2


@on_both
def test_money_reads_back_exactly(book: Book) -> None:
    """Six places are kept, up to the largest amount that is one."""
    attempt_id = book.claim()
    for amount in map(Decimal, ("0", "0.000001", "-0.000001", "0.031", "-99999999.999999", "99999999.999999")):
        _set(book, attempt_id, billed_usd=amount)
        assert book.attempt(attempt_id).billed_usd == amount


@on_both
def test_time_reads_back_to_the_microsecond(book: Book) -> None:
    """A point in time comes back aware, in UTC, to the microsecond."""
    attempt_id = book.claim()
    long_ago = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    for moment in (far_off(), far_off() + timedelta(microseconds=1), long_ago):
        _set(book, attempt_id, expires_at=moment)
        found = book.attempt(attempt_id).expires_at
        assert found == moment
        assert found is not None
        assert found.utcoffset() == timedelta(0)


def _set(book: Book, attempt_id: str, **values: Any) -> None:
    change = update(attempts).where(attempts.c.attempt_id == attempt_id).values(**values)
    book.write(lambda connection: connection.execute(change))


def test_a_run_that_goes_on_keeps_the_cap_it_began_with(book: Book) -> None:
    """Opening a run again changes neither its cap nor what is held under it."""
    first = book.open_run(max_usd="0.10")
    book.claim(capped=True)
    assert book.open_run(max_usd="99") == first
    assert book.money() == {f"run:{RUN}": (Decimal("0.031"), Decimal(0))}


@on_both
def test_the_first_kind_stays(book: Book) -> None:
    """A ledger is real or simulated once and for all."""
    assert book.read(identity.kind) is None
    assert book.write(lambda connection: identity.set_kind(connection, identity.SIMULATED)) == identity.SIMULATED
    assert book.write(lambda connection: identity.set_kind(connection, identity.REAL)) == identity.SIMULATED
