"""The claim: slots, reservation and intent in one transaction, on disk before any request leaves."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, insert, select, update

from ..core.errors import SlotsTaken, UnknownAttempt
from ..core.jobs import Job, canonical_json
from ..core.money import ZERO
from ..core.pricing import PriceRow, quote
from ..core.slots import Purpose
from ..core.states import AttemptState, SlotState
from . import budgets, gateway_files
from .schema import attempts, jobs, slots
from .sql import DATABASE_NOW, database_now, insert_on_conflict
from .writer import LEASE_S

# With less than this share of a lease left its holder does not send: the process may be suspended between reading the clock and
# the first byte.
SENDING_MARGIN = 1 / 3

# Keeps counting while the machine sleeps (on macOS the monotonic clock does): a lease must not look fresh after a suspend.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_SLOTS = select(slots).where(slots.c.job_key == bindparam("of")).with_for_update()
_TAKE_FRESH = insert(slots)
_TAKE = (
    update(slots)
    .where(slots.c.job_key == bindparam("of"), slots.c.slot.in_(bindparam("numbers", expanding=True)))
    .values(state=SlotState.TAKEN, closed=None)
)
_INTEND = {
    name: insert(attempts).values(lease_until=now + bindparam("lease_us", type_=BigInteger()))
    for name, now in DATABASE_NOW.items()
}
_KNOW = insert_on_conflict(jobs, "(job_key) DO NOTHING")


def boot_time() -> float:
    """Seconds on a clock that includes time asleep."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one attempt is to buy."""

    job: Job
    slots: tuple[int, ...]
    seen: Mapping[int, str | None]  # per slot, the attempt that held it last when the decision was made
    purpose: Purpose
    run_id: str
    capped: bool  # whether the run has a cap of its own
    gateway: str
    account: str
    price: PriceRow
    cheapest: PriceRow
    route_reason: str
    callback_sha256: str | None = None
    warnings: tuple[str, ...] = ()  # how the references were presented
    uploads: tuple[str, ...] = ()  # keys of the uploads that the request links to


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one attempt's request. Recording never needs it."""

    attempt_id: str
    granted_at: float  # by `boot_time`, read before the transaction began
    lasts_s: float = LEASE_S
    # Written rows by table; empty if they were on disk already.
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict, compare=False)

    def allows_sending(self) -> bool:
        """Whether enough of the lease is left to begin sending now."""
        return boot_time() - self.granted_at < self.lasts_s * (1 - SENDING_MARGIN)


def new_attempt_id() -> str:
    """A unique, time-ordered id."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(5)}"


def claim(
    connection: Connection, owner: str, attempt_id: str, wanted: Claim, granted_at: float, lease_s: float = LEASE_S
) -> Lease:
    """Take the slots, hold the money, write the intent. Raises SlotsTaken, UploadGone or OverCap, before anything is written."""
    job_key = wanted.job.job_key
    held = {row.slot: row for row in connection.execute(_SLOTS, {"of": job_key}) if row.slot in wanted.slots}
    if held and all(row.attempt_id == attempt_id and row.state == SlotState.TAKEN for row in held.values()):
        return Lease(
            attempt_id, granted_at, lease_s
        )  # this claim is on disk already: the confirmation of its commit was lost
    for slot, row in held.items():
        reopened = row.state == SlotState.CLOSED and row.attempt_id == wanted.seen.get(slot)
        if row.state != SlotState.OPEN and not reopened:
            raise SlotsTaken(f"slot {slot} of {job_key} is {row.state}", job_key=job_key, slot=slot, state=row.state)
    now = datetime.now(UTC)
    gateway_files.hold(connection, wanted.uploads)
    quoted = quote(wanted.price, len(wanted.slots))
    keys = budgets.budgets_for(connection, wanted.run_id, wanted.capped, wanted.gateway, now)
    budgets.reserve(connection, keys, quoted.reserved_usd)

    gateway_files.used(connection, wanted.uploads, now)
    job_row = _job_row(wanted.job, wanted.run_id, now)
    connection.execute(_KNOW, job_row)
    rows = [
        {"job_key": job_key, "slot": slot, "state": SlotState.TAKEN, "closed": None, "attempt_id": attempt_id}
        for slot in wanted.slots
    ]
    fresh = [row for row in rows if row["slot"] not in held]
    if fresh:
        # A plain insert: if another process takes the same new slot now, one of the two fails and checks again.
        connection.execute(_TAKE_FRESH, fresh)
    if held:
        connection.execute(_TAKE, {"of": job_key, "numbers": list(held), "attempt_id": attempt_id})
    attempt = {
        "attempt_id": attempt_id,
        "job_key": job_key,
        "run_id": wanted.run_id,
        "slots": json.dumps(wanted.slots),
        "surplus": False,
        "purpose": wanted.purpose,
        "gateway": wanted.gateway,
        "model": wanted.job.model,
        "account": wanted.account,
        "state": AttemptState.INTENT,
        "route_reason": wanted.route_reason,
        "cheapest_usd": quote(wanted.cheapest, len(wanted.slots)).usd,
        "quoted_usd": quoted.usd,
        "reserved_usd": quoted.reserved_usd,
        "price_usd": wanted.price.usd,
        "price_credits": wanted.price.credits,
        "price_highest_usd": wanted.price.highest_usd,
        "price_as_of": wanted.price.as_of.isoformat(),
        "billed_usd": ZERO,
        "at_risk_usd": ZERO,
        "cost_basis": "none",
        "budgets": json.dumps(keys),
        "lease_owner": owner,
        "intent_at": now,
        "not_found": 0,
        "callback_sha256": wanted.callback_sha256,
        "warnings": json.dumps(wanted.warnings),
        "uploads": json.dumps(wanted.uploads),
    }
    connection.execute(_INTEND[connection.dialect.name], {**attempt, "lease_us": int(lease_s * 1_000_000)})
    written = {"jobs": [job_row], "attempts": [attempt], "slots": rows, "pictures": []}
    return Lease(attempt_id, granted_at, lease_s, written)


def know_job(connection: Connection, job: Job, run_id: str, now: datetime) -> bool:
    """Record a job by its key; False when it is known already."""
    return connection.execute(_KNOW, _job_row(job, run_id, now)).rowcount > 0


def _job_row(job: Job, run_id: str, now: datetime) -> dict[str, Any]:
    return {
        "job_key": job.job_key,
        "row_key": job.row_key,
        "shot": job.shot,
        "fingerprint": job.fingerprint,
        "decides": canonical_json(job.decides()).decode(),
        "first_run_id": run_id,
        "created_at": now,
    }


def renew_leases(connection: Connection, owner: str, attempt_ids: list[str], lease_s: float = LEASE_S) -> None:
    """Renew the leases of open calls: a call still waiting for its answer is not unknown yet. Raises UnknownAttempt."""
    if attempt_ids:
        renewed = connection.execute(
            update(attempts)
            .where(
                attempts.c.attempt_id.in_(attempt_ids),
                attempts.c.lease_owner == owner,
                attempts.c.state == AttemptState.INTENT,
            )
            .values(lease_until=database_now(connection) + int(lease_s * 1_000_000))
        )
        if renewed.rowcount < len(attempt_ids):
            there = set(connection.scalars(select(attempts.c.attempt_id).where(attempts.c.attempt_id.in_(attempt_ids))))
            for attempt_id in attempt_ids:
                if attempt_id not in there:
                    message = f"the ledger knows no attempt {attempt_id}, whose call is open"
                    raise UnknownAttempt(message, attempt_id=attempt_id, state=None)
