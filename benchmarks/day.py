"""A day at one account: 500 images a minute, with everything that goes wrong in a day, in virtual time.

    python -m benchmarks.day                 # 24 hours, 720,000 images: the table of docs/polling.md
    python -m benchmarks.day --minutes 20    # the same day pressed into 20 minutes

Of ours run the Poller and the Lane (places in flight, backoff after 429 and 503, breaker and probes) and what they rest on;
what an answer to a submit means for the account is `Lane.heard`, as in a run. Not ours, since they need threads, disks and
sockets, which have no virtual time: the gateway, the ledger (what is bought once more stands here in a few lines), the archive,
HTTP.

All day long: 1 % of the tasks take 10 to 200 times as long as usual, one in 10,000 never ends, 1 % fail (half of them for a
passing reason: bought once more), one answer in 2,000 to a submit gets lost, 0.5 % of the status answers are 500s, one submit in
1,000 gets a 429 with `Retry-After: 1`. And once a day each, for a share of it: everything takes four times as long (1/24), no
connection is taken (1/72), the account takes 300 a minute and answers the rest with 429 and nothing else (1/24), a fifth of the
status answers are errors and looks above 20 a second get a 429 (1/48), 5 % of the answers to submits get lost (1/144).
Deterministic: same seed, same figures.

The default of 400 places is too few for that: the late tasks alone hold 125, the usual ones 200.
"""

import argparse
import asyncio
import json
import sys
from array import array
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from virtual_gateway import FINISHED, RUNNING, Alone, most_in_a_second, never_gone, refusal
from virtual_time import run_virtually

from seedream_tasks.core.errors import GatewayFault
from seedream_tasks.core.outcomes import (
    WAIT_AFTER_429_S,
    ErrorClass,
    ErrorInfo,
    Fate,
    SubmitOutcome,
    TaskState,
    TaskStatus,
)
from seedream_tasks.engine.account_limiter import Lane, Limits
from seedream_tasks.engine.poller import Poller
from seedream_tasks.maintenance.collect import LOOK_AT_LEAST, LOOK_SHARE

A_MINUTE = 500
WAIT_S = 1800.0  # how long a run waits for one attempt; then `collect` asks for it
LINK_LIFE_S = 86_400.0
# When in the day, and for how much of it.
TROUBLES = {
    "slow": (1 / 8, 1 / 24),
    "away": (1 / 3, 1 / 72),
    "narrow": (1 / 2, 1 / 24),
    "stumbling": (2 / 3, 1 / 48),
    "losing": (5 / 6, 1 / 144),
}
NARROW_A_MINUTE, NARROW_LOOKS_A_SECOND = 300, 20
PASSING = ErrorInfo("service_error", "", ErrorClass.TRANSIENT)
RATE = ErrorInfo("rate_limit_error", "", ErrorClass.RATE)
FOR_GOOD = ErrorInfo("content_policy_violation", "", ErrorClass.CONTENT)


