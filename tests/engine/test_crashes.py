"""Killed at every moment of claim, submit, wait and archive: nothing is bought twice, nothing paid for is lost."""

import asyncio
import signal
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from crashing import Moment, Runs
from runs import Ran, go, products, read, run, settings
from sandbox_process import Sandbox
from witness import EVERY_GATEWAY, RESERVED, assert_files, leases_end, ledger, ledger_money

ALWAYS = [
    *(Moment("record", when, number) for number in range(3, 9) for when in ("before", "after")),
    *(Moment("commit", "before", number) for number in range(3, 6)),
    *(Moment("submit", when, number) for number in (1, 2) for when in ("before", "after")),
    Moment("download", "after"),
    Moment("store", "before"),
    Moment("store", "after"),
    Moment("copy", "after"),
    Moment("publish", "before"),
    Moment("publish", "after"),
    Moment("publish", "before", 2),
    Moment("publish", "after", 2),
]
ASYNCHRONOUS_ONLY = [
    Moment("status", "before"),
    Moment("status", "after"),
    Moment("wait", "before"),
    Moment("wait", "after"),
]
# A run alone writes a batch of records in one commit, so it is the small ones that tell most moments apart.
ROWS_PER_KILL = 2


def moments(gateway: str) -> list[Moment]:
    """Where a run at this gateway is killed."""
    return ALWAYS + ([] if gateway == "getimg" else ASYNCHRONOUS_ONLY)


def assert_nothing_is_in_flight(archive: Path) -> None:
    """Every attempt has ended or waits for a person."""
    states = {row["state"] for row in ledger(archive, "SELECT DISTINCT state FROM attempts")}
    assert states <= {"archived", "unknown", "not_sent", "failed", "expired"}


def assert_every_cent(sandbox: Sandbox, archive: Path, last: Ran) -> None:
    """By the sandbox's entries: no image twice, and each is archived or its record says that its amount is at risk."""
    bill = sandbox.bill()
    counted = Counter(entry["prompt"] for entry in bill["entries"])
    assert {prompt: count for prompt, count in counted.items() if count > 1} == {}
    by_prompt = {record["prompt"]: record for record in last.records}
    for entry in bill["entries"]:
        record = by_prompt[entry["prompt"]]
        if record["image_count"] == 0:
            assert record["status"] == "unknown"
            assert record["at_risk_usd"] >= Decimal(entry["usd"])
        else:
            assert record["task_ids"] == [entry["task_id"]]
    assert_files(last)
    billed, at_risk = ledger_money(archive)
    assert billed <= Decimal(bill["usd"]) <= billed + at_risk
    if not at_risk:
        assert billed == Decimal(bill["usd"])


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_a_run_killed_at_any_moment_pays_nothing_twice_and_loses_nothing(
    gateways: Sandbox, processes: Runs, tmp_path: Path, gateway: str
) -> None:
    """Each moment kills a run of a catalog that has grown by two rows; the next goes on from there; the last one finishes."""
    archive = tmp_path / "a"
    run(products(tmp_path / "c.csv", 1), archive, gateways=[gateway])
    killed = []
    for step, moment in enumerate(moments(gateway), 1):
        catalog = products(tmp_path / "c.csv", 1 + step * ROWS_PER_KILL)
        status = processes.one(catalog, archive, moment, gateways=[gateway])
        killed += [str(moment)] if status == -signal.SIGKILL else []
        leases_end(archive)
    assert killed == [str(moment) for moment in moments(gateway)]
    last = run(catalog, archive, gateways=[gateway])
    assert_nothing_is_in_flight(archive)
    assert_every_cent(gateways, archive, last)
    assert set(last.statuses()) <= {"archived", "unknown"}
    # Only calls that were under way when the process died are in doubt: at most the two new ones of each kill.
    in_doubt = last.statuses().get("unknown", 0)
    assert in_doubt <= len(killed) * ROWS_PER_KILL
    assert last.summary.at_risk_usd >= in_doubt * RESERVED[gateway]
    again = run(catalog, archive, gateways=[gateway])
    assert again.summary.billed_usd == 0
    assert again.statuses() == last.statuses()


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_job_of_several_images_survives_a_kill_between_its_copies(
    gateways: Sandbox, processes: Runs, tmp_path: Path, gateway: str, number: int
) -> None:
    """Three images of one job, killed after each copy: every slot is bought once and archived by the next run."""
    archive = tmp_path / "a"
    catalog = products(tmp_path / "c.csv", 1, n=3)
    assert processes.one(catalog, archive, Moment("store", "after", number), gateways=[gateway]) == -signal.SIGKILL
    leases_end(archive)
    last = run(catalog, archive, gateways=[gateway])
    bill = gateways.bill()
    assert sum(entry["n"] for entry in bill["entries"]) == 3
    billed, at_risk = ledger_money(archive)
    assert billed <= Decimal(bill["usd"]) <= billed + at_risk
    assert_files(last)
    assert_nothing_is_in_flight(archive)


def test_a_run_killed_before_its_jobs_are_frozen_left_nothing_to_pay(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """The first thing a run publishes is its frozen list: before that nothing was sent."""
    catalog = products(tmp_path / "c.csv", 3)
    status = processes.one(catalog, tmp_path / "a", Moment("publish", "before"), gateways=["evolink"])
    assert status == -signal.SIGKILL
    assert gateways.bill()["submissions"] == 0
    assert run(catalog, tmp_path / "a", gateways=["evolink"]).statuses() == {"archived": 3}


def test_a_killed_run_that_is_run_again_by_its_id_goes_on_with_the_same_list(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """A resume reads the frozen list, not the catalog, which may have changed meanwhile."""
    catalog = products(tmp_path / "c.csv", 3)
    status = processes.one(
        catalog, tmp_path / "a", Moment("copy", "after"), gateways=["evolink"], run_id="resumed", max_usd="0.10"
    )
    assert status == -signal.SIGKILL
    leases_end(tmp_path / "a")
    products(catalog, 9)
    ran = asyncio.run(go(settings(catalog, tmp_path / "a", gateways=["evolink"]), "resumed"))
    assert ran.statuses() == {"archived": 3}
    billed, at_risk = ledger_money(tmp_path / "a")
    assert (billed, at_risk) == (Decimal(gateways.bill()["usd"]), 0)
    assert ran.summary.billed_usd == billed


def test_what_a_killed_run_paid_stands_in_its_manifest_once_the_next_run_is_done(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """Over all runs' manifests each attempt is billed exactly once: also where the run died between image and manifest."""
    catalog = products(tmp_path / "c.csv", 2)
    status = processes.one(catalog, tmp_path / "a", Moment("publish", "before", 2), gateways=["evolink"])
    assert status == -signal.SIGKILL
    assert ledger_money(tmp_path / "a") == (Decimal(gateways.bill()["usd"]), 0)
    second = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert second.statuses() == {"archived": 2}
    assert second.summary.billed_usd == 0
    manifests = (tmp_path / "a" / "runs").glob("*/manifest.parquet")
    stated = sum(record["billed_usd"] for path in manifests for record in read(tmp_path / "a", path.parent.name))
    assert stated == Decimal(gateways.bill()["usd"])
