"""Reviews of images: approved, or rejected and to be bought again."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select

from ..core.jobs import canonical_json
from .queries import batched
from .schema import reviews
from .sql import upsert


class Verdict(StrEnum):
    """The verdict on an image."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Review:
    """One verdict on one image. `prompt`: what to ask for instead, of a rejected one; None: another take of the same."""

    row_key: str
    shot: str
    job_key: str
    attempt_id: str
    slot: int
    verdict: Verdict
    note: str | None
    prompt: str | None
    reviewer: str | None
    decided_at: datetime

    @property
    def review_id(self) -> str:
        """The same for the same words about the same image."""
        said = [self.attempt_id, self.slot, self.verdict, self.note, self.prompt, self.decided_at.isoformat()]
        return hashlib.sha256(canonical_json(said)).hexdigest()


def record_reviews(connection: Connection, given: Iterable[Review], applied_by: str) -> int:
    """Keep reviews; returns how many were new. Those that are there already stay as they are."""
    now = datetime.now(UTC)
    new = 0
    for each in given:
        row = upsert(connection, reviews).values(
            review_id=each.review_id,
            row_key=each.row_key,
            shot=each.shot,
            job_key=each.job_key,
            attempt_id=each.attempt_id,
            slot=each.slot,
            verdict=each.verdict,
            note=each.note,
            prompt=each.prompt,
            reviewer=each.reviewer,
            decided_at=each.decided_at,
            applied_at=now,
            applied_by=applied_by,
        )
        done = connection.execute(row.on_conflict_do_nothing(index_elements=[reviews.c.review_id]))
        new += done.rowcount > 0
    return new


def reviews_of_images(connection: Connection, attempt_ids: Iterable[str]) -> dict[tuple[str, int], Review]:
    """The last verdict on each image of these attempts, by attempt and slot."""
    found: dict[tuple[str, int], Review] = {}
    for ids in batched(dict.fromkeys(attempt_ids)):
        query = (
            select(reviews).where(reviews.c.attempt_id.in_(ids)).order_by(reviews.c.decided_at, reviews.c.applied_at)
        )
        found.update(((row.attempt_id, row.slot), _review(row)) for row in connection.execute(query))
    return found


def rejected_rows(connection: Connection, row_keys: Sequence[str]) -> set[tuple[str, str]]:
    """Which (row key, shot) of these rows ever had an image rejected: few have, so the others need no further look."""
    found: set[tuple[str, str]] = set()
    for keys in batched(dict.fromkeys(row_keys)):
        query = (
            select(reviews.c.row_key, reviews.c.shot)
            .where(reviews.c.row_key.in_(keys), reviews.c.verdict == Verdict.REJECTED)
            .distinct()
        )
        found.update((row.row_key, row.shot) for row in connection.execute(query))
    return found


def _review(row: Row[Any]) -> Review:
    return Review(
        row.row_key,
        row.shot,
        row.job_key,
        row.attempt_id,
        row.slot,
        Verdict(row.verdict),
        row.note,
        row.prompt,
        row.reviewer,
        row.decided_at,
    )
