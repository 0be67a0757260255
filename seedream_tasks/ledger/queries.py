"""Reading the ledger: attempts, slots and pictures of many jobs at once, as frozen values."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
    func,
    select,
    true,
)

from ..core.decisions import PastAttempt, Purpose, SlotView
from ..core.jobs import JobName
from ..core.outcomes import ErrorClass
from ..core.states import AttemptState, Closed, SlotState
from .facts import Admission
from .schema import (
    admissions,
    attempts,
    copies,
    derived,
    events,
    jobs,
    pictures,
    slots,
)

T = TypeVar("T")
# Well below the 999 parameters that old SQLite builds allow.
_KEYS_PER_QUERY = 400
# Kind of the ledger event that says: whoever listens has been told of this unknown attempt.
TOLD_UNKNOWN = "unknown_told"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One paid submission as the ledger knows it."""

    attempt_id: str
    job_key: str
    run_id: str
    slots: tuple[int, ...]
    surplus: bool
    purpose: Purpose
    gateway: str
    model: str
    account: str
    state: AttemptState
    task_id: str | None
    route_reason: str
    cheapest_usd: Decimal
    quoted_usd: Decimal
    reserved_usd: Decimal
    billed_usd: Decimal
    at_risk_usd: Decimal
    billed_credits: Decimal | None
    cost_basis: str
    price_as_of: date
    intent_at: datetime
    submitted_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None
    estimate_s: float | None
    not_found: int
    model_reported: str | None
    error_code: str | None
    error_class: ErrorClass | None
    error_message: str | None
    callback_sha256: str | None  # of its callback URL's token; None: none was given
    next_look_at: datetime | None  # not before this is it asked for outside a run
    warnings: tuple[str, ...]  # how its references were presented

    @property
    def called_back(self) -> bool:
        """Whether its gateway is to call back."""
        return self.callback_sha256 is not None

    @property
    def past(self) -> PastAttempt:
        """What deciding needs of it."""
        return PastAttempt(
            self.attempt_id, self.run_id, self.gateway, self.state, self.slots, self.purpose, self.error_class
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture a gateway made. `path` and `archive` are None until it is copied."""

    attempt_id: str
    ordinal: int
    job_key: str
    slot: int | None
    url: str
    expires_at: datetime | None
    state: str
    sha256: str | None = None
    width: int | None = None  # px
    height: int | None = None  # px
    bytes: int | None = None
    mime_type: str | None = None
    warnings: tuple[str, ...] = ()
    archived_at: datetime | None = None
    copies: dict[str, str] = field(default_factory=dict)  # archive root -> path below it


@dataclass(frozen=True, slots=True)
class Delivery:
    """What there is to be archived of an attempt."""

    pictures: Sequence[Picture]
    first_of_case: bool  # False: a row whose key differs from this one in case alone was bought for before


@dataclass(slots=True)
class JobView:
    """All the ledger knows of one job."""

    job_key: str
    slots: list[SlotView] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)  # in the order of their intents
    pictures: list[Picture] = field(default_factory=list)
    # Files made of the pictures, where they were asked for: (attempt, ordinal, archive root) -> digest of the output profile.
    derived: dict[tuple[str, int, str], str] = field(default_factory=dict)

    @property
    def past(self) -> list[PastAttempt]:
        """What deciding needs of its attempts."""
        return [attempt.past for attempt in self.attempts]

    def standing(self) -> list[Picture]:
        """Archived pictures that hold a slot, in the order of the slots."""
        held = [each for each in self.pictures if each.slot is not None and each.state == "archived"]
        return sorted(held, key=lambda each: (each.slot, each.attempt_id))


def as_attempt(fields: Mapping[str, Any] | RowMapping) -> Attempt:
    """A row of `attempts` as a value."""
    return Attempt(
        attempt_id=fields["attempt_id"],
        job_key=fields["job_key"],
        run_id=fields["run_id"],
        slots=tuple(json.loads(fields["slots"])),
        surplus=bool(fields["surplus"]),
        purpose=Purpose(fields["purpose"]),
        gateway=fields["gateway"],
        model=fields["model"],
        account=fields["account"],
        state=AttemptState(fields["state"]),
        task_id=fields["task_id"],
        route_reason=fields["route_reason"],
        cheapest_usd=fields["cheapest_usd"],
        quoted_usd=fields["quoted_usd"],
        reserved_usd=fields["reserved_usd"],
        billed_usd=fields["billed_usd"],
        at_risk_usd=fields["at_risk_usd"],
        billed_credits=fields["billed_credits"],
        cost_basis=fields["cost_basis"],
        price_as_of=date.fromisoformat(fields["price_as_of"]),
        intent_at=fields["intent_at"],
        submitted_at=fields["submitted_at"],
        completed_at=fields["completed_at"],
        expires_at=fields["expires_at"],
        estimate_s=fields["estimate_s"],
        not_found=fields["not_found"],
        model_reported=fields["model_reported"],
        error_code=fields["error_code"],
        error_class=ErrorClass(fields["error_class"]) if fields["error_class"] else None,
        error_message=fields["error_message"],
        callback_sha256=fields["callback_sha256"],
        next_look_at=fields["next_look_at"],
        warnings=tuple(json.loads(fields["warnings"])),
    )


def _with_copies(where: ColumnElement[bool]) -> Select[Any]:
    joined = and_(copies.c.attempt_id == pictures.c.attempt_id, copies.c.ordinal == pictures.c.ordinal)
    return (
        select(pictures, copies.c.archive, copies.c.path)
        .select_from(pictures.outerjoin(copies, joined))
        .where(where)
        .order_by(pictures.c.attempt_id, pictures.c.ordinal)
    )


_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_SLOTS = select(slots).where(slots.c.job_key.in_(_KEYS)).order_by(slots.c.slot)
_ATTEMPTS = select(attempts).where(attempts.c.job_key.in_(_KEYS)).order_by(attempts.c.attempt_id)
_ATTEMPTS_BY_ID = select(attempts).where(attempts.c.attempt_id.in_(bindparam("ids", expanding=True)))
_PICTURES_OF_JOBS = _with_copies(pictures.c.job_key.in_(_KEYS))
_PICTURES_OF_ATTEMPT = _with_copies(pictures.c.attempt_id == bindparam("of"))
_DERIVED = (
    select(pictures.c.job_key, derived)
    .select_from(
        derived.join(
            pictures, and_(derived.c.attempt_id == pictures.c.attempt_id, derived.c.ordinal == pictures.c.ordinal)
        )
    )
    .where(pictures.c.job_key.in_(_KEYS))
)
_JOBS = select(jobs).where(jobs.c.job_key.in_(_KEYS))
_JOBS_OF_ROWS = select(jobs).where(jobs.c.row_key.in_(_KEYS)).order_by(jobs.c.created_at, jobs.c.job_key)
_ADMISSIONS = select(admissions).where(admissions.c.run_id == bindparam("of"), admissions.c.job_key.in_(_KEYS))
_same_case = jobs.alias()


def _first_of_case(row_key: ColumnElement[str]) -> ScalarSelect[str]:
    return (
        select(_same_case.c.row_key)
        .where(func.lower(_same_case.c.row_key) == func.lower(row_key))
        .order_by(_same_case.c.created_at, _same_case.c.job_key)
        .limit(1)
        .scalar_subquery()
    )


_ROW_KEY = bindparam("row_key", type_=Text)
_IS_FIRST_OF_CASE = select(func.coalesce(_first_of_case(_ROW_KEY) == _ROW_KEY, true()))
# A column for a query of attempts, where it costs less than a question of its own.
IS_FIRST_OF_CASE = (
    select(_first_of_case(jobs.c.row_key) == jobs.c.row_key)
    .where(jobs.c.job_key == attempts.c.job_key)
    .scalar_subquery()
    .label("first_of_case")
)


def batched(items: Iterable[T], size: int = _KEYS_PER_QUERY) -> Iterator[list[T]]:
    """Consecutive lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def job_views(connection: Connection, job_keys: Sequence[str], with_derived: bool = False) -> dict[str, JobView]:
    """Slots, attempts and pictures of these jobs; jobs the ledger does not know have empty views."""
    views = {key: JobView(key) for key in job_keys}
    for keys in batched(views):
        for row in connection.execute(_SLOTS, {"keys": keys}):
            views[row.job_key].slots.append(
                SlotView(row.slot, SlotState(row.state), row.attempt_id, Closed(row.closed) if row.closed else None)
            )
        for row in connection.execute(_ATTEMPTS, {"keys": keys}):
            views[row.job_key].attempts.append(as_attempt(row._mapping))
        for picture in _pictures(connection.execute(_PICTURES_OF_JOBS, {"keys": keys})):
            views[picture.job_key].pictures.append(picture)
        if with_derived:
            for row in connection.execute(_DERIVED, {"keys": keys}):
                views[row.job_key].derived[row.attempt_id, row.ordinal, row.archive] = row.profile
    return views


def _pictures(rows: Iterable[Row[Any]]) -> list[Picture]:
    found: dict[tuple[str, int], Picture] = {}
    for row in rows:
        picture = found.get((row.attempt_id, row.ordinal))
        if picture is None:
            picture = found[row.attempt_id, row.ordinal] = Picture(
                attempt_id=row.attempt_id,
                ordinal=row.ordinal,
                job_key=row.job_key,
                slot=row.slot,
                url=row.url,
                expires_at=row.expires_at,
                state=row.state,
                sha256=row.sha256,
                width=row.width,
                height=row.height,
                bytes=row.bytes,
                mime_type=row.mime_type,
                warnings=tuple(json.loads(row.warnings)) if row.warnings else (),
                archived_at=row.archived_at,
                copies={},
            )
        if row.archive is not None:
            picture.copies[row.archive] = row.path
    return list(found.values())


def pictures_of(connection: Connection, attempt_id: str) -> list[Picture]:
    """The pictures of one attempt, as the gateway listed them."""
    return _pictures(connection.execute(_PICTURES_OF_ATTEMPT, {"of": attempt_id}))


def delivery_of(connection: Connection, attempt_id: str, row_key: str) -> Delivery:
    """What there is to be archived of an attempt for this row."""
    return Delivery(pictures_of(connection, attempt_id), is_first_of_case(connection, row_key))


def attempts_by_id(connection: Connection, attempt_ids: Sequence[str]) -> list[Attempt]:
    """These attempts, in the order of their intents."""
    found = [
        as_attempt(row._mapping)
        for ids in batched(attempt_ids)
        for row in connection.execute(_ATTEMPTS_BY_ID, {"ids": ids})
    ]
    return sorted(found, key=lambda each: each.attempt_id)


def live_ids(connection: Connection) -> list[str]:
    """Attempts whose end at the gateway or in the archive is still to come, oldest first."""
    query = (
        select(attempts.c.attempt_id)
        .where(attempts.c.state.in_([AttemptState.ACCEPTED, AttemptState.DELIVERED]))
        .order_by(attempts.c.attempt_id)
    )
    return list(connection.scalars(query))


def count_by_state(connection: Connection) -> dict[AttemptState, int]:
    """How many attempts are in each state."""
    counted = connection.execute(select(attempts.c.state, func.count().label("many")).group_by(attempts.c.state))
    return {AttemptState(row.state): row.many for row in counted}


def untold_unknown(connection: Connection) -> list[str]:
    """Attempts of unknown fate that no event has been sent about yet."""
    told = select(events.c.attempt_id).where(events.c.kind == TOLD_UNKNOWN)
    query = select(attempts.c.attempt_id).where(
        attempts.c.state == AttemptState.UNKNOWN, attempts.c.attempt_id.not_in(told)
    )
    return list(connection.scalars(query))


def list_attempts(
    connection: Connection, state: str | None = None, run_id: str | None = None
) -> Iterator[tuple[Attempt, str, str]]:
    """Attempts with their row key and shot, oldest first."""
    query: Select[Any] = (
        select(attempts, jobs.c.row_key, jobs.c.shot)
        .select_from(attempts.join(jobs, jobs.c.job_key == attempts.c.job_key))
        .order_by(attempts.c.attempt_id)
    )
    if state is not None:
        query = query.where(attempts.c.state == state)
    if run_id is not None:
        query = query.where(attempts.c.run_id == run_id)
    for row in connection.execute(query):
        yield as_attempt(row._mapping), row.row_key, row.shot


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job of some (row key, shot), as it stood when it was first bought."""

    job_key: str
    fingerprint: str
    decides: dict[str, Any]
    created_at: datetime


def known_jobs(connection: Connection, rows: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[KnownJob]]:
    """Every job the ledger knows for these (row key, shot), oldest first."""
    wanted = set(rows)
    found: dict[tuple[str, str], list[KnownJob]] = {}
    for keys in batched(dict.fromkeys(row_key for row_key, _ in rows)):
        for row in connection.execute(_JOBS_OF_ROWS, {"keys": keys}):
            name = (row.row_key, row.shot)
            if name in wanted:
                found.setdefault(name, []).append(
                    KnownJob(row.job_key, row.fingerprint, json.loads(row.decides), row.created_at)
                )
    return found


def job_names(connection: Connection, job_keys: Sequence[str]) -> dict[str, JobName]:
    """The names of bought jobs."""
    found = {}
    for keys in batched(dict.fromkeys(job_keys)):
        for row in connection.execute(_JOBS, {"keys": keys}):
            found[row.job_key] = JobName.from_ledger(row.row_key, row.shot, row.fingerprint, json.loads(row.decides))
    return found


def is_first_of_case(connection: Connection, row_key: str) -> bool:
    """False when a row whose key differs from this one in case alone was bought for before."""
    return bool(connection.scalar(_IS_FIRST_OF_CASE, {"row_key": row_key}))


def admissions_of(connection: Connection, run_id: str, job_keys: Sequence[str]) -> dict[str, Admission]:
    """What this run put off, by job."""
    found = {}
    for keys in batched(job_keys):
        for row in connection.execute(_ADMISSIONS, {"of": run_id, "keys": keys}):
            found[row.job_key] = Admission(row.reason, row.message, row.usd, row.cheapest_usd, bool(row.for_good))
    return found
