"""Manifest records: the result of one (row, shot), computed from the frozen run and the ledger alone.

Because it is a pure function of the two, a manifest can be rewritten at any time, by any process that finished the work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from ..core.jobs import Job
from ..core.market import market
from ..core.money import ZERO
from ..core.states import (
    WORST_FIRST,
    AttemptState,
    Closed,
    Reason,
    RecordStatus,
    SlotState,
)
from ..ledger import archives
from ..ledger.admissions import Admission
from ..ledger.values import Attempt, ImageRecord, JobView
from ..ledger.writer import Ledger
from ..storage.archive import Archive
from .frozen import kept_link

_OF_LIVE = {
    AttemptState.INTENT: RecordStatus.IN_FLIGHT,
    AttemptState.ACCEPTED: RecordStatus.IN_FLIGHT,
    AttemptState.DELIVERED: RecordStatus.IN_FLIGHT,
    AttemptState.UNKNOWN: RecordStatus.UNKNOWN,
}
# Records that keep no image of an earlier job: it belongs to another record, or is not wanted.
_KEEPS_NOTHING = frozenset({Reason.DUPLICATE_ROW, Reason.DUPLICATE_KEY, Reason.MISSING_KEY, Reason.CONDITION_FALSE})


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The values common to all records of a run."""

    run_id: str
    simulated: bool
    archive: str  # its name in the ledger
    places: Mapping[str, str]  # archive -> root URI, where it is now

    @classmethod
    def of(cls, ledger: Ledger, archive: Archive, run_id: str, simulated: bool) -> Self:
        """A run's common values, for records in this archive."""
        return cls(run_id, simulated, archive.name, {**ledger.read_now(archives.places), archive.name: archive.root})


def may_be_stale(frozen: Mapping[str, Any], view: JobView | None) -> bool:
    """Whether the record would show the images of an earlier job of the same (row key, shot). `view`: of all its jobs."""
    return bool(frozen["row_key"]) and frozen["reason"] not in _KEEPS_NOTHING and not (view and view.standing())


def record(
    frozen: Mapping[str, Any],
    run: RunFacts,
    view: JobView | None,
    admission: Admission | None = None,
    earlier: JobView | None = None,
) -> dict[str, Any]:
    """The manifest's own columns for one frozen record.

    `view` is the ledger's of its job (None for a record that has none), `earlier` that of the last archived job of the same
    (row key, shot), for a record whose own job has no image.
    """
    attempts = [each for each in view.attempts if _speaks_here(each, frozen, run)] if view else []
    images = view.standing()[: frozen["n"]] if view else []
    status, fewer = _status(frozen, view, admission, len(images))
    stale = not images and earlier is not None and may_be_stale(frozen, view)
    shown = earlier.standing() if stale and earlier else images
    others = [*(view.attempts if view else []), *(earlier.attempts if stale and earlier else [])]
    known = {each.attempt_id: each for each in others}
    paid = [known[attempt_id] for attempt_id in dict.fromkeys(each.attempt_id for each in shown)]
    mine = [each for each in attempts if each.run_id == run.run_id]
    sent = [each for each in attempts if each.state is not AttemptState.NOT_SENT]
    last = next(reversed(sent or attempts), None)
    settled = frozen["_settled"] is not None
    failed = status not in (RecordStatus.ARCHIVED, RecordStatus.SKIPPED)
    values = {name: frozen[name] for name in REPEATED}
    values |= {
        "model_reported": last.model_reported if last else None,
        "status": status,
        "reason": _reason(frozen, status, admission),
        "warnings": _warnings(frozen, shown, paid, fewer),
        "reused": status is RecordStatus.ARCHIVED and not settled and not mine,
        "stale": stale,
        "gateway": last.gateway if last else None,
        "task_id": last.task_id if last else None,
        "attempt_ids": [each.attempt_id for each in sent],
        "task_ids": [each.task_id for each in sent],
        "attempts": len(sent),
        "route_reason": last.route_reason if last else (admission.message if admission else None),
        "cheapest_usd": _sum(each.cheapest_usd for each in mine if _counts(each))
        or (admission.cheapest_usd if admission else None),
        "images": [_image(each, known[each.attempt_id], run) for each in shown],
        "image_count": len(shown),
        "quoted_usd": _sum(each.quoted_usd for each in mine if each.state is not AttemptState.NOT_SENT),
        "billed_usd": _sum(each.billed_usd for each in mine),
        "cost_usd": _sum(each.billed_usd for each in paid),
        "at_risk_usd": _sum(each.at_risk_usd for each in attempts),
        "billed_credits": _credits(mine),
        "cost_basis": _basis(paid or mine),
        "price_as_of": last.price_as_of if last else None,
        "error_code": frozen["error_code"],
        "error_message": frozen["error_message"],
        "submitted_at": last.submitted_at if last else None,
        "completed_at": last.completed_at if last else None,
        "archived_at": _latest(each.archived_at for each in shown),
        "expires_at": last.expires_at if last else None,
        "run_id": run.run_id,
        "simulated": run.simulated,
    }
    if failed and not settled:
        speaks = next((each for each in reversed(attempts) if each.error_code), None)
        if speaks is not None:
            values |= {"error_code": speaks.error_code, "error_message": speaks.error_message}
        elif admission is not None:
            values |= {"error_code": admission.reason, "error_message": admission.message}
    return values


def made_of(jobs: Sequence[tuple[Job, JobView]]) -> JobView:
    """Merge the jobs of one record into one view: of each job, its own slots."""
    together = JobView(jobs[0][0].job_key)
    for job, view in jobs:
        together.slots += [each for each in view.slots if each.slot in job.slots]
        together.attempts += view.attempts
        together.images += [each for each in view.images if each.slot in job.slots]
    together.attempts.sort(key=lambda each: each.attempt_id)
    return together