@dataclass
class DayGateway:
    """The gateway of that day, and its side of the books."""

    length_s: float
    random: Random
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    gateway: str = "virtual"
    account = SimpleNamespace(name="virtual@nowhere#00000000")
    accepted: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    looked_at: "array[float]" = field(default_factory=lambda: array("d"))
    ends: dict[str, tuple[float, TaskStatus]] = field(default_factory=dict)  # of tasks somebody will ask for
    _taken_at: "deque[float]" = field(default_factory=deque)
    _looked_lately: "deque[float]" = field(default_factory=deque)

    def now(self) -> float:
        """Seconds of the day."""
        return self.loop.time()

    def has(self, trouble: str) -> bool:
        """Whether it is that time of the day."""
        begins, share = TROUBLES[trouble]
        return begins <= self.loop.time() / self.length_s < begins + share

    async def submit(self) -> SubmitOutcome:
        """A paid request."""
        self.counts["submits"] += 1
        if self.has("away"):
            return SubmitOutcome(
                Fate.NOT_SENT, error=ErrorInfo("no_connection", "", ErrorClass.TRANSIENT), retry_after_s=2.0
            )
        await asyncio.sleep(0.5)
        full = self.has("narrow") and self._minute_is_full()
        if full or self.random.random() < 0.001:
            self.counts["submits refused with 429"] += 1
            return SubmitOutcome(Fate.NOT_SENT, error=RATE, retry_after_s=WAIT_AFTER_429_S if full else 1.0)
        self._taken_at.append(self.now())
        self.accepted += 1
        if self.random.random() < (0.05 if self.has("losing") else 0.0005):
            return SubmitOutcome(Fate.UNKNOWN, error=ErrorInfo("unknown", "", ErrorClass.TRANSIENT))
        return self._began()

    def _minute_is_full(self) -> bool:
        while self._taken_at and self._taken_at[0] <= self.now() - 60.0:
            self._taken_at.popleft()
        return len(self._taken_at) >= NARROW_A_MINUTE

    def _began(self) -> SubmitOutcome:
        random = self.random
        takes_s = min(max(random.lognormvariate(3.0, 0.5), 5.0), 120.0) * (4.0 if self.has("slow") else 1.0)
        estimate_s = round(takes_s * random.uniform(0.8, 1.2))
        fate = random.random()
        if fate < 0.0001:
            takes_s = float("inf")
        elif fate < 0.0101:
            takes_s *= random.uniform(10.0, 200.0)
        status = FINISHED
        if random.random() < 0.01:
            status = TaskStatus(TaskState.FAILED, error=random.choice((PASSING, FOR_GOOD)))
        task_id = f"t{self.accepted}"
        self.ends[task_id] = (self.now() + takes_s, status)
        return SubmitOutcome(Fate.ACCEPTED, task_id=task_id, estimate_s=float(estimate_s))

    async def fetch(self, task_id: str) -> TaskStatus:
        """Where a task stands. Raises GatewayFault."""
        self.counts["looks"] += 1
        self.looked_at.append(self.now())
        if self.has("away"):
            await asyncio.sleep(0.01)
            raise GatewayFault("no connection", gateway=self.gateway, status=None)
        ends_at, status = self.ends[task_id]
        round_trip_s = 1.0 if self.has("slow") else 0.15
        ended = self.now() + round_trip_s / 2 >= ends_at
        stumbling = self.has("stumbling")
        too_many = stumbling and self._second_is_full()
        await asyncio.sleep(round_trip_s)
        if too_many:
            self.counts["looks refused with 429"] += 1
            raise refusal(429, 2.0)
        if self.random.random() < (0.2 if stumbling else 0.005):
            raise refusal(500)
        return status if ended else RUNNING

    def _second_is_full(self) -> bool:
        lately, now = self._looked_lately, self.now()
        while lately and lately[0] <= now - 1.0:
            lately.popleft()
        lately.append(now)
        return len(lately) > NARROW_LOOKS_A_SECOND

    async def probe(self) -> None:
        """A free question. Raises GatewayFault."""
        self.counts["probes"] += 1
        await asyncio.sleep(0.15)
        if self.has("away"):
            raise GatewayFault("no connection", gateway=self.gateway, status=None)


@dataclass
class Day:
    """Our side of it."""

    gateway: DayGateway
    lane: Lane
    poller: Poller
    waiting: int = 0  # images nobody has taken yet
    in_flight: int = 0
    longest_queue: int = 0
    most_in_flight: int = 0
    became: Counter[str] = field(default_factory=Counter)  # of images
    known: Counter[str] = field(default_factory=Counter)  # of accepted attempts
    delays_s: "array[float]" = field(default_factory=lambda: array("d"))
    waits_s: "array[float]" = field(default_factory=lambda: array("d"))

    async def image(self) -> None:
        """Buy one image and follow it to its end; what failed for a passing reason is bought once more."""
        self.became["images"] += 1
        for attempt in (1, 2):
            outcome, status = await self._bought()
            if outcome.fate is Fate.UNKNOWN:
                self.known["answer lost"] += 1
                self.became["unknown"] += 1
                return
            if status is None:
                self.known["never ended"] += 1
                self.became["in flight"] += 1
                return
            self.known[status.state] += 1
            if status.state is TaskState.FINISHED:
                self.became["delivered"] += 1
                return
            if status.error is not PASSING or attempt == 2:
                self.became["failed"] += 1
                return

    async def _bought(self) -> tuple[SubmitOutcome, TaskStatus | None]:
        """One accepted attempt, or one of unknown fate; the status it ended with, None if it never does."""
        self._queue(+1)
        began = self.gateway.now()
        while True:
            await self.lane.recover()
            await self.lane.enter()
            try:
                if not await self.lane.ready(float("inf")) or self.lane.why_out():
                    continue
                outcome = await self.gateway.submit()
                self.lane.heard(outcome)
                if outcome.fate is Fate.NOT_SENT:
                    continue
                self._queue(-1)
                self.waits_s.append(self.gateway.now() - began)
                if outcome.fate is Fate.UNKNOWN:
                    return outcome, None
                self._fly(+1)
                found = await self._within_the_wait(outcome)
            finally:
                self.lane.leave()
            status = found or await self._collected(str(outcome.task_id))
            if status is not None:
                ended_at, _ = self.gateway.ends.pop(str(outcome.task_id))
                self.delays_s.append(self.gateway.now() - ended_at)
            self._fly(-1)
            return outcome, status

    async def _within_the_wait(self, outcome: SubmitOutcome) -> TaskStatus | None:
        task_id = str(outcome.task_id)
        try:
            async with asyncio.timeout(WAIT_S):
                return await self.poller.done(task_id, task_id, "seedream-4.5", outcome.estimate_s)
        except TimeoutError:
            self.poller.forget(task_id)
            return None

    async def _collected(self, task_id: str) -> TaskStatus | None:
        """As `seedream collect` does it: less often the older it is. None for what will never end."""
        self.became["left to collect"] += 1
        began = self.gateway.now() - WAIT_S
        while self.gateway.now() < self.gateway.length_s or self.gateway.ends[task_id][0] < float("inf"):
            await asyncio.sleep(min(LOOK_AT_LEAST.total_seconds(), LOOK_SHARE * (self.gateway.now() - began)))
            status = await self.poller.once(task_id, task_id)
            if status is not None and status.state is not TaskState.RUNNING:
                return status
        return None

    def _queue(self, more: int) -> None:
        self.waiting += more
        self.longest_queue = max(self.longest_queue, self.waiting)

    def _fly(self, more: int) -> None:
        self.in_flight += more
        self.most_in_flight = max(self.most_in_flight, self.in_flight)


