"""A run's ranges of records: many may be under way, but what waits for its turn takes no memory."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import products, settings
from sandbox_process import Sandbox
from waiting import until

from seedream_tasks.engine.runner import _IN_HAND, _LOOK_AHEAD, _READ_AT_ONCE
from seedream_tasks.orchestration.session import session
from seedream_tasks.orchestration.tasks import plan_jobs

ROWS, RANGE, IN_FLIGHT = 4000, 100, 30


def test_ranges_that_wait_for_their_turn_have_read_nothing(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty ranges begun at once hold the jobs in hand and those about to be, not a look ahead each."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", str(IN_FLIGHT))
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    wanted = settings(products(tmp_path / "c.csv", ROWS), tmp_path / "a", gateways=["evolink"])

    async def work() -> int:
        async with session("ranges", wanted) as run:
            await plan_jobs.fn("ranges", wanted)
            runner = await run.runner()
            read = 0
            jobs = runner.frozen.jobs

            def counted(start: int, stop: int) -> Iterator[Any]:
                nonlocal read
                for each in jobs(start, stop):
                    read += 1
                    yield each

            monkeypatch.setattr(runner.frozen, "jobs", counted)
            for bound in ("UNREAD", "UNFETCHED"):  # nothing is delivered here, and all of it may be in flight
                monkeypatch.setattr(f"seedream_tasks.engine.brake.{bound}", ROWS)
            ranges = [asyncio.create_task(runner.run(start, start + RANGE)) for start in range(0, ROWS, RANGE)]
            await asyncio.to_thread(
                until, lambda: gateways.bill()["accepted"] == IN_FLIGHT, "all that may be in flight"
            )
            for each in ranges:
                each.cancel()
            await asyncio.gather(*ranges, return_exceptions=True)
            return read

    read = asyncio.run(work())
    assert _IN_HAND <= read <= _IN_HAND + _READ_AT_ONCE * _LOOK_AHEAD < ROWS
