"""Runs in the ledger: started, active, finished."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, select, update

from ..core.states import AttemptState
from .budgets import change_run_budget, open_run_budget
from .schema import attempts, callbacks, runs
from .sql import database_now, has_ended, is_current, upsert


@dataclass(frozen=True, slots=True)
class Run:
    """One run in the ledger."""

    run_id: str
    created_at: datetime
    finished_at: datetime | None
    archive: str
    catalog_uri: str
    simulated: bool
    max_usd: Decimal | None
    alive: bool  # a process has worked on it within the last minute


_TO_FINISH = (AttemptState.ACCEPTED, AttemptState.DELIVERED)


# A process working on a run sends four heartbeats within this, in seconds.
ALIVE_FOR_S = 60.0


def open_run(
    connection: Connection, run_id: str, archive: str, catalog_uri: str, simulated: bool, max_usd: Decimal | None
) -> Run:
    """Start a run, or find a started one: its cap and time are unchanged."""
    row = upsert(connection, runs).values(
        run_id=run_id,
        created_at=datetime.now(UTC),
        alive_until=0,
        archive=archive,
        catalog_uri=catalog_uri,
        simulated=simulated,
        max_usd=max_usd,
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=[runs.c.run_id]))
    reopen_run(connection, run_id)
    keep_alive(connection, run_id)
    run = find_run(connection, run_id)
    if run is None:
        raise AssertionError("a run that was just written is there")
    open_run_budget(connection, run_id, run.max_usd)
    return run


def change_cap(connection: Connection, run_id: str, usd: Decimal | None) -> None:
    """Change the cap of a started run; None: no cap. What it has spent or reserved counts."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(max_usd=usd))
    change_run_budget(connection, run_id, usd)


def find_run(connection: Connection, run_id: str) -> Run | None:
    """A run by its id."""
    row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
    if row is None:
        return None
    return Run(
        row.run_id,
        row.created_at,
        row.finished_at,
        row.archive,
        row.catalog_uri,
        bool(row.simulated),
        row.max_usd,
        is_current(row.alive_until, database_now(connection), ALIVE_FOR_S),
    )


def any_alive(connection: Connection, run_ids: Collection[str]) -> bool:
    """Whether a process is working on any of these runs."""
    alive = runs.c.run_id.in_(run_ids) & ~has_ended(runs.c.alive_until, database_now(connection), ALIVE_FOR_S)
    return connection.execute(select(runs.c.run_id).where(alive).limit(1)).first() is not None


def keep_alive(connection: Connection, run_id: str, alive: bool = True) -> None:
    """Record that a process is working on this run or, with `alive` False, has stopped."""
    until = database_now(connection) + int(ALIVE_FOR_S * 1_000_000) if alive else 0
    going_on = (runs.c.run_id == run_id) & runs.c.finished_at.is_(None)
    connection.execute(update(runs).where(going_on).values(alive_until=until))


def reopen_run(connection: Connection, run_id: str) -> None:
    """Mark its manifest as out of date: another process settles its attempts."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(finished_at=None))


def unfinished_runs(connection: Connection, archive: str) -> list[Run]:
    """Runs of an archive whose manifest is missing or out of date, oldest first."""
    query = (
        select(runs.c.run_id).where(runs.c.archive == archive, runs.c.finished_at.is_(None)).order_by(runs.c.created_at)
    )
    found = [find_run(connection, run_id) for run_id in connection.scalars(query)]
    return [run for run in found if run is not None]


def has_run_in(connection: Connection, archive: str) -> bool:
    """Whether any run wrote to this archive."""
    return connection.scalar(select(runs.c.run_id).where(runs.c.archive == archive).limit(1)) is not None


def archives_of(connection: Connection, run_ids: Collection[str]) -> dict[str, str]:
    """Run -> the root of its archive."""
    rows = connection.execute(select(runs.c.run_id, runs.c.archive).where(runs.c.run_id.in_(run_ids)))
    return {row.run_id: row.archive for row in rows}


def archives_to_finish(connection: Connection) -> list[str]:
    """Roots of the archives whose runs have attempts that are still to be finished, or manifests that are out of date."""
    waiting = select(attempts.c.run_id).where(attempts.c.state.in_(_TO_FINISH))
    query = select(runs.c.archive).where(runs.c.finished_at.is_(None) | runs.c.run_id.in_(waiting)).distinct()
    return list(connection.scalars(query))


def accounts_in_flight(connection: Connection) -> set[str]:
    """Accounts of the attempts that may still be asked for: those to be finished, and those a callback may find."""
    states = [*_TO_FINISH, AttemptState.UNKNOWN, AttemptState.NOT_SENT, AttemptState.LOST]
    waiting = attempts.c.state.in_(_TO_FINISH) | (
        attempts.c.state.in_(states) & attempts.c.callback_sha256.in_(select(callbacks.c.token_sha256))
    )
    return set(connection.scalars(select(attempts.c.account).where(waiting).distinct()))


def newer_runs(connection: Connection, run: Run) -> list[str]:
    """Ids of the runs of the same archive that started after this one, newest first."""
    query = (
        select(runs.c.run_id)
        .where(runs.c.archive == run.archive, runs.c.created_at > run.created_at)
        .order_by(runs.c.created_at.desc())
    )
    return list(connection.scalars(query))


def newest_run(connection: Connection, archive: str) -> Run | None:
    """The most recently started run of an archive among the finished ones."""
    query = (
        select(runs.c.run_id)
        .where(runs.c.archive == archive, runs.c.finished_at.is_not(None))
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    run_id = connection.scalar(query)
    return None if run_id is None else find_run(connection, run_id)


def finish_run(connection: Connection, run_id: str) -> None:
    """Record that its manifest is published."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(finished_at=datetime.now(UTC), alive_until=0))
