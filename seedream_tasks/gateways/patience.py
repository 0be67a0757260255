"""Waiting for an answer, by the time in which it could have been read.

A process that is stopped, or whose machine sleeps, wakes up with its timers run down and its answers waiting in its sockets. A
timeout that fires in the turn in which it wakes calls every one of them lost, though each is paid for. So time asleep is not
waiting, and what has arrived is read before a timeout counts.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
# No longer than this counts at once, however late one wakes.
_STEP_S = 1.0


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, waited for so long. Raises TimeoutError, and then the work is ended."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    left = seconds
    try:
        while left > 0:
            step, began = min(left, _STEP_S), loop.time()
            if await _is_done(task, step):
                return await task
            left -= min(loop.time() - began, 2 * step)
        # Woken and out of time in one turn: what has come meanwhile is read now.
        if await _is_done(task, min(seconds, _STEP_S)):
            return await task
        raise TimeoutError(f"no answer within {seconds:g} s")
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _is_done(task: "asyncio.Task[Any]", within_s: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=within_s)
    return bool(done)
