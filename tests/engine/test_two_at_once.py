"""Two processes, one catalog: each slot is bought once, and each cent stands in exactly one manifest."""

import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from balance import row_of
from crashing import Runs, order
from runs import Ran, products, read, run
from sandbox_process import Sandbox
from witness import PRICE, assert_files, bought, ledger_money, now, photo, submissions

from seedream_tasks.runs.summary import Summary

ROWS = 12


def finished(archive: Path, run_id: str) -> Ran:
    """A run of another process, by its manifest."""
    return now(Ran(run_id, Summary(run_id, True), read(archive, run_id), archive))


def assert_paid_once(sandbox: Sandbox, *runs: Ran) -> None:
    """Billed over all manifests is the bill, no attempt is billed in two of them, and no row was bought twice."""
    assert sum(ran.summary.billed_usd for ran in runs) == Decimal(sandbox.bill()["usd"])
    assert runs[-1].summary.at_risk_usd == 0
    paid = Counter(each["row_key"] for ran in runs for each in ran.records if each["billed_usd"])
    assert not [row_key for row_key, count in paid.items() if count > 1]


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
def test_two_runs_of_one_catalog_buy_each_image_once_and_both_are_complete(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str, gateway: str
) -> None:
    """On SQLite and PostgreSQL: the slower one finds slots taken, waits for them, and shows the same images, billed 0."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.7}])
    catalog = products(tmp_path / "c.csv", ROWS, n=2)
    options: dict[str, Any] = {"gateways": [gateway], "ledger": ledger_url}
    both = [order(catalog, tmp_path / "a", run_id=name, **options) for name in ("one", "two")]
    assert processes.together(*both) == [0, 0]
    runs = [finished(tmp_path / "a", name) for name in ("one", "two")]
    assert [ran.statuses() for ran in runs] == [{"archived": ROWS}] * 2
    assert bought(gateways).total() == 2 * ROWS
    assert [each["images"] for each in runs[0].records] == [each["images"] for each in runs[1].records]
    assert_files(runs[0])
    assert sum(ran.summary.billed_usd for ran in runs) == Decimal(gateways.bill()["usd"])
    assert {ran.summary.cost_usd for ran in runs} == {2 * ROWS * PRICE[gateway]}
    attempts = [
        {attempt for each in ran.records if each["billed_usd"] for attempt in each["attempt_ids"]} for ran in runs
    ]
    if gateway == "evolink":  # one attempt a row: it is billed in one manifest or the other
        assert_paid_once(gateways, *runs)
        assert not attempts[0] & attempts[1]


@pytest.mark.parametrize("count", [4])
def test_many_runs_with_a_cap_each_never_buy_a_slot_twice(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str, count: int
) -> None:
    """Each run may buy three of ten: whatever they buy together, nothing is bought twice and no cap is passed."""
    catalog = products(tmp_path / "c.csv", 10)
    names = [f"run-{number}" for number in range(count)]
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": ledger_url, "max_usd": "0.10"}
    orders = [order(catalog, tmp_path / "a", run_id=name, **options) for name in names]
    assert processes.together(*orders) == [0] * count
    runs = [finished(tmp_path / "a", name) for name in names]
    assert all(ran.summary.billed_usd <= Decimal("0.10") for ran in runs)
    assert set(bought(gateways).values()) == {1}
    assert submissions(gateways) == 10
    assert_paid_once(gateways, *runs)


def test_the_same_run_in_two_processes_shares_one_cap(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str
) -> None:
    """10 jobs of 0.031 under 0.10 give 3 archived and 7 deferred, however many workers take part."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.3}])
    catalog = products(tmp_path / "c.csv", 10)
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": ledger_url, "max_usd": "0.10"}
    orders = [order(catalog, tmp_path / "a", run_id="shared", **options) for _ in range(3)]
    assert processes.together(*orders) == [0] * 3
    shared = finished(tmp_path / "a", "shared")
    assert shared.statuses() == {"archived": 3, "deferred": 7}
    assert submissions(gateways) == 3
    assert_paid_once(gateways, shared)


