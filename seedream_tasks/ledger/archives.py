"""The archives of a ledger: their names, their locations, and the ledger position stated by their marks.

A run's mark in its archive states how many records the ledger had; the ledger remembers the newest number of each run. A mark
beyond that was written by a ledger that knew more.
"""

from collections import Counter
from collections.abc import Collection

from sqlalchemy import Connection, case, func, select, update

from .queries import batched
from .schema import archives, counts, runs
from .sql import upsert


def places(connection: Connection) -> dict[str, str]:
    """Archive -> its last known root."""
    return {row.archive: row.place for row in connection.execute(select(archives))}


def know(connection: Connection, archive: str, place: str) -> None:
    """Record an archive's location."""
    row = upsert(connection, archives).values(archive=archive, place=place)
    connection.execute(row.on_conflict_do_update(index_elements=[archives.c.archive], set_={"place": place}))


def of_runs(connection: Connection, run_ids: Collection[str]) -> str | None:
    """The archive that most of these runs wrote into; None where the ledger knows none of them."""
    found: Counter[str] = Counter()
    for some in batched(run_ids):
        found.update(connection.scalars(select(runs.c.archive).where(runs.c.run_id.in_(some))))
    return found.most_common(1)[0][0] if found else None


def marked(connection: Connection, run_ids: Collection[str]) -> dict[str, int]:
    """The newest mark number among those of these runs that the ledger knows; 0 for none."""
    found: dict[str, int] = {}
    for some in batched(run_ids):
        query = select(runs.c.run_id, runs.c.marked).where(runs.c.run_id.in_(some))
        found.update({row.run_id: row.marked or 0 for row in connection.execute(query)})
    return found


def mark(connection: Connection, run_id: str) -> int | None:
    """The number for a new mark of this run, which the ledger knows before the archive does; None for a run it does not know."""
    number = records(connection)
    newest = case((runs.c.marked > number, runs.c.marked), else_=number)  # several processes may work on the run
    known = connection.execute(update(runs).where(runs.c.run_id == run_id).values(marked=newest))
    return number if known.rowcount else None


def records(connection: Connection) -> int:
    """This ledger's number of commits; it only grows."""
    return int(connection.scalar(select(func.sum(counts.c.records))) or 0)


def catch_up(connection: Connection, number: int) -> None:
    """Raise the count to at least this number: marks written by a lost ledger must not be ahead of its successor."""
    missing = number - records(connection)
    if missing > 0:
        row = upsert(connection, counts).values(counter=-1, records=missing)
        more = counts.c.records + missing
        connection.execute(row.on_conflict_do_update(index_elements=[counts.c.counter], set_={"records": more}))
