"""Writes what an archive proves into a ledger; only adds.

What the files prove is recorded. What they leave open errs on the safe side: a job that may have been paid for is `unknown`
and its slots are taken, so that nothing is bought twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from ..core.jobs import Job
from ..core.market import market
from ..core.money import ZERO, money
from ..core.preflight import images_per_call
from ..core.slots import Purpose, split
from ..core.states import AttemptState, Closed, SlotState
from ..ledger.claims import know_job, new_attempt_id
from ..ledger.schema import attempts, copies, images, runs, slots
from ..runs.archive_contents import Remains, by_job, doubts
from ..storage.archive import Archive
from .catch_up import catch_up

# What a record without an image says about its last attempt and its slots.
_ENDS: dict[str, tuple[AttemptState, SlotState, Closed | None]] = {
    "unknown": (AttemptState.UNKNOWN, SlotState.TAKEN, None),
    "in_flight": (AttemptState.ACCEPTED, SlotState.TAKEN, None),
    "expired": (AttemptState.EXPIRED, SlotState.CLOSED, Closed.EXPIRED),
    "lost": (AttemptState.LOST, SlotState.CLOSED, Closed.LOST),
    "cancelled": (AttemptState.CANCELLED, SlotState.CLOSED, Closed.REFUSED),
    "failed": (AttemptState.FAILED, SlotState.CLOSED, Closed.BILLED),
    "deferred": (AttemptState.FAILED, SlotState.OPEN, None),
}
_GOES_ON = frozenset({"partial", "in_flight"})


@dataclass
class Rebuilt:
    """What was restored, or added to an existing ledger."""

    runs: int = 0
    jobs: int = 0
    attempts: int = 0
    images: int = 0
    unknown: int = 0  # jobs that may have been paid for, of runs without a (complete) manifest
    unknown_usd: Decimal = ZERO
    found: int = 0  # images known only by their names: their cost is unknown
    found_usd: Decimal = ZERO  # at risk for them, beyond `unknown_usd`

    @property
    def nothing(self) -> bool:
        """Whether everything was already known."""
        return self == Rebuilt()


def restore_run(connection: Connection, run: Remains, simulated: bool, done: Rebuilt) -> None:
    """Record what a run left: its attempts and images, and as unknown whatever else it may have bought."""
    now = datetime.now(UTC)
    mark = run.mark.number if run.mark is not None and run.mark.ledger_id is not None else None
    if connection.scalar(select(runs.c.run_id).where(runs.c.run_id == run.run_id)) is None:
        done.runs += 1
        connection.execute(
            insert(runs).values(
                run_id=run.run_id,
                created_at=run.began or now,
                finished_at=now if run.complete else None,
                alive_until=0,
                archive=run.archive.name,
                catalog_uri=run.stated.get("catalog_uri", ""),
                simulated=simulated,
                max_usd=None,
                marked=mark,
            )
        )
    else:
        connection.execute(update(runs).where(runs.c.run_id == run.run_id).values(marked=mark))
    wanted = run.jobs()
    for _, jobs in wanted.values():
        for job in jobs:
            done.jobs += know_job(connection, job, run.run_id, now)
    for record in run.records or ():
        if record["job_key"] in wanted:
            for job, part in by_job(record, wanted[record["job_key"]][1]):
                accepted, archived = catch_up(connection, run, job, part)
                done.attempts += accepted
                done.images += archived
                _take_over(connection, run, job, part, now, done)
    if not run.complete:
        for row, jobs in wanted.values():
            for part in doubts(row, jobs):
                _doubt(connection, run.run_id, part, now, done)


def _attempt(connection: Connection, run_id: str, record: Mapping[str, Any], now: datetime, **values: Any) -> None:
    given = {
        "job_key": record["job_key"],
        "run_id": run_id,
        "surplus": False,
        "purpose": Purpose.FIRST,
        "gateway": record["gateway"] or "",
        "model": record["model"],
        "account": f"{record['gateway'] or ''}@unknown",
        "route_reason": record.get("route_reason") or "",
        "cheapest_usd": ZERO,
        "quoted_usd": ZERO,
        "reserved_usd": ZERO,
        "price_usd": ZERO,
        "price_highest_usd": ZERO,
        "price_as_of": (record.get("price_as_of") or now.date()).isoformat(),
        "billed_usd": ZERO,
        "at_risk_usd": ZERO,
        "cost_basis": record.get("cost_basis") or "none",
        "budgets": "[]",
        "lease_owner": "rebuilt",
        "lease_until": 0,
        "intent_at": record.get("submitted_at") or now,
        "submitted_at": record.get("submitted_at"),
        "completed_at": record.get("completed_at"),
        "model_reported": record.get("model_reported"),
        "not_found": 0,
    }
    connection.execute(insert(attempts).values(**(given | values)))


def _take_over(
    connection: Connection,
    run: Remains,
    job: Job,
    record: Mapping[str, Any],
    now: datetime,
    done: Rebuilt,
) -> None:
    """Record one manifest record: the attempts it names for the first time, its images, the states of its other slots."""
    of_job = attempts.c.job_key == job.job_key
    known = set(connection.scalars(select(attempts.c.attempt_id).where(of_job)))
    new = [pair for pair in zip(record["attempt_ids"], record["task_ids"], strict=True) if pair[0] not in known]
    if not new:
        return
    images = [] if record["stale"] else record["images"]
    by_attempt: dict[str, list[Mapping[str, Any]]] = {}
    for image in images:
        by_attempt.setdefault(image["attempt_id"], []).append(image)
    # While some of the record is in flight, a slot that an attempt known before holds is settled by that one.
    elsewhere = {SlotState.FILLED, *([SlotState.TAKEN] if record["status"] in _GOES_ON else [])}
    filled = {slot for slot, state in _slots_of(connection, job.job_key).items() if state in elsewhere}
    rest = [slot for slot in record["slots"] if slot not in filled and slot not in {each["slot"] for each in images}]
    shares = _shares(job, record, rest, [attempt_id for attempt_id, _ in new if attempt_id not in by_attempt])
    last = new[-1][0]
    # The record has one bill for all attempts of its run; it goes to the first that made images, so that the sum stays.
    payer = next((attempt_id for attempt_id, _ in new if attempt_id in by_attempt), last)
    covered = {attempt_id: [each["slot"] for each in by_attempt.get(attempt_id, [])] for attempt_id, _ in new}
    for attempt_id, share in (shares or {last: rest}).items():
        covered[attempt_id] += share
    # Each was quoted for what it was to make; one that has no slot any more, for what its successor makes.
    a_call = max(map(len, shares.values()), default=1)
    images_quoted = {attempt_id: len(covers) or a_call for attempt_id, covers in covered.items()}
    per_image = record["quoted_usd"] / sum(images_quoted.values())
    # It says what is at risk for the row, whichever run reserved it: some of that may stand with earlier attempts already.
    at_risk_before = connection.scalar(select(func.sum(attempts.c.at_risk_usd)).where(of_job)) or ZERO
    for attempt_id, task_id in new:
        mine, covers = by_attempt.get(attempt_id, []), covered[attempt_id]
        end = (AttemptState.ARCHIVED, SlotState.CLOSED, Closed.FEWER) if mine else _end_of(record, task_id)
        quoted = money(per_image * images_quoted[attempt_id])
        at_risk = max(ZERO, record["at_risk_usd"] - at_risk_before) if attempt_id == last else ZERO
        _attempt(
            connection,
            run.run_id,
            record,
            now,
            attempt_id=attempt_id,
            slots=str(covers),
            state=end[0],
            task_id=task_id,
            gateway=mine[0]["gateway"] if mine else (record["gateway"] or ""),
            quoted_usd=quoted,
            reserved_usd=max(at_risk, quoted),
            price_usd=money(per_image),
            price_highest_usd=money(per_image),
            billed_usd=record["billed_usd"] if attempt_id == payer else ZERO,
            billed_credits=record["billed_credits"] if attempt_id == payer else None,
            at_risk_usd=at_risk,
            error_code=record["error_code"] if attempt_id == last else None,
            error_message=record["error_message"] if attempt_id == last else None,
        )
        done.attempts += 1
        for ordinal, image in enumerate(mine):
            _image(connection, run.archive, record, ordinal, image)
            done.images += 1
        for slot in set(covers) - {each["slot"] for each in mine}:
            row = {"job_key": job.job_key, "slot": slot, "state": end[1], "closed": end[2], "attempt_id": attempt_id}
            _set_slot(connection, row)


def _shares(job: Job, record: Mapping[str, Any], rest: Sequence[int], without: Sequence[str]) -> dict[str, list[int]]:
    """Which attempts without an image are for which of the slots without one: the last of them, each for what a call makes."""
    if not without or not rest:
        return {}
    row = market().by_offer.get((record["gateway"], record["model"]))
    calls = split(rest, images_per_call(job, row) if row else len(rest))
    takers = without[-len(calls) :]
    shares = {attempt_id: list(call) for attempt_id, call in zip(takers, calls, strict=False)}
    for call in calls[len(takers) :]:
        shares[takers[-1]] += call
    return shares


def _slots_of(connection: Connection, job_key: str) -> dict[int, str]:
    rows = connection.execute(select(slots.c.slot, slots.c.state).where(slots.c.job_key == job_key))
    return {row.slot: row.state for row in rows}


def _set_slot(connection: Connection, row: Mapping[str, Any]) -> None:
    """A later run's state of a slot counts, except that an image is kept."""
    same = (slots.c.job_key == row["job_key"]) & (slots.c.slot == row["slot"])
    if connection.scalar(select(slots.c.state).where(same)) == SlotState.FILLED:
        return
    connection.execute(delete(slots).where(same))
    connection.execute(insert(slots).values(**row))


