"""When tasks are asked for: within the bound, not before a Retry-After is over, and until each that ends is found."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import products, run
from sandbox_process import Sandbox
from virtual_gateway import VirtualGateway, Whole, most_in_a_second, never_gone, refusal
from virtual_time import run_virtually

from seedream_tasks.core.errors import GatewayFault, LedgerFault
from seedream_tasks.core.outcomes import TaskState
from seedream_tasks.engine import poller
from seedream_tasks.engine.poller import Gone, Poller

MODEL = "seedream-4.5"


@pytest.fixture(autouse=True)
def _usual_costs(monkeypatch: pytest.MonkeyPatch, short_waits: None, request: pytest.FixtureRequest) -> None:
    """Virtual seconds cost nothing: looks cost what they do in a run."""
    if "gateways" not in request.fixturenames:
        monkeypatch.setattr(poller, "POLL_COST_S", 0.15)
        monkeypatch.setattr(poller, "AFTER_FAULT_S", 1.0)


Scene = Callable[[VirtualGateway, Poller], Awaitable[None]]


def whole(per_second: float) -> Whole:
    """So many looks a second."""
    return Whole(int(per_second * 1000))


def play(scene: Scene, per_second: float = 400.0, asks: bool = True, not_found: poller.NotFound = never_gone) -> None:
    """A scene in virtual time, between one gateway and its poller."""

    async def played() -> None:
        gateway = VirtualGateway()
        poller = Poller(gateway, whole(per_second), not_found, asks)  # type: ignore[arg-type]
        try:
            await scene(gateway, poller)
        finally:
            await poller.close()

    run_virtually(played())


@dataclass(frozen=True)
class Task:
    """One attempt: how long it takes, what the gateway says beforehand, when it is accepted."""

    takes_s: float
    estimate_s: float | None
    begins_s: float
    called_back: bool


TASKS = st.builds(
    Task,
    takes_s=st.floats(0.0, 5000.0),
    estimate_s=st.none() | st.floats(-1.0, 100_000.0),
    begins_s=st.floats(0.0, 100.0),
    called_back=st.booleans(),
)
FAULTS = st.sampled_from([429, 500, 502, 401, 403, 404, None])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(TASKS, min_size=1, max_size=60),
    st.lists(st.tuples(FAULTS, st.none() | st.floats(0.0, 90.0)), max_size=30),
    st.integers(1, 50),
)
def test_every_task_that_ends_is_found_within_the_bound(
    tasks: list[Task], faults: list[tuple[int | None, float | None]], per_second: int
) -> None:
    """Whatever tasks take, estimates say and answers break, with or without the callback that was promised: each end is found,
    not before it is there, and no second sees more requests than the bound."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        loop = asyncio.get_running_loop()
        gateway.faults = [
            GatewayFault("no answer", gateway="virtual", status=None) if status is None else refusal(status, wait_s)
            for status, wait_s in faults
        ]

        async def follow(number: int, task: Task) -> None:
            await asyncio.sleep(task.begins_s)
            gateway.begin(f"t{number}", task.takes_s)
            status = await poller.done(f"a{number}", f"t{number}", MODEL, task.estimate_s, 0.0, task.called_back)
            assert status.state is TaskState.FINISHED
            assert loop.time() >= gateway.ends_at[f"t{number}"]

        await asyncio.gather(*(follow(number, task) for number, task in enumerate(tasks)))
        assert most_in_a_second(gateway.asked_at) <= per_second

    play(scene, per_second)


@pytest.mark.parametrize("in_flight", [300, 3000])
def test_the_bound_holds_for_more_than_it_can_serve(in_flight: int) -> None:
    """All at once, five times what the bound lets pass: nobody starves."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        for number in range(in_flight):
            gateway.begin(f"t{number}", 5.0 + number % 55)
        await asyncio.gather(*(poller.done(f"a{n}", f"t{n}", MODEL, None) for n in range(in_flight)))
        assert most_in_a_second(gateway.asked_at) <= 40

    play(scene, per_second=40)


@pytest.mark.parametrize("hinted", [False, True])
def test_nobody_asks_before_retry_after_is_over(hinted: bool) -> None:
    """After a 429 the whole account waits, callbacks or not; after another answer with a Retry-After its own task does."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        loop = asyncio.get_running_loop()
        for number in range(5):
            gateway.begin(f"t{number}", 30.0 + 30.0 * number)
        gateway.faults = [refusal(429, 120.0)]
        waits = [asyncio.create_task(poller.done(f"a{n}", f"t{n}", MODEL, 30.0 + 30.0 * n)) for n in range(5)]
        await asyncio.sleep(40.0)
        refused_at, asked = gateway.asked_at[0] + gateway.round_trip_s, len(gateway.asked_at)
        assert asked == 1
        gateway.faults = [refusal(503, 60.0)]
        if hinted:
            for number in range(5):
                poller.poll_now(f"a{number}")
        await asyncio.gather(*waits)
        assert gateway.asked_at[asked] >= refused_at + 120.0
        assert loop.time() >= gateway.asked_at[asked] + 60.0  # the one that got the 503

    play(scene)


