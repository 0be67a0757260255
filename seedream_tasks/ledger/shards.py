"""Shards of a run: which are active, and their progress. Only claims decide who may buy what."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from .schema import shards
from .sql import database_now, is_current, upsert

# A process working on a shard sends four heartbeats within this, in seconds.
ALIVE_FOR_S = 60.0
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ShardView:
    """The state of a started shard."""

    done: int  # jobs
    alive: bool  # a process has worked on it within the last minute


def at_work(connection: Connection, run_id: str, start: int, stop: int, done: int) -> None:
    """Record that a process is working on these records of a run, and how many of their jobs are done."""
    values = {"done": done, "alive_until": database_now(connection) + int(ALIVE_FOR_S * 1_000_000)}
    row = upsert(connection, shards).values(run_id=run_id, start=start, stop=stop, **values)
    keys = [shards.c.run_id, shards.c.start, shards.c.stop]
    connection.execute(row.on_conflict_do_update(index_elements=keys, set_=values))


def of_run(connection: Connection, run_id: str) -> dict[Range, ShardView]:
    """The started shards of a run."""
    now = database_now(connection)
    rows = connection.execute(select(shards).where(shards.c.run_id == run_id))
    return {(row.start, row.stop): ShardView(row.done, is_current(row.alive_until, now, ALIVE_FOR_S)) for row in rows}


def forget(connection: Connection, run_id: str, of: Range | None = None) -> None:
    """Remove a shard that is started again or, with None, all shards of a finished run."""
    mine = shards.c.run_id == run_id
    if of is not None:
        mine = mine & (shards.c.start == of[0]) & (shards.c.stop == of[1])
    connection.execute(delete(shards).where(mine))
