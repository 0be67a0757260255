"""One scheduler for all attempts in flight at an account.

When to poll trades requests for delay, based on known task durations (core/poll_schedule.py): as shares of the gateway's
estimate where it gives one, else in seconds, learned during the run from this account's tasks of the same model. A callback is
only a hint to poll now; where one is expected, polling without it is a fallback. A status request costs nothing and is repeated
whatever happens; only the gateway's own answer ends an attempt.

No second sees more requests than the limit. When more polls are due than it allows, those with a callback go first, then those
due for longest: a poll is due when its task has probably ended, and the probability only grows from then on.
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol, cast

from ..core.errors import GatewayFault, LedgerFault, SeedreamError
from ..core.outcomes import TaskState, TaskStatus
from ..core.poll_schedule import Durations, log_logistic
from ..gateways.client import GatewayClient, Unread
from .rate_limit import Pace

logger = logging.getLogger("seedream_tasks.engine")

# Cost of a poll, in seconds of delay: the higher, the fewer the polls and the later the end is known.
POLL_COST_S = 0.15
# Where the gateway calls back, a poll finds something new only if the callback was lost, which is rare.
POLL_COST_CALLED_BACK_S = 60.0
# How long an unusable answer delays the next poll; doubled each time.
AFTER_FAULT_S = 1.0
LONGEST_AFTER_FAULT_S = 30.0
# One below is whole seconds, rounded; one beyond is none (some gateways write milliseconds): while it is believed, the links of
# a finished task die.
SHORTEST_ESTIMATE_S, LONGEST_ESTIMATE_S = 0.1, 120.0
# Before anything is learned: estimates are good to 30 %, tasks without one take about ten seconds, or ten times as long.
_ESTIMATED = log_logistic(1.0, 8.0)
_UNKNOWN = log_logistic(10.0, 1.0)
# Max time for a callback to reach its attempt.
_CALLED_BACK_WITHIN_S = 1.0
_AT_ONCE = 128


class Gone(Exception):
    """The gateway no longer knows the task."""


@dataclass(slots=True, eq=False)
class _Watch:
    """An attempt being polled, or (`once`) a single poll. Ages are seconds since its task began."""

    attempt_id: str
    task_id: str
    result: "asyncio.Future[TaskStatus | None]"
    since: float  # by the loop's clock
    durations: Durations
    unit_s: float  # the duration table's unit
    cost_s: float  # the cost of a poll, in delay
    once: bool = False
    only_if_called: bool = False
    ran_at: float = 0.0  # the greatest age at which it is known to have run
    teaches: bool = True  # whether its next answer is evidence of task durations
    faults: int = 0  # in a row
    not_before: float = -inf  # a time, not an age: asked for by the gateway, or after an unusable answer
    called: bool = False  # a callback has arrived that no poll has followed yet
    planned: int = 0  # the number of its poll in the queue; 0: none

    def due(self) -> float:
        """When to poll next."""
        if self.once or self.called:
            return self.not_before
        at = self.durations.next_look(self.ran_at / self.unit_s, self.cost_s / self.unit_s)
        return max(self.not_before, self.since + at * self.unit_s)

    def runs(self, age: float) -> None:
        """It was still running at that age."""
        if age > self.ran_at:
            if self.teaches:
                self.durations.running(self.ran_at / self.unit_s, age / self.unit_s)
            self.ran_at = age
        self.teaches = True

    def ended(self, age: float) -> None:
        """It had ended at that age."""
        self.planned = 0
        if self.teaches:
            self.durations.ended(self.ran_at / self.unit_s, age / self.unit_s)


# Called on a 404 for the task itself, or (True) when the task was seen again; returns whether to give up the attempt.
NotFound = Callable[[str, bool], Awaitable[bool]]
# Called on an unreadable answer about an attempt.
TellUnread = Callable[[str, Unread], Awaitable[None]]


class PollShare(Protocol):
    """The current polling rate, in thousandths of a request per second; 0: none now."""

    # Notified of changes, or of the fault after which there will be none.
    listener: Callable[[LedgerFault | None], object]

    def now(self) -> int:
        """At this moment."""


class Poller:
    """Polls tasks until they are done, inside one event loop and by its clock. `close` ends it.

    `asks` False: where a callback is expected, poll only when it arrives (`poll_now`).
    """

    def __init__(
        self,
        client: GatewayClient,
        share: PollShare,
        not_found: NotFound,
        asks: bool = True,
        tell_unread: TellUnread | None = None,
    ) -> None:
        self._client = client
        self._share = share
        self._share.listener = self._share_changed
        self._pace = Pace(0.0)
        self._not_found = not_found
        self._tell_unread = tell_unread
        self._asks = asks
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, bool], Durations] = {}  # by model, and whether in shares of an estimate
        self._watches: dict[str, _Watch] = {}
        self._queue: list[tuple[float, int, _Watch]] = []  # a heap; an entry counts if its number is that of its watch
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._missed: set[str] = set()

    async def done(
        self,
        attempt_id: str,
        task_id: str,
        model: str,
        estimate_s: float | None,
        age_s: float = 0.0,
        called_back: bool = False,
    ) -> TaskStatus:
        """Wait until the task has ended, successfully or not. Raises Gone, LedgerFault.

        `age_s`: how long it has been running; `called_back`: a callback is expected.
        """
        watch = self._watches.get(attempt_id)
        if watch is None:
            watch = self._watches[attempt_id] = self._watch(attempt_id, task_id, model, estimate_s, age_s)
            watch.cost_s = POLL_COST_CALLED_BACK_S if called_back else POLL_COST_S
            watch.only_if_called = called_back and not self._asks
            due = watch.due()
            # A task taken over late may have ended long before its first poll.
            watch.teaches = due >= self._loop.time()
            if not watch.only_if_called:
                self._plan(watch, due)
                self._set_timer()
        return cast(TaskStatus, await asyncio.shield(watch.result))

    async def once(self, attempt_id: str, task_id: str) -> TaskStatus | None:
        """Poll once; None without a usable answer. Raises Gone, LedgerFault."""
        watch = self._watch(attempt_id, task_id, "", None, 0.0)
        watch.once = True
        self._plan(watch, self._loop.time())
        self._set_timer()
        return await watch.result

    def poll_now(self, attempt_id: str) -> None:
        """A hint that the task has ended: poll at once."""
        watch = self._watches.get(attempt_id)
        if watch is not None and not watch.result.done():
            watch.called = True
            watch.runs(self._loop.time() - watch.since - _CALLED_BACK_WITHIN_S)
            self._plan(watch, watch.due())
            self._set_timer()

    def forget(self, attempt_id: str) -> None:
        """Stop polling an attempt; the ledger keeps it in flight."""
        watch = self._watches.pop(attempt_id, None)
        if watch is not None:
            watch.planned = 0
            watch.result.cancel()

    async def close(self) -> None:
        """Stop polling."""
        if self._timer is not None:
            self._timer.cancel()
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for watch in [*self._watches.values(), *(watch for _, _, watch in self._queue)]:
            watch.result.cancel()
        self._watches.clear()
        self._queue.clear()

    def _watch(self, attempt_id: str, task_id: str, model: str, estimate_s: float | None, age_s: float) -> _Watch:
        if estimate_s is not None and not 0.0 <= estimate_s <= LONGEST_ESTIMATE_S:
            estimate_s = None
        kind = (model, estimate_s is not None)
        if kind not in self._known:
            self._known[kind] = Durations(_UNKNOWN if estimate_s is None else _ESTIMATED)
        unit_s = 1.0 if estimate_s is None else max(estimate_s, SHORTEST_ESTIMATE_S)
        since = self._loop.time() - age_s
        return _Watch(attempt_id, task_id, self._loop.create_future(), since, self._known[kind], unit_s, POLL_COST_S)

    # Polling, one after the other

    def _plan(self, watch: _Watch, due: float) -> None:
        self._number += 1
        watch.planned = self._number
        heapq.heappush(self._queue, (due, self._number, watch))

    def _set_timer(self) -> None:
        """Wake up when the first poll is due and allowed; a completed poll makes room for another."""
        if not self._queue or len(self._asking) >= _AT_ONCE:
            return
        self._pace.change(self._share.now() / 1000)
        at = max(self._queue[0][0], self._pace.next_at())
        if at == inf:
            return  # a change of the share wakes us
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look_around)

    def _look_around(self) -> None:
        self._timer = None
        self._pace.change(self._share.now() / 1000)
        now = self._loop.time()
        while self._queue and len(self._asking) < _AT_ONCE and max(self._queue[0][0], self._pace.next_at()) <= now:
            _, number, watch = heapq.heappop(self._queue)
            if number != watch.planned:
                continue
            due = watch.due()
            if due > now:  # given what has been learned since it was planned
                self._plan(watch, due)
                continue
            watch.planned = 0
            self._pace.leaves(now)
            task = self._loop.create_task(self._look(watch))
            self._asking.add(task)
            task.add_done_callback(self._looked)
        self._set_timer()

    def _share_changed(self, fault: LedgerFault | None) -> None:
        if fault is None:
            self._set_timer()
            return
        # Do not wait for an answer that the ledger could not keep.
        for watch in [*self._watches.values(), *(watch for _, _, watch in self._queue)]:
            watch.planned = 0
            if not watch.result.done():
                watch.result.set_exception(fault)
        self._watches.clear()

    def _looked(self, task: "asyncio.Task[None]") -> None:
        self._asking.discard(task)
        self._set_timer()

    async def _look(self, watch: _Watch) -> None:
        asked_at = self._loop.time()
        called, watch.called = watch.called, False
        try:
            status = await self._status(watch, asked_at)
        except (Gone, LedgerFault) as end:
            watch.planned = 0
            self._watches.pop(watch.attempt_id, None)
            if not watch.result.done():
                watch.result.set_exception(end)
            return
        except asyncio.CancelledError:
            watch.result.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits for this look raises it; nobody awaits the look itself
            watch.planned = 0
            self._watches.pop(watch.attempt_id, None)
            if not watch.result.done():
                watch.result.set_exception(SeedreamError(f"{watch.attempt_id}: {type(error).__name__}: {error}"))
            return
        if watch.result.done():
            return  # forgotten in the meantime
        if watch.once:
            watch.result.set_result(status)
        elif status is not None and status.state is not TaskState.RUNNING:
            watch.ended(self._loop.time() - watch.since)
            self._watches.pop(watch.attempt_id, None)
            watch.result.set_result(status)
        else:
            if status is not None:
                watch.runs(asked_at - watch.since)
            elif called:
                watch.called = True
            # A hint that arrived in the meantime has already planned a poll.
            if not watch.planned and not (watch.only_if_called and not watch.called):
                self._plan(watch, watch.due())

    async def _status(self, watch: _Watch, asked_at: float) -> TaskStatus | None:
        """One answer; None if it is unusable, and the watch then waits. Raises Gone, LedgerFault."""
        try:
            status = await self._client.fetch(watch.task_id)
        except GatewayFault as fault:
            http, wait_s = fault.facts.get("status"), fault.facts.get("retry_after_s") or 0.0
            self._puts_off(watch, wait_s)
            if http == 429:
                self._pace.too_many(asked_at, self._loop.time(), wait_s)
            elif http == 404 and fault.facts.get("own_body"):
                self._missed.add(watch.attempt_id)
                if await self._not_found(watch.attempt_id, False):
                    raise Gone(str(fault)) from None
            elif fault.facts.get("unreadable") and self._tell_unread is not None:
                await self._tell_unread(watch.attempt_id, fault.facts["unreadable"])
            elif http in (401, 403) and fault.facts.get("own_body"):
                logger.warning("%s refuses the key %s: %s", watch.attempt_id, self._client.account.name, fault)
            return None
        except Exception:  # polling is free: whatever went wrong with one answer, the next may be better
            logger.exception("an answer about %s could not be used", watch.attempt_id)
            self._puts_off(watch, 0.0)
            return None
        watch.faults = 0
        self._pace.answered()
        if watch.attempt_id in self._missed:
            self._missed.discard(watch.attempt_id)
            await self._not_found(watch.attempt_id, True)
        return status

    def _puts_off(self, watch: _Watch, wait_s: float) -> None:
        own = min(LONGEST_AFTER_FAULT_S, AFTER_FAULT_S * 2.0 ** min(watch.faults, 10))
        watch.faults += 1
        watch.not_before = self._loop.time() + max(own, wait_s)
