"""Links that do not give their image: tried again as long as they may live, and once more before anything is bought again."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from odd_gateway import PRICE, OddGateway, Reply, image
from runs import Ran, collected, products, read, run, write_catalog
from short_waits import links_tried_for
from web_server import Page, serving

from seedream_tasks.core.errors import ConfigurationError
from seedream_tasks.engine.result_links import Origin, check
from seedream_tasks.references.address_guard import AllowedHosts

PAGE = "<!DOCTYPE html><html><body>Just a moment...</body></html>"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other quickly; the quick ones are over in a moment."""
    monkeypatch.setattr("seedream_tasks.engine.archiver._PAUSE_S", 0.01)
    monkeypatch.setattr("seedream_tasks.engine.archiver._LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.archiver._QUICK_S", 0.1)


def go(tmp_path: Path, tried_for_s: float = 0.5, **options: Any) -> Ran:
    """A run for one product that tries a link for so long."""
    with links_tried_for(tried_for_s):
        return run(products(tmp_path / "c.csv", 1), tmp_path / "a", **options)


def ended(archive: Path, hours_ago: float) -> None:
    """As if the links had been good until then."""
    until = datetime.now(UTC) - timedelta(hours=hours_ago)
    with sqlite3.connect(archive / "ledger.db") as ledger:
        ledger.execute("UPDATE pictures SET expires_at = ?", (int(until.timestamp() * 1_000_000),))
        ledger.execute("UPDATE attempts SET submitted_at = submitted_at - ?", (100 * 3600 * 1_000_000,))


@pytest.mark.parametrize(
    "answer", [(401, ""), (403, "no"), (404, "no"), (500, "no"), (503, "no"), (200, PAGE), (200, "")]
)
def test_a_link_that_fails_for_a_while_is_not_dead(odd: OddGateway, tmp_path: Path, answer: Reply) -> None:
    """Refusals, faults, pages and nothing at all, more often than any number of quick tries: then it gives its image."""
    odd.giving = lambda number, times: (200, image(number)) if times > 12 else answer
    ran = go(tmp_path, 60)
    assert ran.statuses() == {"archived": 1}
    assert ran.one("p0")["billed_usd"] == PRICE
    assert odd.accepted == 1


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_is_not_fetched_in_time_stays_in_flight_for_later_runs_and_collect(
    odd: OddGateway, tmp_path: Path, status: int
) -> None:
    """Within its life a link is left, not given up: paid, in flight, nothing bought, and whoever comes next takes it."""
    odd.giving = lambda number, times: (status, "no")
    first = go(tmp_path)
    record = first.one("p0")
    assert (record["status"], record["billed_usd"], record["at_risk_usd"]) == ("in_flight", PRICE, 0)
    assert f"HTTP {status}" in record["error_message"]
    assert go(tmp_path, retry=("expired",)).statuses() == {"in_flight": 1}
    done = collected(tmp_path / "a")
    assert (done.archived, done.expired, done.still_in_flight) == (0, 0, 1)
    odd.giving = lambda number, times: (200, image(number))
    assert collected(tmp_path / "a").archived == 1
    (record,) = read(tmp_path / "a", first.run_id)
    assert (record["status"], record["error_code"]) == ("archived", None)
    assert odd.accepted == 1


def test_a_store_that_says_410_ends_it(odd: OddGateway, tmp_path: Path) -> None:
    """Gone is gone, whatever life was stated."""
    odd.giving = lambda number, times: (410, "gone")
    ran = go(tmp_path, 60)
    assert ran.statuses() == {"expired": 1}
    assert "HTTP 410" in ran.one("p0")["error_message"]
    assert odd.accepted == 1


@pytest.mark.parametrize("answer", [(404, "no"), (500, "no"), (200, PAGE)])
def test_after_its_life_a_dead_link_is_expired(odd: OddGateway, tmp_path: Path, answer: Reply) -> None:
    """Then one try is enough, and the record says until when it was good."""
    odd.giving = lambda number, times: answer
    go(tmp_path)
    ended(tmp_path / "a", 2)
    ran = go(tmp_path)
    assert ran.statuses() == {"expired": 1}
    assert "missed by 2.0 hours" in ran.one("p0")["error_message"]


def test_before_anything_is_bought_again_the_old_link_is_tried(odd: OddGateway, tmp_path: Path) -> None:
    """An expired image whose link gives it after all is archived by `--retry expired`, and nothing is bought."""
    odd.giving = lambda number, times: (410, "gone")
    first = go(tmp_path)
    assert first.statuses() == {"expired": 1}
    odd.giving = lambda number, times: (200, image(number))
    assert go(tmp_path).statuses() == {"expired": 1}  # nobody asked for it
    last = go(tmp_path, retry=("expired",))
    record = last.one("p0")
    assert (record["status"], record["error_code"], record["billed_usd"], record["cost_usd"]) == (
        "archived",
        None,
        0,
        PRICE,
    )
    assert read(tmp_path / "a", first.run_id)[0]["status"] == "archived"
    assert odd.accepted == 1


