"""The sandbox's clock: real time plus what `POST /sandbox/clock` added. All aging in the sandbox uses it."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime

# Timers further away than this are set in steps: a loop timer must stay below the platform's limit.
_LONGEST_NAP_S = 3600.0


class SandboxClock:
    """Seconds since the epoch that tests can move forward, and actions that are due by it."""

    def __init__(self, offset: float = 0.0) -> None:
        # Based on the monotonic clock: a correction of the system time must not finish or expire anything.
        self._origin = time.time() - time.monotonic()
        self.offset = offset
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """The sandbox's time, in seconds since the epoch."""
        return self._origin + time.monotonic() + self.offset

    def call_at(self, when: float, action: Callable[[], None]) -> None:
        """Run `action` once the clock reaches `when`, in order of time."""
        heapq.heappush(self._due, (when, next(self._numbers), action))
        if self._due[0][0] == when:
            self._arm()

    def advance(self, seconds: float) -> None:
        """Move the clock forward and run what has become due, at once."""
        self.offset += seconds
        self.run_due()

    def run_due(self) -> None:
        """Run everything that is due. Called before each answer, so that it never reports an outdated state."""
        if not self._due:
            return
        now = self.now()
        ran = False
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
            ran = True
        if ran or self._timer is None:
            self._arm()

    def reset(self) -> None:
        """Discard all timers and return to real time."""
        self.offset = 0.0
        self._due.clear()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            nap = min(max(self._due[0][0] - self.now(), 0.0), _LONGEST_NAP_S)
            self._timer = asyncio.get_running_loop().call_later(nap, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.run_due()


def iso(moment: float) -> str:
    """ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