def test_an_estimate_is_looked_at_around_its_end_and_learned_from() -> None:
    """Estimates of a third too little: soon nobody looks before the task can have ended, and hardly any end is found late."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        async def follow(number: int) -> tuple[int, float]:
            takes_s = 20.0 + number % 40
            gateway.begin(f"t{number}", takes_s)
            await poller.done(f"a{number}", f"t{number}", MODEL, takes_s / 1.5)
            return gateway.looks[f"t{number}"], asyncio.get_running_loop().time() - gateway.ends_at[f"t{number}"]

        for first in range(0, 600, 40):
            found = await asyncio.gather(*(follow(number) for number in range(first, first + 40)))
        assert sum(looks for looks, _ in found) / len(found) < 4
        assert sum(late for _, late in found) / len(found) < 2.0
        assert min(looked for looked, _ in found) >= 1

    play(scene)


@pytest.mark.parametrize("estimate_s", [45_000.0, 600.0, 1e9, -5.0, float("inf")])
def test_an_estimate_that_cannot_be_meant_delays_no_look(estimate_s: float) -> None:
    """Milliseconds, years, less than nothing: the task is looked at as one without an estimate is."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        async def late(number: int, said: float | None) -> float:
            gateway.begin(f"t{number}", 12.0)
            await poller.done(f"a{number}", f"t{number}", f"{MODEL}-{said is None}", said)
            return asyncio.get_running_loop().time() - gateway.ends_at[f"t{number}"]

        odd, none = await asyncio.gather(late(1, estimate_s), late(2, None))
        assert odd == pytest.approx(none)
        assert odd < 12.0

    play(scene)


def test_without_an_estimate_what_the_model_takes_is_learned() -> None:
    """Tasks of 60 to 70 s: in the end they are looked at a few times, not from the beginning on; another model is its own."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        async def follow(number: int, model: str) -> int:
            gateway.begin(f"t{number}", 60.0 + number % 10)
            await poller.done(f"a{number}", f"t{number}", model, None)
            return gateway.looks[f"t{number}"]

        first = await follow(0, MODEL)
        for begin in range(1, 400, 40):
            later = await asyncio.gather(*(follow(number, MODEL) for number in range(begin, begin + 40)))
        assert sum(later) / len(later) < 5 < first
        assert await follow(1000, "seedream-4.0") == first

    play(scene)


def test_an_attempt_of_an_earlier_run_is_asked_for_at_once_and_teaches_nothing_by_that() -> None:
    """It was accepted an hour ago and may have ended any time since: one look finds it, and later ones are as without it."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        loop = asyncio.get_running_loop()
        gateway.begin("fresh", 20.0)
        await poller.done("a0", "fresh", MODEL, None)
        expected = gateway.looks["fresh"]
        before = loop.time()
        for number in range(50):
            gateway.begin(f"old{number}", -1000.0)
            await poller.done(f"a1{number}", f"old{number}", MODEL, None, 3600.0)
            assert gateway.looks[f"old{number}"] == 1
        assert loop.time() - before < 50 * 2 * gateway.round_trip_s
        gateway.begin("another", 20.0)
        await poller.done("a2", "another", MODEL, None)
        assert abs(gateway.looks["another"] - expected) <= 2

    play(scene)


