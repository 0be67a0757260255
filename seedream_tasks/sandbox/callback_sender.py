"""Callbacks: the status reply, posted to the address that came with the order, after settling.

10 s per try, three retries after 1, 2 and 4 s, a 2xx ends it. Waits are by the sandbox's clock; what is still to be
sent is kept with the task and goes on after a restart.
"""

from collections.abc import Mapping
from typing import Any

import aiohttp

from seedream_tasks.sandbox.orders import CallbackDelivery, Task
from seedream_tasks.sandbox.stand_in import AsyncStandIn
from seedream_tasks.sandbox.world import World

_TIMEOUT_S = 10.0
_WAITS_S = (1.0, 2.0, 4.0)
_LATE_S = 60.0


class Callbacks:
    """Sends callbacks. `base`: the sandbox's own address, for the links in their bodies."""

    def __init__(self, world: World, stand_ins: Mapping[str, AsyncStandIn], base: str) -> None:
        self._world = world
        self._stand_ins = stand_ins
        self._base = base
        self._session: aiohttp.ClientSession | None = None

    def announce(self, task: Task) -> None:
        """Plan the callbacks that a task's faults leave to send. Called when it ends, and for a forgery when it begins.

        Deliveries found on a task after a restart are sent as planned.
        """
        kind = None if task.callback_trouble is None else task.callback_trouble.kind
        if task.status == "running":
            # The forgery is sent while the task is still running.
            end = task.due_at if task.due_at is not None else task.accepted_at
            self._plan(task, CallbackDelivery((task.accepted_at + end) / 2, forged=True))
            return
        if task.deliveries:
            for delivery in task.deliveries:
                if not delivery.forged:
                    self._send_at_due(task, delivery)
            return
        finished = task.finished_at or self._world.clock.now()
        if kind == "no_callback":
            return
        if kind == "late_callback":
            value = task.callback_trouble.value if task.callback_trouble is not None else None
            finished += _LATE_S if value is None else float(value)
        for _ in range(2 if kind == "duplicate_callback" else 1):
            self._plan(task, CallbackDelivery(finished))

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _plan(self, task: Task, delivery: CallbackDelivery) -> None:
        if not delivery.forged:
            task.deliveries.append(delivery)
            self._world.state.save_task(task)
        self._send_at_due(task, delivery)

    def _send_at_due(self, task: Task, delivery: CallbackDelivery) -> None:
        self._world.clock.call_at(delivery.due, lambda: self._world.spawn(self._send(task, delivery)))

    async def _send(self, task: Task, delivery: CallbackDelivery) -> None:
        stand_in = self._stand_ins[task.gateway]
        build = stand_in.forged_status if delivery.forged else stand_in.status
        arrived = await self._post(str(task.order.callback_url), build(task, self._base))
        if delivery.forged:
            return
        if arrived or delivery.attempt >= len(_WAITS_S):
            task.deliveries.remove(delivery)
        else:
            delivery.due = self._world.clock.now() + _WAITS_S[delivery.attempt]
            delivery.attempt += 1
            self._send_at_due(task, delivery)
        self._world.state.save_task(task)

    async def _post(self, url: str, body: dict[str, Any]) -> bool:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        try:
            async with self._session.post(url, json=body, allow_redirects=False) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False
