"""The simulated day in short, and what it taught about a lane."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from virtual_gateway import Alone, VirtualGateway
from virtual_time import run_virtually

from seedream_tasks.core.outcomes import ErrorClass, ErrorInfo, Fate, SubmitOutcome
from seedream_tasks.engine.account_limiter import Lane, Limits

ROOT = Path(__file__).parents[2]
RATE = SubmitOutcome(Fate.NOT_SENT, error=ErrorInfo("rate_limit_error", "", ErrorClass.RATE), retry_after_s=1.0)
TAKEN = SubmitOutcome(Fate.ACCEPTED, task_id="t")
NO_ANSWER = SubmitOutcome(Fate.UNKNOWN, error=ErrorInfo("unknown", "", ErrorClass.TRANSIENT))


def test_a_day_loses_nothing_and_keeps_to_its_bounds() -> None:
    """Outage, 429s, slow hours, lost answers: each accepted attempt is followed to its end, in time for its link."""
    command = [sys.executable, "-m", "benchmarks.day", "--minutes", "6", "--json"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    day = json.loads(ended.stdout)
    fates = [day[name] for name in ("delivered", "failed", "unknown (answer lost)", "never ended")]
    assert sum(fates) == day["images wanted"] == 3000
    assert day["attempts accepted"] <= day["submits"] - day["submits refused with 429"]
    assert day["submits refused with 429"] > 0
    assert day["most status requests in a second"] <= Limits().polls_per_second
    assert day["least time left to a link, h"] > 20


class Answering(VirtualGateway):
    """Answers free questions."""

    gateway = "virtual"

    async def probe(self) -> None:
        """It is there."""


def proven(limits: Limits) -> Lane:
    """A lane to an account that has been bought from with success: nothing but its limits bounds what is in flight."""
    lane = Lane(Answering(), {}, limits, Alone())  # type: ignore[arg-type]
    lane.brake.accepted(is_read=True)
    lane.brake.fetched("an attempt", is_here=True)
    return lane


async def entered(lane: Lane, many: int) -> int:
    """How many of so many get a place within a second."""
    _, waiting = await asyncio.wait([asyncio.create_task(lane.enter()) for _ in range(many)], timeout=1.0)
    for each in waiting:
        each.cancel()
    await asyncio.sleep(0)
    return many - len(waiting)


def test_after_an_outage_one_call_goes_out_beside_what_still_runs() -> None:
    """300 tasks of before the outage are still in flight: a single call may be made, and with those that are taken, more."""

    async def scene() -> None:
        lane = proven(Limits(in_flight=400))
        assert await entered(lane, 300) == 300
        for _ in range(5):
            lane.heard(NO_ANSWER)
        assert lane.why_out()
        await lane.recover()
        assert lane.why_out() is None
        assert await entered(lane, 10) == 1
        for _ in range(11):
            lane.heard(TAKEN)
        assert await entered(lane, 10) == 1

    run_virtually(scene())


@pytest.mark.parametrize("many", [1, 20])
def test_the_429s_of_one_moment_halve_what_may_be_in_flight_once(many: int) -> None:
    """Submits that were under way together are refused together; the limit is back after ten times as many that are taken."""

    async def scene() -> None:
        lane = proven(Limits(in_flight=40))
        for _ in range(many):
            lane.heard(RATE)
        assert await entered(lane, 40) == 20
        for _ in range(201):
            lane.heard(TAKEN)
        assert await entered(lane, 40) == 20

    run_virtually(scene())