def test_a_callback_is_followed_by_one_look_which_goes_first() -> None:
    """Many looks are due when it comes; the answer that it announces is the next to be fetched."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        for number in range(100):
            gateway.begin(f"t{number}", 100.0)
        gateway.begin("called", 30.0)
        waits = [asyncio.create_task(poller.done(f"a{n}", f"t{n}", MODEL, None, 40.0)) for n in range(100)]
        called = asyncio.create_task(poller.done("a", "called", MODEL, 30.0, 0.0, True))
        await asyncio.sleep(30.5)
        poller.poll_now("a")
        await called
        assert gateway.looks["called"] == 1
        assert asyncio.get_running_loop().time() <= 31.5 + gateway.round_trip_s
        for wait in waits:
            wait.cancel()

    play(scene, per_second=1)


def test_a_lost_callback_is_made_up_for_unless_nobody_asks() -> None:
    """Where one was promised and does not come, a look finds the end all the same; with polling off nobody looks."""

    async def lost(gateway: VirtualGateway, poller: Poller) -> None:
        gateway.begin("t", 30.0)
        await poller.done("a", "t", MODEL, 30.0, 0.0, True)
        assert asyncio.get_running_loop().time() < 180.0
        assert gateway.looks["t"] <= 2

    async def left_alone(gateway: VirtualGateway, poller: Poller) -> None:
        gateway.begin("t", 30.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(poller.done("a", "t", MODEL, 30.0, 0.0, True), 10_000.0)
        assert not gateway.asked_at

    play(lost)
    play(left_alone, asks=False)


def test_a_task_that_is_gone_and_a_ledger_that_cannot_be_asked_end_the_wait() -> None:
    """What deciding about a 404 says, or breaks with, reaches the one who waits."""

    async def gone(attempt_id: str, seen_again: bool) -> bool:
        return True

    async def broken(attempt_id: str, seen_again: bool) -> bool:
        raise LedgerFault("the ledger is away")

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        gateway.begin("t", 30.0)
        gateway.faults = [refusal(404)] * 2
        with pytest.raises(Gone if kind is gone else LedgerFault):
            await poller.done("a", "t", MODEL, 30.0)
        with pytest.raises(Gone if kind is gone else LedgerFault):
            await poller.once("b", "t")

    for kind in (gone, broken):
        play(scene, not_found=kind)


def test_one_question_is_answered_once_and_counts_like_any_other() -> None:
    """A running task, an unreadable answer and an ended task, one request each, within the bound."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        gateway.begin("t", 60.0)
        assert (await poller.once("a", "t")).state is TaskState.RUNNING  # type: ignore[union-attr]
        gateway.faults = [refusal(502)]
        assert await poller.once("a", "t") is None
        await asyncio.gather(*(poller.once(f"a{n}", "t") for n in range(20)))
        assert len(gateway.asked_at) == 22
        assert most_in_a_second(gateway.asked_at) <= 5

    play(scene, per_second=5)


def test_who_is_forgotten_is_not_asked_for_any_more() -> None:
    """Its wait ends, and so do the requests."""

    async def scene(gateway: VirtualGateway, poller: Poller) -> None:
        gateway.begin("t", 1000.0)
        wait = asyncio.create_task(poller.done("a", "t", MODEL, None))
        await asyncio.sleep(100.0)
        poller.forget("a")
        asked = len(gateway.asked_at)
        await asyncio.sleep(1000.0)
        assert wait.cancelled()
        assert len(gateway.asked_at) == asked

    play(scene)


def test_a_run_keeps_to_the_bound_over_http(gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 tasks at once against the sandbox, ten looks a second: all are found, in at least as many seconds as that takes."""
    monkeypatch.setenv("SEEDREAM_POLLS_PER_SECOND", "10")
    times: list[float] = []
    fetch = poller.GatewayClient.fetch

    async def noted(client: poller.GatewayClient, task_id: str) -> object:
        times.append(asyncio.get_running_loop().time())
        return await fetch(client, task_id)

    monkeypatch.setattr(poller.GatewayClient, "fetch", noted)
    ran = run(products(tmp_path / "c.csv", 30), tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"archived": 30}
    looks = sum(count for path, count in gateways.bill()["requests"].items() if "/tasks/" in path)
    assert looks == len(times) >= 30
    assert most_in_a_second(times) <= 10


def test_without_a_share_nobody_looks_until_there_is_one() -> None:
    """Where other processes have all of an account's looks, this one waits for its part, and then goes on by itself."""

    async def played() -> None:
        gateway, share = VirtualGateway(), Whole(0)
        poller = Poller(gateway, share, never_gone)  # type: ignore[arg-type]
        gateway.begin("t", 1.0)
        ending = asyncio.create_task(poller.done("a", "t", "seedream-4.5", 1.0))
        await asyncio.sleep(60.0)
        assert gateway.asked_at == []
        share.most = 1000
        share.listener(None)
        assert (await ending).state is TaskState.FINISHED
        assert len(gateway.asked_at) == 1
        await poller.close()

    run_virtually(played())


def test_nobody_waits_for_a_share_that_the_ledger_cannot_give() -> None:
    """The ledger failed: whoever waits is told, those that are waited for and the single question alike."""

    async def played() -> None:
        gateway, share = VirtualGateway(), Whole(0)
        poller = Poller(gateway, share, never_gone)  # type: ignore[arg-type]
        waiting = [
            asyncio.create_task(poller.done("a", "t", "seedream-4.5", 1.0)),
            asyncio.create_task(poller.once("b", "u")),
        ]
        await asyncio.sleep(1.0)
        share.listener(LedgerFault("the disk is full"))
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [LedgerFault, LedgerFault]
        assert gateway.asked_at == []
        await poller.close()

    run_virtually(played())
