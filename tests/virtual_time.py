"""An event loop whose clock jumps to the next timer when nothing else is left to do: a day takes as long as its work does."""

import asyncio
import selectors
from collections.abc import Coroutine
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
        self._clock_resolution = 0.0  # else timers fire a nanosecond early, and nothing brings the clock that nanosecond further

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def jump(self) -> None:
        """To the next timer, exactly."""
        self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
