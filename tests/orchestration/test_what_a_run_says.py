"""What Prefect shows of a run in a line: its name, its tags, its last message, and what a stopped one leaves behind."""

import asyncio
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun, State
from runs import products
from sandbox_process import Sandbox
from witness import ledger

from seedream_tasks import catalog_images


def _go(**parameters: Any) -> State[Any]:
    state: State[Any] = asyncio.run(catalog_images(**parameters, return_state=True))
    return state


def _flow_run(state: State[Any]) -> FlowRun:
    async def read() -> FlowRun:
        async with get_client() as client:
            return await client.read_flow_run(UUID(str(state.state_details.flow_run_id)))

    return asyncio.run(read())


def test_the_last_message_begins_with_what_is_missing_and_counts_this_runs_images_only(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Two runs under a cap of two images each: the second one's message says two bought, not four."""
    parameters: dict[str, Any] = {
        "catalog": str(products(tmp_path / "c.csv", 5)),
        "archive": str(tmp_path / "a"),
        "gateways": ["evolink"],
        "max_usd": "0.07",
    }
    _go(**parameters)
    message = str(_go(**parameters).message)
    assert message.startswith("1 deferred ("), message
    assert message.endswith("4 archived; 2 images bought, $0.062 billed (simulated)"), message
    complete = str(_go(**parameters | {"max_usd": None}).message)
    assert complete == "5 archived; 1 image bought, $0.031 billed (simulated)"
    assert str(_go(**parameters).message) == "5 archived; $0.00 billed (simulated)"
    assert gateways.bill()["accepted"] == 5


def test_a_run_is_named_for_what_it_does_and_tagged_with_where(gateways: Sandbox, tmp_path: Path) -> None:
    """The name counts what is to be bought; a name that somebody gave stays; tags that were there stay too."""
    parameters: dict[str, Any] = {
        "catalog": str(products(tmp_path / "goods.csv", 2)),
        "archive": str(tmp_path / "a"),
        "gateways": ["evolink"],
    }
    first = _flow_run(_go(**parameters))
    assert (first.name, first.tags) == ("goods.csv: 2 to buy", ["evolink"])
    again = _flow_run(_go(**parameters))
    assert (again.name, again.tags) == ("goods.csv: nothing to buy", [])
    named: Any = catalog_images.with_options(flow_run_name="the weekly one")
    state: State[Any] = asyncio.run(named(**parameters, return_state=True))
    assert _flow_run(state).name == "the weekly one"


def test_a_stopped_run_says_what_is_in_flight_and_calls_its_stopped_tasks_no_errors(
    gateways: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An artifact with every attempt and the sum in USD; the log has no error for each task that was stopped in order."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])

    async def stopped() -> str:
        work = asyncio.create_task(
            catalog_images(str(products(tmp_path / "c.csv", 3)), archive=str(tmp_path / "a"), gateways=["evolink"])
        )
        while gateways.bill()["accepted"] < 3 and not work.done():  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.05)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        async with get_client() as client:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["seedream-stopped"]))
            found = await client.read_artifacts(artifact_filter=wanted)
            return str(max(found, key=lambda each: str(each.created)).data)  # other tests stop runs on this server too

    with caplog.at_level(logging.INFO):
        text = asyncio.run(stopped())
    attempts = [row["attempt_id"] for row in ledger(tmp_path / "a", "SELECT attempt_id FROM attempts")]
    assert text.startswith("# Stopped with 3 jobs in flight, $0.093 reserved, $0.00 at risk")
    assert len(attempts) == 3
    assert all(each in text for each in attempts)
    errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert not [each for each in errors if "Stopped" in each]