def _end_of(record: Mapping[str, Any], task_id: str | None) -> tuple[AttemptState, SlotState, Closed | None]:
    end = _ENDS.get(record["status"], (AttemptState.FAILED, SlotState.CLOSED, Closed.BILLED))
    if record["status"] == "partial" and task_id is not None:
        # Some images are there, none from this attempt: it may still be running, and polling is free.
        end = (AttemptState.ACCEPTED, SlotState.TAKEN, None)
    # Without a task id an attempt cannot be followed: it is unknown, whatever its state was.
    return (AttemptState.UNKNOWN, SlotState.TAKEN, None) if end[0] is AttemptState.ACCEPTED and task_id is None else end


def _image(
    connection: Connection, archive: Archive, record: Mapping[str, Any], ordinal: int, image: Mapping[str, Any]
) -> None:
    connection.execute(
        insert(images).values(
            attempt_id=image["attempt_id"],
            ordinal=ordinal,
            job_key=record["job_key"],
            slot=image["slot"],
            url=image["source_url"],
            state="archived",
            sha256=image["sha256"],
            width=image["width"],
            height=image["height"],
            bytes=image["bytes"],
            mime_type=image["mime_type"],
            warnings="[]",
            archived_at=record["archived_at"],
        )
    )
    connection.execute(
        insert(copies).values(attempt_id=image["attempt_id"], ordinal=ordinal, archive=archive.name, path=image["path"])
    )
    _set_slot(
        connection,
        {
            "job_key": record["job_key"],
            "slot": image["slot"],
            "state": SlotState.FILLED,
            "closed": None,
            "attempt_id": image["attempt_id"],
        },
    )


