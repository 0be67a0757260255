"""A run in chunks: which records make one task run, and where they are worked on."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun

from ..catalog.frozen import FrozenRun
from ..core.states import Reason
from .elsewhere import other_task_runner, run_elsewhere
from .session import RunSettings, Session
from .tasks import process_chunk

# Up to this many jobs are task runs of their own; beyond, Prefect's server could not keep up with the engine.
MOST_ROW_TASKS = 300
# The first chunk is small, as proof of life; the others are few, since each costs the server some writes.
FIRST_CHUNK, CHUNK = 100, 1000
Range = tuple[int, int]  # of records: the first, and the one after the last


async def run_chunks(
    run: Session, settings: RunSettings, granularity: str, start: int = 0, stop: int | None = None
) -> list[Range]:
    """Take the records from `start` to before `stop` as far as they go: in this event loop, or on the flow's task runner.

    No parts of the manifest are written, so the list is empty. Raises what stopped the run or a chunk of it.
    """
    runner = await run.runner()
    stop = len(runner.frozen) if stop is None else stop
    if other_task_runner() is None:
        ranges = _ranges(runner.frozen, granularity, start, stop)
        states: Iterable[State[Any]] = await asyncio.gather(
            *(chunk(run.run_id, settings, first, last, label) for first, last, label in ranges)
        )
    else:
        # Each opens connections of its own there, which is much for one record.
        ranges = _ranges(runner.frozen, "chunk" if granularity == "auto" else granularity, start, stop)
        progress, total = runner.engine.progress, len(runner.frozen)
        submits = [partial(_named(label).submit, run.run_id, settings, first, last) for first, last, label in ranges]
        states = await run_elsewhere(submits, lambda number: progress.reached(ranges[number][1] / total))
    if runner.engine.fault is not None:
        raise runner.engine.fault
    for state in states:
        if state.is_failed() or state.is_crashed():
            # A row whose record failed returns a Failed state without an exception; what was raised stopped its chunk.
            error = await state.aresult(raise_on_failure=False)
            if isinstance(error, BaseException) and not isinstance(error, FailedRun):
                raise error
    return []


async def chunk(run_id: str, settings: RunSettings, start: int, stop: int, label: str) -> State[Any]:
    """One chunk in this event loop, as a task run of this name."""
    state: State[Any] = await _named(label)(run_id, settings, start, stop, return_state=True)
    return state


def _named(label: str) -> Any:
    return process_chunk.with_options(task_run_name=label.replace("{", "(").replace("}", ")"))


def _ranges(frozen: FrozenRun, granularity: str, start: int, stop: int) -> list[tuple[int, int, str]]:
    """Which records become one task run: start, stop, name."""
    if granularity == "row" or (granularity == "auto" and stop - start <= MOST_ROW_TASKS):
        return _row_ranges(frozen.rows(start, stop), start)
    first = min(start + FIRST_CHUNK, stop)
    starts = [start, *range(first, stop, CHUNK)]
    return [
        (start, stop, f"records {start + 1} to {stop}")
        for start, stop in zip(starts, [*starts[1:], stop], strict=True)
        if stop > start
    ]


def _row_ranges(rows: list[dict[str, Any]], start: int) -> list[tuple[int, int, str]]:
    """A task run for each record that is to be bought; stretches of unchanged ones, which may still be in flight, share one."""
    ranges: list[tuple[int, int, str]] = []
    since: int | None = None
    for position, row in enumerate([*rows, None], start):
        unchanged = row is not None and row["_settled"] is None and row["reason"] == Reason.UNCHANGED
        if unchanged and since is None:
            since = position
        elif not unchanged and since is not None:
            ranges.append((since, position, f"unchanged records {since + 1} to {position}"))
            since = None
        if row is not None and row["_settled"] is None and not unchanged:
            ranges.append((position, position + 1, f"{row['row_key']} {row['shot']}"))
    return ranges
