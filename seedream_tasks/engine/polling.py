"""One scheduler for all attempts in flight at an account.

The first look comes when the gateway's own estimate says (or what its finished tasks have taught); later looks are spaced by
the time already waited, so that a long task costs few requests and a short one little delay. A callback is only a hint to look
now; where one is expected, looking without it is a fallback. A status request costs nothing and is repeated whatever happens;
it never ends an attempt by itself, except through the gateway's own word.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from ..core.errors import GatewayFault, LedgerFault
from ..core.outcomes import TaskState, TaskStatus
from ..gateways.client import GatewayClient

logger = logging.getLogger("seedream_tasks.engine")

FIRST_LOOK_S = 1.0
LONGEST_FIRST_LOOK_S = 120.0
SHORTEST_SPACING_S = 0.4
LONGEST_SPACING_S = 30.0
# Of the time already waited: 0.15 adds at most that much to the waiting, and about four looks to each doubling of it.
SPACING = 0.15
# Where the gateway is to call back: how long nobody asks, and how rarely then, in case the callback got lost.
FIRST_LOOK_WITHOUT_CALLBACK_S = 30.0
SPACING_WITHOUT_CALLBACK_S = 30.0
_AT_ONCE = 64


class Gone(Exception):
    """The gateway does not know the task any more."""


@dataclass(order=True)
class _Watch:
    due: float
    number: int
    task_id: str = field(compare=False)
    attempt_id: str = field(compare=False)
    since: float = field(compare=False)
    called_back: bool = field(compare=False)  # a callback is to come
    result: "asyncio.Future[TaskStatus]" = field(compare=False)


# Told of an own 404, or (True) that the task was seen again; answers whether the attempt is to be given up.
NotFound = Callable[[str, bool], Awaitable[bool]]
Turn = Callable[[], Awaitable[None]]


class Poller:
    """Asks for tasks until they are done. Runs as long as it is used; `close` ends it.

    `turn` waits until one more request may be made; `asks` False: where a callback is to come nobody looks before it says so
    (`look_now`).
    """

    def __init__(self, client: GatewayClient, turn: Turn, not_found: NotFound, asks: bool = True) -> None:
        self._client = client
        self._turn = turn
        self._not_found = not_found
        self._asks = asks
        self._heap: list[_Watch] = []
        self._watches: dict[str, _Watch] = {}
        self._number = 0
        self._changed = asyncio.Event()
        self._open = asyncio.Semaphore(_AT_ONCE)
        self._asking: set[asyncio.Task[None]] = set()
        self._learned_s: float | None = None
        self._missed: set[str] = set()
        self._loop = asyncio.create_task(self._run())

    async def done(
        self,
        attempt_id: str,
        task_id: str,
        estimate_s: float | None,
        age_s: float = 0.0,
        called_back: bool = False,
    ) -> TaskStatus:
        """Wait until the task has ended, well or not. Raises Gone.

        `age_s`: how long it has been running already; `called_back`: a callback is still to come.
        """
        watch = self._watches.get(attempt_id)
        if watch is None:
            now = time.monotonic()
            future: asyncio.Future[TaskStatus] = asyncio.get_running_loop().create_future()
            first = max(0.0, self._first_look_s(estimate_s, called_back) - age_s)
            self._number += 1
            watch = _Watch(now + first, self._number, task_id, attempt_id, now - age_s, called_back, future)
            self._watches[attempt_id] = watch
            if self._asks or not called_back:
                self._push(watch, watch.due)
        return await asyncio.shield(watch.result)

    def _first_look_s(self, estimate_s: float | None, called_back: bool) -> float:
        # However long the estimate (some gateways write milliseconds), the links of a finished task are dying.
        first = min(estimate_s, LONGEST_FIRST_LOOK_S) if estimate_s is not None else self._learned_s
        wait = first if first is not None else FIRST_LOOK_S
        return wait + FIRST_LOOK_WITHOUT_CALLBACK_S if called_back else wait

    async def once(self, attempt_id: str, task_id: str) -> TaskStatus | None:
        """Ask one time; None where no answer says anything. Raises Gone."""
        await self._turn()
        async with self._open:
            return (await self._status(attempt_id, task_id))[0]

    def look_now(self, attempt_id: str) -> None:
        """A hint that the task has ended: ask at once."""
        watch = self._watches.get(attempt_id)
        if watch is not None and not watch.result.done():
            self._push(watch, time.monotonic())

    def _push(self, watch: _Watch, due: float) -> None:
        # The newest entry of an attempt counts: a hint overtakes the look that was planned.
        self._watches[watch.attempt_id] = watch = replace(watch, due=due)
        heapq.heappush(self._heap, watch)
        self._changed.set()

    def forget(self, attempt_id: str) -> None:
        """Stop asking for an attempt; the ledger keeps it in flight."""
        watch = self._watches.pop(attempt_id, None)
        if watch and not watch.result.done():
            watch.result.cancel()

    async def close(self) -> None:
        """Stop asking for anything."""
        self._loop.cancel()
        for task in list(self._asking):
            task.cancel()
        await asyncio.gather(self._loop, *self._asking, return_exceptions=True)
        for watch in self._watches.values():
            watch.result.cancel()
        self._watches.clear()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            now = time.monotonic()
            if not self._heap:
                await self._changed.wait()
                continue
            wait = self._heap[0].due - now
            if wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
                except TimeoutError:
                    pass
                continue
            if self._is_current(self._heap[0]) and not await self._may_ask():
                continue
            # A hint may have overtaken the look that was due when the waiting began.
            watch = heapq.heappop(self._heap)
            if not self._is_current(watch):
                continue
            await self._open.acquire()
            task = asyncio.create_task(self._ask(watch))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def _is_current(self, watch: _Watch) -> bool:
        return self._watches.get(watch.attempt_id) is watch

    async def _may_ask(self) -> bool:
        """Wait for a turn; without one, since the ledger cannot be written, nobody waits for an answer that it could not keep."""
        try:
            await self._turn()
        except LedgerFault as fault:
            for watch in list(self._watches.values()):
                self._end(watch, fault)
            return False
        return True

    async def _ask(self, watch: _Watch) -> None:
        try:
            await self._look(watch)
        finally:
            self._open.release()

    async def _look(self, watch: _Watch) -> None:
        try:
            status, wait = await self._status(watch.attempt_id, watch.task_id)
        except Gone as gone:
            self._end(watch, gone)
            return
        if status is not None and status.state is not TaskState.RUNNING:
            if status.state is TaskState.FINISHED:
                self._learn(time.monotonic() - watch.since)
            self._end(watch, status)
            return
        if not self._is_current(watch):
            return  # forgotten, or a hint came meanwhile: that look is still to be made
        if status is not None and watch.called_back and not self._asks:
            return
        waited = time.monotonic() - watch.since
        spacing = min(LONGEST_SPACING_S, max(SHORTEST_SPACING_S, SPACING * waited))
        if watch.called_back:
            spacing = max(spacing, SPACING_WITHOUT_CALLBACK_S)
        self._push(watch, time.monotonic() + max(spacing, wait or 0.0))

    async def _status(self, attempt_id: str, task_id: str) -> tuple[TaskStatus | None, float | None]:
        """One answer, or None and how long the gateway asks to wait. Raises Gone."""
        try:
            status = await self._client.fetch(task_id)
        except GatewayFault as fault:
            if fault.facts.get("status") == 404 and fault.facts.get("own_body"):
                self._missed.add(attempt_id)
                if await self._not_found(attempt_id, False):
                    raise Gone(str(fault)) from None
            elif fault.facts.get("status") in (401, 403):
                logger.warning("%s refuses the key %s: %s", attempt_id, self._client.account.name, fault)
            return None, fault.facts.get("retry_after_s")
        except Exception:  # asking is free: whatever went wrong with one answer, the next may be better
            logger.exception("an answer about %s could not be used", attempt_id)
            return None, None
        if attempt_id in self._missed:
            self._missed.discard(attempt_id)
            await self._not_found(attempt_id, True)
        return status, None

    def _learn(self, took_s: float) -> None:
        # A running mean that leans early: looking a little too soon costs a request, too late costs everyone's time.
        self._learned_s = took_s * 0.9 if self._learned_s is None else 0.9 * self._learned_s + 0.1 * took_s * 0.9

    def _end(self, watch: _Watch, end: TaskStatus | Gone | LedgerFault) -> None:
        self._watches.pop(watch.attempt_id, None)
        if watch.result.done():
            return
        if isinstance(end, Exception):
            watch.result.set_exception(end)
        else:
            watch.result.set_result(end)
