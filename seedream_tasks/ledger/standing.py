"""Which jobs need nothing any more: one look at very many jobs, for a few microseconds each.

A rerun of a large catalog is made of such jobs. All that is said of them here follows from `views.job_views` too, which reads
every figure of every attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from ..core.states import LIVE, SlotState
from .schema import attempts, copies, pictures, slots
from .views import batched


@dataclass(frozen=True, slots=True)
class File:
    """One archived picture of a job that is at rest."""

    path: str  # below the archive's root
    bytes: int | None


def at_rest(connection: Connection, wanted: Mapping[str, int], archive: str | None) -> dict[str, list[File]]:
    """The jobs whose pictures all stand, with their files; `wanted` gives the number of pictures by job_key.

    Such a job holds a picture in each of its n slots and in no other, every picture it ever got is archived, and no attempt at
    it is under way. `archive`: the root where the pictures must have a copy; None: anywhere, and no files are returned.
    """
    found: dict[str, list[File]] = {}
    for keys in batched(wanted):
        held: dict[str, dict[int, str]] = {}
        query = select(slots.c.job_key, slots.c.slot, slots.c.attempt_id, slots.c.state).where(
            slots.c.job_key.in_(keys)
        )
        for job_key, slot, attempt_id, state in connection.execute(query):
            held.setdefault(job_key, {})[slot] = attempt_id if state == SlotState.FILLED else ""
        full = {key: by_slot for key, by_slot in held.items() if by_slot.keys() == set(range(wanted[key]))}
        live = select(attempts.c.job_key).where(attempts.c.job_key.in_(full), attempts.c.state.in_(LIVE))
        for job_key in connection.scalars(live):
            full.pop(job_key, None)
        found |= _with_files(connection, full, archive)
    return found


def _with_files(
    connection: Connection, held: Mapping[str, Mapping[int, str]], archive: str | None
) -> dict[str, list[File]]:
    """Those of these jobs that have exactly one picture for each slot, archived, of the attempt that holds the slot."""
    here = and_(
        copies.c.attempt_id == pictures.c.attempt_id,
        copies.c.ordinal == pictures.c.ordinal,
        copies.c.archive == (archive or ""),
    )
    columns = (
        *(pictures.c.job_key, pictures.c.slot, pictures.c.attempt_id, pictures.c.state, pictures.c.bytes),
        copies.c.path,
    )
    query = select(*columns).select_from(pictures.outerjoin(copies, here)).where(pictures.c.job_key.in_(held))
    files: dict[str, list[File]] = {key: [] for key in held}
    odd: set[str] = set()
    for job_key, slot, attempt_id, state, size, path in connection.execute(query):
        stands = state == "archived" and held[job_key].get(slot) == attempt_id
        if not stands or (archive is not None and path is None):
            odd.add(job_key)
        files[job_key].append(File(path or "", size))
    return {
        key: each if archive is not None else []
        for key, each in files.items()
        if key not in odd and len(each) == len(held[key])
    }
