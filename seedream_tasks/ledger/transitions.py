"""The records of an attempt after its intent: each function runs in one transaction.

Every record is idempotent: a commit whose confirmation was lost is simply repeated.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, insert, select, update

from ..core.capabilities import Billing
from ..core.errors import AttemptMoved, UnknownAttempt
from ..core.market import market
from ..core.money import ZERO
from ..core.outcomes import ErrorClass, ErrorInfo, Finished, SlotFate, SubmitOutcome
from ..core.pricing import NOTHING_BILLED, Bill, settle
from ..core.states import AttemptState, Closed, SlotState
from .attempt_rows import (
    FIND_AND_CASE,
    Recorded,
    advance,
    check_follows,
    error_values,
    find,
    leave_slots,
    note,
)
from .schema import attempts, images, slots
from .sql import database_now, has_ended
from .values import Delivery, ImageRecord, as_attempt
from .writer import LEASE_S

_NO_IMAGES = "no_images"
_NOT_FOUND_APART = timedelta(minutes=5)


_HOLDER_OF_TASK = select(attempts.c.attempt_id).where(
    attempts.c.account == bindparam("at"), attempts.c.task_id == bindparam("task")
)
_other = attempts.alias()
# The usual end of a claim, in one statement: it is still open, and no other attempt has that task.
_ACCEPT = (
    update(attempts)
    .where(
        attempts.c.attempt_id == bindparam("of"),
        attempts.c.state == AttemptState.INTENT,
        ~exists().where(_other.c.account == attempts.c.account, _other.c.task_id == bindparam("task")),
    )
    .values(
        state=AttemptState.ACCEPTED,
        task_id=bindparam("task"),
        submitted_at=func.coalesce(attempts.c.submitted_at, bindparam("at", type_=attempts.c.submitted_at.type)),
    )
    .returning(attempts)
)
_DELIVER = insert(images)


def not_sent(connection: Connection, attempt_id: str, error: ErrorInfo | None) -> Recorded:
    """Provably not accepted: slots and reservation are released. Its holder may write this over `unknown`."""
    row = find(connection, attempt_id)
    if row.state == AttemptState.NOT_SENT:
        return Recorded(as_attempt(row._mapping))
    moved = advance(connection, row, AttemptState.NOT_SENT, at_risk_usd=ZERO, **error_values(error))
    leave_slots(connection, attempt_id, row.job_key, SlotState.OPEN, None)
    return Recorded(moved)


def refused(connection: Connection, attempt_id: str, error: ErrorInfo, fate: SlotFate) -> Recorded:
    """Refused at submit by the gateway itself: certainly unbilled."""
    row = find(connection, attempt_id)
    if row.state == AttemptState.FAILED:
        return Recorded(as_attempt(row._mapping))
    moved = advance(
        connection,
        row,
        AttemptState.FAILED,
        submitted_at=row.intent_at,
        completed_at=datetime.now(UTC),
        at_risk_usd=ZERO,
        **error_values(error),
    )
    leave_slots(connection, attempt_id, row.job_key, fate.state, fate.closed)
    return Recorded(moved)


def unknown(connection: Connection, attempt_id: str, error: ErrorInfo | None) -> Recorded:
    """Sent, without proof either way: the slots stay taken and the reservation is at risk."""
    row = find(connection, attempt_id)
    if row.state != AttemptState.INTENT:
        return Recorded(as_attempt(row._mapping))
    moved = advance(
        connection,
        row,
        AttemptState.UNKNOWN,
        submitted_at=row.submitted_at or row.intent_at,
        at_risk_usd=row.reserved_usd,
        **error_values(error),
    )
    note(connection, "attempt_unknown", error.message if error else "the lease ended", attempt_id, row.run_id)
    return Recorded(moved)


def overdue_intents(connection: Connection) -> list[str]:
    """Turn every intent whose lease ended without renewal into `unknown`; returns their ids."""
    ended = has_ended(attempts.c.lease_until, database_now(connection), LEASE_S)
    ids = list(connection.scalars(select(attempts.c.attempt_id).where(attempts.c.state == AttemptState.INTENT, ended)))
    for attempt_id in ids:
        unknown(connection, attempt_id, None)
    return ids


def accepted(
    connection: Connection, attempt_id: str, task_id: str, estimate_s: float | None, model: str | None
) -> Recorded:
    """The gateway gave a task id. Anyone holding it may write this, over `unknown` and `not_sent` too."""
    told = {"estimate_s": estimate_s, "model_reported": model}
    usual = {"of": attempt_id, "task": task_id, "at": datetime.now(UTC), **told}
    row = connection.execute(_ACCEPT, usual).one_or_none()
    if row is not None:
        return Recorded(as_attempt(row._mapping))
    row = find(connection, attempt_id)
    if row.task_id == task_id:
        return Recorded(as_attempt(row._mapping))
    check_follows(row, AttemptState.ACCEPTED)
    _check_task(connection, row, task_id)
    moved = advance(
        connection,
        row,
        AttemptState.ACCEPTED,
        task_id=task_id,
        surplus=_take_back(connection, row),
        submitted_at=row.submitted_at or datetime.now(UTC),
        at_risk_usd=ZERO,
        error_code=None,
        error_class=None,
        error_message=None,
        **told,
    )
    return Recorded(moved)


def answered(connection: Connection, attempt_id: str, answer: SubmitOutcome, expires_at: datetime | None) -> Recorded:
    """An acceptance as it came: a task id, or a synchronous gateway's images. Accepted in any state of its attempt."""
    task_id = answer.task_id or ""
    try:
        if answer.finished is None:
            return accepted(connection, attempt_id, task_id, answer.estimate_s, answer.model)
        return delivered(connection, attempt_id, answer.finished, expires_at, task_id)
    except UnknownAttempt:
        raise
    except AttemptMoved as moved:
        # One task for two submissions, or two tasks for one: which is billed is unknown. The id stays on record.
        note(connection, "acceptance_refused", f"task {task_id}: {moved.message}", attempt_id)
        return unknown(connection, attempt_id, ErrorInfo("unknown", moved.message, ErrorClass.TRANSIENT))


