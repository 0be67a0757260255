"""Reading the ledger: attempts, slots and images of many jobs at once, as frozen values."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
    func,
    select,
    true,
)

from ..core.jobs import JobName
from ..core.slots import SlotView
from ..core.states import AttemptState, Closed, SlotState
from .admissions import Admission
from .schema import (
    admissions,
    attempts,
    copies,
    derived,
    events,
    images,
    jobs,
    slots,
)
from .values import Attempt, Delivery, ImageRecord, JobView, as_attempt

T = TypeVar("T")
# Well below the 999 parameters that old SQLite builds allow.
_KEYS_PER_QUERY = 400
# Kind of the ledger event recorded once listeners were notified of this unknown attempt.
TOLD_UNKNOWN = "unknown_told"


def _with_copies(where: ColumnElement[bool]) -> Select[Any]:
    joined = and_(copies.c.attempt_id == images.c.attempt_id, copies.c.ordinal == images.c.ordinal)
    return (
        select(images, copies.c.archive, copies.c.path)
        .select_from(images.outerjoin(copies, joined))
        .where(where)
        .order_by(images.c.attempt_id, images.c.ordinal)
    )


_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_SLOTS = select(slots).where(slots.c.job_key.in_(_KEYS)).order_by(slots.c.slot)
_ATTEMPTS = select(attempts).where(attempts.c.job_key.in_(_KEYS)).order_by(attempts.c.attempt_id)
_ATTEMPTS_BY_ID = select(attempts).where(attempts.c.attempt_id.in_(bindparam("ids", expanding=True)))
_IMAGES_OF_JOBS = _with_copies(images.c.job_key.in_(_KEYS))
_IMAGES_OF_ATTEMPT = _with_copies(images.c.attempt_id == bindparam("of"))
_DERIVED = (
    select(images.c.job_key, derived)
    .select_from(
        derived.join(images, and_(derived.c.attempt_id == images.c.attempt_id, derived.c.ordinal == images.c.ordinal))
    )
    .where(images.c.job_key.in_(_KEYS))
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
# A column for a query of attempts: cheaper than a separate query.
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
    """Slots, attempts and images of these jobs; unknown jobs have empty views."""
    views = {key: JobView(key) for key in job_keys}
    for keys in batched(views):
        for row in connection.execute(_SLOTS, {"keys": keys}):
            views[row.job_key].slots.append(
                SlotView(row.slot, SlotState(row.state), row.attempt_id, Closed(row.closed) if row.closed else None)
            )
        for row in connection.execute(_ATTEMPTS, {"keys": keys}):
            views[row.job_key].attempts.append(as_attempt(row._mapping))
        for image in _images(connection.execute(_IMAGES_OF_JOBS, {"keys": keys})):
            views[image.job_key].images.append(image)
        if with_derived:
            for row in connection.execute(_DERIVED, {"keys": keys}):
                views[row.job_key].derived[row.attempt_id, row.ordinal, row.archive] = row.profile
    return views


def _images(rows: Iterable[Row[Any]]) -> list[ImageRecord]:
    found: dict[tuple[str, int], ImageRecord] = {}
    for row in rows:
        image = found.get((row.attempt_id, row.ordinal))
        if image is None:
            image = found[row.attempt_id, row.ordinal] = ImageRecord(
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
            image.copies[row.archive] = row.path
    return list(found.values())


def images_of(connection: Connection, attempt_id: str) -> list[ImageRecord]:
    """The images of one attempt, as the gateway listed them."""
    return _images(connection.execute(_IMAGES_OF_ATTEMPT, {"of": attempt_id}))


def delivery_of(connection: Connection, attempt_id: str, row_key: str) -> Delivery:
    """What is to be archived from an attempt."""
    return Delivery(images_of(connection, attempt_id), is_first_of_case(connection, row_key))


def attempts_by_id(connection: Connection, attempt_ids: Sequence[str]) -> list[Attempt]:
    """These attempts, in the order of their intents."""
    found = [
        as_attempt(row._mapping)
        for ids in batched(attempt_ids)
        for row in connection.execute(_ATTEMPTS_BY_ID, {"ids": ids})
    ]
    return sorted(found, key=lambda each: each.attempt_id)


def live_ids(connection: Connection) -> list[str]:
    """Attempts that are not finished at the gateway or not archived yet, oldest first."""
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


def unknown_to_notify(connection: Connection) -> list[str]:
    """Attempts with an unknown outcome that no event has been sent about yet."""
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
    """False when a row whose key differs from this one only in case was bought before."""
    return bool(connection.scalar(_IS_FIRST_OF_CASE, {"row_key": row_key}))


def admissions_of(connection: Connection, run_id: str, job_keys: Sequence[str]) -> dict[str, Admission]:
    """What this run deferred, by job."""
    found = {}
    for keys in batched(job_keys):
        for row in connection.execute(_ADMISSIONS, {"of": run_id, "keys": keys}):
            found[row.job_key] = Admission(row.reason, row.message, row.usd, row.cheapest_usd, bool(row.for_good))
    return found
