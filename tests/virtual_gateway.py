"""A gateway without HTTP, for what takes hours: its tasks end when they should by the event loop's clock, and it keeps count.

Everything that HTTP brings is tested against the sandbox; this is for when and how often it is asked.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from seedream_tasks.core.errors import GatewayFault, LedgerFault
from seedream_tasks.core.outcomes import Finished, TaskState, TaskStatus

RUNNING = TaskStatus(TaskState.RUNNING)
FINISHED = TaskStatus(TaskState.FINISHED, Finished(()))


@dataclass
class VirtualGateway:
    """What a Poller asks. `round_trip_s`: of a status request, half of it before the gateway looks."""

    round_trip_s: float = 0.1
    ends_at: dict[str, float] = field(default_factory=dict)  # task -> loop time
    asked_at: list[float] = field(default_factory=list)  # every request
    looks: Counter[str] = field(default_factory=Counter)  # requests by task
    faults: list[GatewayFault] = field(default_factory=list)  # the next answers, before any status
    account = SimpleNamespace(name="virtual@nowhere#00000000")

    def begin(self, task_id: str, takes_s: float) -> None:
        """A task is accepted now."""
        self.ends_at[task_id] = asyncio.get_running_loop().time() + takes_s

    async def fetch(self, task_id: str) -> TaskStatus:
        """Where a task stands. Raises GatewayFault."""
        loop = asyncio.get_running_loop()
        self.asked_at.append(loop.time())
        self.looks[task_id] += 1
        fault = self.faults.pop(0) if self.faults else None
        ended = loop.time() + self.round_trip_s / 2 >= self.ends_at[task_id]
        await asyncio.sleep(self.round_trip_s)
        if fault is not None:
            raise fault
        return FINISHED if ended else RUNNING


def refusal(status: int, retry_after_s: float | None = None, own_body: bool = True) -> GatewayFault:
    """An answer that is no status."""
    return GatewayFault(
        f"HTTP {status}", gateway="virtual", status=status, own_body=own_body, retry_after_s=retry_after_s
    )


async def never_gone(attempt_id: str, seen_again: bool) -> bool:
    """A 404 that is not to be believed."""
    return False


def most_in_a_second(times: list[float]) -> int:
    """The most requests that any second saw, wherever it begins."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0 + 1e-9:  # a second has no more than one of its two ends
            first += 1
        most = max(most, last - first + 1)
    return most


class Whole:
    """The whole of a limit, as one who shares it with nobody has it; a test may change it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.listener: Callable[[LedgerFault | None], object] = lambda fault: None

    def now(self) -> int:
        """At this moment."""
        return self.most

    def is_valid(self) -> bool:
        """Nobody else can have it."""
        return True


class Alone:
    """The shares of a process that has its accounts to itself: leases end by real clocks, here time is virtual."""

    def of(self, account: str, rate: str, most: int, *used: Callable[[], int]) -> Whole:
        """All of it."""
        return Whole(most)
