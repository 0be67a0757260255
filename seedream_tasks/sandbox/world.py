"""The world behind the gateways: accepts orders, charges, finishes tasks on time, counts everything.

Every path to a task goes through here, so that the bill is right whatever the stand-ins say about it.
"""

import asyncio
import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import partial
from typing import Any

from seedream_tasks.sandbox.clock import SandboxClock
from seedream_tasks.sandbox.config import SandboxConfig
from seedream_tasks.sandbox.faults import Fault, FaultBook
from seedream_tasks.sandbox.image_sizes import auto_size
from seedream_tasks.sandbox.orders import Order, Task, Trouble
from seedream_tasks.sandbox.prices import gateways, unit_price
from seedream_tasks.sandbox.references import BadImageError, ReferenceIntake, ReferenceRules
from seedream_tasks.sandbox.state import State, StateError
from seedream_tasks.sandbox.uploads import Uploads

_MILLIONTH = Decimal("0.000001")
_SLOW_FACTOR = 10


class World:
    """All tasks of all gateways, their money, and what is due."""

    def __init__(self, config: SandboxConfig, state: State) -> None:
        self.config = config
        self.state = state
        self.clock = SandboxClock(state.fact("clock_offset") or 0.0)
        self.faults = FaultBook(config.seed)
        self.tasks: dict[str, Task] = {}
        self.requests: Counter[str] = Counter(state.requests())
        self.submissions: Counter[str] = Counter(state.fact("submissions") or {})
        self.uploads = Uploads(state, self.clock)
        self.references = ReferenceIntake(state, self.uploads.bytes_at)
        self.usd: dict[str, Decimal] = dict.fromkeys(gateways(), Decimal(0))
        self.credits: dict[str, Decimal] = dict.fromkeys(gateways(), Decimal(0))
        # Set by the server: who to tell when a task with a callback ends, and what a reference may be.
        self.announce: Callable[[Task], None] = lambda task: None
        self.rules_of: Callable[[Order], ReferenceRules] | None = None
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._jobs: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Load the state file; tasks that were running when the process ended continue."""
        snapshot = self.state.fact("faults")
        if snapshot is not None:
            self.faults.restore(snapshot)
        given = FaultBook(self.config.seed)
        given.replace(self.config.faults)
        # The list of the command line replaces the one in the file, unless it is the same one: then counts go on.
        if given and given.as_given() != self.faults.as_given():
            self.set_faults(self.config.faults)
        for task in self.state.tasks():
            if task.gateway not in self.usd:
                raise StateError(
                    f"state file {self.config.state}: it holds tasks of {task.gateway}, for which there is no stand-in;"
                    " install the package that brings it"
                )
            self.tasks[task.task_id] = task
            self.usd[task.gateway] += task.usd
            self.credits[task.gateway] += task.credits or Decimal(0)
            if task.status == "running":
                self._schedule(task)
            elif task.deliveries:
                self.announce(task)

    async def close(self) -> None:
        """Stop everything in progress."""
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.references.close()

    # What the stand-ins do.

    def count_submission(self, gateway: str, by: int = 1) -> None:
        """A generation request was read completely."""
        self.submissions[gateway] += by
        self.state.save_fact("submissions", dict(self.submissions))

    def draw(self, place: str, order: Order | Task) -> Fault | None:
        """The fault that strikes this order here, if any."""
        if not self.faults:
            return None
        order = order.order if isinstance(order, Task) else order
        fault = self.faults.first(place, order.gateway, order.prompt)
        self.save_faults()
        return fault

    def accept(self, order: Order, task_id: str, trouble: Fault | None) -> Task:
        """Create a task for an order and charge for it in advance."""
        price = unit_price(order.gateway, order.priced_as)
        now = self.clock.now()
        seconds = self.config.seconds
        task = Task(
            seq=len(self.tasks) + 1,
            task_id=task_id,
            order=order,
            accepted_at=now,
            due_at=now + seconds,
            estimate=self._estimate(len(self.tasks) + 1),
            model=order.model,
            usd=Decimal(0),
            credits=None,
        )
        if trouble is not None:
            task.trouble = Trouble(trouble.kind, trouble.value)
            if trouble.kind == "slow":
                task.due_at = now + (seconds * _SLOW_FACTOR if trouble.value is None else float(str(trouble.value)))
            elif trouble.kind == "stuck":
                task.due_at = None
            elif trouble.kind == "other_model":
                task.model = str(trouble.value) if trouble.value is not None else _another(order.model)
        if order.callback_url is not None:
            callback = self.draw("callback", order)
            task.callback_trouble = None if callback is None else Trouble(callback.kind, callback.value)
        self.tasks[task_id] = task
        self._charge(task, price.usd * order.n, None if price.credits is None else price.credits * order.n)
        self.state.add_task(task)
        self._schedule(task)
        return task

    async def finished(self, task: Task) -> None:
        """Wait until a task has ended (synchronous gateways answer then)."""
        self.clock.run_due()
        if task.status == "running":
            waiting = self._waiting.get(task.task_id)
            if waiting is None:
                waiting = self._waiting[task.task_id] = asyncio.get_running_loop().create_future()
            await asyncio.shield(waiting)

    def find(self, gateway: str, task_id: str) -> Task | None:
        """A gateway's task in its current state."""
        self.clock.run_due()
        task = self.tasks.get(task_id)
        return task if task is not None and task.gateway == gateway else None

    # What the control routes do.

    def set_faults(self, entries: object) -> None:
        """Replace the fault list; raises FaultError."""
        self.faults.replace(entries)
        self.save_faults()

    def save_faults(self) -> None:
        """Store the fault list and the state of its draws."""
        self.state.save_fact("faults", self.faults.snapshot())

    def advance(self, seconds: float) -> None:
        """Move the clock; everything that becomes due happens before this returns."""
        self.clock.advance(seconds)
        self.state.save_fact("clock_offset", self.clock.offset)

    def reset(self) -> None:
        """As if just started: no tasks, no bill, no uploads, no faults, real time."""
        for job in list(self._jobs):
            job.cancel()
        self.clock.reset()
        self.tasks.clear()
        self.requests.clear()
        self.submissions.clear()
        self.faults.replace([])
        for gateway in gateways():
            self.usd[gateway] = self.credits[gateway] = Decimal(0)
        self.state.reset()
        self.uploads.reset()
        # Their tasks no longer exist: waiters are told that they never ended.
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_result(None)

    def spawn(self, job: Coroutine[Any, Any, None]) -> None:
        """Run a background task until the sandbox ends or is reset."""
        task = asyncio.get_running_loop().create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    # How a task goes on.

    def _schedule(self, task: Task) -> None:
        if task.fetching:
            self.spawn(self._fetch(task))
        if task.callback_trouble is not None and task.callback_trouble.kind == "forged_callback":
            self.announce(task)
        if task.due_at is not None:
            self.clock.call_at(task.due_at, partial(self._settle, task))

    async def _fetch(self, task: Task) -> None:
        assert self.rules_of is not None  # noqa: S101 - set before the server starts
        rules = self.rules_of(task.order)
        for number, reference in enumerate(task.order.references):
            if not reference.fetch:
                continue
            try:
                await self.references.fetch(reference, rules)
            except BadImageError as error:
                task.error_code = "image_processing_error"
                task.error_message = f"reference {number}: {error}"
            reference.fetch = False
        self.state.save_task(task)
        if task.due_at is not None and task.due_at <= self.clock.now():
            self._settle(task)

    def _settle(self, task: Task) -> None:
        """End a task: its images and its cost. While a reference is being fetched, that fetch ends it instead."""
        if task.fetching or task.status != "running" or self.tasks.get(task.task_id) is not task:
            return
        assert task.due_at is not None  # noqa: S101 - stuck tasks are never scheduled
        kind = None if task.trouble is None else task.trouble.kind
        value = None if task.trouble is None else task.trouble.value
        task.finished_at = max(task.due_at, task.accepted_at)
        if task.error_code is not None:
            task.status = "failed"
            self._bill(task, 0)
        elif kind in ("task_failed", "task_failed_billed"):
            task.status = "failed"
            task.error_code, task.error_message = value, "the task failed (a fault of the sandbox)"
            self._bill(task, task.order.n if kind == "task_failed_billed" else 0)
        elif kind == "task_cancelled":
            task.status = "cancelled"
            task.error_code, task.error_message = value, "the task was cancelled (a fault of the sandbox)"
            self._bill(task, 0)
        else:
            task.status = "completed"
            task.images = task.order.n
            if kind == "fewer_images":
                task.images = max(task.order.n - 1, 1) if value is None else min(int(value), task.order.n)
            first = task.order.references[0] if task.order.references else None
            like = (first.width, first.height) if first is not None and first.width else None
            task.size = task.order.size or auto_size(task.order.tier, like)
            self._bill(task, task.images)
        self.state.save_task(task)
        waiting = self._waiting.pop(task.task_id, None)
        if waiting is not None:
            waiting.set_result(None)
        if task.order.callback_url is not None:
            self.announce(task)

    def _bill(self, task: Task, images: int) -> None:
        price = unit_price(task.gateway, task.order.priced_as)
        usd, units = price.usd, price.credits
        if task.trouble is not None and task.trouble.kind == "other_price":
            value = task.trouble.value
            usd = price.usd * 2 if value is None else Decimal(str(value))
            # Credits follow the dollars, to the millionth.
            units = None if units is None else (units * usd / price.usd).quantize(_MILLIONTH)
        self._charge(task, usd * images, None if units is None else units * images)

    def _charge(self, task: Task, usd: Decimal, units: Decimal | None) -> None:
        """Set what a task costs; the balance changes by the difference."""
        self.usd[task.gateway] += usd - task.usd
        self.credits[task.gateway] += (units or Decimal(0)) - (task.credits or Decimal(0))
        task.usd, task.credits = usd, units

    def _estimate(self, seq: int) -> int | None:
        error = self.config.estimate_error
        if error is None:
            return None
        label = f"{self.config.seed}/estimate/{seq}".encode()
        share = int.from_bytes(hashlib.blake2b(label, digest_size=8).digest(), "big") / 2**64
        # Whole seconds, as the gateways' own clients type them.
        return round(max(self.config.seconds * (1 + error * (2 * share - 1)), 0.0))


def token(length: int) -> str:
    """Random lower-case letters and digits, for ids that nobody can guess and no restart repeats."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(secrets.choice(letters) for _ in range(length))


def _another(model: str) -> str:
    """The name of the model's next version, or of the one before: 4.5 for 4.0, 4-0 for 4-5."""
    other, changed = re.subn(
        r"(\d[.-])(\d)", lambda found: found[1] + ("0" if found[2] == "5" else "5"), model, count=1
    )
    return other if changed else f"{model}-other"
