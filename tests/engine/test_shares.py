"""Limits hold for all processes together: by a model of everything that can happen to a share, and by what the gateway saw."""

import asyncio
import shutil
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from crashing import Runs, order
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from runs import products
from runs import settings as run_settings
from sandbox_process import Sandbox
from sqlalchemy import func, select, update
from waiting import until
from witness import submissions

from seedream_tasks.core.errors import SeedreamError
from seedream_tasks.engine import account_shares
from seedream_tasks.engine.account_shares import Holding
from seedream_tasks.ledger import rates
from seedream_tasks.ledger.rates import Asked, Key, Rate, RateShare
from seedream_tasks.ledger.schema import rate_leases
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.orchestration.session import session
from seedream_tasks.orchestration.tasks import plan_jobs

KEY: Key = ("an account", Rate.IN_FLIGHT)
MOST = 7


class Process:
    """One that uses the account: what it holds, what it has in flight, and how far its renewal is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.in_flight = 0
        self.holding = Holding(MOST, lambda: None, lambda: self.in_flight, lambda: 0)
        self.asked: tuple[Asked, float] | None = None
        self.answer: tuple[RateShare, float] | None = None


class Account(RuleBasedStateMachine):
    """Processes join, use, renew in three steps that interleave with everything else, leave, die; time passes."""

    processes = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = open_ledger(f"sqlite:///{self.folder / 'ledger.db'}", create=True)
        self.clock = 1000.0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(account_shares, "boot_time", lambda: self.clock)
        self.patch.setattr(rates, "database_now", lambda connection: int(self.clock * 1_000_000))
        self.alive: list[Process] = []
        self.names = 0

    def teardown(self) -> None:
        self.patch.undo()
        self.ledger.close()
        shutil.rmtree(self.folder)

    @rule(target=processes)
    def join(self) -> Process:
        self.names += 1
        self.alive.append(Process(f"process {self.names}"))
        self.renew(self.alive[-1])
        return self.alive[-1]

    @rule(process=processes)
    def ask(self, process: Process) -> None:
        process.asked = process.holding.asked(), self.clock

    @rule(process=processes)
    def decide(self, process: Process) -> None:
        if process.asked is not None:
            asked, began = process.asked
            answer = self.ledger.write_now(lambda connection: rates.lease(connection, process.name, {KEY: asked}))
            process.asked, process.answer = None, (answer[KEY], began)

    @rule(process=processes)
    def hear(self, process: Process) -> None:
        if process.answer is not None:
            process.holding.granted(*process.answer)
            process.answer = None

    @rule(process=processes)
    def renew(self, process: Process) -> None:
        if process.asked is None and process.answer is None:
            self.ask(process)
            self.decide(process)
            self.hear(process)

    @rule(process=processes, count=st.integers(1, MOST))
    def submit(self, process: Process, count: int) -> None:
        process.in_flight = max(process.in_flight, min(process.in_flight + count, process.holding.now()))

    @rule(process=processes, count=st.integers(1, MOST))
    def finish(self, process: Process, count: int) -> None:
        process.in_flight = max(0, process.in_flight - count)

    @rule(process=consumes(processes))
    def leave(self, process: Process) -> None:
        self.ledger.write_now(lambda connection: rates.give_back(connection, process.name))
        self.alive.remove(process)

    @rule(process=consumes(processes))
    def die(self, process: Process) -> None:
        self.alive.remove(process)

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 9.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock += seconds
        for process in self.alive:
            if not process.holding.is_valid():
                process.in_flight = 0  # what stays at the gateway for longer than a lease is counted by nobody

    @invariant()
    def shares_never_exceed_the_limit(self) -> None:
        living = select(rate_leases.c.share).where(rate_leases.c.until > int(self.clock * 1_000_000))
        assert sum(self.ledger.read_now(lambda connection: connection.scalars(living).all())) <= MOST

    @invariant()
    def nor_does_what_may_be_used_or_is(self) -> None:
        assert sum(max(each.in_flight, each.holding.now()) for each in self.alive) <= MOST


Account.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
TestAnyScheduleKeepsTheLimit = Account.TestCase


def three_runs(folder: Path, ledger_url: str, rows: int) -> list[dict[str, Any]]:
    """Three catalogs, archives and runs that have nothing in common but ledger and account."""
    orders = []
    for name in ("one", "two", "three"):
        (folder / name).mkdir()
        catalog = products(folder / name / "c.csv", rows, edition=name)
        orders.append(order(catalog, folder / name / "a", run_id=name, gateways=["evolink"], ledger=ledger_url))
    return orders


def spans(sandbox: Sandbox) -> list[tuple[float, float]]:
    """When each task began and ended, by the gateway's record."""
    entries = sandbox.bill()["entries"]
    both = ("accepted_at", "finished_at")
    return sorted(tuple(datetime.fromisoformat(each[name]).timestamp() for name in both) for each in entries)  # type: ignore[misc]


