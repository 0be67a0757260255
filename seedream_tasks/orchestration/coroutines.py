"""Detects sync code that calls flows and tasks, which are coroutines, without awaiting them.

Such a call returns a coroutine; dropping it buys nothing, and Prefect reports the run as Completed. So a flow or task run
without an event loop, which cannot await, gets an error at once. Elsewhere (`asyncio.run(...)` is called with the coroutine
before its loop runs) the coroutine itself logs an error if it is never awaited.
"""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.context import FlowRunContext, TaskRunContext

from ..core.errors import ConfigurationError

logger = logging.getLogger("seedream_tasks.orchestration")
P = ParamSpec("P")
R = TypeVar("R")


class NotAwaited(ConfigurationError):
    """A flow or task was called where nobody can await it; nothing was bought."""

    code = "not_awaited"


class _AwaitedTask(Task[Any, Any]):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        check_that_it_can_be_awaited(self.name)
        return in_hand(self.name, super().__call__(*args, **kwargs))

    def with_options(self, **options: Any) -> Any:
        return awaited(super().with_options(**options))


def awaited(work: Task[P, R]) -> Task[P, R]:
    """A task that raises if its coroutine could not be awaited."""
    # Prefect creates tasks in its own decorator and methods, and always of its own class.
    work.__class__ = _AwaitedTask
    return work


def check_that_it_can_be_awaited(name: str) -> None:
    """Raises NotAwaited in a flow or task run without an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if FlowRunContext.get() is None and TaskRunContext.get() is None:
            return  # a script, most likely `asyncio.run(...)`
        raise NotAwaited(
            f"{name} is a coroutine, and this run is sync code that cannot await it: nothing was bought",
            hint=f"write `async def` and `await {name}(...)`;"
            f" in sync code: `async def work(): return await {name}(...)`, then `asyncio.run(work())`",
        ) from None


def in_hand(name: str, made: Any) -> Any:
    """A call's coroutine, which logs an error if it is dropped."""
    return _Coroutine(name, made) if asyncio.iscoroutine(made) else made


class _Coroutine(Coroutine[Any, Any, Any]):
    """A coroutine that logs an error if it is dropped before being awaited."""

    def __init__(self, name: str, inner: Coroutine[Any, Any, Any]) -> None:
        self._name = name
        self._inner = inner
        self._begun = False

    def send(self, value: Any) -> Any:
        self._begun = True
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        self._begun = True
        return self._inner.throw(*error)

    def close(self) -> None:
        self._begun = True
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        self._begun = True
        return self._inner.__await__()

    def __del__(self) -> None:
        if not self._begun:
            self._inner.close()  # Python's own warning says the same in other words
            logger.error(
                "%s(...) was called and never awaited: nothing was bought, write `await %s(...)`", *[self._name] * 2
            )
