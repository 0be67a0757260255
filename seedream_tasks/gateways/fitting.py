"""Truncates and cleans the contents of answers for storage: the last step before a gateway's text is used.

Bodies are made storable where they are parsed (core/storable.py); nested texts, and our own libraries' messages about unreadable
answers, are made storable here. They are truncated to a readable length that fits an index.
"""

from dataclasses import replace

from ..core.outcomes import ErrorInfo, Finished, Link, SubmitOutcome, TaskStatus
from ..core.storable import MOST_LINK, MOST_WORD, short, storable


def fitted_outcome(outcome: SubmitOutcome) -> SubmitOutcome:
    """What a paid request led to. The format of its ids is already checked (gateways/ids.py)."""
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
    """A task's status."""
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
