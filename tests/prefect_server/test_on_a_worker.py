"""What only a server and a worker can show: a suspended run that is taken up again, schedules, limits, a cancelled run."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect_place import OFTEN, WITHIN_S, Place
from runs import products, read
from sandbox_process import Sandbox
from waiting import until

SLOW = [{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}]
COUNT = 6  # at 0.031 each: 0.186 in all
CANARY = 2  # without a category all rows are one


def _totals(archive: Path, run_id: str) -> tuple[set[str], Decimal]:
    records = read(archive, run_id)
    return {each["status"] for each in records}, sum((each["billed_usd"] for each in records), Decimal(0))


def test_an_approved_run_goes_on_in_another_worker_and_pays_nothing_again(
    place: Place, gateways: Sandbox, tmp_path: Path
) -> None:
    """It suspends with its canary bought and no process left; the worker dies before the answer comes, another takes it up."""
    archive = tmp_path / "archive"
    run_id = place.start(
        "catalog-images",
        catalog=str(products(tmp_path / "c.csv", COUNT)),
        archive=str(archive),
        approve_above_usd="0.10",
    )
    place.reaches(run_id, "Suspended")
    assert gateways.bill()["submissions"] == CANARY
    before = place.worker()
    place.kill_worker()
    place.up()
    assert place.worker() != before
    answer = {"decision": "approve", "max_usd": None, "note": "looks right"}
    place.api.ask("POST", f"/flow_runs/{run_id}/resume", {"run_input": answer})
    assert place.ended(run_id)["state_name"] == "Completed"
    assert _totals(archive, run_id) == ({"archived"}, Decimal("0.186"))
    assert (gateways.bill()["submissions"], Decimal(gateways.bill()["usd"])) == (COUNT, Decimal("0.186"))


def test_a_cancelled_run_stops_in_order_and_collect_images_finishes_it(
    place: Place, gateways: Sandbox, tmp_path: Path
) -> None:
    """The UI's button asks for Cancelling: the run records what is in flight, ends as Cancelled, and buys nothing more."""
    archive = str(tmp_path / "archive")
    gateways.faults(SLOW)
    run_id = place.start("catalog-images", catalog=str(products(tmp_path / "c.csv", 3)), archive=archive)
    until(lambda: gateways.bill()["accepted"] == 3, "three tasks at the gateway", WITHIN_S)
    place.api.ask("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    assert place.ended(run_id)["state_type"] == "CANCELLED"
    gateways.faults([])
    gateways.advance(4000)
    collected = place.ended(place.start("collect-images", archive=archive))
    assert collected["state_name"] == "Completed"
    assert "3 archived" in collected["state"]["message"]
    assert _totals(tmp_path / "archive", run_id) == ({"archived"}, Decimal(gateways.bill()["usd"]))
    assert gateways.bill()["submissions"] == 3


def test_a_pass_that_comes_while_one_is_at_work_is_dropped(place: Place, gateways: Sandbox, tmp_path: Path) -> None:
    """collect-images, CANCEL_NEW: of two that are due at once one runs and one is cancelled, having done nothing."""
    runs = [place.start("collect-images", archive=str(tmp_path / "archive")) for _ in range(2)]
    assert sorted(place.ended(each)["state_type"] for each in runs) == ["CANCELLED", "COMPLETED"]


def test_a_weekly_run_waits_for_the_one_before_it(place: Place, gateways: Sandbox, tmp_path: Path) -> None:
    """catalog-images-weekly, ENQUEUE: the second starts when the first has ended, and finds everything bought."""
    parameters = {"catalog": str(products(tmp_path / "c.csv", 2)), "archive": str(tmp_path / "archive")}
    gateways.faults(SLOW)
    first = place.start("catalog-images-weekly", **parameters)
    until(lambda: gateways.bill()["accepted"] == 2, "two tasks at the gateway", WITHIN_S)
    second = place.start("catalog-images-weekly", **parameters)
    place.reaches(second, "AwaitingConcurrencySlot")
    gateways.faults([])
    gateways.advance(4000)
    one, two = place.ended(first), place.ended(second)
    assert one["end_time"] <= two["start_time"]
    assert (one["state_name"], two["state_name"]) == ("Completed", "Completed")
    assert gateways.bill()["submissions"] == 2


@contextmanager
def scheduled(place: Place, name: str) -> Iterator[str]:
    """A deployment whose schedule is switched on; off again afterwards. What is due by then is still started."""
    deployment = place.deployment(name)
    (schedule,) = deployment["schedules"]
    path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
    place.api.ask("PATCH", path, {"active": True})
    try:
        yield str(deployment["id"])
    finally:
        place.api.ask("PATCH", path, {"active": False})


def _due(place: Place, deployment_id: str) -> list[dict[str, Any]]:
    wanted = {"deployments": {"id": {"any_": [deployment_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return [each for each in place.api.ask("POST", "/flow_runs/filter", wanted) if each["auto_scheduled"]]


def test_what_is_due_by_the_interval_is_started_and_ends(place: Place, gateways: Sandbox) -> None:
    """collect-images with a shorter interval: nobody starts it, and it runs."""
    with scheduled(place, OFTEN) as deployment_id:
        until(
            lambda: any(each["state_type"] == "COMPLETED" for each in _due(place, deployment_id)),
            "a run that was due",
            WITHIN_S,
        )


def test_mondays_at_six_are_berlins_in_summer_and_in_winter(place: Place, gateways: Sandbox) -> None:
    """catalog-images-weekly, switched on: the server plans a run for each of the next Mondays, at six o'clock there."""
    with scheduled(place, "catalog-images-weekly") as deployment_id:
        until(lambda: len(_due(place, deployment_id)) >= 3, "the next runs")
        due = [datetime.fromisoformat(each["expected_start_time"]) for each in _due(place, deployment_id)]
    there = [each.astimezone(ZoneInfo("Europe/Berlin")) for each in due]
    assert {(each.weekday(), each.hour, each.minute) for each in there} == {(0, 6, 0)}


def test_a_deployments_relative_archive_is_refused_before_anything_is_sent(
    place: Place, gateways: Sandbox, tmp_path: Path
) -> None:
    """A worker may make its folder anew for each run; a run that a deployment started says so and spends nothing."""
    catalog = str(products(tmp_path / "c.csv", 1))
    buying = place.start("catalog-images", catalog=catalog, archive="pictures")
    collecting = place.start("collect-images", archive="pictures")
    for run_id in (buying, collecting):
        ended = place.ended(run_id)
        assert ended["state_type"] == "FAILED"
        assert "relative path, and this is the run of a deployment" in ended["state"]["message"]
    assert gateways.bill()["submissions"] == 0
    assert not (place.folder / "pictures").exists()
