"""Smaller facts the ledger keeps: what kind it is, its accounts, runs, admissions, reference images, uploads, spending."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select, update

from ..core.money import ZERO
from ..core.states import AttemptState
from .budgets import open_run_budget
from .schema import accounts, admissions, attempts, meta, runs, sources, uploads
from .store import upsert

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


def open_run(
    connection: Connection, run_id: str, archive: str, catalog_uri: str, simulated: bool, max_usd: Decimal | None
) -> Run:
    """Begin a run, or find it when it was begun before: its cap and its time stay what they were."""
    row = upsert(connection, runs).values(
        run_id=run_id,
        created_at=datetime.now(UTC),
        archive=archive,
        catalog_uri=catalog_uri,
        simulated=simulated,
        max_usd=max_usd,
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=[runs.c.run_id]))
    run = find_run(connection, run_id)
    if run is None:
        raise AssertionError("a run that was just written is there")
    open_run_budget(connection, run_id, run.max_usd)
    return run


def find_run(connection: Connection, run_id: str) -> Run | None:
    """A run by its id."""
    row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
    if row is None:
        return None
    return Run(
        row.run_id, row.created_at, row.finished_at, row.archive, row.catalog_uri, bool(row.simulated), row.max_usd
    )


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


def finish_run(connection: Connection, run_id: str) -> None:
    """Its manifest is published."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(finished_at=datetime.now(UTC)))


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


@dataclass(frozen=True, slots=True)
class Source:
    """What is remembered of a reference image."""

    etag: str
    sha256: str
    format: str
    width: int  # px
    height: int  # px
    bytes: int


def source(connection: Connection, uri: str) -> Source | None:
    """What the ledger remembers of a reference (URI without its signature)."""
    row = connection.execute(select(sources).where(sources.c.uri == uri)).one_or_none()
    if row is None:
        return None
    return Source(row.etag, row.sha256, row.format, row.width, row.height, row.bytes)


def remember_source(connection: Connection, uri: str, found: Source) -> None:
    """Remember a reference's content under its URI."""
    values = {
        "etag": found.etag,
        "sha256": found.sha256,
        "format": found.format,
        "width": found.width,
        "height": found.height,
        "bytes": found.bytes,
    }
    row = upsert(connection, sources).values(uri=uri, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[sources.c.uri], set_=values))


def upload(connection: Connection, account: str, sha256: str, good_until: datetime) -> str | None:
    """The link of an upload of this content to this account that is still good then."""
    query = select(uploads.c.url).where(
        uploads.c.account == account, uploads.c.sha256 == sha256, uploads.c.expires_at > good_until
    )
    url = connection.scalar(query)
    return None if url is None else str(url)


def remember_upload(connection: Connection, account: str, sha256: str, url: str, expires_at: datetime) -> None:
    """Remember an upload until it expires."""
    values = {"url": url, "expires_at": expires_at}
    row = upsert(connection, uploads).values(account=account, sha256=sha256, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[uploads.c.account, uploads.c.sha256], set_=values))


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
