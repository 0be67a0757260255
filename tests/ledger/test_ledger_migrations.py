"""Migrations: what an older version wrote is opened by this one with every cent in it, once, and never by looking at it."""

import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from kept_ledgers import KEPT, MONEY, money, restore
from ledger_book import Book, make_job

from seedream_tasks.cli.ledger import ledger as ledger_commands
from seedream_tasks.core.errors import ConfigurationError, LedgerFault
from seedream_tasks.core.states import AttemptState
from seedream_tasks.ledger import migrations
from seedream_tasks.ledger.migrations import run_steps
from seedream_tasks.ledger.queries import list_attempts
from seedream_tasks.ledger.schema import HEAD, SCHEMA_VERSION, TABLES, meta
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.ledger.urls import parse_url

pytestmark = pytest.mark.filterwarnings("ignore:.*expression-based index")


@pytest.fixture(params=KEPT, ids=lambda path: path.stem)
def kept(request: pytest.FixtureRequest) -> Path:
    """A ledger of each released version."""
    return Path(request.param)


def migrate(url: str) -> None:
    """`seedream ledger migrate`."""
    done = CliRunner().invoke(
        ledger_commands, ["migrate", "--ledger", url], standalone_mode=False, catch_exceptions=False
    )
    assert f"has version {SCHEMA_VERSION}" in done.output


def found_in(url: str) -> dict[str, tuple[object, ...]]:
    """Attempt -> its state and amounts, as this version reads them."""
    with Book(url, create=False) as book:
        found = [each for each, *_ in book.read(lambda connection: list(list_attempts(connection, None, None)))]
        columns = [sqlalchemy.column(name, TABLES.tables["attempts"].c[name].type) for name in MONEY]
        query = sqlalchemy.select(sqlalchemy.text("attempt_id"), sqlalchemy.text("state"), *columns).select_from(
            sqlalchemy.text("attempts")
        )
        rows = book.read(lambda connection: connection.execute(query).all())
    assert {each.attempt_id for each in found} == {row[0] for row in rows}
    return {row[0]: tuple(row[1:]) for row in rows}


def copies_beside(url: str) -> list[Path]:
    """The copies that were put beside an SQLite ledger."""
    database = Path(str(parse_url(url).database))
    return sorted(database.parent.glob(f"{database.name}.v*"))


def test_a_ledger_of_every_released_version_opens_with_all_its_money(kept: Path, ledger_url: str) -> None:
    """Attempts in every state, each with its state and amounts to the cent, and it can be written to afterwards."""
    restore(kept, ledger_url)
    before = money(kept)
    assert {state for state, *_ in before.values()} == set(AttemptState)
    migrate(ledger_url)
    assert found_in(ledger_url) == before
    with Book(ledger_url, create=False) as book:
        book.open_run()
        book.accepted(book.claim(make_job("new")))
        book.read(
            lambda connection: connection.execute(sqlalchemy.text("SELECT 1 FROM reviews JOIN caps ON true")).one()
        )


