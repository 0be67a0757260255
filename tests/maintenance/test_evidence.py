"""What `resolve` shows before a person says what became of an unknown payment: the gateway's own books beside the ledger."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from runs import products, run
from sandbox_process import Sandbox, start_sandbox

from seedream_tasks.config.pairing import open_pair
from seedream_tasks.config.settings import locations
from seedream_tasks.core.states import AttemptState
from seedream_tasks.ledger import queries
from seedream_tasks.maintenance.evidence import Evidence, evidence


def shown(archive: Path) -> Evidence:
    """The evidence on the one account with an unknown attempt."""
    place = locations(str(archive), None, simulated=False)
    store = open_pair(place, create=False)
    try:
        found = store.read_now(lambda connection: list(queries.list_attempts(connection, AttemptState.UNKNOWN)))
        (told,) = asyncio.run(evidence(store, place, [attempt for attempt, _, _ in found]))
    finally:
        store.close()
    return told


def unknown(gateways: Sandbox, tmp_path: Path, gateway: str, kind: str = "drop_response") -> Path:
    """Two rows archived and a third of unknown fate; with `drop_response` the gateway has charged for it."""
    gateways.faults([{"gateway": "*", "kind": kind, "rate": 1, "match": "number 2"}])
    run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=[gateway])
    gateways.faults([])
    return tmp_path / "a"


@pytest.mark.parametrize(("kind", "used"), [("drop_response", "6.75"), ("drop_request", "4.5")])
def test_evolinks_credits_tell_whether_it_was_charged(gateways: Sandbox, tmp_path: Path, kind: str, used: str) -> None:
    """Used credits beside those of the ledger's tasks: 2.25 more where the lost one was accepted, the same where it was not."""
    told = shown(unknown(gateways, tmp_path, "evolink", kind))
    assert told.account.startswith("evolink@")
    assert told.text.startswith(f"{used} credits used in all, the ledger knows of 4.5 credits; ")
    assert told.text.endswith(" credits left")


def test_gccai_reports_no_credits_with_its_tasks_and_that_is_said(gateways: Sandbox, tmp_path: Path) -> None:
    """Its balance is shown; there is no figure of the ledger's to hold against it."""
    told = shown(unknown(gateways, tmp_path, "gccai"))
    assert "1.05 credits used in all, the ledger knows of no credits, since it reports none with its tasks" in told.text


@pytest.mark.parametrize(("kind", "charged"), [("drop_response", "$0.12"), ("drop_request", "$0.08")])
def test_getimgs_books_are_compared_day_by_day(gateways: Sandbox, tmp_path: Path, kind: str, charged: str) -> None:
    """What it charged on the day of the lost call beside what the ledger knows of that day."""
    told = shown(unknown(gateways, tmp_path, "getimg", kind))
    today = datetime.now(UTC).date()
    assert f"on {today} the gateway charged {charged}, the ledger knows of $0.08" in told.text


def test_apiin_shows_no_books(gateways: Sandbox, tmp_path: Path) -> None:
    """No document of theirs names a balance: the person is sent to its console."""
    assert "its own console has to be looked at" in shown(unknown(gateways, tmp_path, "apiin")).text


def test_without_the_key_nothing_can_be_looked_at(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said for the account; no other account's books are shown in its place."""
    archive = unknown(gateways, tmp_path, "evolink")
    monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "another")
    assert shown(archive).text == "its key is not configured, so its books cannot be looked at"


def test_a_gateway_that_is_down_does_not_stand_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that the books cannot be read, and the person can decide all the same."""
    with start_sandbox("--seconds", "0.05", "--image-px", "96") as sandbox:
        monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "k")
        monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", sandbox.bases["evolink"])
        archive = unknown(sandbox, tmp_path, "evolink")
    assert shown(archive).text.startswith("its books cannot be read: evolink did not answer")
