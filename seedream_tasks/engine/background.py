"""Tasks that nobody awaits while a run is at work: what ends one ends the run, with its reason."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ..core.errors import SeedreamError

logger = logging.getLogger("seedream_tasks.engine")


def begin(work: Coroutine[Any, Any, None], what: str, broke: Callable[[SeedreamError], None]) -> "asyncio.Task[None]":
    """Begin work that goes on until it is cancelled; `broke` is told of any other end."""

    def ended(task: "asyncio.Task[None]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.critical("%s has ended", what, exc_info=error)
        broke(error if isinstance(error, SeedreamError) else SeedreamError(f"{what}: {type(error).__name__}: {error}"))

    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(ended)
    return task
