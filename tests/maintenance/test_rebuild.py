"""A lost ledger, restored from what stands in the archive: every cent again, and nothing bought twice."""

import shutil
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from balance import listed
from crashing import Moment, Runs
from runs import collected, products, run, write_catalog
from sandbox_process import Sandbox
from witness import PRICE, assert_files, leases_end, ledger, ledger_money, now, submissions

from seedream_tasks.config.settings import locations
from seedream_tasks.core.errors import ConfigurationError, LedgerFault, LedgerMismatch
from seedream_tasks.ledger.store import exists
from seedream_tasks.maintenance.rebuild import Rebuilt, rebuild
from seedream_tasks.runs.manifest import PROVISIONAL
from seedream_tasks.storage.archive import Archive

ZERO = Decimal(0)


def lose_and_rebuild(archive: Path) -> Rebuilt:
    """The ledger is gone; the archive is all there is."""
    for path in archive.glob("ledger.db*"):
        path.unlink()
    place = locations(str(archive), None, simulated=False)
    return rebuild([place.archive], place.ledger_url)


def settle_the_quick_ones(gateways: Sandbox, archive: Path) -> None:
    """Let every task end that is not held for an hour, whether or not its run was there to see it."""
    gateways.advance(60)
    collected(archive)


def fault(kind: str, **fields: Any) -> dict[str, Any]:
    """An entry of the sandbox's fault list."""
    return {"gateway": "*", "kind": kind, "rate": 1, **fields}


