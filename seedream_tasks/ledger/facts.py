"""Smaller facts the ledger keeps: what kind it is, its accounts, runs, admissions, spending."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select, update

from ..core.money import ZERO
from ..core.states import AttemptState
from .budgets import change_run_budget, open_run_budget
from .schema import (
    accounts,
    admissions,
    attempts,
    callbacks,
    meta,
    pictures,
    runs,
)
from .store import database_now, has_ended, is_current, upsert

REAL, SIMULATED = "real", "simulated"


def ledger_id(connection: Connection) -> str:
    """The ledger's own name; an archive holds it too."""
    return str(connection.scalar(select(meta.c.value).where(meta.c.key == "ledger_id")))


def kind(connection: Connection) -> str | None:
    """`real` or `simulated`; None while nothing was ever bought or reused with it."""
    value = connection.scalar(select(meta.c.value).where(meta.c.key == "kind"))
    return None if value is None else str(value)


def set_kind(connection: Connection, value: str) -> str:
    """Give a new ledger its kind; returns the kind it has (the first one given stays)."""
    row = upsert(connection, meta).values(key="kind", value=value)
    connection.execute(row.on_conflict_do_nothing(index_elements=[meta.c.key]))
    return str(kind(connection))


def known_accounts(connection: Connection) -> dict[str, bool]:
    """Account -> whether it is simulated."""
    return {row.account: bool(row.simulated) for row in connection.execute(select(accounts))}


def know_account(connection: Connection, account: str, gateway: str, simulated: bool) -> None:
    """Remember what an account is, so that the next run need not ask."""
    row = upsert(connection, accounts).values(
        account=account, gateway=gateway, simulated=simulated, checked_at=datetime.now(UTC)
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=[accounts.c.account]))


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the ledger knows it."""

    run_id: str
    created_at: datetime
    finished_at: datetime | None
    archive: str
    catalog_uri: str
    simulated: bool
    max_usd: Decimal | None
    alive: bool  # a process has been at work on it within the last minute


_TO_FINISH = (AttemptState.ACCEPTED, AttemptState.DELIVERED)
# A process at work on a run says so four times within this, in seconds.
ALIVE_FOR_S = 60.0


def open_run(
    connection: Connection, run_id: str, archive: str, catalog_uri: str, simulated: bool, max_usd: Decimal | None
) -> Run:
    """Begin a run, or find it when it was begun before: its cap and its time stay what they were."""
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
    """Bound a run that has begun under a cap otherwise; None: no bound. What it has spent or reserved counts."""
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
    """Whether a process is at work on any of these runs."""
    alive = runs.c.run_id.in_(run_ids) & ~has_ended(runs.c.alive_until, database_now(connection), ALIVE_FOR_S)
    return connection.execute(select(runs.c.run_id).where(alive).limit(1)).first() is not None


def keep_alive(connection: Connection, run_id: str, alive: bool = True) -> None:
    """A process is at work on this run; with `alive` False, it has left."""
    until = database_now(connection) + int(ALIVE_FOR_S * 1_000_000) if alive else 0
    going_on = (runs.c.run_id == run_id) & runs.c.finished_at.is_(None)
    connection.execute(update(runs).where(going_on).values(alive_until=until))


def reopen_run(connection: Connection, run_id: str) -> None:
    """Its manifest is going out of date: attempts of it are settled by somebody else."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(finished_at=None))


def unfinished_runs(connection: Connection, archive: str) -> list[Run]:
    """Runs of an archive whose manifest is missing or out of date, oldest first."""
    query = (
        select(runs.c.run_id).where(runs.c.archive == archive, runs.c.finished_at.is_(None)).order_by(runs.c.created_at)
    )
    found = [find_run(connection, run_id) for run_id in connection.scalars(query)]
    return [run for run in found if run is not None]


def has_run_in(connection: Connection, archive: str) -> bool:
    """Whether any run wrote into this archive."""
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
    """Ids of the runs of the same archive that began after this one, newest first."""
    query = (
        select(runs.c.run_id)
        .where(runs.c.archive == run.archive, runs.c.created_at > run.created_at)
        .order_by(runs.c.created_at.desc())
    )
    return list(connection.scalars(query))


