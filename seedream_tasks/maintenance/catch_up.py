"""Updates attempts known to a ledger where a manifest in the archive knows more about them."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, select

from ..core.jobs import Job
from ..core.money import ZERO
from ..core.outcomes import Finished, Link
from ..core.states import AttemptState
from ..core.stored_images import Stored
from ..ledger import image_records, transitions
from ..ledger.schema import attempts, copies, images
from ..runs.archive_contents import Remains
from ..storage.archive import Archive

_WITHOUT_TASK = frozenset({AttemptState.INTENT, AttemptState.UNKNOWN, AttemptState.NOT_SENT, AttemptState.LOST})


def catch_up(connection: Connection, run: Remains, job: Job, record: Mapping[str, Any]) -> tuple[int, int]:
    """Update attempts known to the ledger to the states in a manifest record: accepted, then archived.

    Returns how many attempts were found accepted, and how many images archived.
    """
    accepted = archived = 0
    of_job = {
        row.attempt_id: row for row in connection.execute(select(attempts).where(attempts.c.job_key == job.job_key))
    }
    shown: dict[str, list[Mapping[str, Any]]] = {}
    for image in [] if record["stale"] else record["images"]:
        shown.setdefault(image["attempt_id"], []).append(image)
    # The record has one bill for all attempts that its run reserved; unsettled ones get the rest of it.
    left = record["billed_usd"] - sum((row.billed_usd for row in of_job.values() if row.run_id == run.run_id), ZERO)
    for attempt_id, task_id in zip(record["attempt_ids"], record["task_ids"], strict=True):
        known, made = of_job.get(attempt_id), shown.get(attempt_id, [])
        if known is None:
            continue
        if task_id is not None and known.task_id is None and known.state in _WITHOUT_TASK:
            transitions.accepted(connection, attempt_id, task_id, None, record["model_reported"])
            known = connection.execute(select(attempts).where(attempts.c.attempt_id == attempt_id)).one()
            accepted += 1
        if made and known.state == AttemptState.ACCEPTED and known.run_id == run.run_id:
            usd = max(ZERO, left)
            if _deliver(connection, run.archive, record, known, made, usd):
                left -= usd
                archived += len(made)
        elif made and known.state == AttemptState.DELIVERED:
            archived += _archive(connection, run.archive, made)
        elif made:
            _know_copies(connection, run.archive, made)
    return accepted, archived


def _deliver(
    connection: Connection,
    archive: Archive,
    record: Mapping[str, Any],
    known: Row[Any],
    made: Sequence[Mapping[str, Any]],
    usd: Decimal,
) -> bool:
    numbers = json.loads(known.slots)
    in_order = sorted(made, key=lambda image: int(image["slot"]))
    if [image["slot"] for image in in_order] != numbers[: len(in_order)] or known.surplus:
        return False  # its gateway is polled, as after any restart
    links = tuple(Link(image["source_url"]) for image in in_order)
    finished = Finished(links, usd=usd, model=record["model_reported"])
    transitions.delivered(connection, known.attempt_id, finished, record["expires_at"])
    _archive(connection, archive, in_order)
    return True


def _archive(connection: Connection, archive: Archive, made: Sequence[Mapping[str, Any]]) -> int:
    """Record the copies of delivered images."""
    count = 0
    for image in made:
        which = (images.c.attempt_id == image["attempt_id"]) & (images.c.slot == image["slot"])
        ordinal = connection.scalar(select(images.c.ordinal).where(which, images.c.state == "delivered"))
        if ordinal is not None:
            image_records.archived(connection, image["attempt_id"], ordinal, _stored(archive, image))
            count += 1
    return count


def _know_copies(connection: Connection, archive: Archive, made: Sequence[Mapping[str, Any]]) -> None:
    """Record that another archive of the ledger holds already known images."""
    for image in made:
        which = (images.c.attempt_id == image["attempt_id"]) & (images.c.sha256 == image["sha256"])
        ordinal = connection.scalar(select(images.c.ordinal).where(which))
        here = (copies.c.attempt_id == image["attempt_id"]) & (copies.c.archive == archive.name)
        known = connection.scalar(select(copies.c.path).where(here, copies.c.ordinal == ordinal))
        if ordinal is not None and known is None and archive.size(image["path"]) == image["bytes"]:
            image_records.copied(connection, image["attempt_id"], ordinal, _stored(archive, image))


def _stored(archive: Archive, image: Mapping[str, Any]) -> Stored:
    return Stored(
        archive.name,
        image["path"],
        image["sha256"],
        image["bytes"],
        image["mime_type"],
        image["width"],
        image["height"],
    )
