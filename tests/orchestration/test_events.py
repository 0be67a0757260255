"""Events of a run, as Prefect's server has stored them: each about the run, with its figures and what to do."""

import asyncio
from pathlib import Path
from typing import Any

from odd_gateway import OddGateway
from prefect_events import events_about, read_events
from runs import products, write_catalog
from sandbox_process import Sandbox

from seedream_tasks import catalog_images


def _go(**parameters: Any) -> dict[str, Any]:
    result: dict[str, Any] = asyncio.run(catalog_images(**parameters))
    return result


def test_a_run_ends_with_its_figures(gateways: Sandbox, tmp_path: Path) -> None:
    """`seedream.run.completed`: resource the run, related to the flow run; by gateway, with the manifest's place."""
    done = _go(catalog=str(products(tmp_path / "c.csv", 2)), archive=str(tmp_path / "a"), gateways=["evolink"])
    (payload,) = events_about("seedream.run.completed", 1, run_id=done["run_id"])
    assert payload["complete"] is True
    assert payload["billed_usd"] == payload["by_gateway"]["evolink"]["billed_usd"] == "0.062"
    assert payload["manifest"] == done["manifest"]
    (stored,) = [each for each in read_events("seedream.run.completed") if each["payload"] == payload]
    assert stored["resource"]["prefect.resource.id"] == f"seedream.run.{done['run_id']}"
    related = {each["prefect.resource.id"] for each in stored["related"]}
    assert f"prefect.flow-run.{done['run_id']}" in related


def test_a_cap_that_holds_a_run_back_is_told_with_all_it_held_back(gateways: Sandbox, tmp_path: Path) -> None:
    """`seedream.budget.reached`: fifteen images, one a call, three fit: twelve are deferred, not only the last call's one."""
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "set", "prompt": "A table set", "n": 15})
    done = _go(catalog=str(catalog), archive=str(tmp_path / "a"), gateways=["getimg"], max_usd="0.12")
    (payload,) = events_about("seedream.budget.reached", 1, run_id=done["run_id"])
    assert payload["deferred_usd"] == done["deferred_usd"] == "0.48"
    assert payload["jobs"] == 1
    assert "cap of $0.12" in payload["what"]
    assert "raise the cap" in payload["what_to_do"]


def test_an_unknown_payment_is_told_once(gateways: Sandbox, tmp_path: Path) -> None:
    """`seedream.attempt.unknown`: which attempt, how much, what to do; the next run does not tell of it again."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "rate": 1}])
    parameters = {"catalog": str(products(tmp_path / "c.csv", 1)), "archive": str(tmp_path / "a")}
    first = _go(**parameters, gateways=["evolink"])
    (payload,) = events_about("seedream.attempt.unknown", 1, row_key="p0", run_id=first["run_id"])
    assert payload["at_risk_usd"] == first["at_risk_usd"] == "0.031"
    assert "seedream resolve" in payload["what_to_do"]
    second = _go(**parameters, gateways=["evolink"])
    events_about("seedream.run.completed", 1, run_id=second["run_id"])
    assert len(events_about("seedream.attempt.unknown", 1, attempt_id=payload["attempt_id"])) == 1


def test_a_task_that_nobody_can_read_is_told_once(odd: OddGateway, tmp_path: Path) -> None:
    """`seedream.attempt.unreadable`: which attempt, and the gateway's own words; the next run does not tell of it again."""
    odd.accepting = lambda number, body: (200, {**body, "task_info": {"estimated_time": 0}})
    odd.telling = lambda number, body: (200, {**body, "status": "Zustand 7"})
    parameters = {"catalog": str(products(tmp_path / "c.csv", 1)), "archive": str(tmp_path / "a")}
    first = _go(**parameters, gateways=["evolink"], wait_s=3)
    (payload,) = events_about("seedream.attempt.unreadable", 1, run_id=first["run_id"])
    assert (payload["row_key"], payload["task_id"]) == ("p0", "task-1")
    assert "Zustand 7" in payload["answer"]
    second = _go(**parameters, gateways=["evolink"], wait_s=3)
    events_about("seedream.run.completed", 1, run_id=second["run_id"])
    assert len(events_about("seedream.attempt.unreadable", 1, attempt_id=payload["attempt_id"])) == 1


def test_a_charge_above_the_reservation_is_told_once(gateways: Sandbox, tmp_path: Path) -> None:
    """`seedream.price.drift`: what was reserved and what was billed, whichever run settles it."""
    gateways.faults([{"gateway": "getimg", "kind": "other_price", "rate": 1, "value": 0.09}])
    parameters = {"catalog": str(products(tmp_path / "c.csv", 1)), "archive": str(tmp_path / "a")}
    first = _go(**parameters, gateways=["getimg"])
    (payload,) = events_about("seedream.price.drift", 1, run_id=first["run_id"])
    assert (payload["reserved_usd"], payload["billed_usd"]) == ("0.04", first["billed_usd"])
    assert payload["gateway"] == "getimg"
    second = _go(**parameters, gateways=["getimg"])
    events_about("seedream.run.completed", 1, run_id=second["run_id"])
    assert len(events_about("seedream.price.drift", 1, attempt_id=payload["attempt_id"])) == 1


def test_a_catalog_that_lost_its_products_is_told_before_anything_is_bought(gateways: Sandbox, tmp_path: Path) -> None:
    """`seedream.catalog.shrank`: how many of the last run's products are left."""
    parameters = {"archive": str(tmp_path / "a"), "gateways": ["evolink"]}
    _go(catalog=str(products(tmp_path / "all.csv", 5)), **parameters)
    second = _go(catalog=str(products(tmp_path / "few.csv", 2)), **parameters)
    (payload,) = events_about("seedream.catalog.shrank", 1, run_id=second["run_id"])
    assert (payload["products_before"], payload["products_still_there"]) == (5, 2)
    assert payload["catalog_before"].endswith("all.csv")
