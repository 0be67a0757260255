"""Clean shutdown when a worker ends the process.

Prefect answers SIGTERM by raising in the main thread, in the middle of whatever runs there: recording the answer to a paid
request, for example. During a run the signal cancels the run instead, so that it buys nothing more, records open calls, and
exits.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Cancelled

P = ParamSpec("P")
# A stopped run leaves within ten seconds; this much of it is for asking Prefect whether it was cancelled.
_ASKED_WITHIN_S = 5.0
logger = logging.getLogger("seedream_tasks.orchestration")


class _StoppedInOrder(logging.Filter):
    """Prefect tells of each task that did not complete as an error; one that was stopped in order is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.ERROR or not record.getMessage().startswith(f"Finished in state {STOPPED}("):
            return True
        record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
        return logging.getLogger(record.name).isEnabledFor(logging.INFO)


STOPPED = "Stopped"  # the state's name of a task run that its flow has stopped
logging.getLogger("prefect.task_runs").addFilter(_StoppedInOrder())

# What SIGTERM cancels. Flow runs of one process may overlap: the first to enter takes the signal, the last to leave gives it
# back.
_at_work: list[asyncio.Task[Any]] = []
_before: list[Any] = []


@contextmanager
def in_order() -> Iterator[None]:
    """Within the context, SIGTERM cancels the task that entered. Outside the main thread signals are left alone."""
    task = asyncio.current_task()
    if threading.current_thread() is not threading.main_thread() or task is None:
        yield
        return
    loop = asyncio.get_running_loop()
    if not _at_work:
        _before.append(signal.getsignal(signal.SIGTERM))
        loop.add_signal_handler(signal.SIGTERM, _stop)
    _at_work.append(task)
    try:
        yield
    finally:
        _at_work.remove(task)
        if not _at_work:
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, _before.pop())


def _stop() -> None:
    logger.warning("stopping: no new purchases; waiting for open calls")
    for task in set(_at_work):
        task.cancel()


def cancelled_by_a_person(work: Callable[P, Coroutine[Any, Any, Any]]) -> Callable[P, Coroutine[Any, Any, Any]]:
    """A flow that ends as Cancelled if a user cancelled its run in Prefect.

    Prefect distinguishes that from a crash only while it handles SIGTERM itself. A run stopped otherwise ends as Crashed.
    """

    @wraps(work)
    async def until_cancelled(*args: P.args, **kwargs: P.kwargs) -> Any:
        task = asyncio.current_task()
        try:
            return await work(*args, **kwargs)
        except asyncio.CancelledError:
            if task is None or not flow_run.id:
                raise
            task.uncancel()  # the question must be asked all the same
            if not await _cancelled_in_prefect(flow_run.id):
                raise
            return Cancelled(message="stopped; what is in flight stands in the ledger and is taken up by the next run")

    return until_cancelled


async def _cancelled_in_prefect(run_id: str) -> bool:
    try:
        async with asyncio.timeout(_ASKED_WITHIN_S), get_client() as client:
            state = (await client.read_flow_run(UUID(run_id))).state
    except (TimeoutError, httpx.HTTPError, ObjectNotFound) as error:
        logger.warning("Prefect's server does not say whether this run was cancelled: %s", type(error).__name__)
        return False
    return state is not None and state.is_cancelling()
