"""The reason of a record: bought for the first time, again, differently, or not at all."""

import json
from collections.abc import Collection, Sequence

from ..core.jobs import Job
from ..core.states import AttemptState, Reason, SlotState
from ..ledger.queries import KnownJob
from ..ledger.values import JobView


def why(job: Job, view: JobView, known: Sequence[KnownJob], slots: Collection[int], take: int) -> Reason:
    """Why this job is bought or not. `take`: how often its images were requested again after a review."""
    tried = [each for each in view.attempts if each.state is not AttemptState.NOT_SENT]
    if not slots and (tried or view.slots):
        return Reason.UNCHANGED
    if tried:
        filled = {each.slot for each in view.slots if each.state in (SlotState.FILLED, SlotState.TAKEN)}
        never = set(slots) - {each.slot for each in view.slots}
        return Reason.MORE_IMAGES if filled and never == set(slots) else Reason.RETRIED
    if take:
        return Reason.REJECTED
    others = [each for each in known if each.job_key != job.job_key]
    if not others:
        return Reason.NEW
    before, now = others[-1].decides, json.loads(json.dumps(job.decides()))
    if before.get("edition") != now.get("edition"):
        return Reason.EDITION_CHANGED
    if before.get("prompt") != now.get("prompt"):
        return Reason.PROMPT_CHANGED
    if before.get("references") != now.get("references"):
        return Reason.REFERENCE_CHANGED
    return Reason.OPTIONS_CHANGED