# Name -> gateway, images a row, what goes wrong in the first run, the words of a second run's --retry.
STORIES: dict[str, tuple[str, int, list[dict[str, Any]], tuple[str, ...] | None]] = {
    "all is well": ("evolink", 2, [], None),
    "one call an image": ("getimg", 3, [], None),
    "a disputed price": ("apiin", 2, [], None),
    "unknown": ("evolink", 1, [fault("drop_response", match="number 1")], None),
    "failed and billed": ("evolink", 1, [fault("task_failed_billed", match="number 1")], None),
    "failed, nobody says whether billed": ("gccai", 1, [fault("task_failed", match="number 1")], None),
    "refused": ("evolink", 1, [fault("reject_content", match="number 1")], None),
    "cancelled": ("evolink", 1, [fault("task_cancelled", match="number 1")], None),
    "expired": ("evolink", 1, [fault("expired_link", match="number 1")], None),
    "expired, bought again": ("evolink", 1, [fault("expired_link", match="number 1")], ("expired",)),
    "kept aside, bought again": ("evolink", 1, [fault("corrupt_image", match="number 1")], ("failed",)),
    "at risk, bought again": ("gccai", 1, [fault("task_failed", match="number 1")], ("failed",)),
    "fewer images": ("evolink", 3, [fault("fewer_images", match="number 1")], None),
    "another price": ("evolink", 1, [fault("other_price", match="number 1", value="0.02")], None),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_rebuilt_ledger_has_the_same_sums_and_buys_nothing_twice(
    gateways: Sandbox, tmp_path: Path, story: tuple[str, int, list[dict[str, Any]], tuple[str, ...] | None]
) -> None:
    """Billed and at risk to the cent, attempts with their tasks, slots as they ended; a run over it sends nothing."""
    gateway, n, faults, retry = story
    gateways.faults(faults)
    catalog, archive = products(tmp_path / "c.csv", 3, n=n), tmp_path / "a"
    ran = run(catalog, archive, gateways=[gateway])
    gateways.faults([])
    if retry is not None:
        ran = run(catalog, archive, gateways=[gateway], retry=retry)
    before, sums = listed(archive), ledger_money(archive)
    done = lose_and_rebuild(archive)
    assert (done.unknown, done.unknown_usd) == (0, ZERO)
    assert ledger_money(archive) == sums
    sent = [each for each in before if each["state"] != "not_sent"]
    assert {(each["attempt_id"], each["task_id"]) for each in listed(archive)} == {
        (each["attempt_id"], each["task_id"]) for each in sent
    }
    bought = submissions(gateways)
    again = run(catalog, archive, gateways=[gateway])
    assert submissions(gateways) == bought
    assert again.statuses() == ran.statuses()
    assert (again.summary.billed_usd, again.summary.at_risk_usd) == (ZERO, ran.summary.at_risk_usd)
    assert [each["images"] for each in again.records] == [each["images"] for each in ran.records]
    assert_files(again)
    billed, at_risk = ledger_money(archive)
    assert billed <= Decimal(gateways.bill()["usd"]) <= billed + at_risk


def test_what_was_lost_and_bought_again_is_at_risk_once(gateways: Sandbox, tmp_path: Path) -> None:
    """The retry's record states what is at risk for the row; the lost attempt's own amount is part of it, not beside it."""
    gateways.faults([fault("drop_response", count=1)])
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    run(catalog, archive, gateways=["evolink"])
    ledger(archive, "UPDATE attempts SET state = 'lost'")
    ledger(archive, "UPDATE slots SET state = 'closed', closed = 'lost'")
    run(catalog, archive, gateways=["evolink"], retry=("lost",))
    assert ledger_money(archive) == (PRICE["evolink"], PRICE["evolink"])
    lose_and_rebuild(archive)
    assert ledger_money(archive) == (PRICE["evolink"], PRICE["evolink"])


def test_what_was_in_flight_is_followed_again(gateways: Sandbox, tmp_path: Path) -> None:
    """The manifest names the tasks: after a rebuild `collect` asks for them, archives them, and bills what they cost."""
    gateways.faults([fault("slow", value=3600)])
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    run(catalog, archive, gateways=["evolink"], wait_s=0.2)
    lose_and_rebuild(archive)
    gateways.advance(3600)
    done = collected(archive)
    assert (done.polled, done.archived, done.still_in_flight) == (3, 3, 0)
    assert ledger_money(archive) == (Decimal(gateways.bill()["usd"]), ZERO)
    again = run(catalog, archive, gateways=["evolink"])
    assert (again.statuses(), submissions(gateways)) == ({"archived": 3}, 3)


def test_calls_in_flight_for_one_job_get_a_slot_each(gateways: Sandbox, tmp_path: Path) -> None:
    """Two calls of one image each: every image finds its slot again, and what one of them cost is billed for it alone."""
    gateways.faults([fault("slow", value=3600)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "Two of one", "n": 2})
    run(catalog, tmp_path / "a", gateways=["gccai"], wait_s=0.2)
    lose_and_rebuild(tmp_path / "a")
    gateways.advance(3600)
    assert collected(tmp_path / "a").archived == 2
    again = run(catalog, tmp_path / "a", gateways=["gccai"])
    assert (again.one("p")["image_count"], submissions(gateways)) == (2, 2)
    billed = [Decimal(each["billed_usd"]) for each in listed(tmp_path / "a")]
    assert billed == [PRICE["gccai"]] * 2


def test_a_task_that_failed_before_the_one_in_flight_gives_no_slot_back(gateways: Sandbox, tmp_path: Path) -> None:
    """The slots are the last attempt's: that the first is asked for again, and fails again, opens nothing."""
    gateways.faults([fault("task_failed", count=1), fault("slow", value=3600)])
    catalog = products(tmp_path / "c.csv", 1, n=2)
    run(catalog, tmp_path / "a", gateways=["evolink"], wait_s=0.2)
    settle_the_quick_ones(gateways, tmp_path / "a")
    run(catalog, tmp_path / "a", gateways=["evolink"], wait_s=0.2)
    assert submissions(gateways) == 2
    gateways.faults([])
    lose_and_rebuild(tmp_path / "a")
    gateways.advance(3600)
    again = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert (again.one("p0")["image_count"], submissions(gateways)) == (2, 2)
    assert ledger_money(tmp_path / "a") == (Decimal(gateways.bill()["usd"]), ZERO)


def test_the_open_part_of_a_partial_record_is_followed_and_its_finished_part_kept(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """One of two calls had ended: its image stands, the other's task is followed, its slot not bought."""
    gateways.faults([fault("slow", value=3600, count=1)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "Two of one", "n": 2})
    archive = tmp_path / "a"
    first = run(catalog, archive, gateways=["gccai"], wait_s=0.2)
    settle_the_quick_ones(gateways, archive)
    assert now(first).statuses() == {"partial": 1}
    lose_and_rebuild(archive)
    gateways.advance(3600)
    again = run(catalog, archive, gateways=["gccai"])
    assert (again.one("p")["status"], again.one("p")["image_count"]) == ("archived", 2)
    assert submissions(gateways) == 2
    assert ledger_money(archive) == (Decimal(gateways.bill()["usd"]), ZERO)


def test_a_run_without_a_manifest_leaves_its_jobs_unknown_at_their_quote(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """Killed before its manifest: each of its jobs may have been paid for. Nothing is bought until a person says what became,
    and an image that stands in the archive is its own proof.
    """
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    assert processes.one(catalog, archive, Moment("copy", "after"), gateways=["evolink"]) == -signal.SIGKILL
    done = lose_and_rebuild(archive)
    assert (done.unknown, done.unknown_usd, done.found_usd) == (3, 3 * PRICE["evolink"], ZERO)
    assert done.found == sum(1 for _ in archive.glob("images/*/*.jpg")) >= 1
    bought = submissions(gateways)
    again = run(catalog, archive, gateways=["evolink"])
    left = {"unknown": 3 - done.found} if done.found < 3 else {}
    assert (again.statuses(), submissions(gateways)) == ({"archived": done.found, **left}, bought)
    billed, at_risk = ledger_money(archive)
    assert billed <= Decimal(gateways.bill()["usd"]) <= billed + at_risk


def test_jobs_that_another_run_has_images_of_are_not_in_doubt(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """A dead run over a catalog of which most was archived before: only what was new in it is unknown."""
    archive = tmp_path / "a"
    run(products(tmp_path / "c.csv", 3), archive, gateways=["evolink"])
    catalog = products(tmp_path / "c.csv", 5)
    assert processes.one(catalog, archive, Moment("copy", "after"), gateways=["evolink"]) == -signal.SIGKILL
    done = lose_and_rebuild(archive)
    assert (done.unknown, done.unknown_usd) == (2, 2 * PRICE["evolink"])


def provisional(gateways: Sandbox, processes: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of three rows, killed when it had bought one; `collect` wrote its manifest while it still looked alive."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    moment = Moment("copy", "after")
    assert processes.one(catalog, archive, moment, gateways=["evolink"], run_id="killed") == -signal.SIGKILL
    leases_end(archive)
    ledger(archive, "UPDATE runs SET alive_until = ?", int((time.time() + 60) * 1_000_000))
    collected(archive)
    path = archive / "runs" / "killed" / "manifest.parquet"
    assert PROVISIONAL.encode() in pq.read_schema(path).metadata


def test_a_provisional_manifest_proves_what_it_names_and_nothing_else(
    gateways: Sandbox, processes: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written while more could be bought: jobs without an image in it are unknown, not free."""
    provisional(gateways, processes, tmp_path, monkeypatch)
    archive = tmp_path / "a"
    named = [each for each in listed(archive) if each["state"] == "archived"]
    done = lose_and_rebuild(archive)
    assert (done.images, done.unknown) == (len(named), 3 - len(named))
    assert done.unknown >= 1
    bought = submissions(gateways)
    again = run(tmp_path / "c.csv", archive, gateways=["evolink"])
    unknown = done.unknown - done.found
    assert again.statuses() == {"archived": 3 - unknown, **({"unknown": unknown} if unknown else {})}
    assert submissions(gateways) == bought
    billed, at_risk = ledger_money(archive)
    assert billed <= Decimal(gateways.bill()["usd"]) <= billed + at_risk


@pytest.mark.outside_the_law("the ledger that bought is gone")
def test_a_ledger_that_is_there_is_not_overwritten(gateways: Sandbox, tmp_path: Path) -> None:
    """rebuild makes a ledger, it mends none, and names the way to mend one; of an unused archive it makes none."""
    run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    place = locations(str(tmp_path / "a"), None, simulated=False)
    with pytest.raises(ConfigurationError, match="rebuild --merge"):
        rebuild([place.archive], place.ledger_url)
    with pytest.raises(LedgerMismatch):
        lose_and_rebuild(tmp_path / "b")
    assert not (tmp_path / "b" / "ledger.db").exists()


def test_a_rebuild_that_fails_leaves_no_ledger_behind(gateways: Sandbox, tmp_path: Path, ledger_url: str) -> None:
    """Half a ledger would stand in the way of the next try: two manifests that contradict each other make none."""
    archive = tmp_path / "a"
    ran = run(products(tmp_path / "c.csv", 1), archive, gateways=["evolink"])
    other = archive / "runs" / "contradicts"
    shutil.copytree(archive / "runs" / ran.run_id, other)
    table = pq.read_table(other / "manifest.parquet")
    position = table.schema.get_field_index("attempt_ids")
    changed = table.set_column(position, table.schema.field(position), [[["another-attempt"]]])
    pq.write_table(changed, other / "manifest.parquet")
    for path in archive.glob("ledger.db*"):
        path.unlink()
    with pytest.raises(LedgerFault):
        rebuild([Archive(str(archive))], ledger_url)
    assert not exists(ledger_url)
    shutil.rmtree(other)
    assert rebuild([Archive(str(archive))], ledger_url).images == 1