def newest_run(connection: Connection, archive: str) -> Run | None:
    """The run of an archive that was finished last in the order of their beginnings."""
    query = (
        select(runs.c.run_id)
        .where(runs.c.archive == archive, runs.c.finished_at.is_not(None))
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    run_id = connection.scalar(query)
    return None if run_id is None else find_run(connection, run_id)


def finish_run(connection: Connection, run_id: str) -> None:
    """Its manifest is published."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(finished_at=datetime.now(UTC), alive_until=0))


@dataclass(frozen=True, slots=True)
class Admission:
    """Why a run did not buy a job."""

    reason: str
    message: str
    usd: Decimal  # forecast of what was not bought
    cheapest_usd: Decimal | None
    for_good: bool = False  # the record is invalid, not only deferred


def put_off(connection: Connection, run_id: str, job_key: str, admission: Admission) -> None:
    """Remember why this run did not buy a job; the last word counts."""
    values = asdict(admission)
    row = upsert(connection, admissions).values(run_id=run_id, job_key=job_key, **values)
    connection.execute(
        row.on_conflict_do_update(index_elements=[admissions.c.run_id, admissions.c.job_key], set_=values)
    )


def billed_by_day(connection: Connection, account: str, start: datetime, end: datetime) -> dict[date, Decimal]:
    """What an account has charged by the ledger (USD), by the day (UTC) on which each attempt was completed."""
    query = select(attempts.c.completed_at, attempts.c.billed_usd).where(
        attempts.c.account == account, attempts.c.completed_at.between(start, end)
    )
    found: dict[date, Decimal] = defaultdict(lambda: ZERO)
    for row in connection.execute(query):
        found[row.completed_at.date()] += row.billed_usd
    return found


def credits_billed(connection: Connection, account: str) -> tuple[Decimal, bool]:
    """Credits that an account has charged by the ledger, and whether it ever reported any."""
    count, total = connection.execute(
        select(func.count(attempts.c.billed_credits), func.sum(attempts.c.billed_credits)).where(
            attempts.c.account == account
        )
    ).one()
    return total or ZERO, bool(count)


def spent_by_gateway(connection: Connection, run_id: str) -> dict[str, tuple[int, int, Decimal, Decimal, Decimal]]:
    """Of a run's attempts at each gateway: count, pictures archived, quoted, billed and at risk (USD)."""
    sent = (attempts.c.run_id == run_id) & (attempts.c.state != AttemptState.NOT_SENT)
    archived = (
        select(attempts.c.gateway, func.count().label("made"))
        .select_from(pictures.join(attempts, attempts.c.attempt_id == pictures.c.attempt_id))
        .where(sent, pictures.c.state == "archived")
        .group_by(attempts.c.gateway)
    )
    made = {row.gateway: row.made for row in connection.execute(archived)}
    query = (
        select(
            attempts.c.gateway,
            func.count(),
            func.sum(attempts.c.quoted_usd),
            func.sum(attempts.c.billed_usd),
            func.sum(attempts.c.at_risk_usd),
        )
        .where(sent)
        .group_by(attempts.c.gateway)
    )
    return {
        gateway: (count, made.get(gateway, 0), quoted, billed, at_risk)
        for gateway, count, quoted, billed, at_risk in connection.execute(query)
    }


def spent(connection: Connection, run_id: str) -> dict[str, Decimal]:
    """What this run's attempts have cost so far: billed_usd, at_risk_usd, reserved_usd (unsettled)."""
    open_states: Sequence[str] = (AttemptState.INTENT, AttemptState.ACCEPTED)
    of_run = attempts.c.run_id == run_id
    billed, at_risk = connection.execute(
        select(func.sum(attempts.c.billed_usd), func.sum(attempts.c.at_risk_usd)).where(of_run)
    ).one()
    reserved = connection.scalar(
        select(func.sum(attempts.c.reserved_usd)).where(of_run, attempts.c.state.in_(open_states))
    )
    return {"billed_usd": billed or ZERO, "at_risk_usd": at_risk or ZERO, "reserved_usd": reserved or ZERO}