def test_what_is_dead_for_good_is_bought_again_on_request(odd: OddGateway, tmp_path: Path) -> None:
    """The one try fails, so `--retry expired` buys, once."""
    odd.giving = lambda number, times: (410, "gone") if number == 1 else (200, image(number))
    go(tmp_path)
    last = go(tmp_path, retry=("expired",))
    assert last.statuses() == {"archived": 1}
    assert last.one("p0")["reason"] == "retried"
    assert odd.accepted == 2


def test_a_link_whose_end_lies_before_its_beginning_is_not_over(odd: OddGateway, tmp_path: Path) -> None:
    """An end that cannot be meant (0, a clock that is wrong by years) is no end."""
    odd.telling = lambda number, body: (
        200,
        {**body, "results": [{"url": odd.link(number), "expires_at": "2001-01-01T00:00:00Z"}]},
    )
    odd.giving = lambda number, times: (200, image(number)) if times > 3 else (404, "no")
    assert go(tmp_path, 60).statuses() == {"archived": 1}


# Where links may lead


@pytest.mark.parametrize("how", ["other port", "by name", "metadata", "redirect"])
def test_a_link_into_the_network_is_not_followed(odd: OddGateway, tmp_path: Path, how: str) -> None:
    """Another service on this machine, however it is named, is never asked; the image stays delivered, with the way out."""
    with serving() as inside:
        inside.pages["/secret"] = Page(image(1))
        secret = f"{inside.base}/secret"
        links = {
            "other port": secret,
            "by name": secret.replace("127.0.0.1", "localhost"),
            "metadata": "http://169.254.169.254/latest/meta-data",
            "redirect": f"{odd.base}/images/1.jpg",
        }
        odd.link_of = lambda number: links[how]
        odd.giving = lambda number, times: (302, "", {"Location": secret})
        ran = go(tmp_path)
        assert inside.asked == []
    record = ran.one("p0")
    assert (record["status"], record["error_code"]) == ("in_flight", "not_fetched")
    assert "SEEDREAM_ALLOW_HOSTS=" in record["error_message"]
    assert odd.accepted == 1


def test_the_operator_opens_a_host(odd: OddGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEEDREAM_ALLOW_HOSTS is the way out that the message names, and a later run takes what was delivered."""
    with serving() as inside:
        odd.link_of = lambda number: inside.serve("/x.jpg", image(number))
        assert go(tmp_path).statuses() == {"in_flight": 1}
        monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", f"127.0.0.1:{inside.port}")
        assert go(tmp_path).statuses() == {"archived": 1}
        assert odd.accepted == 1
        monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", "not a host")
        with pytest.raises(ConfigurationError):
            go(tmp_path)


@pytest.mark.parametrize(
    ("base", "host", "port", "own"),
    [
        ("http://127.0.0.1:8787/evolink", "127.0.0.1", 8787, True),
        ("http://127.0.0.1:8787/evolink", "127.0.0.1", 8788, False),
        ("http://127.0.0.1:8787", "localhost", 8787, False),
        ("https://gateway.corp", "cdn.gateway.corp", 443, True),
        ("https://gateway.corp", "GATEWAY.corp.", 443, True),
        ("https://gateway.corp", "evilgateway.corp", 443, False),
        ("https://gateway.corp", "cdn.gateway.corp", 6379, False),
        ("embedded", "127.0.0.1", 443, False),
    ],
)
def test_what_a_gateways_own_host_is(base: str, host: str, port: int, own: bool) -> None:
    """The host and port of its base URL, and hosts below it; nothing else in a private network."""
    origin = Origin.of(base)
    assert (origin is not None and origin.owns(host, port)) is own


def test_public_addresses_are_open_to_all() -> None:
    """A CDN is where links usually lead."""
    check(AllowedHosts(), None, "cdn.example", 443, "93.184.216.34")


def test_a_link_written_as_browsers_read_it_is_followed(odd: OddGateway, tmp_path: Path) -> None:
    """`HTTP://` and blanks around it, all the way into the archive."""
    odd.link_of = lambda number: f"  {odd.base.replace('http', 'HTTP')}/images/{number}.jpg\n"
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p0", "prompt": "One"})
    assert run(catalog, tmp_path / "a").statuses() == {"archived": 1}
