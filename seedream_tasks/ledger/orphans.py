"""Images in an archive without a record of their purchase: they are paid for, so they are adopted and not bought again."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, func, insert, select, union, update

from ..core.money import ZERO
from ..core.slots import Purpose
from ..core.states import AttemptState, SlotState
from ..core.stored_images import Stored
from . import attempt_rows, budgets
from .claims import new_attempt_id
from .queries import batched
from .schema import attempts, copies, derived, images, jobs, runs, slots

_ROWS_AT_ONCE = 4096


def known_paths(connection: Connection, archive: str) -> Iterator[str]:
    """Every file that the ledger knows in this archive, streamed."""
    query = union(
        select(copies.c.path).where(copies.c.archive == archive),
        select(derived.c.path).where(derived.c.archive == archive),
    )
    yield from connection.scalars(query.execution_options(yield_per=_ROWS_AT_ONCE))


def newest_run(connection: Connection, archive: str) -> str | None:
    """The most recently started run of an archive."""
    query = select(runs.c.run_id).where(runs.c.archive == archive).order_by(runs.c.created_at.desc()).limit(1)
    return connection.scalar(query)


def unknown_among(connection: Connection, archive: str, paths: Iterable[str]) -> set[str]:
    """The files among these that the ledger does not know in this archive."""
    left = set(paths)
    for some in batched(sorted(left)):
        query = select(copies.c.path).where(copies.c.archive == archive, copies.c.path.in_(some))
        left.difference_update(connection.scalars(query))
    return left


def jobs_by_name(connection: Connection, fingerprints: Iterable[str]) -> Iterator[tuple[str, str, str, str, str]]:
    """The jobs whose fingerprints begin with these 8 digits: job key, row key, shot, fingerprint, what decides it."""
    for some in batched(sorted(set(fingerprints))):
        columns = jobs.c.job_key, jobs.c.row_key, jobs.c.shot, jobs.c.fingerprint, jobs.c.decides
        query = select(*columns).where(func.substr(jobs.c.fingerprint, 1, 8).in_(some))
        for row in connection.execute(query):
            yield row.job_key, row.row_key, row.shot, row.fingerprint, row.decides


def image(
    connection: Connection, run_id: str, job_key: str, model: str, slot: int, stored: Stored, usd: Decimal
) -> bool | None:
    """Assign the image found in the archive to a job's slot. Its cost is unknown: `usd` is at risk for it.

    An attempt that holds the slot without a task id is taken as its source; a free slot gets a new attempt. True: `usd` is
    added to what is at risk; None: the slot has an image, or a task that will deliver it, and nothing changes.
    """
    of_slot = (slots.c.job_key == job_key) & (slots.c.slot == slot)
    held = connection.execute(select(slots).where(of_slot).with_for_update()).one_or_none()
    if held is not None and held.state == SlotState.FILLED:
        return None
    if held is not None and held.state == SlotState.TAKEN:
        holder = connection.execute(select(attempts).where(attempts.c.attempt_id == held.attempt_id)).one()
        if holder.state != AttemptState.UNKNOWN:
            return None
        numbers = json.loads(holder.slots)
        _image(connection, holder.attempt_id, numbers.index(slot), job_key, slot, stored)
        connection.execute(update(slots).where(of_slot).values(state=SlotState.FILLED, closed=None))
        taken = (slots.c.job_key == job_key) & (slots.c.attempt_id == holder.attempt_id)
        if not connection.scalar(select(func.count()).where(taken, slots.c.state == SlotState.TAKEN)):
            mine = attempts.c.attempt_id == holder.attempt_id
            ended = {"state": AttemptState.ARCHIVED, "completed_at": datetime.now(UTC)}
            connection.execute(update(attempts).where(mine).values(**ended))
            budgets.move(connection, json.loads(holder.budgets), -holder.reserved_usd, holder.at_risk_usd)
        return False
    attempt_id = new_attempt_id()
    connection.execute(insert(attempts).values(**made_up(attempt_id, run_id, job_key, model, [slot], usd)))
    row = {"state": SlotState.FILLED, "closed": None, "attempt_id": attempt_id}
    if held is None:
        connection.execute(insert(slots).values(job_key=job_key, slot=slot, **row))
    else:
        connection.execute(update(slots).where(of_slot).values(**row))
    _image(connection, attempt_id, 0, job_key, slot, stored)
    attempt_rows.note(connection, "image_found", f"{stored.path} stood in {stored.archive}", attempt_id, run_id)
    return True


def made_up(
    attempt_id: str, run_id: str, job_key: str, model: str, numbers: Sequence[int], usd: Decimal
) -> dict[str, object]:
    """An attempt that was not recorded when it was made: only its possible cost is known."""
    now = datetime.now(UTC)
    return {
        "attempt_id": attempt_id,
        "job_key": job_key,
        "run_id": run_id,
        "slots": json.dumps(list(numbers)),
        "surplus": False,
        "purpose": Purpose.FIRST,
        "gateway": "",
        "model": model,
        "account": "@unknown",
        "state": AttemptState.ARCHIVED,
        "route_reason": "",
        "cheapest_usd": ZERO,
        "quoted_usd": usd,
        "reserved_usd": usd,
        "price_usd": ZERO,
        "price_highest_usd": ZERO,
        "price_as_of": now.date().isoformat(),
        "billed_usd": ZERO,
        "at_risk_usd": usd,
        "cost_basis": "none",
        "budgets": "[]",
        "lease_owner": "rebuilt",
        "lease_until": 0,
        "intent_at": now,
        "submitted_at": now,
        "completed_at": now,
        "not_found": 0,
    }


def _image(connection: Connection, attempt_id: str, ordinal: int, job_key: str, slot: int, stored: Stored) -> None:
    connection.execute(
        insert(images).values(
            attempt_id=attempt_id,
            ordinal=ordinal,
            job_key=job_key,
            slot=slot,
            url="",
            expires_at=datetime.now(UTC),  # no link is known
            state="archived",
            sha256=stored.sha256,
            width=stored.width,
            height=stored.height,
            bytes=stored.bytes,
            mime_type=stored.mime_type,
            warnings=json.dumps(stored.warnings),
            archived_at=datetime.now(UTC),
        )
    )
    copy = {"attempt_id": attempt_id, "ordinal": ordinal, "archive": stored.archive, "path": stored.path}
    connection.execute(insert(copies).values(**copy))
