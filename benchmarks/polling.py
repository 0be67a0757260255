"""How many status requests an attempt takes, and how late its end is known: ours beside pollers with a fixed interval.

    python -m benchmarks.polling                      # the tables of docs/polling.md
    python -m benchmarks.polling --chart docs/polling.svg

In virtual time: the Poller is the engine's own, the gateway a stand-in whose tasks take 5 to 60 s (evenly spread) and whose
answers take 100 ms. So many attempts are in flight all the time, all of them submitted at once in the beginning, nothing learned
before. Every poller has the same bound on requests a second, and every figure holds that beginning too. The delay is from the end
of a task at the gateway until the answer that says so is here.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from virtual_gateway import VirtualGateway, Whole, most_in_a_second, never_gone
from virtual_time import run_virtually

from seedream_tasks.core.outcomes import TaskState
from seedream_tasks.engine import poller
from seedream_tasks.engine.poller import Poller
from seedream_tasks.engine.rate_limit import Pace

from .polling_chart import Curve, chart

SHORTEST_S, LONGEST_S = 5.0, 60.0
ESTIMATE_ERROR = 0.2
LOST_CALLS = 0.01
PRICES = (0.03, 0.075, 0.15, 0.3, 0.6, 1.2)  # s of delay a look may save, for the curve
INTERVALS = (2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0)  # s


@dataclass(frozen=True)
class Setting:
    """What a poller has to deal with."""

    in_flight: int
    attempts: int
    per_second: float
    estimate: bool = False
    called_back: bool = False
    seed: int = 1


@dataclass(frozen=True)
class Figures:
    """What came of it."""

    requests: float  # per attempt
    mean_s: float
    p95_s: float
    max_s: float
    most_in_a_second: int


# Waits for one task; the poller knows of it what a gateway says when it accepts.
Wait = Callable[[str, float | None], Awaitable[Any]]


def measure(setting: Setting, made: Callable[[VirtualGateway, Setting], Any]) -> Figures:
    """Run a poller through a setting."""
    return run_virtually(_measure(setting, made))


async def _measure(setting: Setting, made: Callable[[VirtualGateway, Setting], Any]) -> Figures:
    loop, random = asyncio.get_running_loop(), Random(setting.seed)
    gateway = VirtualGateway()
    poller = made(gateway, setting)
    delays: list[float] = []
    numbers = iter(range(setting.attempts))

    async def one_after_the_other() -> None:
        for number in numbers:
            task_id, takes_s = f"t{number}", random.uniform(SHORTEST_S, LONGEST_S)
            gateway.begin(task_id, takes_s)
            estimate_s = takes_s * random.uniform(1 - ESTIMATE_ERROR, 1 + ESTIMATE_ERROR) if setting.estimate else None
            call = None
            if setting.called_back and random.random() >= LOST_CALLS:
                # 200 ms on its way, and found in the ledger, which is looked at once a second.
                call = loop.call_later(takes_s + 0.2 + random.random(), poller.poll_now, task_id)
            await poller.done(task_id, task_id, "seedream-4.5", estimate_s, 0.0, setting.called_back)
            delays.append(loop.time() - gateway.ends_at[task_id])
            if call is not None:
                call.cancel()

    await asyncio.gather(*(one_after_the_other() for _ in range(setting.in_flight)))
    await poller.close()
    delays.sort()
    assert len(delays) == setting.attempts
    most = most_in_a_second(gateway.asked_at)
    assert most <= setting.per_second, f"{most} requests in a second, {setting.per_second} are allowed"
    return Figures(
        len(gateway.asked_at) / len(delays),
        sum(delays) / len(delays),
        delays[int(0.95 * len(delays))],
        delays[-1],
        most,
    )


def ours(gateway: VirtualGateway, setting: Setting) -> Poller:
    """The engine's poller."""
    return Poller(gateway, Whole(int(setting.per_second * 1000)), never_gone)  # type: ignore[arg-type]