@pytest.mark.parametrize("references", [False, True], ids=["from text", "with references"])
def test_two_runs_with_other_gateways_share_the_slots(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str, references: bool
) -> None:
    """One makes groups of four, one single images: every slot is bought once, at one of them; a third run finds all."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.4}])
    fields = {"operation": "edit", "references": photo(tmp_path / "photo.png").name} if references else {}
    catalog = products(tmp_path / "c.csv", ROWS // 2, n=4, **fields)
    orders = [
        order(catalog, tmp_path / "a", run_id=gateway, gateways=[gateway], ledger=ledger_url)
        for gateway in ("evolink", "getimg")
    ]
    assert processes.together(*orders) == [0, 0]
    last = run(catalog, tmp_path / "a", gateways=["evolink", "getimg"], ledger=ledger_url)
    runs = [finished(tmp_path / "a", gateway) for gateway in ("evolink", "getimg")]
    assert last.statuses() == {"archived": ROWS // 2}
    assert [len(ran.records) for ran in runs] == [ROWS // 2, ROWS // 2]
    by_row: Counter[str] = Counter()
    for prompt, count in bought(gateways).items():
        by_row[row_of(prompt)] += count  # two gateways may share a row's slots, and word its prompt each in its own way
    assert set(by_row.values()) == {4}
    assert all([each["slot"] for each in record["images"]] == [0, 1, 2, 3] for record in last.records)
    assert last.summary.billed_usd == 0
    assert sum(ran.summary.billed_usd for ran in runs) == Decimal(gateways.bill()["usd"])
    assert last.summary.cost_usd == Decimal(gateways.bill()["usd"])
    assert_files(last)


def test_another_archive_of_the_same_ledger_gets_copies_and_pays_nothing(
    gateways: Sandbox, tmp_path: Path, ledger_url: str
) -> None:
    """The ledger knows the images: a second archive takes verified copies, billed 0, and asks no gateway for anything."""
    catalog = products(tmp_path / "c.csv", 3, n=2)
    first = run(catalog, tmp_path / "a", gateways=["evolink"], ledger=ledger_url)
    before = gateways.bill()["requests"]
    second = run(catalog, tmp_path / "b", gateways=["evolink"], ledger=ledger_url)
    assert gateways.bill()["requests"] == before
    assert second.statuses() == {"archived": 3}
    assert (second.summary.billed_usd, second.summary.cost_usd) == (0, first.summary.cost_usd)
    shutil.rmtree(tmp_path / "a" / "images")
    assert_files(second)
    assert_paid_once(gateways, first, second)


def test_two_archives_filled_at_the_same_time_are_both_complete(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str
) -> None:
    """Two runs into two archives over one ledger: each slot bought once, each archive holds every image itself."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.4}])
    catalog = products(tmp_path / "c.csv", ROWS)
    names = ("one", "two")
    orders = [order(catalog, tmp_path / name, run_id=name, gateways=["evolink"], ledger=ledger_url) for name in names]
    assert processes.together(*orders) == [0, 0]
    runs = [finished(tmp_path / name, name) for name in names]
    assert [ran.statuses() for ran in runs] == [{"archived": ROWS}] * 2
    assert submissions(gateways) == ROWS
    for ran in runs:
        assert_files(ran)
    assert_paid_once(gateways, *runs)


def test_the_ledger_agrees_with_the_manifests(gateways: Sandbox, processes: Runs, tmp_path: Path) -> None:
    """What the ledger adds up over all attempts is what the manifests add up over all runs."""
    catalog = products(tmp_path / "c.csv", ROWS)
    orders = [order(catalog, tmp_path / "a", run_id=name, gateways=["gccai"]) for name in ("one", "two")]
    assert processes.together(*orders) == [0, 0]
    runs = [finished(tmp_path / "a", name) for name in ("one", "two")]
    assert ledger_money(tmp_path / "a") == (sum(ran.summary.billed_usd for ran in runs), 0)
    assert_paid_once(gateways, *runs)
