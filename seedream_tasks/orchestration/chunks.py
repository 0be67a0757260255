"""A run in chunks: which records make up one task run, and where they run."""

import asyncio
from collections.abc import Iterable
from functools import partial
from itertools import groupby, pairwise
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun

from ..config.run_options import RunOptions
from ..core.states import Reason
from ..runs.frozen import FrozenRun
from .session import Session
from .task_runners import other_task_runner, run_elsewhere
from .tasks import process_chunk

# Up to this many jobs get their own task runs; beyond, Prefect's server could not keep up with the engine.
MOST_ROW_TASKS = 300
# The first chunk is small, to show progress early; the others are few, since each costs the server some writes.
FIRST_CHUNK, CHUNK = 100, 1000
Range = tuple[int, int]  # of records: the first, and the one after the last


async def run_chunks(
    run: Session, options: RunOptions, granularity: str, start: int = 0, stop: int | None = None
) -> list[Range]:
    """Process the records from `start` to before `stop`: in this event loop, or on the flow's task runner.

    Writes no parts of the manifest, so the list is empty. Raises whatever stopped the run or a chunk of it.
    """
    runner = await run.runner()
    stop = len(runner.frozen) if stop is None else stop
    if other_task_runner() is None:
        ranges = _ranges(runner.frozen, granularity, start, stop)
        states: Iterable[State[Any]] = await asyncio.gather(
            *(chunk(run.run_id, options, first, last, label) for first, last, label in ranges)
        )
    else:
        # Each opens connections of its own there, which is much for one record.
        ranges = _ranges(runner.frozen, "chunk" if granularity == "auto" else granularity, start, stop)
        progress, total = runner.engine.progress, len(runner.frozen)
        submits = [partial(_named(label).submit, run.run_id, options, first, last) for first, last, label in ranges]
        states = await run_elsewhere(submits, lambda number: progress.reached(ranges[number][1] / total))
    if runner.engine.fault is not None:
        raise runner.engine.fault
    for state in states:
        if state.is_failed() or state.is_crashed():
            # A failed record returns a Failed state without an exception; an exception stopped its chunk.
            error = await state.aresult(raise_on_failure=False)
            if isinstance(error, BaseException) and not isinstance(error, FailedRun):
                raise error
    return []


async def chunk(run_id: str, options: RunOptions, start: int, stop: int, label: str) -> State[Any]:
    """One chunk in this event loop, as a task run of this name. Raises CancelledError when it was cancelled."""
    state: State[Any] = await _named(label)(run_id, options, start, stop, return_state=True)
    if state.is_cancelled():
        raise asyncio.CancelledError
    return state


def _named(label: str) -> Any:
    return process_chunk.with_options(task_run_name=label.replace("{", "(").replace("}", ")"))


def _ranges(frozen: FrozenRun, granularity: str, start: int, stop: int) -> list[tuple[int, int, str]]:
    """The records of each task run: start, stop, name. Records with nothing to do when frozen get none."""
    busy = [int(each) for each in frozen.busy() if start <= each < stop]
    if granularity == "row" or (granularity == "auto" and len(busy) <= MOST_ROW_TASKS):
        return _row_ranges(frozen.busy_rows(start, stop))
    cuts = [0, *range(FIRST_CHUNK, len(busy), CHUNK), len(busy)]
    parts = [busy[first:last] for first, last in pairwise(cuts) if last > first]
    return [(part[0], part[-1] + 1, f"records {part[0] + 1} to {part[-1] + 1}") for part in parts]


def _row_ranges(rows: Iterable[tuple[int, dict[str, Any]]]) -> list[tuple[int, int, str]]:
    """A task run for each record to be bought; consecutive unchanged records, which may still be in flight, share one."""
    ranges: list[tuple[int, int, str]] = []
    jobs = ((position, row) for position, row in rows if row["_settled"] is None)
    for unchanged, several in groupby(jobs, lambda each: each[1]["reason"] == Reason.UNCHANGED):
        if unchanged:
            positions = [position for position, _ in several]
            start, stop = positions[0], positions[-1] + 1
            which = f"records {start + 1} to {stop}" if stop > start + 1 else f"record {stop}"
            ranges.append((start, stop, f"unchanged {which}"))
        else:
            ranges += [(position, position + 1, f"{row['row_key']} {row['shot']}") for position, row in several]
    return ranges