class Fixed:
    """What most people write: ask, wait, ask again. In the order of asking, within the same bound."""

    def __init__(self, gateway: VirtualGateway, setting: Setting, interval_s: float) -> None:
        self._gateway = gateway
        self._interval_s = interval_s
        self._pace = Pace(setting.per_second)
        self._turn = asyncio.Lock()

    async def done(self, _attempt_id: str, task_id: str, *_: object) -> None:
        """Wait until the task has ended."""
        loop = asyncio.get_running_loop()
        state = TaskState.RUNNING
        while state is TaskState.RUNNING:
            await asyncio.sleep(self._interval_s)
            async with self._turn:
                await asyncio.sleep(self._pace.next_at() - loop.time())
                self._pace.leaves(loop.time())
            state = (await self._gateway.fetch(task_id)).state

    async def close(self) -> None:
        """Nothing is open."""


def fixed(interval_s: float) -> Callable[[VirtualGateway, Setting], Fixed]:
    """A poller that asks so often."""
    return lambda gateway, setting: Fixed(gateway, setting, interval_s)


def line(name: str, setting: Setting, figures: Figures) -> str:
    """A line of the table."""
    return (
        f"| {setting.in_flight:,} | {setting.per_second:,.0f} | {name} | {figures.requests:.2f} | {figures.mean_s:.2f} |"
        f" {figures.p95_s:.2f} | {figures.max_s:.1f} | {figures.most_in_a_second:,} |"
    )


HEADER = """| in flight | bound, 1/s | poller | requests per attempt | mean delay, s | p95, s | max, s | most in a second |
|---|---|---|---|---|---|---|---|"""


def table(settings: list[Setting]) -> None:
    """Print ours and two fixed pollers in each setting."""
    print(HEADER, flush=True)
    for setting in settings:
        with_estimate = replace(setting, estimate=True)
        for name, of, made in (
            ("ours, estimate good to 20 %", with_estimate, ours),
            ("ours, no estimate", setting, ours),
            ("ours, estimate and callbacks", replace(with_estimate, called_back=True), ours),
            ("ours, callbacks, no estimate", replace(setting, called_back=True), ours),
            ("fixed, 2 s", setting, fixed(2.0)),
            ("fixed, 10 s", setting, fixed(10.0)),
        ):
            print(line(name, of, measure(of, made)), flush=True)


def curves(setting: Setting, path: Path) -> None:
    """Draw what fixed pollers span, and what ours does, each by how much a look costs; print both."""
    drawn = [Curve("fixed interval", [(each, measure(setting, fixed(each))) for each in INTERVALS], "{:g} s")]
    for name, of in (
        ("ours, no estimate", setting),
        ("ours, estimate good to 20 %", replace(setting, estimate=True)),
    ):
        points = []
        for price in PRICES:
            with patch.object(poller, "POLL_COST_S", price):
                points.append((price, measure(of, ours)))
        drawn.append(Curve(name, points, "{:g}", marked=poller.POLL_COST_S))
    print("| poller | interval, or cost of a look, s | requests per attempt | mean delay, s |\n|---|---|---|---|")
    for curve in drawn:
        for at, figures in curve.points:
            print(f"| {curve.name} | {at:g} | {figures.requests:.2f} | {figures.mean_s:.2f} |")
    path.write_text(chart(drawn), encoding="utf-8")


def main() -> None:
    """Print the tables of docs/polling.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--bounds", type=float, nargs="+", default=[400.0, 2_000.0], help="requests a second")
    parser.add_argument("--attempts", type=int, default=6, help="per place in flight")
    parser.add_argument("--chart", type=Path, help="draw the curves into this SVG file instead (first of the settings)")
    options = parser.parse_args()
    settings = [Setting(many, many * options.attempts, bound) for many in options.in_flight for bound in options.bounds]
    if options.chart:
        curves(settings[0], options.chart)
    else:
        table(settings)


if __name__ == "__main__":
    main()