async def live(minutes: float, seed: int, limits: Limits) -> Mapping[str, float]:
    """The whole day, and what came of it. Raises AssertionError where a rule was broken."""
    gateway = DayGateway(minutes * 60.0, Random(seed))
    lane = Lane(gateway, {}, limits, Alone())  # type: ignore[arg-type]
    poller = Poller(gateway, lane.polls, never_gone)  # type: ignore[arg-type]
    day = Day(gateway, lane, poller)
    wanted = int(minutes * A_MINUTE)
    async with asyncio.TaskGroup() as group:
        for _ in range(wanted):
            group.create_task(day.image())
            await asyncio.sleep(60.0 / A_MINUTE)
    await poller.close()
    return _figures(day, wanted, limits)


def _figures(day: Day, wanted: int, limits: Limits) -> dict[str, float]:
    gateway, became, delays = day.gateway, day.became, sorted(day.delays_s)
    most = most_in_a_second(gateway.looked_at)
    assert most <= limits.polls_per_second, f"{most} looks in a second"
    # Every attempt the gateway accepted is known here to its end, unless its answer got lost or it has none.
    assert sum(day.known.values()) == gateway.accepted, f"{dict(day.known)}, accepted {gateway.accepted}"
    ends = ("delivered", "failed", "unknown", "in flight")
    assert sum(became[end] for end in ends) == became["images"] == wanted, f"{dict(became)}"
    assert day.in_flight == day.waiting == 0
    return {
        "images wanted": wanted,
        "delivered": became["delivered"],
        "failed": became["failed"],
        "unknown (answer lost)": became["unknown"],
        "never ended": became["in flight"],
        "attempts accepted": gateway.accepted,
        "submits": gateway.counts["submits"],
        "submits refused with 429": gateway.counts["submits refused with 429"],
        "probes while it was away": gateway.counts["probes"],
        "status requests": gateway.counts["looks"],
        "status requests refused with 429": gateway.counts["looks refused with 429"],
        "status requests per attempt": round(gateway.counts["looks"] / gateway.accepted, 2),
        "most status requests in a second": most,
        "mean delay, s": round(sum(delays) / len(delays), 2),
        "p95 delay, s": round(delays[int(0.95 * len(delays))], 2),
        "p99.9 delay, s": round(delays[int(0.999 * len(delays))], 1),
        "worst delay, s": round(delays[-1], 1),
        "least time left to a link, h": round((LINK_LIFE_S - delays[-1]) / 3600.0, 2),
        "most in flight": day.most_in_flight,
        "most images waiting to be bought": day.longest_queue,
        "longest wait to be bought, min": round(max(day.waits_s) / 60.0, 1),
        "left to `collect` after 30 min": became["left to collect"],
    }


def main() -> None:
    """Print the table of docs/polling.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1440.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=1000, help="places (SEEDREAM_IN_FLIGHT)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = run_virtually(live(options.minutes, options.seed, Limits(in_flight=options.in_flight)))
    if options.json:
        print(json.dumps(figures))
        return
    print("| | |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:,} |")


if __name__ == "__main__":
    main()