def _check_task(connection: Connection, row: Row[Any], task_id: str) -> None:
    """A task belongs to one attempt of its account. A synchronous gateway may deliver images without any id."""
    if not task_id:
        return
    other = connection.scalar(_HOLDER_OF_TASK, {"at": row.account, "task": task_id})
    if other is not None and other != row.attempt_id:
        raise AttemptMoved(
            f"task {task_id} belongs to attempt {other} already", attempt_id=row.attempt_id, state=row.state
        )


def _check_accepted(row: Row[Any]) -> None:
    """A task that ends was accepted: a ledger without its id is an older copy."""
    if row.task_id is None:
        raise UnknownAttempt(
            f"the ledger does not know that attempt {row.attempt_id} was accepted",
            attempt_id=row.attempt_id,
            state=row.state,
        )


def _take_back(connection: Connection, row: Row[Any]) -> bool:
    """Take back the attempt's released slots; True when another attempt has them now."""
    if row.state == AttemptState.INTENT:
        return bool(row.surplus)  # an open claim never released them; a rewritten one may be too late
    numbers = json.loads(row.slots)
    held = connection.execute(
        select(slots).where(slots.c.job_key == row.job_key, slots.c.slot.in_(numbers)).with_for_update()
    ).all()
    mine = [
        each.slot
        for each in held
        if each.state == SlotState.OPEN or (each.attempt_id == row.attempt_id and each.state != SlotState.FILLED)
    ]
    if len(mine) == len(numbers):
        connection.execute(
            update(slots)
            .where(slots.c.job_key == row.job_key, slots.c.slot.in_(mine))
            .values(state=SlotState.TAKEN, closed=None, attempt_id=row.attempt_id)
        )
        return False
    # Paid for without slots: those it still has are released, its images are kept aside.
    leave_slots(connection, row.attempt_id, row.job_key, SlotState.OPEN, None)
    note(connection, "attempt_surplus", "its slots were bought meanwhile", row.attempt_id, row.run_id)
    return True


