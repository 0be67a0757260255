"""Archived images whose file is missing, and those whose file is back. Nothing here moves money."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, select, update

from ..core.states import AttemptState, Closed, SlotState
from .image_records import note_on_attempt
from .schema import attempts, copies, images, slots

_MISSING = "missing"


def gone(connection: Connection, archive: str, ids: Sequence[tuple[str, int]]) -> None:
    """Record that the files of these archived images (attempt, ordinal) are missing from this archive.

    An image with a copy in another archive is unchanged. One whose link may still work becomes delivered, to be copied
    again; any other is lost, its slot closed until `--retry lost`.
    """
    now = datetime.now(UTC)
    for attempt_id, ordinal in ids:
        image = (images.c.attempt_id == attempt_id) & (images.c.ordinal == ordinal)
        row = connection.execute(select(images).where(image).with_for_update()).one()
        if row.state != "archived":
            continue
        copy = (copies.c.attempt_id == attempt_id) & (copies.c.ordinal == ordinal)
        if connection.scalar(select(func.count()).select_from(copies).where(copy, copies.c.archive != archive)):
            connection.execute(delete(copies).where(copy, copies.c.archive == archive))
        elif row.expires_at is None or row.expires_at > now:
            connection.execute(update(images).where(image).values(state="delivered"))
            archived = (attempts.c.attempt_id == attempt_id) & (attempts.c.state == AttemptState.ARCHIVED)
            connection.execute(update(attempts).where(archived).values(state=AttemptState.DELIVERED))
        else:
            connection.execute(update(images).where(image).values(state="lost"))
            _close(connection, row.job_key, row.slot, attempt_id, Closed.LOST)
            path = connection.scalar(select(copies.c.path).where(copy, copies.c.archive == archive))
            note_on_attempt(
                connection, attempt_id, _MISSING, f"{path} is not in {archive} any more, and its link is dead"
            )


def found_again(connection: Connection, archive: str, found: Mapping[tuple[str, int], str]) -> None:
    """Record that the files of these lost or pruned images are in this archive again, at these paths: a disk is back, they were
    restored, or they were wanted again before the trash was emptied."""
    for (attempt_id, ordinal), path in found.items():
        image = (images.c.attempt_id == attempt_id) & (images.c.ordinal == ordinal)
        row = connection.execute(select(images).where(image).with_for_update()).one()
        if row.state not in ("lost", "pruned"):
            continue
        copy = (copies.c.attempt_id == attempt_id) & (copies.c.ordinal == ordinal) & (copies.c.archive == archive)
        connection.execute(update(copies).where(copy).values(path=path))
        held = connection.execute(
            update(slots)
            .where(
                slots.c.job_key == row.job_key,
                slots.c.slot == row.slot,
                slots.c.attempt_id == attempt_id,
                slots.c.state == SlotState.CLOSED,
                slots.c.closed.in_([Closed.LOST, Closed.PRUNED]),
            )
            .values(state=SlotState.FILLED, closed=None)
        )
        # Bought again meanwhile, it does not hold a slot.
        slot = row.slot if held.rowcount else None
        connection.execute(update(images).where(image).values(state="archived", slot=slot))
        note_on_attempt(connection, attempt_id, None, None)


def _close(connection: Connection, job_key: str, slot: int | None, attempt_id: str, closed: Closed) -> None:
    held = (slots.c.job_key == job_key) & (slots.c.slot == slot) & (slots.c.attempt_id == attempt_id)
    connection.execute(update(slots).where(held).values(state=SlotState.CLOSED, closed=closed))
