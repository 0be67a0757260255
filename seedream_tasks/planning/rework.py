"""Rejected images are bought again: what a record asks for once some of its images have been rejected.

Each slot is handled separately. While a job's image for it is rejected, the slot moves on to another job of the same row and
shot: with the amended prompt, or as another take of the same one. Slots without a rejected image stay with their job, so a
record may consist of several jobs, each with the slots it fills; each is bought by the rules for any job.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ..core.jobs import Job, tidy_prompt
from ..core.slots import wanted
from ..ledger.queries import job_views
from ..ledger.reviews import Verdict, reviews_of_images
from ..ledger.values import JobView


@dataclass(frozen=True, slots=True)
class Rework:
    """The jobs of a record: `job` represents it, the others are kept beside it; each names its slots."""

    job: Job
    take: int  # how often its images were requested again
    beside: tuple[Job, ...]
    wants: tuple[int, ...]  # slots for the other jobs to buy


@dataclass
class _Part:
    job: Job
    take: int
    slots: list[int]
    wants: tuple[int, ...] = ()


def rework(connection: Connection, base: Job, retry: Collection[str] = ()) -> Rework | None:
    """A job's rework after its reviews; None if no current image was rejected. Raises LedgerFault."""
    walk = _Walk(connection, base)
    parts: dict[str, _Part] = {}
    for slot in range(base.n):
        job, take = walk.end_of(slot)
        parts.setdefault(job.job_key, _Part(job, take, [])).slots.append(slot)
    if all(part.take == 0 for part in parts.values()):
        return None
    for part in parts.values():
        view = walk.view(part.job)
        wants = wanted(base.n, view.slots, view.past, "", retry, base.top_up, part.slots)
        part.wants = tuple(slot for want in wants for slot in want.slots)
    # The job to be bought represents the record, else the one requested last.
    first, *others = sorted(parts.values(), key=lambda part: (bool(part.wants), part.take, part.slots), reverse=True)
    jobs = [part.job.having(slots=tuple(part.slots)) for part in (first, *others)]
    return Rework(jobs[0], first.take, tuple(jobs[1:]), tuple(slot for part in others for slot in part.wants))


class _Walk:
    """Follows slots from job to job; each job is looked up once."""

    def __init__(self, connection: Connection, base: Job) -> None:
        self._connection = connection
        self._base = base
        self._looked_up: dict[str, tuple[JobView, dict[int, str | None]]] = {}

    def end_of(self, slot: int) -> tuple[Job, int]:
        """The job whose image of this slot was not rejected, and how often it was requested again."""
        job, take = self._base, 0
        while True:
            rejected = self._look(job)[1]
            if slot not in rejected:
                return job, take
            take += 1
            edition = f"{self._base.edition}-rejected-{take}" if self._base.edition else f"rejected-{take}"
            job = self._base.having(prompt=rejected[slot] or job.prompt, edition=edition)

    def view(self, job: Job) -> JobView:
        """What the ledger knows about a job."""
        return self._look(job)[0]

    def _look(self, job: Job) -> tuple[JobView, dict[int, str | None]]:
        """A job's view, and the prompt that replaces each rejected image (None: the same)."""
        key = job.job_key
        if key not in self._looked_up:
            view = job_views(self._connection, [key])[key]
            # Keyed by the attempt that made it: it stays rejected when its file is lost or pruned.
            made_by = {each.slot: each.attempt_id for each in view.slots if each.attempt_id is not None}
            said = reviews_of_images(self._connection, made_by.values())
            rejected = {
                slot: tidy_prompt(review.prompt or "") or None
                for slot, attempt_id in made_by.items()
                if (review := said.get((attempt_id, slot))) is not None and review.verdict is Verdict.REJECTED
            }
            self._looked_up[key] = view, rejected
        return self._looked_up[key]


def reworks(
    connection: Connection, jobs: Sequence[Job], with_rejections: Collection[tuple[str, str]], retry: Collection[str]
) -> dict[str, Rework]:
    """The reworks among these jobs, by the key of the job in the catalog."""
    found = {}
    for job in jobs:
        if (job.row_key, job.shot) in with_rejections:
            one = rework(connection, job, retry)
            if one is not None:
                found[job.job_key] = one
    return found