def _speaks_here(attempt: Attempt, frozen: Mapping[str, Any], run: RunFacts) -> bool:
    """Whether a record reports an attempt: those at its own job, and its run's purchases for its further jobs."""
    return attempt.job_key == frozen["job_key"] or attempt.run_id == run.run_id


REPEATED = (
    *("row_number", "row_key", "shot", "job_key", "fingerprint", "edition", "operation", "model", "prompt", "n"),
    *("ratio", "pixels", "tier", "references"),
)


def _status(
    frozen: Mapping[str, Any], view: JobView | None, admission: Admission | None, images: int
) -> tuple[RecordStatus, bool]:
    """The record's status, and whether the gateway finished with fewer images than asked for."""
    if frozen["_settled"] is not None:
        return RecordStatus(frozen["_settled"]), False
    wanted = frozen["n"]
    if images >= wanted:
        return RecordStatus.ARCHIVED, False
    known = {each.slot: each for each in view.slots} if view else {}
    attempts = {each.attempt_id: each for each in view.attempts} if view else {}
    missing = []
    fewer = 0
    for slot in range(wanted):
        each = known.get(slot)
        if each is not None and each.state is SlotState.FILLED:
            continue
        if each is not None and each.closed is Closed.FEWER:
            fewer += 1
        missing.append(_of_slot(each.state, each.closed, attempts.get(each.attempt_id or "")) if each else None)
    if images:
        complete = fewer == len(missing)
        return (RecordStatus.ARCHIVED if complete else RecordStatus.PARTIAL), complete
    if not frozen["_selected"] and not any(missing):
        return RecordStatus.SKIPPED, False
    if admission is not None and admission.for_good and not any(missing):
        return RecordStatus.INVALID, False
    statuses = {each or RecordStatus.DEFERRED for each in missing}
    return next(each for each in WORST_FIRST if each in statuses), False


def _of_slot(state: SlotState, closed: Closed | None, attempt: Attempt | None) -> RecordStatus | None:
    """The status of a slot without an image; None when nothing was tried, or nothing remains of it."""
    if attempt is None:
        return None
    if state is SlotState.TAKEN:
        return _OF_LIVE.get(attempt.state, RecordStatus.IN_FLIGHT)
    if closed is Closed.EXPIRED:
        return RecordStatus.EXPIRED
    if closed in (Closed.LOST, Closed.PRUNED):
        return RecordStatus.LOST
    if attempt.state is AttemptState.CANCELLED:
        return RecordStatus.CANCELLED
    return None if attempt.state is AttemptState.NOT_SENT else RecordStatus.FAILED


def _reason(frozen: Mapping[str, Any], status: RecordStatus, admission: Admission | None) -> str:
    if frozen["_settled"] is None and not frozen["_selected"] and status is not RecordStatus.ARCHIVED:
        return Reason.NOT_SELECTED
    if admission is not None and status in (RecordStatus.DEFERRED, RecordStatus.PARTIAL, RecordStatus.INVALID):
        return admission.reason
    return str(frozen["reason"])


def _warnings(
    frozen: Mapping[str, Any], images: Sequence[ImageRecord], paid: Sequence[Attempt], fewer: bool
) -> list[str]:
    found = list(frozen["warnings"] or [])
    if fewer:
        found.append("fewer_images")
    for image in images:
        found += image.warnings
    for attempt in paid:
        found += attempt.warnings
        row = market().by_offer.get((attempt.gateway, attempt.model))
        spellings = {name.lower() for name in row.wire_models.value} if row else set()
        if attempt.model_reported and attempt.model_reported.lower() not in spellings | {attempt.model}:
            found.append("other_model")
        if attempt.billed_usd > attempt.reserved_usd:
            found.append("price_drift")
    return list(dict.fromkeys(found))


def _image(image: ImageRecord, attempt: Attempt, run: RunFacts) -> dict[str, Any]:
    archive = run.archive if run.archive in image.copies else next(iter(image.copies))
    path = image.copies[archive]
    return {
        "slot": image.slot,
        "uri": f"{run.places.get(archive, archive)}/{path}",
        "path": path,
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "bytes": image.bytes,
        "mime_type": image.mime_type,
        "source_url": kept_link(image.url),
        "attempt_id": image.attempt_id,
        "gateway": attempt.gateway,
        "task_id": attempt.task_id,
    }


def price_risk(attempts: Sequence[Attempt]) -> dict[str, int]:
    """The amount at risk of attempts whose bill is certain except for the price, in millionths of a dollar by gateway."""
    found: dict[str, int] = {}
    for each in attempts:
        if each.billed_usd and each.at_risk_usd:
            found[each.gateway] = found.get(each.gateway, 0) + int(each.at_risk_usd.scaleb(6))
    return found


def _sum(amounts: Any) -> Decimal:
    return sum(amounts, ZERO)


def _counts(attempt: Attempt) -> bool:
    """Whether an attempt bought its images: one that certainly cost nothing did not."""
    if attempt.state in (AttemptState.FAILED, AttemptState.CANCELLED):
        return bool(attempt.billed_usd or attempt.at_risk_usd)
    return attempt.state is not AttemptState.NOT_SENT


def _credits(attempts: Sequence[Attempt]) -> Decimal | None:
    stated = [each.billed_credits for each in attempts if each.billed_credits is not None]
    return _sum(stated) if stated else None


def _basis(attempts: Sequence[Attempt]) -> str:
    stated = {each.cost_basis for each in attempts} - {"none"}
    if not stated:
        return "none"
    return "computed" if "computed" in stated else "reported"


def _latest(times: Any) -> datetime | None:
    return max((each for each in times if each is not None), default=None)
