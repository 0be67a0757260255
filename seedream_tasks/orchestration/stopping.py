"""Stopping in order when a worker ends the process.

Prefect answers SIGTERM by raising in the main thread, in the middle of whatever stands there: an answer to a paid request that
is about to be recorded, for one. While a run is at work the signal cancels it instead, so that it buys nothing more, records
what is open, and leaves.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger("seedream_tasks.flows")


# What SIGTERM cancels. Flow runs of one process may overlap: the first to enter takes the signal, the last to leave gives it
# back.
_at_work: list[asyncio.Task[Any]] = []
_before: list[Any] = []


@contextmanager
def in_order() -> Iterator[None]:
    """While inside, SIGTERM cancels the task that entered. Elsewhere than in the main thread signals are not ours."""
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
