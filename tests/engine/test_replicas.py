"""The ledger forgets in mid-run: a failover to a replica that lags, an older copy moved into its place. No answer gets lost."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from balance import balance, listed
from crashing import Moment, Runs, order
from runs import products, run
from sandbox_process import Sandbox
from sqlalchemy import create_engine, text
from witness import EVERY_GATEWAY, bought, leases_end, submissions

from seedream_tasks.ledger.urls import parse_url

# An answer is here, and its record is not: of a submit, a status request, a download, a store.
MOMENTS = [Moment("submit", "after"), Moment("status", "after"), Moment("download", "after"), Moment("store", "after")]
CLAIMS = ["attempts", "slots", "pictures"]


def rows_at(moment: Moment) -> int:
    """How many products: what others have archived by then is forgotten too, and nobody holds it any more."""
    return 3 if moment.place == "submit" else 1


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with folders for temporary files below it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_settled(sandbox: Sandbox, catalog: Path, archive: Path, ledger_url: str, gateway: str, rows: int) -> None:
    """The next run buys nothing again, only what had not been bought; every row is archived, the bill is what the ledger says."""
    leases_end(archive, ledger_url)
    before = submissions(sandbox)
    last = run(catalog, archive, gateways=[gateway], ledger=ledger_url)
    assert submissions(sandbox) == max(before, rows)
    assert last.statuses() == {"archived": rows}
    assert set(bought(sandbox).values()) == {1}
    found = balance(sandbox.bill(), listed(archive, ledger_url))
    assert found.lawful, found
    engine = create_engine(parse_url(ledger_url))
    with engine.connect() as connection:
        billed, at_risk = connection.execute(text("SELECT sum(billed_usd), sum(at_risk_usd) FROM attempts")).one()
    engine.dispose()
    if gateway != "apiin":  # its price is disputed: the rest stays at risk
        assert (billed, at_risk) == (Decimal(sandbox.bill()["usd"]) * 1_000_000, 0)


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
@pytest.mark.parametrize("lost", [CLAIMS, []], ids=["the claims", "the run too"])
def test_what_the_ledger_forgot_is_written_again_with_its_answer(
    gateways: Sandbox, processes: Runs, place: Path, ledger_url: str, moment: Moment, lost: list[str]
) -> None:
    """Whatever answer is about to be recorded, its attempt is made again first: same slots, same money, same run."""
    catalog, archive = products(place / "c.csv", rows_at(moment)), place / "a"
    if rows_at(moment) > 1:  # no other one has been archived by then
        gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3}])
    wanted = order(
        catalog, archive, moment, gateways=["evolink"], ledger=ledger_url, deeds=[["lag", ledger_url, *lost]]
    )
    ended = processes.ended(wanted)
    assert ended.status == 0, ended.said
    assert_settled(gateways, catalog, archive, ledger_url, "evolink", rows_at(moment))


@pytest.mark.parametrize("moment", MOMENTS[1:], ids=str)
def test_a_replica_that_has_the_claim_and_not_what_followed_is_told_of_it(
    gateways: Sandbox, processes: Runs, place: Path, ledger_url: str, moment: Moment
) -> None:
    """It lags by a commit or two: the intent is there, its acceptance or its images are not."""
    catalog, archive = products(place / "c.csv", 1), place / "a"
    ended = processes.ended(
        order(catalog, archive, moment, gateways=["evolink"], ledger=ledger_url, deeds=[["lag_behind", ledger_url]])
    )
    assert ended.status == 0, ended.said
    assert_settled(gateways, catalog, archive, ledger_url, "evolink", 1)


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_each_gateways_acceptance_survives_a_failover(
    gateways: Sandbox, processes: Runs, place: Path, gateway: str
) -> None:
    """A task id, or a synchronous gateway's images with their cost."""
    catalog, archive, url = products(place / "c.csv", 2), place / "a", f"sqlite:///{place}/l/ledger.db"
    moment = Moment("submit", "after")
    ended = processes.ended(
        order(catalog, archive, moment, gateways=[gateway], ledger=url, deeds=[["lag", url, *CLAIMS]])
    )
    assert ended.status == 0, ended.said
    assert_settled(gateways, catalog, archive, url, gateway, 2)


def test_a_submission_of_unknown_fate_survives_a_failover(gateways: Sandbox, processes: Runs, place: Path) -> None:
    """What may have been paid for keeps its slot: nobody buys it again, and its money stays at risk."""
    catalog, archive, url = products(place / "c.csv", 1), place / "a", f"sqlite:///{place}/l/ledger.db"
    gateways.faults([{"gateway": "*", "kind": "drop_response"}])
    processes.ended(
        order(catalog, archive, Moment("submit", "after"), gateways=["evolink"], ledger=url, deeds=[["lag", url]])
    )
    gateways.faults([])
    leases_end(archive, url)
    last = run(catalog, archive, gateways=["evolink"], ledger=url)
    assert last.statuses() == {"unknown": 1}
    assert submissions(gateways) == 1
    assert last.summary.at_risk_usd == Decimal(gateways.bill()["usd"])


def test_a_ledger_that_takes_no_attempt_back_leaves_all_of_it_in_the_rescue_file(
    gateways: Sandbox, processes: Runs, place: Path
) -> None:
    """The replica is read-only for longer than anybody waits: the line in the rescue file makes the attempt at the next start."""
    catalog, archive, url = products(place / "c.csv", 2), place / "a", f"sqlite:///{place}/l/ledger.db"
    deeds: list[list[Any]] = [["lag", url], ["lock", str(place / "l" / "ledger.db")]]
    wanted = order(
        catalog, archive, Moment("submit", "after"), gateways=["evolink"], ledger=url, deeds=deeds, lock_wait_s=0.2
    )
    ended = processes.ended(wanted)
    assert ended.status == 1
    assert "rescue-" in ended.said
    assert_settled(gateways, catalog, archive, url, "evolink", 2)


@pytest.mark.outside_the_law("another file stands where the ledger was; what was rescued is compared below")
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
@pytest.mark.parametrize("older", ["the ledger before this run", "empty"])
def test_a_file_moved_over_the_ledger_ends_the_run_with_its_reason(
    gateways: Sandbox, processes: Runs, place: Path, moment: Moment, older: str
) -> None:
    """What is written to the file that was there would be found by nobody: answers go to rescue files, and the run says why."""
    catalog, archive, database = products(place / "c.csv", rows_at(moment)), place / "a", place / "l" / "ledger.db"
    url = f"sqlite:///{database}"
    deeds = [["replace", str(database), older]]
    ended = processes.ended(order(catalog, archive, moment, gateways=["evolink"], ledger=url, deeds=deeds))
    assert ended.status == 1, ended.said
    assert "moved away or replaced" in ended.said.strip().splitlines()[-1]
    if older == "empty":
        return
    assert list(database.parent.glob("rescue-*.jsonl"))
    assert_settled(gateways, catalog, archive, url, "evolink", rows_at(moment))
    assert not list(database.parent.glob("rescue-*.jsonl"))
