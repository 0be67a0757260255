"""How many calls a job takes, what each is quoted, reserved and billed, and what stays at risk."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runs import Ran, assert_bill, products, run, write_catalog
from sandbox_process import Sandbox
from witness import PRICE, assert_files, calls, ledger, photo, submissions


def one(tmp_path: Path, gateway: str, n: int, references: int = 0, **fields: Any) -> Path:
    """A catalog of one product; its references are small photos beside it."""
    names = [photo(tmp_path / f"photo{number}.png", side=20 + number).name for number in range(references)]
    row = {"sku": "p", "prompt": "Images of one product", "n": n, "references": "|".join(names)}
    return write_catalog(tmp_path / "c.csv", row | {"operation": "edit" if names else "generate"} | fields)


def assert_complete(sandbox: Sandbox, ran: Ran, gateway: str, n: int) -> None:
    """All n images are archived, each slot once, billed as the gateway bills."""
    record = ran.one("p")
    assert (record["status"], [each["slot"] for each in record["images"]]) == ("archived", list(range(n)))
    assert record["billed_usd"] == record["cost_usd"] == record["quoted_usd"] == n * PRICE[gateway]
    assert_files(ran)
    assert_bill(sandbox, ran)


@pytest.mark.parametrize(
    ("gateway", "n", "references", "sizes"),
    [
        ("evolink", 5, 12, [3, 2]),  # references + outputs <= 15
        ("evolink", 15, 0, [15]),
        ("evolink", 2, 14, [1, 1]),
        ("getimg", 3, 0, [1, 1, 1]),  # no field for more
        ("getimg", 2, 3, [1, 1]),
        ("gccai", 3, 0, [1, 1, 1]),  # no groups from text alone
        ("gccai", 3, 1, [3]),
        ("gccai", 7, 10, [5, 2]),
        ("apiin", 2, 0, [1, 1]),
    ],
)
def test_a_job_is_split_into_the_calls_that_its_gateway_can_make(
    gateways: Sandbox, tmp_path: Path, gateway: str, n: int, references: int, sizes: list[int]
) -> None:
    """Calls of at most what the gateway makes at once, references counted in; every slot gets its image."""
    ran = run(one(tmp_path, gateway, n, references), tmp_path / "a", gateways=[gateway])
    assert sorted(calls(gateways), reverse=True) == sizes
    assert_files(ran)
    if gateway == "apiin":  # its price is disputed, see below
        assert ran.one("p")["image_count"] == n
        assert_bill(gateways, ran)
    else:
        assert_complete(gateways, ran, gateway, n)


def test_fewer_images_are_not_bought_again_without_top_up_and_once_a_run_with_it(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """The gateway made 1 of 3: archived with a warning, nothing more by itself; `top_up` buys the other two."""
    gateways.faults([{"gateway": "*", "kind": "fewer_images", "value": 1, "count": 1}])
    runs = [run(one(tmp_path, "evolink", 3), tmp_path / "a", gateways=["evolink"])]
    assert (runs[0].one("p")["status"], runs[0].one("p")["warnings"]) == ("archived", ["fewer_images"])
    runs.append(run(one(tmp_path, "evolink", 3), tmp_path / "a", gateways=["evolink"]))
    assert calls(gateways) == [3]
    assert runs[1].one("p")["reused"]
    runs.append(run(one(tmp_path, "evolink", 3, top_up="true"), tmp_path / "a", gateways=["evolink"]))
    assert calls(gateways) == [3, 2]
    assert (runs[2].one("p")["image_count"], runs[2].one("p")["warnings"]) == (3, [])
    assert [ran.summary.billed_usd for ran in runs] == [PRICE["evolink"], 0, 2 * PRICE["evolink"]]
    assert_files(runs[2])
    assert_bill(gateways, *runs)


def test_top_up_happens_in_the_same_run_and_not_for_ever(gateways: Sandbox, tmp_path: Path) -> None:
    """A gateway that always makes one image is asked twice in a run, not until the job is full."""
    gateways.faults([{"gateway": "*", "kind": "fewer_images", "value": 1}])
    catalog = one(tmp_path, "evolink", 4, top_up="true")
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert calls(gateways) == [4, 3]
    assert (first.one("p")["status"], first.one("p")["image_count"]) == ("archived", 2)
    assert first.one("p")["warnings"] == ["fewer_images"]
    second = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert calls(gateways) == [4, 3, 2]
    assert second.one("p")["image_count"] == 3
    assert_bill(gateways, first, second)


def test_raising_n_after_fewer_images_buys_the_new_slots_only(gateways: Sandbox, tmp_path: Path) -> None:
    """New slots are new; the one the gateway left out stays closed."""
    gateways.faults([{"gateway": "*", "kind": "fewer_images", "value": 1, "count": 1}])
    first = run(one(tmp_path, "evolink", 2), tmp_path / "a", gateways=["evolink"])
    second = run(one(tmp_path, "evolink", 4), tmp_path / "a", gateways=["evolink"])
    assert calls(gateways) == [2, 2]
    assert [each["slot"] for each in second.one("p")["images"]] == [0, 2, 3]
    assert second.one("p")["reason"] == "more_images"
    assert_bill(gateways, first, second)


def test_what_fewer_images_give_back_makes_room_under_the_cap(gateways: Sandbox, tmp_path: Path) -> None:
    """Three are reserved, one is made and billed: what was held for the other two buys the other job in the same run."""
    gateways.faults([{"gateway": "*", "kind": "fewer_images", "value": 1, "match": "Three"}])
    catalog = write_catalog(
        tmp_path / "c.csv", {"sku": "p", "prompt": "Three lamps", "n": 3}, {"sku": "q", "prompt": "Three mugs", "n": 3}
    )
    ran = run(catalog, tmp_path / "a", gateways=["evolink"], max_usd=Decimal("0.13"))
    assert [(each["status"], each["image_count"]) for each in ran.records] == [("archived", 1), ("archived", 1)]
    assert (ran.one("p")["quoted_usd"], ran.one("p")["billed_usd"]) == (3 * PRICE["evolink"], PRICE["evolink"])
    assert_bill(gateways, ran)


def test_a_price_file_changes_quotes_and_not_what_the_gateway_reports(gateways: Sandbox, tmp_path: Path) -> None:
    """The user's row is quoted and reserved; credits reported for the finished task are converted by that row."""
    prices = tmp_path / "prices.yaml"
    prices.write_text('evolink: {seedream-4.5: {"*": {usd: 0.062, credits: 4.5}}}\n')
    ran = run(one(tmp_path, "evolink", 2), tmp_path / "a", gateways=["evolink"], prices=str(prices))
    record = ran.one("p")
    assert record["quoted_usd"] == Decimal("0.124")
    assert (record["billed_usd"], record["billed_credits"]) == (Decimal("0.062"), Decimal("4.5"))
    assert record["cost_basis"] == "reported"
    assert_bill(gateways, ran)


