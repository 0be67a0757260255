"""Records about single images, and the end of the attempt when its last image is settled."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, exists, select, update

from ..core.errors import UnknownAttempt
from ..core.secrets import without_secrets
from ..core.states import AttemptState, Closed, SlotState
from ..core.stored_images import Stored
from .schema import attempts, copies, derived, images, jobs, slots
from .sql import insert_on_conflict, upsert

# Error code of an attempt whose images are delivered and cannot be fetched now.
NOT_FETCHED = "not_fetched"
_THIS = (images.c.attempt_id == bindparam("of")) & (images.c.ordinal == bindparam("number"))
_IMAGE = select(images).where(_THIS).with_for_update()
_SETTLE = update(images).where(_THIS)
# The usual case, in one statement.
_SETTLE_DELIVERED = _SETTLE.where(images.c.state == "delivered").returning(images.c.job_key, images.c.slot)
_STATES = select(images.c.state).where(images.c.attempt_id == bindparam("of"))
_FILL = update(slots).where(
    slots.c.job_key == bindparam("job"),
    slots.c.slot == bindparam("number"),
    slots.c.attempt_id == bindparam("holder"),
)
# No image is left to copy.
_END = update(attempts).where(
    attempts.c.attempt_id == bindparam("of"),
    ~exists().where(images.c.attempt_id == attempts.c.attempt_id, images.c.state == "delivered"),
)
# An image that was archived with the same bytes; which of several does not matter.
_TWIN = (
    select(images.c.attempt_id, images.c.ordinal, images.c.warnings, jobs.c.row_key, jobs.c.shot)
    .join(jobs, jobs.c.job_key == images.c.job_key)
    .where(images.c.sha256 == bindparam("bytes"), images.c.state == bindparam("state"), ~_THIS)
    .limit(1)
)
_NAME = select(jobs.c.row_key, jobs.c.shot).join(attempts, attempts.c.job_key == jobs.c.job_key)
_ATTEMPT = update(attempts).where(attempts.c.attempt_id == bindparam("of"))


_KEEP_COPY = insert_on_conflict(copies, "(attempt_id, ordinal, archive) DO UPDATE SET path = excluded.path")


def archived(connection: Connection, attempt_id: str, ordinal: int, stored: Stored) -> AttemptState:
    """Copied and verified: its slot is filled. Another image with the same bytes is warned of at both."""
    twin = connection.execute(
        _TWIN, {"of": attempt_id, "number": ordinal, "bytes": stored.sha256, "state": "archived"}
    ).first()
    if twin is not None:
        stored = replace(stored, warnings=(*stored.warnings, f"same_as: {twin.row_key}/{twin.shot}"))
    if _settle(connection, attempt_id, ordinal, "archived", SlotState.FILLED, None, stored) and twin is not None:
        _tell_twin(connection, twin, attempt_id)
    ended = connection.execute(_END, {"of": attempt_id, "state": AttemptState.ARCHIVED}).rowcount
    return AttemptState.ARCHIVED if ended else AttemptState.DELIVERED


def _tell_twin(connection: Connection, twin: Row[Any], attempt_id: str) -> None:
    """The first image names only the next one with the same bytes; thousands of duplicates need no longer list."""
    warnings = json.loads(twin.warnings or "[]")
    if any(each.startswith("same_as: ") for each in warnings):
        return
    name = connection.execute(_NAME.where(attempts.c.attempt_id == attempt_id)).one()
    told = json.dumps([*warnings, f"same_as: {name.row_key}/{name.shot}"])
    connection.execute(_SETTLE, {"of": twin.attempt_id, "number": twin.ordinal, "warnings": told})


def quarantined(connection: Connection, attempt_id: str, ordinal: int, stored: Stored, why: str) -> AttemptState:
    """Paid for and kept, but not an image: its slot is closed."""
    if not _settle(connection, attempt_id, ordinal, "quarantined", SlotState.CLOSED, Closed.BILLED, stored):
        return _finish(connection, attempt_id)
    return _finish(connection, attempt_id, "undecodable", why)


def expired(connection: Connection, attempt_id: str, ordinal: int, why: str) -> AttemptState:
    """The link expired before the image was copied; or, if its archived file was missing, copied again: then lost."""
    had_been_copied = connection.scalar(
        select(images.c.sha256).where(images.c.attempt_id == attempt_id, images.c.ordinal == ordinal)
    )
    state, closed = ("lost", Closed.LOST) if had_been_copied else ("expired", Closed.EXPIRED)
    if not _settle(connection, attempt_id, ordinal, state, SlotState.CLOSED, closed, None):
        return _finish(connection, attempt_id)
    return _finish(connection, attempt_id, "missing" if had_been_copied else "expired", why)


def _settle(
    connection: Connection,
    attempt_id: str,
    ordinal: int,
    state: str,
    slot_state: SlotState,
    closed: Closed | None,
    stored: Stored | None,
) -> bool:
    """Record an image's end; False when an earlier end is kept."""
    image = {"of": attempt_id, "number": ordinal}
    values = {} if stored is None else {
        "sha256": stored.sha256,
        "width": stored.width,
        "height": stored.height,
        "bytes": stored.bytes,
        "mime_type": stored.mime_type,
        "warnings": json.dumps(stored.warnings),
    }  # fmt: skip
    settled_at = {} if state == "lost" else {"archived_at": datetime.now(UTC)}
    settled = {**image, "state": state, **settled_at, **values}
    row = connection.execute(_SETTLE_DELIVERED, settled).one_or_none()
    if row is None:
        row = connection.execute(_IMAGE, image).one_or_none()
        if row is None:
            raise UnknownAttempt(f"attempt {attempt_id} has no image {ordinal}", attempt_id=attempt_id, state=None)
        # Two runs may have followed one attempt. A recorded end is kept, except that an archived image overrides any other end.
        if row.state == "archived" or state != "archived":
            if stored and row.state == state:
                _copy(connection, attempt_id, ordinal, stored)
            return False
        connection.execute(_SETTLE, settled)
    if stored:
        _copy(connection, attempt_id, ordinal, stored)
    if row.slot is not None:
        place = {"job": row.job_key, "number": row.slot, "holder": attempt_id}
        held = connection.execute(_FILL, {**place, "state": slot_state, "closed": closed})
        if not held.rowcount:
            # The slot was bought again meanwhile: the image is kept, but does not hold a slot.
            connection.execute(_SETTLE, {**image, "slot": None})
    return True


