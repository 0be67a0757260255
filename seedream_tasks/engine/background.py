"""Background tasks of a run that nobody awaits: if one fails, the run fails with its reason."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ..core.errors import SeedreamError

logger = logging.getLogger("seedream_tasks.engine")


def begin(work: Coroutine[Any, Any, None], what: str, broke: Callable[[SeedreamError], None]) -> "asyncio.Task[None]":
    """Start work that runs until it is cancelled; `broke` is called if it ends in any other way."""

    def ended(task: "asyncio.Task[None]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.critical("%s has ended", what, exc_info=error)
        broke(error if isinstance(error, SeedreamError) else SeedreamError(f"{what}: {type(error).__name__}: {error}"))

    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(ended)
    return task
