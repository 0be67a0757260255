"""The flow that finishes what runs left, on a real Prefect server."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect_events import events_about
from runs import products, read, run
from sandbox_process import Sandbox

from seedream_tasks import collect_images


def collect(archive: Path) -> State[Any]:
    """One pass."""
    state: State[Any] = asyncio.run(collect_images(archive=str(archive), return_state=True))
    assert state.is_completed(), state.message
    return state


def result(state: State[Any]) -> dict[str, Any]:
    """What a pass says of itself."""
    found: dict[str, Any] = asyncio.run(state.aresult())
    return found


async def _artifacts(state: State[Any]) -> dict[str, str]:
    run_id = state.state_details.flow_run_id
    async with get_client() as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        return {str(each.key): str(each.data) for each in await client.read_artifacts(artifact_filter=wanted)}


def test_a_pass_finishes_what_a_run_left(gateways: Sandbox, tmp_path: Path) -> None:
    """In flight: Incomplete; done at the gateway: archived, manifest written again, an artifact names what was saved."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    left = run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"], wait_s=0.1)
    assert left.statuses() == {"in_flight": 2}
    waiting = collect(tmp_path / "a")
    assert (waiting.name, result(waiting)["still_in_flight"]) == ("Incomplete", 2)
    gateways.faults([])
    gateways.advance(4000)
    state = collect(tmp_path / "a")
    assert (state.name, result(state)["archived"]) == ("Completed", 2)
    assert {each["status"] for each in read(tmp_path / "a", left.run_id)} == {"archived"}
    shown = asyncio.run(_artifacts(state))["seedream-collect"]
    assert "# 2 saved, 0 about to expire" in shown
    assert "| p0 | image |" in shown
    assert gateways.bill()["accepted"] == 2


def _move(archive: Path, what: str, hours_ahead: float) -> None:
    """Change a time in the ledger, as if the gateway had said so."""
    at = int((time.time() + hours_ahead * 3600) * 1_000_000)
    with closing(sqlite3.connect(archive / "ledger.db")) as ledger, ledger:
        table, _, column = what.partition(".")
        ledger.execute(f"UPDATE {table} SET {column} = ?", (at,))  # noqa: S608 - our own names


def test_an_image_whose_link_dies_is_told_once(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivered, no copy made, under six hours left: one event per image, whatever the number of passes."""
    monkeypatch.setattr("seedream_tasks.engine.archiver._QUICK_S", 0.0)
    gateways.faults([{"gateway": "*", "kind": "download_500", "rate": 1}])
    archive = tmp_path / "a"
    left = run(products(tmp_path / "c.csv", 1, n=2), archive, gateways=["evolink"], wait_s=1)
    _move(archive, "pictures.expires_at", 6.5)
    assert result(collect(archive))["expiring"] == 0
    _move(archive, "pictures.expires_at", 5.5)
    state = collect(archive)
    assert result(state)["expiring"] == 2
    assert "# 0 saved, 2 about to expire" in asyncio.run(_artifacts(state))["seedream-collect"]
    assert result(collect(archive))["expiring"] == 2
    gateways.faults([])
    assert result(collect(archive))["expiring"] == 0
    told = events_about("seedream.image.expiring", 2, run_id=left.run_id)
    assert sorted(each["picture"] for each in told) == [0, 1]
    assert {(each["row_key"], each["delivered"]) for each in told} == {("p0", True)}


def test_a_task_nobody_has_heard_of_for_most_of_a_links_life_is_told(gateways: Sandbox, tmp_path: Path) -> None:
    """Its images may have been ready at once, so their links are counted from its submission: 24 hours at EvoLink."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 360_000}])
    archive = tmp_path / "a"
    left = run(products(tmp_path / "c.csv", 1, n=2), archive, gateways=["evolink"], wait_s=0.1)
    _move(archive, "attempts.submitted_at", -17.5)
    assert result(collect(archive))["expiring"] == 0
    _move(archive, "attempts.submitted_at", -18.5)
    for _ in range(2):
        assert result(collect(archive))["expiring"] == 2
    told = events_about("seedream.image.expiring", 2, run_id=left.run_id)
    assert [each["delivered"] for each in told] == [False, False]


def test_payments_of_unknown_fate_are_told_by_a_pass_too(gateways: Sandbox, tmp_path: Path) -> None:
    """What a run could not say any more, since it was killed, the next pass says: once, about the run that paid."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "rate": 1}])
    archive = tmp_path / "a"
    left = run(products(tmp_path / "c.csv", 1), archive, gateways=["evolink"])
    for _ in range(2):
        state = collect(archive)
        assert (state.name, result(state)["unknown"]) == ("Incomplete", 1)
    assert "seedream resolve" in asyncio.run(_artifacts(state))["seedream-unknown"]
    (told,) = events_about("seedream.attempt.unknown", 1, run_id=left.run_id)
    assert told["row_key"] == "p0"


def test_where_nothing_was_ever_bought_there_is_nothing_to_do(tmp_path: Path) -> None:
    """A fresh checkout's schedule finds no ledger, says so, and makes none."""
    state = collect(tmp_path / "a")
    assert "nothing was ever bought here" in (state.message or "")
    assert not (tmp_path / "a").exists()


@pytest.mark.outside_the_law("the ledger that bought is gone")
def test_an_archive_whose_ledger_is_gone_is_a_fault(gateways: Sandbox, tmp_path: Path) -> None:
    """An archive that was used is never taken for a fresh one."""
    run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    (tmp_path / "a" / "ledger.db").unlink()
    state: State[Any] = asyncio.run(collect_images(archive=str(tmp_path / "a"), return_state=True))
    assert state.is_failed()