def _copy(connection: Connection, attempt_id: str, ordinal: int, stored: Stored) -> None:
    row = {"attempt_id": attempt_id, "ordinal": ordinal, "archive": stored.archive, "path": stored.path}
    connection.execute(_KEEP_COPY, row)


def copied(connection: Connection, attempt_id: str, ordinal: int, stored: Stored) -> None:
    """A further archive holds a verified copy of an archived image."""
    _copy(connection, attempt_id, ordinal, stored)


@dataclass(frozen=True, slots=True)
class Derived:
    """A file made of an archived image."""

    attempt_id: str
    ordinal: int
    archive: str  # root URI
    profile: str  # digest of the output profile
    path: str  # below the root
    sha256: str
    bytes: int
    width: int  # px
    height: int  # px
    mime_type: str


def made(connection: Connection, file: Derived) -> None:
    """Record a file derived from an image; it replaces one of another profile."""
    values = asdict(file)
    row = upsert(connection, derived).values(**values)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[derived.c.attempt_id, derived.c.ordinal, derived.c.archive], set_=values
        )
    )


def derived_of(connection: Connection, archive: str, attempt_ids: Collection[str]) -> dict[tuple[str, int], Derived]:
    """The files derived from these attempts' images, by attempt and slot."""
    joined = and_(derived.c.attempt_id == images.c.attempt_id, derived.c.ordinal == images.c.ordinal)
    query = (
        select(derived, images.c.slot)
        .select_from(derived.join(images, joined))
        .where(derived.c.archive == archive, derived.c.attempt_id.in_(attempt_ids), images.c.slot.is_not(None))
    )
    found = {}
    for row in connection.execute(query):
        values = {name: getattr(row, name) for name in Derived.__dataclass_fields__}
        found[row.attempt_id, row.slot] = Derived(**values)
    return found


def any_derived(connection: Connection, archive: str) -> bool:
    """Whether any file was derived from an image of this archive."""
    return connection.execute(select(derived.c.path).where(derived.c.archive == archive).limit(1)).first() is not None


def _finish(
    connection: Connection, attempt_id: str, error_code: str | None = None, error_message: str | None = None
) -> AttemptState:
    """End the attempt when no image is left to copy: `archived` if any image is, or was, archived."""
    states: Sequence[str] = list(connection.scalars(_STATES, {"of": attempt_id}))
    if "delivered" in states:
        to = AttemptState.DELIVERED
    elif not {"archived", "lost", "pruned"}.isdisjoint(states):
        to = AttemptState.ARCHIVED
    elif "expired" in states:
        to = AttemptState.EXPIRED
    else:
        to = AttemptState.FAILED
    values: dict[str, str | None] = {"state": to}
    if error_code:
        values |= {"error_code": error_code, "error_message": without_secrets(error_message or "")}
    # Only from `delivered`; the money was settled when the links became known.
    connection.execute(_ATTEMPT, {"of": attempt_id, **values})
    return to


def not_fetched(connection: Connection, attempt_id: str, why: str | None) -> None:
    """Record why a delivered attempt is not copied yet; None clears the reason."""
    note_on_attempt(connection, attempt_id, NOT_FETCHED if why else None, why)


def note_on_attempt(connection: Connection, attempt_id: str, code: str | None, message: str | None) -> None:
    """What a record without an image is to say of an archived attempt."""
    said = None if message is None else without_secrets(message)
    connection.execute(_ATTEMPT, {"of": attempt_id, "error_code": code, "error_message": said})
