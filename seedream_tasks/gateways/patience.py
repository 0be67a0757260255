"""Waiting for an answer, counting only time in which it could have been read.

A process that was stopped, or whose machine slept, wakes with expired timers and answers waiting in its sockets. A timeout that
fires at once would treat all of them as lost, though each is paid for. So time asleep does not count, and answers that have
arrived are read before a timeout applies.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
# At most this much counts at once, however late the process wakes.
_STEP_S = 1.0


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work` within this time. Raises TimeoutError after cancelling the work."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    left = seconds
    try:
        while left > 0:
            step, began = min(left, _STEP_S), loop.time()
            if await _is_done(task, step):
                return await task
            left -= min(loop.time() - began, 2 * step)
        # Woken and timed out in the same iteration: read what has arrived meanwhile.
        if await _is_done(task, min(seconds, _STEP_S)):
            return await task
        raise TimeoutError(f"no answer within {seconds:g} s")
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _is_done(task: "asyncio.Task[Any]", within_s: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=within_s)
    return bool(done)