def test_a_price_file_can_send_jobs_elsewhere(gateways: Sandbox, tmp_path: Path) -> None:
    """Routing goes by the prices in force: with gccai at 0.01 it is the cheapest."""
    prices = tmp_path / "prices.yaml"
    prices.write_text('gccai: {seedream-4.5: {"*": {usd: 0.01}}}\n')
    ran = run(one(tmp_path, "", 1), tmp_path / "a", prices=str(prices))
    record = ran.one("p")
    assert (record["gateway"], record["quoted_usd"]) == ("gccai", Decimal("0.01"))
    assert record["billed_usd"] + record["at_risk_usd"] == PRICE["gccai"]
    assert_bill(gateways, ran)


def test_a_disputed_price_is_billed_by_the_row_and_the_difference_is_at_risk(gateways: Sandbox, tmp_path: Path) -> None:
    """apiin reports nothing, and two sources disagree: 0.12 reserved, 0.024 billed, 0.096 at risk."""
    ran = run(one(tmp_path, "apiin", 1), tmp_path / "a", gateways=["apiin"])
    record = ran.one("p")
    (attempt,) = ledger(tmp_path / "a", "SELECT reserved_usd FROM attempts")
    assert attempt["reserved_usd"] == 120_000
    assert (record["quoted_usd"], record["billed_usd"]) == (Decimal("0.024"), Decimal("0.024"))
    assert (record["at_risk_usd"], record["cost_basis"]) == (Decimal("0.096"), "computed")
    assert_bill(gateways, ran)
    assert ran.summary.at_risk_in_words() == "$0.096 if API in One charges what its site says"


