"""The ledger refuses to take an acceptance: the answer is kept beside it, and the next start goes on from there."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from runs import Ran, assert_bill, go, products, read, run, settings
from sandbox_process import Sandbox
from sqlalchemy.exc import OperationalError
from witness import EVERY_GATEWAY, assert_files, leases_end, ledger, now, submissions

from seedream_tasks.core.errors import ArchiveFault, LedgerFault
from seedream_tasks.runs.summary import Summary
from seedream_tasks.storage.archive import Archive


def disk_full(*_: Any, **__: Any) -> Any:
    """What SQLite says to a write that no longer fits."""
    raise OperationalError("UPDATE attempts", {}, Exception("database or disk is full"))


def refuse_acceptances(patch: pytest.MonkeyPatch, gateway: str) -> None:
    """From here on the ledger takes no acceptance; a synchronous gateway's comes with its images."""
    patch.setattr(f"seedream_tasks.ledger.transitions.{'delivered' if gateway == 'getimg' else 'accepted'}", disk_full)


def stopped_run(catalog: Path, archive: Path, gateway: str) -> Path:
    """A run that the ledger fails in; returns its rescue file."""
    with pytest.raises(LedgerFault) as raised:
        asyncio.run(go(settings(catalog, archive, gateways=[gateway]), "stopped"))
    path = archive / "rescue-stopped.jsonl"
    assert str(path) in raised.value.message
    return path


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_an_acceptance_that_the_ledger_refuses_is_kept_and_taken_in_at_the_next_start(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """The task id goes to the rescue file, the run ends with a fault, the next one finishes it: bought once, billed there."""
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    with monkeypatch.context() as patch:
        refuse_acceptances(patch, gateway)
        path = stopped_run(catalog, archive, gateway)
    kept = {json.loads(line)["task_id"] for line in path.read_text().splitlines()}
    accepted = {entry["task_id"] for entry in gateways.bill()["entries"]}
    assert kept == accepted
    second = run(catalog, archive, gateways=[gateway])
    assert second.statuses() == {"archived": 3}
    assert not path.exists()
    assert len(gateways.bill()["entries"]) == 3
    stopped = now(Ran("stopped", Summary("stopped", True), read(archive, "stopped"), archive))
    assert_files(second)
    assert_bill(gateways, stopped, second)
    third = run(catalog, archive, gateways=[gateway])
    assert third.summary.reused == 3
    assert_bill(gateways, stopped, second, third)


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
def test_a_rescued_acceptance_outweighs_what_others_thought_of_it(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """Called unknown after its lease: the task id is recorded over it all the same, and the risk is gone."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    with monkeypatch.context() as patch:
        refuse_acceptances(patch, gateway)
        path = stopped_run(catalog, archive, gateway)
    hidden = path.rename(tmp_path / "hidden")
    leases_end(archive)
    between = run(catalog, archive, gateways=[gateway])
    assert between.statuses() == {"unknown": 1}
    hidden.rename(path)
    last = run(catalog, archive, gateways=[gateway])
    assert (last.statuses(), last.summary.at_risk_usd) == ({"archived": 1}, 0)
    stopped = now(Ran("stopped", Summary("stopped", True), read(archive, "stopped"), archive))
    assert_bill(gateways, stopped, between, last)


def test_admission_stops_when_the_ledger_refuses(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one call at a time the first refusal is the last purchase: nothing is bought that cannot be written down."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    catalog, archive = products(tmp_path / "c.csv", 5), tmp_path / "a"
    with monkeypatch.context() as patch:
        refuse_acceptances(patch, "evolink")
        stopped_run(catalog, archive, "evolink")
    assert submissions(gateways) == 1
    states = [row["state"] for row in ledger(archive, "SELECT state FROM attempts")]
    assert sorted(set(states)) in (["intent"], ["intent", "not_sent"])
    assert states.count("intent") == 1


def test_a_line_cut_off_by_a_crash_does_not_stop_the_next_start(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a line at the end of a rescue file is left out; the whole ones before it count."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    with monkeypatch.context() as patch:
        refuse_acceptances(patch, "evolink")
        path = stopped_run(catalog, archive, "evolink")
    path.write_text(path.read_text() + '{"attempt_id": "06')
    last = run(catalog, archive, gateways=["evolink"])
    assert last.statuses() == {"archived": 1}
    assert submissions(gateways) == 1


def test_a_claim_that_the_ledger_refuses_sends_nothing(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No intent on disk, no request: the run ends with a fault and the bill is empty."""
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    with monkeypatch.context() as patch:
        patch.setattr("seedream_tasks.engine.buyer.claim", disk_full)
        with pytest.raises(LedgerFault):
            run(catalog, archive, gateways=["evolink"])
    assert submissions(gateways) == 0
    last = run(catalog, archive, gateways=["evolink"])
    assert last.statuses() == {"archived": 3}
    assert_bill(gateways, last)


def test_an_archive_that_cannot_be_written_stops_the_run_and_loses_nothing(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store fails after the purchase: a fault, the image stays delivered, and the next run copies it."""

    def no_space(self: Archive, path: str, content: bytes) -> str:
        raise ArchiveFault(f"{path}: OSError: no space left on device")

    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    with monkeypatch.context() as patch:
        patch.setattr(Archive, "store", no_space)
        with pytest.raises(ArchiveFault):
            asyncio.run(go(settings(catalog, archive, gateways=["evolink"]), "stopped"))
    sent = submissions(gateways)
    last = run(catalog, archive, gateways=["evolink"])
    assert last.statuses() == {"archived": 2}
    assert submissions(gateways) == 2 >= sent
    stopped = now(Ran("stopped", Summary("stopped", True), read(archive, "stopped"), archive))
    assert_bill(gateways, stopped, last)