def most_at_once(times: list[tuple[float, float]]) -> int:
    """How many tasks were running at the same time."""
    return max(sum(began <= at < ended for began, ended in times) for at, _ in times)


def test_three_processes_keep_the_attempts_in_flight_and_the_polls_of_one_account(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the gateway saw at once and was asked a second is within the limits, which each of the three alone would fill."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "6")
    monkeypatch.setenv("SEEDREAM_POLLS_PER_SECOND", "12")
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.6}])
    began = time.monotonic()
    assert processes.together(*three_runs(tmp_path, ledger_url, 10)) == [0, 0, 0]
    elapsed = time.monotonic() - began
    assert gateways.bill()["accepted"] == 30
    assert most_at_once(spans(gateways)) <= 6
    asked = sum(
        count for name, count in gateways.bill()["requests"].items() if name.startswith("GET /evolink/v1/tasks")
    )
    assert 30 <= asked <= 12 * elapsed + 3


def test_three_processes_keep_the_pace_of_one_account(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 submits at 10 a second take three seconds however many send them; three processes apart would take one."""
    monkeypatch.setenv("SEEDREAM_SUBMITS_PER_MINUTE", "600")
    assert processes.together(*three_runs(tmp_path, ledger_url, 10)) == [0, 0, 0]
    times = spans(gateways)
    assert len(times) == 30
    assert times[-1][0] - times[0][0] > 2.0


def test_a_share_of_a_killed_process_falls_back(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it has the only place: a run that comes after it goes on when that lease has ended, and not before."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    lease_s = 3.0
    first, second, _ = ({**each, "rate_lease_s": lease_s} for each in three_runs(tmp_path, ledger_url, 1))
    assert processes.together(first | {"moment": ["submit", "after", 1]}) == [-9]
    ledger = open_ledger(ledger_url, create=False)
    of_the_dead = ledger.read_now(lambda connection: connection.scalar(select(func.max(rate_leases.c.until))))
    ledger.close()
    assert processes.together(second) == [0]
    _, (began, _) = spans(gateways)
    assert began * 1_000_000 > of_the_dead


@pytest.mark.parametrize("ends", ["given back", "a fault here"])
def test_a_run_without_a_share_waits_until_there_is_one_or_no_reason(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """Another process has the only place: nothing is sent; given back, the run finishes, and a run that is to stop does."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    wanted = run_settings(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])

    async def go() -> None:
        async with session("run", wanted) as run:
            await plan_jobs.fn("run", wanted)
            ledger, key = run.around.ledger, (run.around.lanes["evolink"].account, Rate.IN_FLIGHT)
            await ledger.write(lambda connection: rates.lease(connection, "another", {key: Asked(1, 1)}))
            lasting = int((time.time() + rates.LEASE_S) * 1_000_000)
            await ledger.write(lambda connection: connection.execute(update(rate_leases).values(until=lasting)))
            runner = await run.runner()
            working = asyncio.create_task(runner.run(0, 1))

            def asked() -> bool:
                leases = ledger.read_now(lambda connection: connection.execute(select(rate_leases)).all())
                return len(leases) == 2

            async with asyncio.timeout(60):
                await asyncio.to_thread(until, asked, "a run that asks for its share")
                assert not working.done()
                assert submissions(gateways) == 0
                if ends == "given back":
                    await ledger.write(lambda connection: rates.give_back(connection, "another"))
                    await working
                else:
                    runner.engine.stop_buying(SeedreamError("enough"))
                    with pytest.raises(SeedreamError, match="enough"):
                        await working
        assert submissions(gateways) == (ends == "given back")

    asyncio.run(go())
