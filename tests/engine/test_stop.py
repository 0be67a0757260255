"""A run that is told to stop: no new intents, what is open is recorded, and the next run finishes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from runs import Ran, assert_bill, go, products, read, run, settings
from sandbox_process import Sandbox
from witness import EVERY_GATEWAY, assert_files, bought, ledger, now, submissions

from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.engine.archiver import Archiver
from seedream_tasks.gateways.client import GatewayClient
from seedream_tasks.gateways.http import HttpClients
from seedream_tasks.runs.summary import Summary


def reached(patch: pytest.MonkeyPatch, holder: type, name: str, times: int, when: str = "before") -> asyncio.Event:
    """An event that happens before or after a method's so many-th call."""
    method, event, seen = getattr(holder, name), asyncio.Event(), 0

    async def wrapped(*args: Any, **more: Any) -> Any:
        nonlocal seen
        if when == "after":
            result = await method(*args, **more)
        seen += 1
        if seen == times:
            event.set()
        return result if when == "after" else await method(*args, **more)

    patch.setattr(holder, name, wrapped)
    return event


async def cancelled_when(wanted: RunOptions, ready: asyncio.Event) -> None:
    """Start a run and cancel it as soon as `ready`; ends when it has left in order."""
    task, waiting = asyncio.create_task(go(wanted, "stopped")), asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def stopped(archive: Path) -> Ran:
    """The stopped run, by the manifest that the next one wrote for it."""
    return now(Ran("stopped", Summary("stopped", True), read(archive, "stopped"), archive))


def states(archive: Path) -> set[str]:
    """The states of all attempts."""
    return {row["state"] for row in ledger(archive, "SELECT DISTINCT state FROM attempts")}


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_a_cancelled_run_leaves_nothing_unrecorded_and_the_next_one_finishes(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """Cancelled with calls and tasks open: no intent stays behind, nothing is in doubt, nothing is bought twice."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.5}])
    catalog, archive = products(tmp_path / "c.csv", 8), tmp_path / "a"
    wanted = settings(catalog, archive, gateways=[gateway])
    with monkeypatch.context() as patch:
        asyncio.run(cancelled_when(wanted, reached(patch, GatewayClient, "submit", 3)))
    assert states(archive) <= {"accepted", "delivered", "archived", "not_sent"}
    gateways.faults([])
    last = run(catalog, archive, gateways=[gateway])
    assert last.statuses() == {"archived": 8}
    assert set(bought(gateways).values()) == {1}
    assert_files(last)
    assert_bill(gateways, stopped(archive), last)


def test_open_calls_of_a_synchronous_gateway_are_awaited(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """getimg answers with the image: two open calls are two images, delivered, not unknown; no third is begun."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "2")
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.8}])
    catalog, archive = products(tmp_path / "c.csv", 6), tmp_path / "a"
    with monkeypatch.context() as patch:
        second = reached(patch, GatewayClient, "submit", 2)
        asyncio.run(cancelled_when(settings(catalog, archive, gateways=["getimg"]), second))
    found = [row["state"] for row in ledger(archive, "SELECT state FROM attempts")]
    assert sorted(state for state in found if state != "not_sent") == ["delivered", "delivered"]
    assert submissions(gateways) == 2
    gateways.faults([])
    last = run(catalog, archive, gateways=["getimg"])
    assert last.statuses() == {"archived": 6}
    assert_bill(gateways, stopped(archive), last)


def test_a_call_that_a_stop_does_not_wait_for_is_unknown_and_said(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An asynchronous gateway that does not answer its submit in time is left: unknown, its price at risk, never resent."""
    monkeypatch.setattr("seedream_tasks.engine.buyer.LEAVE_WITHIN_S", 0.2)
    silent: list[asyncio.StreamWriter] = []
    open_now = asyncio.Event()

    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)
        open_now.set()
        await reader.read(-1)

    async def begin(catalog: Path, archive: Path) -> None:
        server = await asyncio.start_server(never_answers, "127.0.0.1", 0)
        nowhere = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        send = HttpClients.send_paid

        async def elsewhere(self: HttpClients, url: str, *rest: Any) -> Any:
            return await send(self, url.replace(gateways.bases["evolink"], nowhere), *rest)

        with monkeypatch.context() as patch:
            patch.setattr(HttpClients, "send_paid", elsewhere)
            await cancelled_when(settings(catalog, archive, gateways=["evolink"]), open_now)
        for writer in silent:
            writer.close()
        server.close()
        await server.wait_closed()

    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    asyncio.run(begin(catalog, archive))
    assert states(archive) == {"unknown"}
    last = run(catalog, archive, gateways=["evolink"])
    assert last.statuses() == {"unknown": 1}
    assert submissions(gateways) == 0
    assert last.summary.at_risk_usd > 0
    assert_bill(gateways, last)


def test_a_run_that_is_cancelled_while_it_copies_goes_on_copying_later(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivered images of a stopped run are copied by the next one, from the same links, without a submit."""
    gateways.faults([{"gateway": "*", "kind": "download_500"}])
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    with monkeypatch.context() as patch:
        all_delivered = reached(patch, Archiver, "save", 3)
        asyncio.run(cancelled_when(settings(catalog, archive, gateways=["evolink"]), all_delivered))
    assert states(archive) == {"delivered"}
    gateways.faults([])
    last = run(catalog, archive, gateways=["evolink"])
    assert last.statuses() == {"archived": 3}
    assert submissions(gateways) == 3
    assert_bill(gateways, stopped(archive), last)


def test_a_stopped_run_that_is_run_again_goes_on(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same run id resumes the frozen list, and the whole bill stands in that one manifest."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.5}])
    catalog, archive = products(tmp_path / "c.csv", 6), tmp_path / "a"
    wanted = settings(catalog, archive, gateways=["evolink"])
    with monkeypatch.context() as patch:
        asyncio.run(cancelled_when(wanted, reached(patch, GatewayClient, "submit", 1, "after")))
    ran = asyncio.run(go(wanted, "stopped"))
    assert ran.statuses() == {"archived": 6}
    assert set(bought(gateways).values()) == {1}
    assert_bill(gateways, ran)
