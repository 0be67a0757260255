"""An event loop whose clock jumps to the next timer when nothing else is left to do: a day takes as long as its work does."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from math import floor
from typing import Any, TypeVar

T = TypeVar("T")


class _NoInput(selectors.SelectSelector):
    """Nothing comes from outside: instead of waiting, the clock goes forward."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing is planned: it would wait for ever")
        if timeout > 0:
            self.loop.jump()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """No sockets, no threads, no other processes: only coroutines and timers. `time` begins at 0 s."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = _NoInput()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, **more: Any) -> asyncio.TimerHandle:
        """Up to a microsecond late, as timers are; one that came early would find that it is not yet time, for ever."""
        return super().call_at((floor(when * 1e6) + 1) / 1e6, callback, *args, **more)

    def jump(self) -> None:
        """To the next timer, exactly."""
        self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