def test_a_migrated_ledger_has_the_schema_of_a_new_one(kept: Path, ledger_url: str) -> None:
    """Tables, columns, types, keys and indexes: nothing tells the two apart."""
    restore(kept, ledger_url)
    migrate(ledger_url)
    engine = sqlalchemy.create_engine(parse_url(ledger_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, TABLES) == []
        # The comparison leaves out indexes of expressions.
        listed = {each["name"] for table in TABLES.tables for each in sqlalchemy.inspect(connection).get_indexes(table)}
    engine.dispose()
    assert {str(index.name) for table in TABLES.tables.values() for index in table.indexes} <= listed | {"jobs_by_case"}


def test_the_steps_alone_make_the_schema_of_a_new_ledger(tmp_path: Path) -> None:
    """From nothing to this version by the steps, column by column as a new ledger is made."""
    made, stepped = tmp_path / "made.db", tmp_path / "stepped.db"
    open_ledger(f"sqlite:///{made}", create=True).close()
    engine = sqlalchemy.create_engine(f"sqlite:///{stepped}")
    with engine.begin() as connection:
        run_steps(connection, "0", SCHEMA_VERSION)
    engine.dispose()
    described = []
    for path in (made, stepped):
        with contextlib.closing(sqlite3.connect(path)) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            described.append(
                {
                    table: (
                        sorted(database.execute(f"PRAGMA table_info('{table}')"), key=lambda row: row[1]),
                        {row[1] for row in database.execute(f"PRAGMA index_list('{table}')")},
                    )
                    for table in tables
                }
            )
    assert described[0].keys() == described[1].keys()
    for table, (columns, indexes) in described[0].items():
        others, other_indexes = described[1][table]
        assert [row[1:4] for row in columns] == [row[1:4] for row in others], table
        assert indexes == other_indexes, table


def test_the_steps_are_one_line_that_ends_at_this_version() -> None:
    """One head, named in schema.py; each step follows the one before by number."""
    folder = Path(migrations.__file__).parent
    found = ScriptDirectory(str(folder), version_locations=[str(folder / "steps")])
    assert found.get_heads() == [HEAD]
    numbers = [int(step.revision) for step in found.walk_revisions()]
    assert numbers == list(range(len(numbers), 0, -1))


def test_an_sqlite_ledger_is_copied_beside_before_it_changes(kept: Path, tmp_path: Path) -> None:
    """The copy is the old ledger, whole, what its write-ahead log holds included; opening again makes no other."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    restore(kept, url)
    writer = sqlite3.connect(tmp_path / "ledger.db")  # held open, so that its last commit stays in the log
    writer.execute("INSERT INTO caps VALUES ('all', 7000000, 'UTC')")
    writer.commit()
    open_ledger(url, create=False).close()
    writer.close()
    (copy,) = copies_beside(url)
    assert copy.name.startswith(f"ledger.db.{kept.stem}-")
    with contextlib.closing(sqlite3.connect(copy)) as old:
        assert old.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == (kept.stem[1:],)
        assert old.execute("SELECT usd_per_day FROM caps WHERE cap_key = 'all'").fetchone() == (7000000,)
        assert old.execute("SELECT count(*) FROM attempts").fetchone() == (len(money(kept)),)
    open_ledger(url, create=False).close()
    assert copies_beside(url) == [copy]
    assert not list(tmp_path.glob(".*.part"))


def test_an_sqlite_ledger_is_migrated_by_whatever_opens_it_for_writing(kept: Path, tmp_path: Path) -> None:
    """No command has to be known: the first one that writes migrates."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    restore(kept, url)
    open_ledger(url, create=False).close()
    assert found_in(url) == money(kept)


def test_a_postgresql_ledger_waits_for_its_operator(kept: Path, postgres_ledger: str) -> None:
    """Others may be at work on it, and no copy can be put beside it: it is refused, with what to do, and left as it is."""
    restore(kept, postgres_ledger)
    with pytest.raises(ConfigurationError) as refused:
        open_ledger(postgres_ledger, create=False)
    assert refused.value.as_json()["code"] == "ledger_version"
    assert "pg_dump" in str(refused.value)
    assert "seedream ledger migrate --ledger" in str(refused.value)
    migrate(postgres_ledger)
    assert found_in(postgres_ledger) == money(kept)


def test_looking_at_an_older_ledger_changes_nothing(kept: Path, ledger_url: str) -> None:
    """Opened for reading it is refused with the command that migrates it; the file keeps its bytes."""
    restore(kept, ledger_url)
    database = parse_url(ledger_url).database
    before = Path(database).read_bytes() if database and Path(database).exists() else None
    with pytest.raises(ConfigurationError, match=r"seedream ledger migrate --ledger"):
        open_ledger(ledger_url, create=False, read_only=True)
    if before is not None:
        assert Path(str(database)).read_bytes() == before
        assert copies_beside(ledger_url) == []


@pytest.mark.parametrize(
    ("version", "hint"), [("99", "install that version"), ("3", "versions 4 to"), ("x", "versions 4 to")]
)
def test_a_version_that_cannot_be_read_is_refused_with_what_to_do(ledger_url: str, version: str, hint: str) -> None:
    """Newer, too old or no number: exit 2, and `migrate` changes nothing either."""
    with Book(ledger_url) as book:
        change = meta.update().where(meta.c.key == "schema_version").values(value=version)
        book.write(lambda connection: connection.execute(change))
        before = book.rows()
        for migrates in (None, True):
            with pytest.raises(ConfigurationError, match=f"version {version}") as refused:
                open_ledger(ledger_url, create=False, migrates=migrates)
            assert hint in str(refused.value)
        assert book.rows() == before


def test_a_ledger_that_is_at_work_is_not_changed_under_it(kept: Path, tmp_path: Path) -> None:
    """A process of the older version is alive on it: it could not go on."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    restore(kept, url)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        database.execute("UPDATE runs SET alive_until = ?", (int((time.time() + 60) * 1_000_000),))
        database.commit()
    with pytest.raises(ConfigurationError, match="is at work on it"):
        open_ledger(url, create=False)
    assert copies_beside(url) == []


def test_a_step_that_fails_leaves_the_ledger_as_it_was(
    kept: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps and the new version are one transaction."""
    restore(kept, ledger_url)
    real = migrations.run_steps

    def half(connection: sqlalchemy.Connection, after: str, until: str) -> None:
        real(connection, after, until)
        connection.exec_driver_sql("SELECT nothing FROM nowhere")

    monkeypatch.setattr(migrations, "run_steps", half)
    with pytest.raises(LedgerFault):
        open_ledger(ledger_url, create=False, migrates=True)
    monkeypatch.undo()
    migrate(ledger_url)
    assert found_in(ledger_url) == money(kept)


_OPEN = """
import sys
import time
from seedream_tasks.ledger.store import open_ledger
sys.stdin.readline()
open_ledger(sys.argv[1], create=False, migrates=True).close()
"""


def test_processes_that_open_it_at_once_migrate_it_once(kept: Path, ledger_url: str) -> None:
    """The second waits for the first and finds the work done."""
    restore(kept, ledger_url)
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", _OPEN, ledger_url], stdin=subprocess.PIPE))
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
    assert [process.returncode for process in processes] == [0] * 4
    if ledger_url.startswith("sqlite"):
        assert len(copies_beside(ledger_url)) == 1
    assert found_in(ledger_url) == money(kept)


def test_alembic_is_loaded_only_where_a_step_is_due(tmp_path: Path) -> None:
    """Opening a ledger of this version costs what it did before there were migrations."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    asked = "import sys; from seedream_tasks.ledger.store import open_ledger; "
    asked += "open_ledger(sys.argv[1], create=True).close(); print('alembic' in sys.modules)"
    said = [subprocess.check_output([sys.executable, "-c", asked, url], text=True).strip() for _ in range(2)]
    assert said == ["False", "False"]
