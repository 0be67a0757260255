"""Which manifest of a run is final: the run's own, or one that another process wrote while the run was active.

The archive cannot tell, since either may overwrite the other's files. So both record in the ledger when they have written, and
a process that finds the other came in between writes again.
"""

from sqlalchemy import Connection, func, select

from . import attempt_rows, known_runs
from .schema import events, runs

_WRITTEN = "provisional_manifest"


def provisional_ones(connection: Connection, run_id: str) -> int:
    """The number of provisional manifests of a run written by others so far."""
    query = select(func.count()).where(events.c.run_id == run_id, events.c.kind == _WRITTEN)
    return connection.scalar(query) or 0


def wrote_provisional(connection: Connection, run_id: str) -> bool:
    """Record a provisional manifest; False when the run has ended meanwhile, so that the final one must be written."""
    of_run = select(runs.c.finished_at).where(runs.c.run_id == run_id).with_for_update()
    if connection.scalar(of_run) is not None:
        return False
    attempt_rows.note(connection, _WRITTEN, "written beside the run", run_id=run_id)
    return True


def finish(connection: Connection, run_id: str, seen: int) -> bool:
    """End a run whose manifest is written; False when another provisional one was written since `seen` were counted."""
    connection.execute(select(runs.c.run_id).where(runs.c.run_id == run_id).with_for_update())
    if provisional_ones(connection, run_id) > seen:
        return False
    known_runs.finish_run(connection, run_id)
    return True
