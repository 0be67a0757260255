"""Looks up the records being planned in ledger and archive, many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ..core.states import AttemptState
from ..ledger.queries import KnownJob, job_views, known_jobs
from ..ledger.reviews import rejected_rows
from ..ledger.settled_jobs import at_rest
from ..ledger.values import JobView
from ..ledger.writer import Ledger
from .drafts import Draft
from .image_presence import Presence
from .rework import Rework, reworks


@dataclass(frozen=True)
class LookedUp:
    """What is known about some records, by job_key."""

    resting: frozenset[str] = frozenset()  # nothing is left to do for these: they have their images
    views: Mapping[str, JobView] = field(default_factory=dict)  # for all the others
    known: Mapping[tuple[str, str], list[KnownJob]] = field(default_factory=dict)  # for those never tried before


class Lookup:
    """Looks records up. `ledger` is None if there is none yet; without `presence` the ledger is trusted on what is archived."""

    def __init__(self, ledger: Ledger | None, presence: Presence | None, retry: Sequence[str]) -> None:
        self._ledger = ledger
        self._presence = presence
        self._retry = retry

    def of(self, drafts: Sequence[Draft]) -> LookedUp:
        """What is known about these drafts, each with a job; if images were rejected, a draft asks for new ones from here on."""
        if self._ledger is None:
            return LookedUp(views={draft.job_key: JobView(draft.job_key) for draft in drafts})
        self._rework(self._ledger, drafts)
        resting = self._resting(self._ledger, drafts)
        others = [draft for draft in drafts if draft.job_key not in resting]
        views = self._views(self._ledger, others)
        new = [(draft.row_key or "", draft.shot) for draft in others if not _tried(views[draft.job_key])]
        return LookedUp(resting, views, self._ledger.read_now(lambda connection: known_jobs(connection, new)))

    def keep_bought(self, drafts: Sequence[Draft]) -> None:
        """Drafts that were bought with invisible characters in key or prompt keep them: they are paid for."""
        written = {job.job_key: draft for draft in drafts if (job := draft.written()) is not None}
        if self._ledger is None or not written:
            return
        views = self._ledger.read_now(lambda connection: job_views(connection, list(written)))
        for key, draft in written.items():
            if views[key].slots:
                draft.job = draft.written()
                draft.row_key = draft.job.row_key if draft.job else draft.row_key

    def _rework(self, ledger: Ledger, drafts: Sequence[Draft]) -> None:
        def look(connection: Connection) -> dict[str, Rework]:
            rejected = rejected_rows(connection, [draft.row_key or "" for draft in drafts])
            return reworks(connection, [draft.job for draft in drafts if draft.job], rejected, self._retry)

        found = ledger.read_now(look)
        for draft in drafts:
            anew = found.get(draft.job_key)
            if anew is not None:
                draft.job, draft.take, draft.beside, draft.wants_beside = anew.job, anew.take, anew.beside, anew.wants
                draft.fingerprint = anew.job.fingerprint

    def _resting(self, ledger: Ledger, drafts: Sequence[Draft]) -> frozenset[str]:
        wanted = {
            draft.job_key: draft.job.n
            for draft in drafts
            if draft.job is not None and not draft.beside and not draft.job.slots and draft.job.output is None
        }
        presence = self._presence
        if presence is None:
            return frozenset(ledger.read_now(lambda connection: at_rest(connection, wanted, None)))
        found = ledger.read_now(lambda connection: at_rest(connection, wanted, presence.archive))
        return frozenset(key for key, files in found.items() if presence.holds(files))

    def _views(self, ledger: Ledger, drafts: Sequence[Draft]) -> dict[str, JobView]:
        """The views; also settles which of their images are missing or restored."""
        shown = [*(draft.job_key for draft in drafts), *(job.job_key for draft in drafts for job in draft.beside)]
        views = ledger.read_now(lambda connection: job_views(connection, shown))
        if self._presence is not None and self._presence.settle(views):
            return ledger.read_now(lambda connection: job_views(connection, shown))
        return views


def _tried(view: JobView) -> bool:
    return any(each.state is not AttemptState.NOT_SENT for each in view.attempts)
