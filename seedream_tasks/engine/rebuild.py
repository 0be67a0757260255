"""Restoring a lost ledger from an archive's own files: its manifests, and the frozen jobs of runs that left none.

What the files prove is taken over. What they leave open errs to one side: a job that may have been paid for is `unknown`,
its slots taken, so that nothing is bought a second time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Connection, delete, func, insert, select, update

from ..catalog.frozen import FrozenRun, frozen_path
from ..catalog.manifest import PROVISIONAL, manifest_path
from ..core.capabilities import BY_OFFER
from ..core.decisions import Purpose, split
from ..core.errors import ConfigurationError, LedgerMismatch
from ..core.jobs import Job
from ..core.money import ZERO, money
from ..core.preflight import pictures_per_call
from ..core.states import AttemptState, Closed, SlotState
from ..ledger import facts
from ..ledger.claims import know_job, new_attempt_id
from ..ledger.schema import attempts, copies, meta, pictures, runs, slots
from ..ledger.store import exists, open_ledger, parse_url, shown_url
from ..media.archive import MARKER, Archive
from .settings import Locations

# What a record without a picture says of its last attempt and its slots.
_ENDS: dict[str, tuple[AttemptState, SlotState, Closed | None]] = {
    "unknown": (AttemptState.UNKNOWN, SlotState.TAKEN, None),
    "in_flight": (AttemptState.ACCEPTED, SlotState.TAKEN, None),
    "expired": (AttemptState.EXPIRED, SlotState.CLOSED, Closed.EXPIRED),
    "lost": (AttemptState.LOST, SlotState.CLOSED, Closed.LOST),
    "cancelled": (AttemptState.CANCELLED, SlotState.CLOSED, Closed.REFUSED),
    "failed": (AttemptState.FAILED, SlotState.CLOSED, Closed.BILLED),
    "deferred": (AttemptState.FAILED, SlotState.OPEN, None),
}


@dataclass
class Rebuilt:
    """What a rebuild restored."""

    runs: int = 0
    jobs: int = 0
    attempts: int = 0
    pictures: int = 0
    unknown: int = 0  # jobs that may have been paid for, of runs without a (complete) manifest
    unknown_usd: Decimal = ZERO


def rebuild(place: Locations) -> Rebuilt:
    """Make a new ledger from an archive. Raises ConfigurationError where there is one, LedgerMismatch without archive.json."""
    if exists(place.ledger_url):
        raise ConfigurationError(f"there is a ledger at {shown_url(place.ledger_url)} already", field="ledger")
    marker = place.archive.marker()
    if marker is None:
        raise LedgerMismatch(
            f"{place.archive.root} holds no {MARKER}: it is not known whose archive it is", field="archive"
        )
    found = [_OfRun(place.archive, run_id) for run_id in place.archive.list_runs()]
    found.sort(key=lambda each: (each.began is None, each.began))
    ledger = open_ledger(place.ledger_url, create=True)
    done = None
    try:
        done = ledger.write_now(lambda connection: _restore(connection, place.archive, marker, found))
        return done
    finally:
        ledger.close()
        url = parse_url(place.ledger_url)
        if done is None and url.get_backend_name() == "sqlite":
            # Half a ledger would stand in the way of the next try.
            for tail in ("", "-wal", "-shm"):
                Path(f"{url.database}{tail}").unlink(missing_ok=True)


class _OfRun:
    """What a run left in the archive."""

    def __init__(self, archive: Archive, run_id: str) -> None:
        self.run_id = run_id
        self.frozen: list[dict[str, Any]] = []
        self.stated: dict[str, str] = {}
        self.records: list[dict[str, Any]] | None = None
        self.complete = False  # the manifest knows all that the run bought
        if archive.exists(frozen_path(run_id)):
            frozen = FrozenRun(archive, run_id)
            self.frozen, self.stated = frozen.rows(0, len(frozen)), frozen.metadata()
            frozen.close()
        if archive.exists(manifest_path(run_id)):
            with archive.open(manifest_path(run_id)) as file:
                table = pq.read_table(file)
            self.records = table.to_pylist()
            self.complete = PROVISIONAL.encode() not in (table.schema.metadata or {})
        # What it only took over was submitted by an earlier run, whose attempts it must not claim.
        own = [each for each in self.records or [] if not each["reused"] and (each["quoted_usd"] or each["billed_usd"])]
        times = [each["submitted_at"] for each in own if each["submitted_at"]]
        # A run that left no times (it bought nothing, or no manifest) comes last: it can only add doubt, not proof.
        self.began: datetime | None = min(times, default=None)


def _restore(connection: Connection, archive: Archive, marker: Mapping[str, Any], found: Sequence[_OfRun]) -> Rebuilt:
    done = Rebuilt()
    connection.execute(update(meta).where(meta.c.key == "ledger_id").values(value=marker["ledger_id"]))
    facts.set_kind(connection, str(marker["kind"]))
    now = datetime.now(UTC)
    for run in found:
        done.runs += 1
        connection.execute(
            insert(runs).values(
                run_id=run.run_id,
                created_at=run.began or now,
                finished_at=now if run.complete else None,
                alive_until=0,
                archive=archive.root,
                catalog_uri=run.stated.get("catalog_uri", ""),
                simulated=marker["kind"] == facts.SIMULATED,
                max_usd=None,
            )
        )
        wanted = {row["job_key"]: row for row in run.frozen if row["_settled"] is None and row["_job"]}
        made_of = {key: _jobs_of(row) for key, row in wanted.items()}
        for jobs in made_of.values():
            for job in jobs:
                done.jobs += know_job(connection, job, run.run_id, now)
        for record in run.records or ():
            if record["job_key"] in wanted:
                for job, part in _by_job(record, made_of[record["job_key"]]):
                    _take_over(connection, archive, run.run_id, job, part, now, done)
        if not run.complete:
            for key, row in wanted.items():
                for part in _doubts(row, made_of[key]):
                    _doubt(connection, run.run_id, part, now, done)
    return done


def _jobs_of(row: Mapping[str, Any]) -> list[Job]:
    """The jobs that a frozen record is made of: one, or several after a review."""
    return [Job.from_json(row["_job"]), *(Job.from_json(text) for text in row["_beside"] or ())]


def _by_job(record: Mapping[str, Any], jobs: Sequence[Job]) -> list[tuple[Job, dict[str, Any]]]:
    """A manifest record as one for each of its jobs; its amounts stay together, with the first that it names attempts of."""
    if len(jobs) == 1:
        return [(jobs[0], {**record, "slots": jobs[0].slots or range(record["n"])})]
    of_job = {
        image["attempt_id"]: job.job_key for job in jobs for image in record["images"] if image["slot"] in job.slots
    }
    tasks = dict(zip(record["attempt_ids"], record["task_ids"], strict=True))
    parts: list[tuple[Job, dict[str, Any]]] = []
    amounts = {name: record[name] for name in ("quoted_usd", "billed_usd", "at_risk_usd", "billed_credits")}
    for job in jobs:
        mine = [each for each in tasks if of_job.get(each, jobs[0].job_key) == job.job_key]
        images = [each for each in record["images"] if each["slot"] in job.slots]
        of_part = {
            "job_key": job.job_key,
            "slots": job.slots,
            "attempt_ids": mine,
            "task_ids": [tasks[each] for each in mine],
        }
        parts.append((job, {**record, **of_part, "images": images, **amounts}))
        if mine:
            amounts = {**dict.fromkeys(amounts, ZERO), "billed_credits": None}
    return parts


def _doubts(row: Mapping[str, Any], jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """A frozen record as one for each of its jobs, its forecast shared out by their slots."""
    usd, slots_in_all = row["_forecast_usd"], row["n"]
    return [
        {
            **row,
            "job_key": job.job_key,
            "slots": job.slots or range(row["n"]),
            "_forecast_usd": money(usd * len(job.slots) / slots_in_all) if usd and len(jobs) > 1 else usd,
        }
        for job in jobs
    ]


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
    archive: Archive,
    run_id: str,
    job: Job,
    record: Mapping[str, Any],
    now: datetime,
    done: Rebuilt,
) -> None:
    """One manifest record: the attempts it names for the first time, its pictures, the ends of its other slots."""
    of_job = attempts.c.job_key == job.job_key
    known = set(connection.scalars(select(attempts.c.attempt_id).where(of_job)))
    new = [pair for pair in zip(record["attempt_ids"], record["task_ids"], strict=True) if pair[0] not in known]
    if not new:
        return
    images = [] if record["stale"] else record["images"]
    by_attempt: dict[str, list[Mapping[str, Any]]] = {}
    for image in images:
        by_attempt.setdefault(image["attempt_id"], []).append(image)
    filled = {slot for slot, state in _slots_of(connection, job.job_key).items() if state == SlotState.FILLED}
    rest = [slot for slot in record["slots"] if slot not in filled and slot not in {each["slot"] for each in images}]
    shares = _shares(job, record, rest, [attempt_id for attempt_id, _ in new if attempt_id not in by_attempt])
    last = new[-1][0]
    # The record has one bill for all attempts of its run; it goes to the first that made pictures, so that the sum stays.
    payer = next((attempt_id for attempt_id, _ in new if attempt_id in by_attempt), last)
    covered = {attempt_id: [each["slot"] for each in by_attempt.get(attempt_id, [])] for attempt_id, _ in new}
    for attempt_id, share in (shares or {last: rest}).items():
        covered[attempt_id] += share
    # Each was quoted for what it was to make; one that has no slot any more, for what its successor makes.
    a_call = max(map(len, shares.values()), default=1)
    pictures_quoted = {attempt_id: len(covers) or a_call for attempt_id, covers in covered.items()}
    per_picture = record["quoted_usd"] / sum(pictures_quoted.values())
    # It says what is at risk for the row, whichever run reserved it: some of that may stand with earlier attempts already.
    at_risk_before = connection.scalar(select(func.sum(attempts.c.at_risk_usd)).where(of_job)) or ZERO
    for attempt_id, task_id in new:
        mine, covers = by_attempt.get(attempt_id, []), covered[attempt_id]
        end = (AttemptState.ARCHIVED, SlotState.CLOSED, Closed.FEWER) if mine else _end_of(record, task_id)
        quoted = money(per_picture * pictures_quoted[attempt_id])
        at_risk = max(ZERO, record["at_risk_usd"] - at_risk_before) if attempt_id == last else ZERO
        _attempt(
            connection,
            run_id,
            record,
            now,
            attempt_id=attempt_id,
            slots=str(covers),
            state=end[0],
            task_id=task_id,
            gateway=mine[0]["gateway"] if mine else (record["gateway"] or ""),
            quoted_usd=quoted,
            reserved_usd=max(at_risk, quoted),
            price_usd=money(per_picture),
            price_highest_usd=money(per_picture),
            billed_usd=record["billed_usd"] if attempt_id == payer else ZERO,
            billed_credits=record["billed_credits"] if attempt_id == payer else None,
            at_risk_usd=at_risk,
            error_code=record["error_code"] if attempt_id == last else None,
            error_message=record["error_message"] if attempt_id == last else None,
        )
        done.attempts += 1
        for ordinal, image in enumerate(mine):
            _picture(connection, archive, record, ordinal, image)
            done.pictures += 1
        for slot in set(covers) - {each["slot"] for each in mine}:
            row = {"job_key": job.job_key, "slot": slot, "state": end[1], "closed": end[2], "attempt_id": attempt_id}
            _set_slot(connection, row)


def _shares(job: Job, record: Mapping[str, Any], rest: Sequence[int], without: Sequence[str]) -> dict[str, list[int]]:
    """Which attempts without a picture are for which of the slots without one: the last of them, each for what a call makes."""
    if not without or not rest:
        return {}
    row = BY_OFFER.get((record["gateway"], record["model"]))
    calls = split(rest, pictures_per_call(job, row) if row else len(rest))
    takers = without[-len(calls) :]
    shares = {attempt_id: list(call) for attempt_id, call in zip(takers, calls, strict=False)}
    for call in calls[len(takers) :]:
        shares[takers[-1]] += call
    return shares


def _slots_of(connection: Connection, job_key: str) -> dict[int, str]:
    rows = connection.execute(select(slots.c.slot, slots.c.state).where(slots.c.job_key == job_key))
    return {row.slot: row.state for row in rows}


def _set_slot(connection: Connection, row: Mapping[str, Any]) -> None:
    """What a later run says of a slot counts, except that a picture stays."""
    same = (slots.c.job_key == row["job_key"]) & (slots.c.slot == row["slot"])
    if connection.scalar(select(slots.c.state).where(same)) == SlotState.FILLED:
        return
    connection.execute(delete(slots).where(same))
    connection.execute(insert(slots).values(**row))


def _end_of(record: Mapping[str, Any], task_id: str | None) -> tuple[AttemptState, SlotState, Closed | None]:
    end = _ENDS.get(record["status"], (AttemptState.FAILED, SlotState.CLOSED, Closed.BILLED))
    if record["status"] == "partial" and task_id is not None:
        # Some pictures are there and this attempt made none of them: it may still be running, and asking costs nothing.
        end = (AttemptState.ACCEPTED, SlotState.TAKEN, None)
    # Without its task id an attempt cannot be followed: it is unknown, whatever it was.
    return (AttemptState.UNKNOWN, SlotState.TAKEN, None) if end[0] is AttemptState.ACCEPTED and task_id is None else end


def _picture(
    connection: Connection, archive: Archive, record: Mapping[str, Any], ordinal: int, image: Mapping[str, Any]
) -> None:
    connection.execute(
        insert(pictures).values(
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
        insert(copies).values(attempt_id=image["attempt_id"], ordinal=ordinal, archive=archive.root, path=image["path"])
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
    """A job of a run that left no manifest, or a provisional one: each slot without a picture may have been paid for."""
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