def delivered(
    connection: Connection, attempt_id: str, finished: Finished, expires_at: datetime | None, task_id: str | None = None
) -> Recorded:
    """Links are known and the bill is settled, in one record. `task_id` is set for a synchronous gateway, which goes from
    intent to here. No links at all end the attempt as `failed`, `no_images`.
    """
    row = find(connection, attempt_id, FIND_AND_CASE)
    state = AttemptState(row.state)
    if state in (AttemptState.DELIVERED, AttemptState.ARCHIVED) or row.error_code == _NO_IMAGES:
        return Recorded(as_attempt(row._mapping))
    to = AttemptState.DELIVERED if finished.links else AttemptState.FAILED
    if task_id is None:
        _check_accepted(row)
    check_follows(row, to)
    surplus = bool(row.surplus)
    if task_id is not None:
        _check_task(connection, row, task_id)
        surplus = _take_back(connection, row)
    bill = settle(
        row.price_usd,
        row.price_credits,
        row.price_highest_usd,
        len(finished.links),
        finished.usd,
        finished.credits,
        finished.unitless,
        market().credits_settle(row.gateway, row.model),
    )
    values = _bill(bill)
    offer = market().by_offer.get((row.gateway, row.model))
    documented = offer.failed_task_billed.value if offer else Billing.UNKNOWN
    if not finished.links and bill.basis == "none" and documented is Billing.UNKNOWN:
        values["at_risk_usd"] = row.reserved_usd  # nothing was made, and whether that is free is not stated
    now = datetime.now(UTC)
    numbers = json.loads(row.slots)
    moved = advance(
        connection,
        row,
        to,
        task_id=task_id or row.task_id,
        surplus=surplus,
        submitted_at=row.submitted_at or now,
        completed_at=now,
        expires_at=expires_at,
        model_reported=finished.model or row.model_reported,
        error_code=None if finished.links else _NO_IMAGES,
        error_class=None,
        error_message=None if finished.links else "the gateway finished without an image",
        **values,
    )
    made = [
        {
            "attempt_id": attempt_id,
            "ordinal": ordinal,
            "job_key": row.job_key,
            "slot": numbers[ordinal] if not surplus and ordinal < len(numbers) else None,
            "url": link.url,
            "expires_at": link.expires_at or expires_at,
            "state": "delivered",
        }
        for ordinal, link in enumerate(finished.links)
    ]
    if made:
        connection.execute(_DELIVER, made)
    missing = numbers[len(finished.links) :]
    if missing:
        leave_slots(connection, attempt_id, row.job_key, SlotState.CLOSED, Closed.FEWER, missing)
    delivery = Delivery([ImageRecord(**each) for each in made], bool(row.first_of_case))
    return Recorded(moved, max(ZERO, bill.billed_usd - row.reserved_usd), delivery)


def _bill(bill: Bill) -> dict[str, Any]:
    return {
        "billed_usd": bill.billed_usd,
        "at_risk_usd": bill.at_risk_usd,
        "billed_credits": bill.credits,
        "cost_basis": bill.basis,
    }


def failed(
    connection: Connection,
    attempt_id: str,
    to: AttemptState,
    error: ErrorInfo,
    fate: SlotFate,
    charge: Finished | None = None,
) -> Recorded:
    """A task that failed or was cancelled at the gateway; `charge`: its reported cost, if any."""
    row = find(connection, attempt_id)
    if row.state == to:
        return Recorded(as_attempt(row._mapping))
    _check_accepted(row)
    bill = NOTHING_BILLED
    if charge is not None:
        bill = settle(
            row.price_usd,
            row.price_credits,
            row.price_highest_usd,
            0,
            charge.usd,
            charge.credits,
            settled_by_credits=market().credits_settle(row.gateway, row.model),
        )
    values = _bill(bill)
    if fate.billing_unknown:
        values["at_risk_usd"] = row.reserved_usd
    moved = advance(connection, row, to, completed_at=datetime.now(UTC), **values, **error_values(error))
    leave_slots(connection, attempt_id, row.job_key, fate.state, fate.closed)
    return Recorded(moved, max(ZERO, bill.billed_usd - row.reserved_usd))


def lost(connection: Connection, attempt_id: str, why: str) -> Recorded:
    """Given up, possibly paid for. The reservation stays at risk."""
    row = find(connection, attempt_id)
    if row.state == AttemptState.LOST:
        return Recorded(as_attempt(row._mapping))
    moved = advance(
        connection,
        row,
        AttemptState.LOST,
        at_risk_usd=row.reserved_usd,
        completed_at=datetime.now(UTC),
        error_code="lost",
        error_message=why,
    )
    leave_slots(connection, attempt_id, row.job_key, SlotState.CLOSED, Closed.LOST)
    note(connection, "attempt_lost", why, attempt_id, row.run_id)
    return Recorded(moved)


def poll_later(connection: Connection, attempt_id: str, at: datetime) -> None:
    """Outside a run, this attempt is not polled before then."""
    connection.execute(update(attempts).where(attempts.c.attempt_id == attempt_id).values(next_look_at=at))


def not_found(connection: Connection, attempt_id: str, seen_again: bool = False) -> int:
    """Count an own 404 (or, with `seen_again`, forget them); returns how many in a row, each five minutes after the last.

    Those in between are ignored, so a clock jump adds at most one and cannot end a task alone.
    """
    row, now = find(connection, attempt_id), datetime.now(UTC)
    count = 0 if seen_again else row.not_found + 1
    if not seen_again and row.not_found:
        passed = now - row.not_found_since
        if timedelta(0) <= passed < _NOT_FOUND_APART:
            return int(row.not_found)
        if passed < timedelta(0):
            count = row.not_found  # the clock was set back: the five minutes start again
    connection.execute(
        update(attempts)
        .where(attempts.c.attempt_id == attempt_id)
        .values(not_found=count, not_found_since=now if count else None)
    )
    return int(count)