def _doubt(connection: Connection, run_id: str, row: Mapping[str, Any], now: datetime, done: Rebuilt) -> None:
    """Record a job of a run without a (final) manifest: each slot without an image may have been paid for."""
    mine = slots.c.job_key == row["job_key"]
    known = _slots_of(connection, row["job_key"])
    open_slots = [slot for slot in row["slots"] if known.get(slot) not in (SlotState.FILLED, SlotState.TAKEN)]
    usd = row["_forecast_usd"]
    if not open_slots or usd == ZERO:
        return
    connection.execute(delete(slots).where(mine, slots.c.slot.in_(open_slots)))
    attempt_id = new_attempt_id()
    _attempt(
        connection,
        run_id,
        {**row, "gateway": None},
        now,
        attempt_id=attempt_id,
        slots=str(open_slots),
        state=AttemptState.UNKNOWN,
        quoted_usd=usd or ZERO,
        reserved_usd=usd or ZERO,
        at_risk_usd=usd or ZERO,
        error_code="unknown",
        error_message="rebuilt from a run that left no manifest: it may have been paid for",
    )
    connection.execute(
        insert(slots),
        [
            {
                "job_key": row["job_key"],
                "slot": slot,
                "state": SlotState.TAKEN,
                "closed": None,
                "attempt_id": attempt_id,
            }
            for slot in open_slots
        ],
    )
    done.attempts += 1
    done.unknown += 1
    done.unknown_usd += usd or ZERO
