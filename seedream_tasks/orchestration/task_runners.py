"""Run chunks on a distributed task runner: Dask, Ray, or any other that runs Prefect tasks in other processes.

By default a flow's chunks run in its own event loop, where they share one engine. With a task runner other than Prefect's
threads, the user wants more processes: chunks are submitted to it, and each opens its own session where it runs.
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

# Max time of one check of a future; a cancelled flow waits for that.
_LOOK_S = 1.0


def other_task_runner() -> TaskRunner[Any] | None:
    """The flow's task runner, if it is not Prefect's threads."""
    context = FlowRunContext.get()
    runner = context.task_runner if context else None
    return None if runner is None or isinstance(runner, ThreadPoolTaskRunner) else runner


async def run_elsewhere(
    submits: Sequence[Callable[[], PrefectFuture[Any]]], ended: Callable[[int], None]
) -> list[State[Any]]:
    """Submit all, wait for all; `ended` is called with the number of each that has ended. Raises SeedreamError for a lost one.

    On cancellation, chunks that have not started are not started.
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
