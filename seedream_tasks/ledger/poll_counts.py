"""Polls that found a task still running, counted by day, since two clock readings alone do not show how long it ran."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select

from .attempt_rows import note
from .schema import events

_STILL_RUNNING = "still_running"
# Polls closer to each other than this count as one day.
_APART = timedelta(hours=20)


def still_running(connection: Connection, attempt_id: str, run_id: str) -> int:
    """Count a poll of a task that has not ended; returns on how many days there was one.

    A clock jump counts as one day.
    """
    seen = list(
        connection.scalars(
            select(events.c.at)
            .where(events.c.attempt_id == attempt_id, events.c.kind == _STILL_RUNNING)
            .order_by(events.c.event_id)
        )
    )
    if seen and abs(datetime.now(UTC) - seen[-1]) < _APART:
        return len(seen)
    note(connection, _STILL_RUNNING, "a look found that it has not ended", attempt_id, run_id)
    return len(seen) + 1
