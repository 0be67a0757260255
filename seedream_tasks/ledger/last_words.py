"""Whose manifest of a run is its last word: the run's own, or that of somebody who wrote one while the run was at work.

The archive cannot tell, since either may overwrite the files of the other. So both say in the ledger when they have written, and
whoever learns that the other came in between writes again.
"""

from sqlalchemy import Connection, func, select

from . import attempt_rows, known_runs
from .schema import events, runs

_WRITTEN = "provisional_manifest"


def provisional_ones(connection: Connection, run_id: str) -> int:
    """How many provisional manifests of a run were written by others, so far."""
    query = select(func.count()).where(events.c.run_id == run_id, events.c.kind == _WRITTEN)
    return connection.scalar(query) or 0


def wrote_provisional(connection: Connection, run_id: str) -> bool:
    """A provisional manifest is written; False where the run has ended meanwhile, so that it must be written for good."""
    of_run = select(runs.c.finished_at).where(runs.c.run_id == run_id).with_for_update()
    if connection.scalar(of_run) is not None:
        return False
    attempt_rows.note(connection, _WRITTEN, "written beside the run", run_id=run_id)
    return True


def finish(connection: Connection, run_id: str, seen: int) -> bool:
    """End a run whose manifest is written; False where, since `seen` were counted, another provisional one was."""
    connection.execute(select(runs.c.run_id).where(runs.c.run_id == run_id).with_for_update())
    if provisional_ones(connection, run_id) > seen:
        return False
    known_runs.finish_run(connection, run_id)
    return True