def test_what_is_at_risk_is_said_by_its_reason(gateways: Sandbox, tmp_path: Path) -> None:
    """A disputed price apart from payments of unknown fate, in the run that bought and in the one that reuses."""
    catalog = products(tmp_path / "c.csv", 2)
    gateways.faults([{"gateway": "*", "kind": "drop_response", "match": "number 1", "rate": 1, "count": 1}])
    words = "$0.216: $0.096 if API in One charges what its site says, $0.12 otherwise"
    first = run(catalog, tmp_path / "a", gateways=["apiin"])
    again = run(catalog, tmp_path / "a", gateways=["apiin"])
    assert (first.summary.at_risk_in_words(), again.summary.at_risk_in_words()) == (words, words)
    assert_bill(gateways, first, again)


def test_a_4k_image_at_evolink_reserves_the_highest_price_and_its_credits_settle_it(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Its page calls 4K dearer without a figure: 0.035 is reserved, what the finished task reports is billed, exactly."""
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "A lamp", "tier": "4K"})
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    (attempt,) = ledger(tmp_path / "a", "SELECT reserved_usd FROM attempts")
    assert attempt["reserved_usd"] == 35_000
    record = ran.one("p")
    assert (record["billed_usd"], record["at_risk_usd"], record["cost_basis"]) == (Decimal("0.031"), 0, "reported")
    assert_bill(gateways, ran)


def test_the_users_price_settles_a_dispute(gateways: Sandbox, tmp_path: Path) -> None:
    """With apiin in the price file its row is what is reserved, billed and certain: nothing at risk."""
    prices = tmp_path / "prices.yaml"
    prices.write_text('apiin: {seedream-4.5: {"*": {usd: 0.024, credits: 12}}}\n')
    ran = run(one(tmp_path, "apiin", 2), tmp_path / "a", gateways=["apiin"], prices=str(prices))
    assert (ran.summary.billed_usd, ran.summary.at_risk_usd) == (Decimal("0.048"), 0)
    assert_bill(gateways, ran)


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
def test_a_charge_above_the_reservation_stops_admission_at_that_gateway(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """price_drift: what is in flight is finished, nothing more is bought there in this run; the bill is exact all the same."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    gateways.faults([{"gateway": "*", "kind": "other_price"}])
    catalog = write_catalog(tmp_path / "c.csv", *({"sku": f"p{n}", "prompt": f"Number {n}"} for n in range(4)))
    ran = run(catalog, tmp_path / "a", gateways=[gateway])
    assert ran.statuses() == {"archived": 1, "deferred": 3}
    (dear,) = [each for each in ran.records if each["status"] == "archived"]
    assert (dear["warnings"], dear["billed_usd"]) == (["price_drift"], 2 * PRICE[gateway])
    assert {each["reason"] for each in ran.records if each["status"] == "deferred"} == {"no_gateway"}
    assert submissions(gateways) == 1
    assert_bill(gateways, ran)


def test_after_price_drift_the_other_gateways_go_on(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next gateway in price takes the jobs that the drifting one no longer gets."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    gateways.faults([{"gateway": "evolink", "kind": "other_price"}])
    catalog = write_catalog(tmp_path / "c.csv", *({"sku": f"p{n}", "prompt": f"Number {n}"} for n in range(4)))
    ran = run(catalog, tmp_path / "a", gateways=["evolink", "getimg"])
    assert ran.statuses() == {"archived": 4}
    assert sorted(each["gateway"] for each in ran.records) == ["evolink", "getimg", "getimg", "getimg"]
    assert_bill(gateways, ran)


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
def test_a_lower_charge_is_billed_as_it_is_reported(gateways: Sandbox, tmp_path: Path, gateway: str) -> None:
    """Where the gateway reports less than the row, less is billed, and nothing is left over."""
    gateways.faults([{"gateway": "*", "kind": "other_price", "value": "0.02"}])
    ran = run(one(tmp_path, gateway, 1), tmp_path / "a", gateways=[gateway])
    assert (ran.summary.billed_usd, ran.summary.at_risk_usd) == (Decimal("0.02"), 0)
    assert_bill(gateways, ran)


def test_seedream_4_0_has_its_own_price(gateways: Sandbox, tmp_path: Path) -> None:
    """The model is part of the price row; in a simulated run the sandbox's list prices what no source does."""
    ran = run(one(tmp_path, "evolink", 2, model="seedream-4.0"), tmp_path / "a", gateways=["evolink"])
    assert ran.one("p")["billed_usd"] == Decimal("0.0496")
    assert_bill(gateways, ran)
