"""Paid images that may be lost soon: their links expire, and they are not copied yet."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from ..core.states import AttemptState
from .attempt_rows import note
from .schema import attempts, events, images, jobs

# Kind of the ledger event recorded once listeners were notified that this image's link expires.
TOLD_EXPIRING = "expiring_told"


@dataclass(frozen=True, slots=True)
class Expiring:
    """One image whose link expires, or may expire, at `expires_at`."""

    attempt_id: str
    ordinal: int  # as the gateway listed it; of a task that still runs, as it was asked for
    row_key: str
    shot: str
    run_id: str
    gateway: str
    account: str
    task_id: str
    expires_at: datetime
    delivered: bool  # False: its task was still running when last polled
    told: bool


def expiring(connection: Connection, until: datetime, lives: Mapping[tuple[str, str], timedelta]) -> list[Expiring]:
    """Images without a copy whose link expires before `until`, the earliest first.

    `lives`: (gateway, model) -> life of a link. A task not polled since may have finished at once: its links are
    counted from its submission.
    """
    query = select(events.c.attempt_id, events.c.detail).where(events.c.kind == TOLD_EXPIRING)
    told = {(row.attempt_id, row.detail) for row in connection.execute(query)}
    found = [*_delivered(connection, until, told), *_accepted(connection, until, lives, told)]
    return sorted(found, key=lambda each: (each.expires_at, each.attempt_id, each.ordinal))


def _delivered(connection: Connection, until: datetime, told: Collection[tuple[str, str]]) -> list[Expiring]:
    query = (
        select(attempts, jobs.c.row_key, jobs.c.shot, images.c.ordinal, images.c.expires_at.label("link_dies"))
        .select_from(
            images.join(attempts, attempts.c.attempt_id == images.c.attempt_id).join(
                jobs, jobs.c.job_key == attempts.c.job_key
            )
        )
        .where(images.c.state == "delivered")
    )
    found = []
    for row in connection.execute(query):
        dies = row.link_dies or row.expires_at
        if dies is not None and dies < until:
            found.append(_expiring(row, row.ordinal, dies, True, told))
    return found


def _accepted(
    connection: Connection,
    until: datetime,
    lives: Mapping[tuple[str, str], timedelta],
    told: Collection[tuple[str, str]],
) -> list[Expiring]:
    if not lives:
        return []
    query = (
        select(attempts, jobs.c.row_key, jobs.c.shot)
        .select_from(attempts.join(jobs, jobs.c.job_key == attempts.c.job_key))
        .where(attempts.c.state == AttemptState.ACCEPTED, attempts.c.submitted_at < until - min(lives.values()))
    )
    found = []
    for row in connection.execute(query):
        life = lives.get((row.gateway, row.model))
        if life is not None and row.submitted_at + life < until:
            count = len(json.loads(row.slots))
            found += [_expiring(row, ordinal, row.submitted_at + life, False, told) for ordinal in range(count)]
    return found


def _expiring(
    row: Row[Any], ordinal: int, dies: datetime, delivered: bool, told: Collection[tuple[str, str]]
) -> Expiring:
    return Expiring(
        attempt_id=row.attempt_id,
        ordinal=ordinal,
        row_key=row.row_key,
        shot=row.shot,
        run_id=row.run_id,
        gateway=row.gateway,
        account=row.account,
        task_id=row.task_id or "",
        expires_at=dies,
        delivered=delivered,
        told=(row.attempt_id, str(ordinal)) in told,
    )


def notified_expiring(connection: Connection, told: Collection[Expiring]) -> None:
    """Listeners were notified of these images; do not notify again."""
    for each in told:
        note(connection, TOLD_EXPIRING, str(each.ordinal), each.attempt_id, each.run_id)
