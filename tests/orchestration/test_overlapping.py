"""Flow runs that overlap, and flow runs in many tasks: each image is paid once, each cap holds, each run tells of its own."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect_events import events_about, read_events
from runs import products, read
from sandbox_process import Sandbox
from waiting import until
from witness import bought, photo

from seedream_tasks import catalog_images

Event = tuple[str, str, dict[str, Any]]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What flows send to Prefect: event, resource, payload."""
    sent: list[Event] = []
    monkeypatch.setattr(
        "seedream_tasks.orchestration.events.emit_event",
        lambda event, resource, payload: sent.append((event, resource["prefect.resource.id"], payload)),
    )
    return sent


def together(*runs: dict[str, Any], beside: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    """Flow runs at the same time in one process, and `beside` in a thread; the runs' results."""

    async def go() -> list[dict[str, Any]]:
        also = asyncio.create_task(asyncio.to_thread(beside))
        states = await asyncio.gather(*(catalog_images(**parameters, return_state=True) for parameters in runs))
        await also
        return [await state.aresult() for state in states]

    return asyncio.run(go())


def billed(archive: Path, results: Sequence[dict[str, Any]]) -> list[dict[str, Decimal]]:
    """What each run's manifest, as it stands now, says was billed in it, by row."""
    records = [read(archive, each["run_id"]) for each in results]
    return [{row["row_key"]: row["billed_usd"] for row in rows if row["billed_usd"]} for rows in records]


def test_a_scheduled_and_a_triggered_run_of_one_catalog_pay_once(gateways: Sandbox, tmp_path: Path) -> None:
    """Both manifests are complete with the same images; each row is billed in exactly one of them."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 3600}])
    catalog = products(tmp_path / "c.csv", 6, n=2)
    same: dict[str, Any] = {"catalog": str(catalog), "archive": str(tmp_path / "a"), "gateways": ["evolink"]}

    def finish_once_both_are_at_work() -> None:
        frozen = "a/runs/*/jobs.parquet"
        until(
            lambda: len(list(tmp_path.glob(frozen))) == 2 and gateways.bill()["accepted"] == 6, "both runs are at work"
        )
        gateways.advance(3600)

    results = together(same, same, beside=finish_once_both_are_at_work)
    assert [each["by_status"] for each in results] == [{"archived": 6}] * 2
    assert sorted(bought(gateways).values()) == [2] * 6
    images = [[row["images"] for row in read(tmp_path / "a", each["run_id"])] for each in results]
    assert images[0] == images[1]
    one, other = billed(tmp_path / "a", results)
    assert one.keys() | other.keys() == {f"p{number}" for number in range(6)}
    assert not one.keys() & other.keys()
    assert sum((*one.values(), *other.values())) == Decimal(gateways.bill()["usd"])


def test_two_runs_with_other_gateways_pay_each_slot_once(gateways: Sandbox, tmp_path: Path) -> None:
    """A group of four here, single images there, from one photograph: four slots a row, each bought at one of the two.

    The quicker run waits for what only the other one can ask for, so both manifests are complete.
    """
    gateways.faults([{"gateway": "getimg", "kind": "slow", "value": 0.3}, {"gateway": "*", "kind": "slow", "value": 4}])
    fields = {"operation": "edit", "references": photo(tmp_path / "photo.png").name}
    catalog = products(tmp_path / "c.csv", 3, n=4, **fields)
    same: dict[str, Any] = {"catalog": str(catalog), "archive": str(tmp_path / "a")}
    results = together(*({**same, "gateways": [name]} for name in ("evolink", "getimg")))
    assert set(bought(gateways).values()) == {4}
    for each in results:
        records = read(tmp_path / "a", each["run_id"])
        assert [row["status"] for row in records] == ["archived"] * 3
        assert {len(row["images"]) for row in records} == {4}
    amounts = [sum(each.values()) for each in billed(tmp_path / "a", results)]
    assert sum(amounts) == Decimal(gateways.bill()["usd"])


def test_a_cap_holds_over_all_tasks_of_a_run_and_the_next_run_goes_on(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    """10 jobs of 0.031 under 0.10 in six chunks at once: 3 archived, 7 deferred, over_cap; a new run has its own 0.10."""
    monkeypatch.setattr("seedream_tasks.orchestration.chunks.FIRST_CHUNK", 1)
    monkeypatch.setattr("seedream_tasks.orchestration.chunks.CHUNK", 2)
    capped: dict[str, Any] = {
        "catalog": str(products(tmp_path / "c.csv", 10)),
        "archive": str(tmp_path / "a"),
        "gateways": ["evolink"],
        "max_usd": "0.10",
        "granularity": "chunk",
    }
    (first,) = together(capped)
    assert (first["by_status"], first["deferred_usd"]) == ({"archived": 3, "deferred": 7}, "0.217")
    deferred = [row for row in read(tmp_path / "a", first["run_id"]) if row["status"] == "deferred"]
    assert {row["reason"] for row in deferred} == {"over_cap"}
    (told,) = [each for each in events if each[0] == "seedream.budget.reached"]
    assert told[1] == f"seedream.run.{first['run_id']}"
    assert (told[2]["jobs"], told[2]["deferred_usd"]) == (7, "0.217")
    (second,) = together(capped)
    assert second["by_status"] == {"archived": 6, "deferred": 4}
    assert Decimal(second["billed_usd"]) == Decimal("0.093")
    assert gateways.bill()["submissions"] == 6


def test_a_run_tells_of_its_own_drift_and_of_no_other_runs(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs in one process, one of them overcharged: one event, under its run, naming the row it happened to."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    gateways.faults(
        [
            {"gateway": "evolink", "kind": "other_price", "match": "number 4"},
            {"gateway": "getimg", "kind": "slow", "value": 1},
        ]
    )
    one = products(tmp_path / "one.csv", 5)
    other = products(tmp_path / "other.csv", 3)
    results = together(
        {"catalog": str(one), "archive": str(tmp_path / "a"), "gateways": ["evolink"]},
        {"catalog": str(other), "archive": str(tmp_path / "b"), "gateways": ["getimg"]},
    )
    runs = [each["run_id"] for each in results]
    for each in runs:
        events_about("seedream.run.completed", 1, run_id=each)  # the last that it says
    (told,) = [each for each in read_events("seedream.price.drift") if each["payload"]["run_id"] in runs]
    assert told["resource"]["prefect.resource.id"] == f"seedream.run.{runs[0]}"
    payload = told["payload"]
    assert (payload["row_key"], payload["shot"]) == ("p4", "image")
