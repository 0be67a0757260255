"""What goes wrong where nobody looks ends the run with its reason; nobody waits for ever."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runs import go, products, run, settings
from sandbox_process import Sandbox
from witness import leases_end

from seedream_tasks.core.errors import LedgerFault, SeedreamError
from seedream_tasks.engine import buyer
from seedream_tasks.gateways.client import GatewayClient
from seedream_tasks.images.image_store import ImageStore
from seedream_tasks.ledger import claims, rates, transitions
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.ledger.writer import Ledger


def fails(*_: Any, **__: Any) -> Any:
    """A mistake of ours."""
    raise LookupError("a mistake of ours")


def stops(*_: Any, **__: Any) -> Any:
    """What no future takes."""
    raise StopIteration("out of a thread")


# Where -> how it goes wrong there.
PLACES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "renewing leases": lambda patch: (
        patch.setattr(buyer, "_RENEWALS", 6_000),
        patch.setattr(claims, "renew_leases", fails),
    )[0],
    "renewing shares": lambda patch: patch.setattr(rates, "lease", fails),
    "counting what is not found": lambda patch: (
        patch.setattr(transitions, "not_found", fails),
        patch.setattr(GatewayClient, "fetch", gone),
    )[0],
    "keeping an image": lambda patch: patch.setattr(ImageStore, "keep", stops),
    "a claim": lambda patch: patch.setattr(buyer, "claim", stops),
}


async def gone(*_: Any) -> Any:
    """No gateway knows any task."""
    from virtual_gateway import refusal

    raise refusal(404)


@pytest.mark.parametrize("place", PLACES)
def test_a_mistake_in_the_background_ends_the_run_with_its_reason(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It is an error that names what failed, soon; and the next run finishes what was bought, once."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.5}])

    async def ends() -> None:
        async with asyncio.timeout(60):
            await go(settings(catalog, archive, gateways=["evolink"]), "broken")

    with monkeypatch.context() as patch:
        PLACES[place](patch)
        with pytest.raises(SeedreamError, match=r"a mistake of ours|out of a thread"):
            asyncio.run(ends())
    leases_end(archive)
    last = run(catalog, archive, gateways=["evolink"])
    assert last.statuses() == {"archived": 2}
    assert gateways.bill()["accepted"] <= 2


@pytest.mark.parametrize("operation", [stops, lambda _: (_ for _ in ()).throw(SystemExit(3))], ids=["stop", "exit"])
def test_an_operation_that_raises_what_no_future_takes_fails_and_the_next_one_works(
    tmp_path: Path, operation: Callable[..., Any]
) -> None:
    """StopIteration or SystemExit in the writing thread is its caller's LedgerFault; the thread lives on."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)

    async def work() -> int:
        async with asyncio.timeout(30):
            with pytest.raises(LedgerFault):
                await ledger.write(operation)
            return await ledger.write(lambda _: 7)

    try:
        assert asyncio.run(work()) == 7
    finally:
        ledger.close()


def test_a_reading_operation_that_raises_stop_iteration_fails(tmp_path: Path) -> None:
    """And nobody waits for its result for ever."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)

    async def work() -> None:
        async with asyncio.timeout(30):
            with pytest.raises(LedgerFault, match="StopIteration"):
                await ledger.read(stops)

    try:
        asyncio.run(work())
    finally:
        ledger.close()


def test_a_writing_thread_that_breaks_tells_all_who_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in its queue and those who come later get its reason, and what they would have lost is kept elsewhere."""
    monkeypatch.setattr(Ledger, "_together", fails)
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    kept: list[Exception] = []

    async def work() -> None:
        async with asyncio.timeout(30):
            for _ in range(2):
                with pytest.raises(LedgerFault, match="a mistake of ours"):
                    await ledger.write(lambda _: 7, kept.append)

    try:
        asyncio.run(work())
    finally:
        ledger.close()
    assert len(kept) == 2
