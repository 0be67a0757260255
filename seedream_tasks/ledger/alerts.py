"""What to notify about: purchases held back by a cap, and charges above their reservation."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, func, select

from ..core.money import ZERO
from ..core.states import Reason
from .schema import admissions, attempts, events, jobs

# Kind of the ledger event recorded once listeners were notified of this charge.
TOLD_DRIFT = "drift_told"
_MOST = 100


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Purchases a run did not make because a cap was reached."""

    jobs: int
    usd: Decimal  # forecast of it
    message: str  # of one of them: which cap, and what it holds


def held_back(connection: Connection, run_id: str) -> HeldBack | None:
    """What caps held back in a run; None when nothing."""
    of_run = (admissions.c.run_id == run_id) & (admissions.c.reason == Reason.OVER_CAP)
    count, usd, message = connection.execute(
        select(func.count(), func.sum(admissions.c.usd), func.min(admissions.c.message)).where(of_run)
    ).one()
    return HeldBack(count, usd or ZERO, message) if count else None


@dataclass(frozen=True, slots=True)
class Drift:
    """One attempt that was charged more than was reserved for it."""

    attempt_id: str
    run_id: str
    row_key: str
    shot: str
    gateway: str
    model: str
    reserved_usd: Decimal
    billed_usd: Decimal


def untold_drift(connection: Connection) -> list[Drift]:
    """Charges above their reservation that no event has been sent about yet, oldest first, at most a hundred."""
    told = select(events.c.attempt_id).where(events.c.kind == TOLD_DRIFT)
    query = (
        select(attempts, jobs.c.row_key, jobs.c.shot)
        .select_from(attempts.join(jobs, jobs.c.job_key == attempts.c.job_key))
        .where(attempts.c.billed_usd > attempts.c.reserved_usd, attempts.c.attempt_id.not_in(told))
        .order_by(attempts.c.attempt_id)
        .limit(_MOST)
    )
    return [
        Drift(
            row.attempt_id,
            row.run_id,
            row.row_key,
            row.shot,
            row.gateway,
            row.model,
            row.reserved_usd,
            row.billed_usd,
        )
        for row in connection.execute(query)
    ]
