"""Pruning archived images: what may be deleted, and what the ledger keeps. Attempts and their cost are never changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, and_, delete, func, select, update

from ..core.states import Closed, SlotState
from .image_records import note_on_attempt
from .schema import attempts, copies, derived, images, jobs, runs, slots

_ROWS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class KeptImage:
    """A file of an archive, and its image."""

    attempt_id: str
    ordinal: int
    job_key: str
    row_key: str
    shot: str
    slot: int | None  # None: it does not hold a slot
    state: str  # archived, quarantined; pruned: a prune was interrupted before the file was deleted
    path: str
    derived_path: str | None  # the file made of it by an output profile
    bytes: int  # of both
    cost_usd: Decimal  # its share of what its attempt cost
    catalog_uri: str  # of the run that bought it


def kept_in(connection: Connection, archive: str) -> Iterator[KeptImage]:
    """Every file that the ledger knows in this archive, streamed."""
    others = images.alias()
    made = select(func.count()).where(others.c.attempt_id == images.c.attempt_id).scalar_subquery()
    query = (
        select(
            images,
            copies.c.path,
            derived.c.path.label("derived_path"),
            derived.c.bytes.label("derived_bytes"),
            jobs.c.row_key,
            jobs.c.shot,
            attempts.c.billed_usd,
            runs.c.catalog_uri,
            made.label("made"),
        )
        .select_from(copies)
        .join(images, and_(images.c.attempt_id == copies.c.attempt_id, images.c.ordinal == copies.c.ordinal))
        .outerjoin(
            derived,
            and_(
                derived.c.attempt_id == copies.c.attempt_id,
                derived.c.ordinal == copies.c.ordinal,
                derived.c.archive == copies.c.archive,
            ),
        )
        .join(attempts, attempts.c.attempt_id == images.c.attempt_id)
        .join(jobs, jobs.c.job_key == images.c.job_key)
        .join(runs, runs.c.run_id == attempts.c.run_id)
        .where(copies.c.archive == archive, images.c.state.in_(["archived", "quarantined", "pruned"]))
        .order_by(jobs.c.row_key, jobs.c.shot, images.c.attempt_id, images.c.ordinal)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    for row in connection.execute(query):
        yield KeptImage(
            row.attempt_id,
            row.ordinal,
            row.job_key,
            row.row_key,
            row.shot,
            row.slot,
            row.state,
            row.path,
            row.derived_path,
            (row.bytes or 0) + (row.derived_bytes or 0),
            row.billed_usd / row.made,
            row.catalog_uri,
        )


def give_up(connection: Connection, archive: str, given_up: Sequence[KeptImage], why: str) -> None:
    """Record that these files are pruned, before they are moved. An image with a copy in another archive is unchanged."""
    for each in given_up:
        mine = (copies.c.attempt_id == each.attempt_id) & (copies.c.ordinal == each.ordinal)
        if connection.scalar(select(func.count()).select_from(copies).where(mine, copies.c.archive != archive)):
            continue
        image = (images.c.attempt_id == each.attempt_id) & (images.c.ordinal == each.ordinal)
        connection.execute(update(images).where(image).values(state="pruned"))
        connection.execute(
            update(slots)
            .where(
                slots.c.job_key == each.job_key,
                slots.c.slot == each.slot,
                slots.c.attempt_id == each.attempt_id,
                slots.c.state == SlotState.FILLED,
            )
            .values(state=SlotState.CLOSED, closed=Closed.PRUNED)
        )
        if each.state == "archived":
            note_on_attempt(connection, each.attempt_id, "pruned", why)


def moved_to_trash(connection: Connection, archive: str, moved: Mapping[str, KeptImage]) -> None:
    """Record that these files are in the trash, under these paths; files derived from them are deleted.

    If another archive has the image as well, its copy is used from now on.
    """
    for path, each in moved.items():
        for table in (copies, derived):
            mine = (table.c.attempt_id == each.attempt_id) & (table.c.ordinal == each.ordinal)
            here = mine & (table.c.archive == archive)
            image = (images.c.attempt_id == each.attempt_id) & (images.c.ordinal == each.ordinal)
            if table is copies and connection.scalar(select(images.c.state).where(image)) == "pruned":
                connection.execute(update(copies).where(here).values(path=path))
            else:
                connection.execute(delete(table).where(here))


def forget_copies(connection: Connection, archive: str, gone: Sequence[KeptImage]) -> None:
    """These images have no file of their own in this archive any more."""
    for each in gone:
        for table in (copies, derived):
            mine = (table.c.attempt_id == each.attempt_id) & (table.c.ordinal == each.ordinal)
            connection.execute(delete(table).where(mine, table.c.archive == archive))


def forget_paths(connection: Connection, archive: str, paths: Sequence[str]) -> None:
    """Record that the files with these paths are deleted from this archive."""
    connection.execute(delete(copies).where(copies.c.archive == archive, copies.c.path.in_(paths)))


def is_shared(connection: Connection, archive: str, kept: KeptImage) -> bool:
    """Whether another image that is kept shares this file."""
    query = (
        select(func.count())
        .select_from(copies)
        .join(images, and_(images.c.attempt_id == copies.c.attempt_id, images.c.ordinal == copies.c.ordinal))
        .where(
            copies.c.archive == archive,
            copies.c.path == kept.path,
            images.c.state != "pruned",
            (copies.c.attempt_id != kept.attempt_id) | (copies.c.ordinal != kept.ordinal),
        )
    )
    return bool(connection.scalar(query))
