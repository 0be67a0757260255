"""Unreadable answers, kept with their attempts for a person to examine.

Of each attempt at most two: the answer to its submit, and the last one to a status request.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from ..core.outcomes import AnswerExcerpt
from ..core.states import AttemptState
from .queries import batched
from .schema import answers, attempts, events, jobs
from .sql import insert_on_conflict

SUBMIT, STATUS = "submit", "status"
# Kind of the ledger event recorded once listeners were notified that this attempt's answers cannot be read.
TOLD_UNREADABLE = "unreadable_told"
_KEEP = insert_on_conflict(
    answers,
    "(attempt_id, kind) DO UPDATE SET at = excluded.at, text = excluded.text, ids = excluded.ids,"
    " times = answers.times + 1",
)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """One answer that could not be read."""

    attempt_id: str
    kind: str  # of the submit, or the last to a status request
    at: datetime
    text: str
    ids: tuple[str, ...]  # that may be the task's, the likeliest first
    times: int  # how often such an answer came, of this kind


def keep(connection: Connection, attempt_id: str, kind: str, kept: AnswerExcerpt) -> None:
    """Store an answer; it replaces the last one of its kind."""
    row = {
        "attempt_id": attempt_id,
        "kind": kind,
        "at": datetime.now(UTC),
        "text": kept.text,
        "ids": json.dumps(kept.ids),
        "times": 1,
    }
    connection.execute(_KEEP, row)


def kept_of(connection: Connection, attempt_ids: Sequence[str]) -> dict[str, list[KeptAnswer]]:
    """The kept answers of these attempts."""
    found: dict[str, list[KeptAnswer]] = {}
    for some in batched(attempt_ids):
        query = select(answers).where(answers.c.attempt_id.in_(some)).order_by(answers.c.attempt_id, answers.c.kind)
        for row in connection.execute(query):
            each = KeptAnswer(row.attempt_id, row.kind, row.at, row.text, tuple(json.loads(row.ids)), row.times)
            found.setdefault(row.attempt_id, []).append(each)
    return found


@dataclass(frozen=True, slots=True)
class UnreadAnswer:
    """A task in flight whose gateway sends unreadable answers."""

    attempt_id: str
    run_id: str
    row_key: str
    shot: str
    gateway: str
    account: str
    task_id: str | None
    answer: str


def untold(connection: Connection) -> list[UnreadAnswer]:
    """Those in flight that nobody was notified of."""
    told = select(events.c.attempt_id).where(events.c.kind == TOLD_UNREADABLE)
    query = (
        select(attempts, jobs.c.row_key, jobs.c.shot, answers.c.text)
        .join(answers, (answers.c.attempt_id == attempts.c.attempt_id) & (answers.c.kind == STATUS))
        .join(jobs, jobs.c.job_key == attempts.c.job_key)
        .where(attempts.c.state == AttemptState.ACCEPTED, attempts.c.attempt_id.not_in(told))
        .order_by(attempts.c.attempt_id)
    )
    return [
        UnreadAnswer(row.attempt_id, row.run_id, row.row_key, row.shot, row.gateway, row.account, row.task_id, row.text)
        for row in connection.execute(query)
    ]
