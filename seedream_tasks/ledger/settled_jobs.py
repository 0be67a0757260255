"""Which jobs are complete: one query over very many jobs, at a few microseconds each.

A rerun of a large catalog consists mostly of such jobs. Everything here also follows from `queries.job_views`, which reads every
field of every attempt.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    any_,
    func,
    literal,
    select,
    type_coerce,
)

from ..core.states import LIVE, AttemptState, SlotState
from .queries import batched
from .schema import attempts, copies, images, slots

_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class File:
    """One archived image of a job that is at rest."""

    path: str  # below the archive's root
    bytes: int | None


def at_rest(connection: Connection, wanted: Mapping[str, int], archive: str | None) -> dict[str, list[File]]:
    """The jobs whose images are all archived, with their files; `wanted` gives the number of images by job_key.

    Such a job holds an image in each of its n slots and in no other, every image it ever got is archived, and no attempt at
    it is under way. `archive`: the root where the images must have a copy; None: anywhere, and no files are returned.
    """
    found: dict[str, list[File]] = {}
    for keys in batched(wanted, _AT_ONCE):
        held: dict[str, dict[int, str]] = {}
        query = select(slots.c.job_key, slots.c.slot, slots.c.attempt_id, slots.c.state).where(
            slots.c.job_key.in_(keys)
        )
        for job_key, slot, attempt_id, state in connection.execute(query):
            held.setdefault(job_key, {})[slot] = attempt_id if state == SlotState.FILLED else ""
        full = {key: by_slot for key, by_slot in held.items() if by_slot.keys() == set(range(wanted[key]))}
        live = select(attempts.c.job_key).where(
            _among(connection, attempts.c.job_key, full), attempts.c.state.in_(LIVE)
        )
        for job_key in connection.scalars(live):
            full.pop(job_key, None)
        found |= _with_files(connection, full, archive)
    return found


def _with_files(
    connection: Connection, held: Mapping[str, Mapping[int, str]], archive: str | None
) -> dict[str, list[File]]:
    """The jobs among these with exactly one archived image per slot, from the attempt that holds the slot."""
    here = and_(
        copies.c.attempt_id == images.c.attempt_id,
        copies.c.ordinal == images.c.ordinal,
        copies.c.archive == (archive or ""),
    )
    columns = (
        *(images.c.job_key, images.c.slot, images.c.attempt_id, images.c.state, images.c.bytes),
        copies.c.path,
    )
    query = (
        select(*columns).select_from(images.outerjoin(copies, here)).where(_among(connection, images.c.job_key, held))
    )
    files: dict[str, list[File]] = {key: [] for key in held}
    odd: set[str] = set()
    for job_key, slot, attempt_id, state, size, path in connection.execute(query):
        stands = state == "archived" and held[job_key].get(slot) == attempt_id
        if not stands or (archive is not None and path is None):
            odd.add(job_key)
        files[job_key].append(File(path or "", size))
    return {
        key: each if archive is not None else []
        for key, each in files.items()
        if key not in odd and len(each) == len(held[key])
    }


# An attempt's and its images' fields in a manifest; money in millionths of a dollar and time in microseconds since 1970, as
# stored: creating a Decimal or datetime for each costs more than reading it.
_NUMBERS = {
    *("cheapest_usd", "quoted_usd", "reserved_usd", "billed_usd", "at_risk_usd", "billed_credits"),
    *("submitted_at", "completed_at", "expires_at", "archived_at"),
}
_OF_ATTEMPT = (
    *("job_key", "attempt_id", "run_id", "state", "gateway", "model", "task_id", "route_reason", "cheapest_usd"),
    *("quoted_usd", "reserved_usd", "billed_usd", "at_risk_usd", "billed_credits", "cost_basis", "price_as_of"),
    *("submitted_at", "completed_at", "expires_at", "model_reported", "warnings"),
)
_OF_IMAGE = (*("job_key", "slot", "sha256", "width", "height", "bytes", "mime_type", "url", "warnings", "archived_at"),)

_NONE = "[]"


@dataclass(slots=True)
class Plain:
    """A job that is at rest after one attempt: the attempt, and its images by slot, as rows of the ledger."""

    attempt: Row[Any]
    images: list[Row[Any]]


def plain_jobs(connection: Connection, wanted: Mapping[str, int], archive: str) -> dict[str, Plain]:
    """Those of these jobs that are at rest in this archive and were bought in one attempt of which nothing is to be warned."""
    found: dict[str, Plain] = {}
    for keys in batched(at_rest(connection, wanted, archive), _AT_ONCE):
        here: dict[str, Plain] = {}
        several: set[str] = set()
        columns = [_raw(attempts.c[name]) for name in _OF_ATTEMPT]
        for row in connection.execute(select(*columns).where(_among(connection, attempts.c.job_key, keys))):
            if row.job_key in here or row.state != AttemptState.ARCHIVED or row.warnings != _NONE:
                several.add(row.job_key)
            here[row.job_key] = Plain(row, [])
        joined = and_(
            copies.c.attempt_id == images.c.attempt_id,
            copies.c.ordinal == images.c.ordinal,
            copies.c.archive == archive,
        )
        columns = [*(_raw(images.c[name]) for name in _OF_IMAGE), copies.c.path]
        query = (
            select(*columns)
            .select_from(images.outerjoin(copies, joined))
            .where(_among(connection, images.c.job_key, keys))
        )
        for row in connection.execute(query):
            if row.warnings not in (None, _NONE):
                several.add(row.job_key)
            here[row.job_key].images.append(row)
        for key, each in here.items():
            if key not in several:
                each.images.sort(key=lambda row: int(row.slot))
                found[key] = each
    return found


def _raw(column: Any) -> Any:
    return type_coerce(column, BigInteger).label(column.name) if column.name in _NUMBERS else column


def _among(connection: Connection, column: ColumnElement[str], keys: Iterable[str]) -> ColumnElement[bool]:
    """`column IN (keys)` with all keys as one parameter: thousands take longer to bind than to look up."""
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(keys), ARRAY(Text)))
    each = func.json_each(literal(json.dumps(list(keys)))).table_valued("value")
    return column.in_(select(each.c.value))
