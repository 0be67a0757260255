"""The bill is exact: what was asked for, accepted, made, charged and downloaded."""

from decimal import Decimal
from typing import Any

import pytest
import yaml
from gateway_calls import GATEWAYS, ask, data_uri, finished, image, links, order, submit
from sandbox_process import Sandbox

from seedream_tasks.sandbox import price_list, price_list_yaml


def test_pre_charge_and_settlement(sandbox: Sandbox) -> None:
    """While a task runs its entry shows n times the price, afterwards what was made."""
    sandbox.faults([{"kind": "fewer_images", "value": 2, "match": "few"}, {"kind": "task_failed", "match": "none"}])
    for prompt in ("few", "none", "all"):
        order(sandbox, "evolink", prompt=prompt, n=4)
    before = sandbox.bill()
    assert [(entry["usd"], entry["credits"], entry["finished_at"]) for entry in before["entries"]] == [
        ("0.124", "9", None)
    ] * 3
    sandbox.advance(10)
    after = sandbox.bill()
    assert [(entry["usd"], entry["credits"]) for entry in after["entries"]] == [
        ("0.062", "4.5"),
        ("0", "0"),
        ("0.124", "9"),
    ]
    assert (before["usd"], after["usd"], after["images"]) == ("0.372", "0.186", 6)


def test_sums_are_those_of_the_entries(sandbox: Sandbox) -> None:
    """Totals, sums by gateway and entries agree to the last digit."""
    for number in range(7):
        order(sandbox, "evolink", n=number + 1)
        order(sandbox, "evolink", model="doubao-seedream-4.0", n=number + 1)
        order(sandbox, "apiin")
    sandbox.advance(10)
    bill = sandbox.bill()
    total = sum((Decimal(entry["usd"]) for entry in bill["entries"]), Decimal(0))
    assert total == Decimal(bill["usd"]) == 28 * Decimal("0.0558") + 7 * Decimal("0.024")
    for name in GATEWAYS:
        own = [entry for entry in bill["entries"] if entry["gateway"] == name]
        row = bill["by_gateway"][name]
        assert Decimal(row["usd"]) == sum((Decimal(entry["usd"]) for entry in own), Decimal(0))
        assert (row["accepted"], row["images"]) == (len(own), sum(entry["images"] for entry in own))


def test_requests_are_counted_by_route(sandbox: Sandbox) -> None:
    """Ids stand as {id}, downloads and refusals count, control routes do not."""
    task = order(sandbox, "evolink")
    sandbox.advance(10)
    for _ in range(2):
        answer = ask(sandbox, "evolink", task).json()
    sandbox.http.get(links("evolink", answer)[0])
    submit(sandbox, "getimg", prompt=...)
    assert sandbox.bill()["requests"] == {
        "GET /evolink/dl/{id}": 1,
        "GET /evolink/v1/tasks/{id}": 2,
        "POST /evolink/v1/images/generations": 1,
        "POST /getimg/v2/images/generations": 1,
    }


def test_entries_hold_the_request(sandbox: Sandbox) -> None:
    """The body as it came, in order of acceptance; data URIs shortened to prefix, bytes and sha256."""
    import hashlib

    data = image()
    body: dict[str, Any] = {"image_urls": [data_uri(data)], "n": 2, "size": "1:1", "odd": {"x": [1]}}
    order(sandbox, "gccai", prompt="first", **body)
    order(sandbox, "gccai", prompt="second")
    first, second = sandbox.bill()["entries"]
    short = f"data:image/jpeg;base64,<{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}>"
    assert first["request"] == {"model": "doubao-seedream-4-5", "prompt": "first", **body, "image_urls": [short]}
    assert (first["n"], second["n"], second["prompt"]) == (2, 1, "second")
    assert first["accepted_at"] <= second["accepted_at"]
    assert first["accepted_at"].endswith("Z")


def test_times_follow_the_clock_of_the_sandbox(sandbox: Sandbox) -> None:
    """A task ends `seconds` after it was accepted, wherever the clock was moved to."""
    from datetime import datetime, timedelta

    order(sandbox, "apiin")
    sandbox.advance(5000)
    entry = sandbox.bill()["entries"][0]
    passed = datetime.fromisoformat(entry["finished_at"]) - datetime.fromisoformat(entry["accepted_at"])
    assert abs(passed - timedelta(seconds=10)) < timedelta(milliseconds=1)


def test_reset_forgets_everything(sandbox: Sandbox) -> None:
    """After a reset there are no tasks, no counts, no faults, and the balance is full."""
    task = order(sandbox, "evolink")
    sandbox.faults([{"kind": "http_500"}])
    sandbox.reset()
    bill = sandbox.bill()
    assert (bill["submissions"], bill["accepted"], bill["usd"], bill["requests"], bill["entries"]) == (
        0,
        0,
        "0",
        {},
        [],
    )
    assert ask(sandbox, "evolink", task).status_code == 404
    assert order(sandbox, "evolink")


@pytest.mark.parametrize("body", [{}, {"advance_s": "1"}, {"advance_s": -1}, {"advance_s": True}, [], 3])
def test_the_clock_takes_seconds_only(sandbox: Sandbox, body: object) -> None:
    """Anything but a number of seconds from 0 up is refused."""
    assert sandbox.http.post(f"{sandbox.url}/sandbox/clock", json=body).status_code == 400


def test_the_price_list_is_what_is_charged(sandbox: Sandbox) -> None:
    """The list as JSON, as YAML and as charged is one and the same."""
    prices = sandbox.http.get(f"{sandbox.url}/sandbox/prices").json()
    assert prices == price_list()
    for gateway, models in yaml.safe_load(price_list_yaml()).items():
        for model, tiers in models.items():
            assert {unit: Decimal(str(amount)) for unit, amount in tiers["*"].items()} == {
                unit: Decimal(amount) for unit, amount in prices[gateway][model]["*"].items()
            }
    for gateway in GATEWAYS:
        finished(sandbox, gateway)
    assert {entry["gateway"]: entry["usd"] for entry in sandbox.bill()["entries"]} == {
        gateway: prices[gateway]["seedream-4.5"]["*"]["usd"] for gateway in GATEWAYS
    }
