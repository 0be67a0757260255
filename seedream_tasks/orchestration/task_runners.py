"""Chunks of a run on the flow's task runner: Dask, Ray, whatever runs Prefect tasks in other processes.

By default a flow's chunks run in its own event loop, where they share one engine. A task runner other than Prefect's threads is
somebody's wish for more processes: they are submitted to it, and each opens a session of its own where it runs.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from ..core.errors import SeedreamError

logger = logging.getLogger("seedream_tasks.orchestration")

# How long one look at a future takes at most; a flow that is cancelled waits for that.
_LOOK_S = 1.0


def other_task_runner() -> TaskRunner[Any] | None:
    """The flow's task runner, where it is another than Prefect's threads."""
    context = FlowRunContext.get()
    runner = context.task_runner if context else None
    return None if runner is None or isinstance(runner, ThreadPoolTaskRunner) else runner


async def run_elsewhere(
    submits: Sequence[Callable[[], PrefectFuture[Any]]], ended: Callable[[int], None]
) -> list[State[Any]]:
    """Submit all, wait for all; `ended` is told the number of each that has ended. Raises SeedreamError for one that got lost.

    On cancelling, what has not begun is not begun.
    """
    # In a thread: the first one may start a cluster.
    futures = [await asyncio.to_thread(submit) for submit in submits]
    states = []
    try:
        for number, future in enumerate(futures):
            states.append(await _state_of(future))
            ended(number)
    except BaseException:
        for future in futures:
            cancel = getattr(getattr(future, "wrapped_future", None), "cancel", None)
            if cancel is not None:
                await asyncio.to_thread(cancel)
        raise
    return states


async def _state_of(future: PrefectFuture[Any]) -> State[Any]:
    while True:
        try:
            await asyncio.to_thread(future.result, _LOOK_S, raise_on_failure=False)
        except TimeoutError:
            continue
        except Exception as error:
            raise SeedreamError(
                f"the task runner lost a chunk of the run: {type(error).__name__}: {error}",
                hint="run it again: what was bought is in the ledger, and nothing is paid twice",
            ) from error
        return future.state
