"""What answers hold, made to fit where it is kept: the last thing that happens to a gateway's words before anybody uses them.

Bodies are made storable where they are parsed (core/storable.py); texts within texts, and what our own libraries say of an answer
that they cannot read, are made so here. Beyond what anybody reads, or an index takes, they are cut off.
"""

from dataclasses import replace

from ..core.outcomes import ErrorInfo, Finished, Link, SubmitOutcome, TaskStatus
from ..core.storable import MOST_LINK, MOST_WORD, short, storable


def fitted_outcome(outcome: SubmitOutcome) -> SubmitOutcome:
    """What a paid request led to. The forms of its ids have been looked at (gateways/ids.py)."""
    kept = outcome.kept
    return replace(
        outcome,
        task_id=None if outcome.task_id is None else storable(outcome.task_id),
        model=_word(outcome.model),
        error=_error(outcome.error),
        finished=_finished(outcome.finished),
        kept=kept and replace(kept, text=storable(kept.text), ids=tuple(map(storable, kept.ids))),
    )


def fitted_status(status: TaskStatus) -> TaskStatus:
    """Where a task stands."""
    return replace(status, error=_error(status.error), finished=_finished(status.finished))


def _error(error: ErrorInfo | None) -> ErrorInfo | None:
    return error and replace(error, code=short(error.code, MOST_WORD), message=short(error.message))


def _finished(finished: Finished | None) -> Finished | None:
    if finished is None:
        return None
    links = tuple(Link(short(link.url, MOST_LINK), link.expires_at) for link in finished.links)
    return replace(finished, links=links, model=_word(finished.model))


def _word(text: str | None) -> str | None:
    return None if text is None else short(text, MOST_WORD)
