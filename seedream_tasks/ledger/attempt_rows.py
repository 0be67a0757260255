"""Finding, locking and advancing an attempt's row: common to all transitions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from ..core.errors import AttemptMoved, UnknownAttempt
from ..core.money import ZERO
from ..core.outcomes import ErrorInfo
from ..core.states import FOLLOWS, AttemptState, Closed, SlotState
from . import budgets
from .queries import IS_FIRST_OF_CASE
from .schema import attempts, events, slots
from .values import Attempt, Delivery, as_attempt


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of a record."""

    attempt: Attempt  # after the record
    drift_usd: Decimal = ZERO  # charged above the reservation
    delivery: Delivery | None = None  # its images, if this record made them known

    @property
    def state(self) -> AttemptState:
        """The attempt's state now."""
        return self.attempt.state


_FIND = select(attempts).where(attempts.c.attempt_id == bindparam("of")).with_for_update()


FIND_AND_CASE = (
    select(attempts, IS_FIRST_OF_CASE).where(attempts.c.attempt_id == bindparam("of")).with_for_update(of=attempts)
)


_UPDATE = update(attempts).where(attempts.c.attempt_id == bindparam("of"))


def find(connection: Connection, attempt_id: str, query: Select[Any] = _FIND) -> Row[Any]:
    row = connection.execute(query, {"of": attempt_id}).one_or_none()
    if row is None:
        raise UnknownAttempt(f"the ledger knows no attempt {attempt_id}", attempt_id=attempt_id, state=None)
    return row


def exists_here(connection: Connection, attempt_id: str) -> bool:
    """Whether the ledger has this attempt."""
    return connection.execute(_FIND, {"of": attempt_id}).one_or_none() is not None


def held_by(state: str, reserved: Decimal, billed: Decimal, at_risk: Decimal) -> tuple[Decimal, Decimal]:
    """What an attempt holds in its budgets: reserved, and settled."""
    if state == AttemptState.NOT_SENT:
        return ZERO, ZERO
    return (reserved, ZERO) if state in UNSETTLED else (ZERO, billed + at_risk)


def check_follows(row: Row[Any], to: AttemptState) -> None:
    """Raise AttemptMoved where `to` may not follow. A delivered attempt ends only through its images."""
    if to not in FOLLOWS[AttemptState(row.state)] or row.state == AttemptState.DELIVERED:
        raise AttemptMoved(
            f"attempt {row.attempt_id} is {row.state} and cannot become {to}",
            attempt_id=row.attempt_id,
            state=row.state,
        )


def advance(connection: Connection, row: Row[Any], to: AttemptState, **values: Any) -> Attempt:
    """Move an attempt, and its money, to an allowed next state; returns the updated attempt."""
    check_follows(row, to)
    reserved, billed, at_risk = row.reserved_usd, row.billed_usd, row.at_risk_usd
    before = held_by(row.state, reserved, billed, at_risk)
    after = held_by(to, reserved, values.get("billed_usd", billed), values.get("at_risk_usd", at_risk))
    values["state"] = to
    connection.execute(_UPDATE, {"of": row.attempt_id, **values})
    budgets.move(connection, json.loads(row.budgets), after[0] - before[0], after[1] - before[1])
    return as_attempt({**row._mapping, **values})


def leave_slots(
    connection: Connection,
    attempt_id: str,
    job_key: str,
    state: SlotState,
    closed: Closed | None,
    only: Sequence[int] | None = None,
) -> None:
    """Change only the slots this attempt holds."""
    held = (slots.c.job_key == job_key) & (slots.c.attempt_id == attempt_id) & (slots.c.state == SlotState.TAKEN)
    if only is not None:
        held &= slots.c.slot.in_(only)
    connection.execute(update(slots).where(held).values(state=state, closed=closed))


def error_values(error: ErrorInfo | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"error_code": error.code, "error_class": error.kind, "error_message": error.message[:2000]}


def note(
    connection: Connection, kind: str, detail: str, attempt_id: str | None = None, run_id: str | None = None
) -> None:
    """Record an event: what happened, when, to which attempt."""
    connection.execute(
        insert(events).values(at=datetime.now(UTC), kind=kind, attempt_id=attempt_id, run_id=run_id, detail=detail)
    )


# While an attempt is in one of these its reservation is held; in any other its bill and its risk are.
UNSETTLED = frozenset({AttemptState.INTENT, AttemptState.ACCEPTED, AttemptState.UNKNOWN})
