"""Incoming callbacks: stored at once, never trusted. A process with the account's key asks the gateway itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from ..core.states import AttemptState
from .queries import attempts_by_id
from .schema import attempts, callbacks
from .sql import database_now, upsert
from .values import Attempt

TAKEN, REFUSED = "taken", "refused"


def received(connection: Connection, token_sha256: str, task_id: str) -> bool:
    """Store a callback, and make its attempt due for polling; a repeated one is checked again.

    False: no attempt has that token.
    """
    hinted = update(attempts).where(attempts.c.callback_sha256 == token_sha256).values(next_look_at=None)
    if not connection.execute(hinted).rowcount:
        return False
    now = database_now(connection)
    row = upsert(connection, callbacks).values(token_sha256=token_sha256, task_id=task_id, received_at=now)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[callbacks.c.token_sha256, callbacks.c.task_id], set_={"received_at": now, "judged": None}
        )
    )
    return True


def is_here(connection: Connection, token_sha256: str) -> bool:
    """Whether a callback has come with this token."""
    return (
        connection.scalar(select(callbacks.c.token_sha256).where(callbacks.c.token_sha256 == token_sha256).limit(1))
        is not None
    )


def arrived_since(connection: Connection, since: int) -> list[tuple[str, int]]:
    """Attempt and time of every callback that came at or after `since` (microseconds by the database's clock)."""
    query = (
        select(attempts.c.attempt_id, callbacks.c.received_at)
        .select_from(callbacks.join(attempts, attempts.c.callback_sha256 == callbacks.c.token_sha256))
        .where(callbacks.c.received_at >= since)
        .order_by(callbacks.c.received_at)
    )
    return [(row.attempt_id, row.received_at) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A callback's claim that a submission with an unknown outcome is a certain task."""

    attempt: Attempt
    token_sha256: str
    task_id: str


def unjudged(connection: Connection) -> Sequence[Claimed]:
    """Callbacks for attempts without a task id that are not yet checked with the gateway."""
    query = (
        select(attempts.c.attempt_id, callbacks.c.token_sha256, callbacks.c.task_id)
        .select_from(callbacks.join(attempts, attempts.c.callback_sha256 == callbacks.c.token_sha256))
        .where(
            callbacks.c.judged.is_(None),
            callbacks.c.task_id != "",
            attempts.c.state.in_([AttemptState.UNKNOWN, AttemptState.NOT_SENT, AttemptState.LOST]),
            attempts.c.task_id.is_(None),
        )
    )
    rows = connection.execute(query).all()
    found = {each.attempt_id: each for each in attempts_by_id(connection, [row.attempt_id for row in rows])}
    return [Claimed(found[row.attempt_id], row.token_sha256, row.task_id) for row in rows]


def judge(connection: Connection, claimed: Claimed, word: str) -> None:
    """Record the result of asking the gateway about a callback's task: `taken` or `refused`."""
    connection.execute(
        update(callbacks)
        .where(callbacks.c.token_sha256 == claimed.token_sha256, callbacks.c.task_id == claimed.task_id)
        .values(judged=word)
    )
