"""The brake: where nothing that is bought is of use, buying soon pauses, and one purchase at a time shows when it may go on."""

from decimal import Decimal
from pathlib import Path

import pytest
from balance import listed
from odd_gateway import PRICE, OddGateway, image
from runs import Ran, products, read, run
from short_waits import links_tried_for

from seedream_tasks.engine import brake
from seedream_tasks.engine.brake import LAST, PROBES, UNFETCHED

ROWS = 60


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes follow soon, and a link has failed its first tries in a moment."""
    monkeypatch.setattr(brake, "PAUSE_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.archiver._PAUSE_S", 0.01)
    monkeypatch.setattr("seedream_tasks.engine.archiver._LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr("seedream_tasks.engine.archiver._QUICK_S", 0.2)


def go(tmp_path: Path, rows: int = ROWS, tried_for_s: float = 60.0) -> Ran:
    """A run for many products that tries a link for so long."""
    with links_tried_for(tried_for_s):
        return run(products(tmp_path / "c.csv", rows), tmp_path / "a")


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """How often the log says so."""
    return sum(text in record.getMessage() for record in caplog.records)


def test_acceptances_that_cannot_be_read_stop_the_buying(
    odd: OddGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten, and a few probes: the rest is deferred, at no cost, and it is said once."""
    odd.accepting = lambda number, body: (200, "<html>thank you for your order</html>")
    ran = go(tmp_path)
    assert odd.accepted == LAST + PROBES
    assert ran.statuses() == {"unknown": LAST + PROBES, "deferred": ROWS - LAST - PROBES}
    assert {each["reason"] for each in ran.records if each["status"] == "deferred"} == {"gateway_unusable"}
    assert ran.summary.at_risk_usd >= odd.accepted * PRICE
    assert told(caplog, "none of its last 10 acceptances could be read; buying there pauses") == 1


def test_links_that_cannot_be_fetched_stop_the_buying(
    odd: OddGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However many are in flight at once otherwise: until the first image of a run is here, few are bought."""
    odd.giving = lambda number, times: (403, "no")
    ran = go(tmp_path, tried_for_s=0.5)
    assert odd.accepted <= UNFETCHED + PROBES
    assert ran.statuses() == {"in_flight": odd.accepted, "deferred": ROWS - odd.accepted}
    assert {each["reason"] for each in ran.records if each["status"] == "deferred"} == {"gateway_unusable"}
    assert ran.summary.billed_usd == odd.accepted * PRICE
    assert told(caplog, "none of its last 10 deliveries could be fetched; buying there pauses") == 1
    assert {each["state"] for each in listed(tmp_path / "a")} == {"delivered"}


def test_a_probe_that_can_be_read_lets_the_run_go_on(odd: OddGateway, tmp_path: Path) -> None:
    """The gateway comes to its senses: the probe says so, and everything else is bought in the same run."""
    odd.accepting = lambda number, body: (200, "<html>") if number <= LAST else (200, body)
    ran = go(tmp_path)
    assert ran.statuses() == {"unknown": LAST, "archived": ROWS - LAST}
    assert odd.accepted == ROWS


def test_links_that_come_back_let_the_run_go_on(odd: OddGateway, tmp_path: Path) -> None:
    """What was delivered is tried again all the while: its first image is proof, and nothing of it is lost."""
    odd.giving = lambda number, times: (200, image(number)) if times > 8 or number > UNFETCHED else (403, "no")
    ran = go(tmp_path)
    assert ran.statuses() == {"archived": ROWS}
    assert ran.summary.billed_usd == ROWS * PRICE


def test_some_that_cannot_be_read_are_no_reason_to_stop(odd: OddGateway, tmp_path: Path) -> None:
    """One of two is of use: the others are unknown, each by itself."""
    odd.accepting = lambda number, body: (200, "<html>") if number % 2 else (200, body)
    ran = go(tmp_path, rows=40)
    assert ran.statuses() == {"unknown": 20, "archived": 20}


def test_it_brakes_in_the_middle_of_a_run_too(odd: OddGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many good ones: what was under way is paid for, not what had not been sent."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "5")
    odd.accepting = lambda number, body: (200, body) if number <= 20 else (200, "<html>")
    ran = go(tmp_path)
    # Of the five under way when it went wrong the last good one may be heard last, and five are under way when it brakes.
    assert 20 + LAST <= odd.accepted <= 20 + LAST + 2 * 5 + PROBES
    assert ran.statuses()["archived"] == 20
    assert ran.statuses()["deferred"] == ROWS - odd.accepted


def test_the_next_run_takes_what_was_deferred(odd: OddGateway, tmp_path: Path) -> None:
    """It is bought by itself, and what was delivered is fetched, not bought again."""
    odd.giving = lambda number, times: (403, "no")
    first = go(tmp_path, tried_for_s=0.5)
    odd.giving = lambda number, times: (200, image(number))
    second = go(tmp_path)
    assert second.statuses() == {"archived": ROWS}
    assert odd.accepted == ROWS
    # The second run has settled what the first one left, on the first one's bill.
    billed = sum(record["billed_usd"] for each in (first, second) for record in read(each.archive, each.run_id))
    assert billed == ROWS * PRICE
    assert second.summary.at_risk_usd == Decimal(0)
