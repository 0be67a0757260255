"""Real and simulated never mix, an archive has one ledger, and a wrong address or key is found before anything is sent."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from runs import assert_bill, products, run
from sandbox_process import Sandbox
from witness import ledger, now

from seedream_tasks.core.errors import (
    ConfigurationError,
    KindMismatch,
    LedgerFault,
    LedgerMismatch,
)
from seedream_tasks.engine.progress import listen

CREDITS = {
    "success": True,
    "data": {
        "token": {"remaining_credits": 850.5, "used_credits": 149.5, "unlimited_credits": False},
        "user": {"remaining_credits": 900.0, "used_credits": 100.0},
    },
}


@dataclass
class Real:
    """A gateway that answers the question for the balance as EvoLink documents it, without the sandbox's header."""

    url: str = ""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def real() -> Iterator[Real]:
    """A gateway that is not the sandbox; `to` configures it."""
    seen = Real()

    class Answers(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            seen.asked.append(f"{self.command} {self.path}")
            known = self.command == "GET" and self.path == "/v1/credits"
            body = json.dumps(CREDITS if known else {"error": {"message": "no"}}).encode()
            self.send_response(seen.status if known else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the server looks for these names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def to(monkeypatch: pytest.MonkeyPatch, real: Real) -> None:
    """Let EvoLink be the real one from here on."""
    monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "real-key")
    monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", real.url)


def test_a_simulated_archive_is_not_used_by_a_real_run(
    real: Real, gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images marked SANDBOX are not reused as real ones, and nothing real is bought beside them: refused, nothing sent."""
    catalog = products(tmp_path / "c.csv", 2)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert first.summary.simulated
    to(monkeypatch, real)
    with pytest.raises(KindMismatch) as raised:
        run(catalog, tmp_path / "a", gateways=["evolink"])
    assert raised.value.as_json()["code"] == "kind_mismatch"
    assert real.asked == ["GET /v1/credits"]
    assert_bill(gateways, first)


def test_a_simulated_ledger_is_not_used_by_a_real_run(
    real: Real, gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new archive does not make a simulated ledger real."""
    catalog = products(tmp_path / "c.csv", 1)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    first = run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    to(monkeypatch, real)
    with pytest.raises(KindMismatch):
        run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url)
    assert not any(each.startswith("POST") for each in real.asked)
    assert_bill(gateways, first)


def test_a_real_archive_is_not_used_by_a_simulated_run(
    real: Real, gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round: an archive that a real run has opened takes no simulated images."""
    # A job that nobody can do: the run is real, its archive and ledger become so, and it buys nothing.
    to(monkeypatch, real)
    run(products(tmp_path / "c.csv", 1, tier="1K"), tmp_path / "a", gateways=["evolink"])
    assert json.loads((tmp_path / "a" / "archive.json").read_text())["kind"] == "real"
    monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", gateways.bases["evolink"])
    with pytest.raises(KindMismatch):
        run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    assert not any(each.startswith("POST") for each in gateways.bill()["requests"])


def test_real_and_simulated_gateways_do_not_serve_one_run(
    real: Real, gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two gateways is the sandbox: refused before the first claim."""
    to(monkeypatch, real)
    with pytest.raises(KindMismatch):
        run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink", "getimg"])
    assert not any(each.startswith("POST") for each in (*real.asked, *gateways.bill()["requests"]))


def test_a_real_run_buys_nothing_at_a_price_that_only_the_sandbox_knows(
    real: Real, gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seedream 4.0 on EvoLink has no public price: deferred, no_price, and not a single submit."""
    to(monkeypatch, real)
    ran = run(products(tmp_path / "c.csv", 2, model="seedream-4.0"), tmp_path / "a", gateways=["evolink"])
    assert not ran.summary.simulated
    assert {(each["status"], each["reason"]) for each in ran.records} == {("deferred", "no_price")}
    assert real.asked == ["GET /v1/credits"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_a_gateway_refuses_is_a_wrong_setting(
    real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """401 and 403 to the free question name the variable; nothing is claimed or sent."""
    to(monkeypatch, real)
    real.status = status
    with pytest.raises(ConfigurationError) as raised:
        run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    error = raised.value.as_json()
    assert (error["code"], error["field"]) == ("key_refused", "SEEDREAM_EVOLINK_API_KEY")
    assert "real-key" not in error["message"]
    assert real.asked == ["GET /v1/credits"]


@pytest.mark.parametrize("gateway", ["evolink", "gccai", "getimg", "apiin"])
def test_a_key_that_the_sandbox_refuses_can_be_set_right_and_the_same_archive_used(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """Nothing of the refused start stands in the way of the next one."""
    catalog = products(tmp_path / "c.csv", 1)
    with monkeypatch.context() as wrong:
        wrong.setenv(f"SEEDREAM_{gateway.upper()}_API_KEY", "invalid-key")
        with pytest.raises(ConfigurationError) as raised:
            run(catalog, tmp_path / "a", gateways=[gateway])
    assert raised.value.as_json()["code"] == "key_refused"
    assert gateways.bill()["submissions"] == 0
    ran = run(catalog, tmp_path / "a", gateways=[gateway])
    assert ran.statuses() == {"archived": 1}
    assert_bill(gateways, ran)


@pytest.mark.parametrize(
    ("gateway", "address"), [("evolink", "gccai"), ("gccai", "evolink"), ("getimg", "evolink"), ("getimg", "gccai")]
)
def test_a_base_url_of_another_gateway_is_found_out(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str, address: str
) -> None:
    """A readable answer that is not the documented one: not_this_gateway, nothing sent."""
    monkeypatch.setenv(f"SEEDREAM_{gateway.upper()}_BASE_URL", gateways.bases[address])
    with pytest.raises(ConfigurationError) as raised:
        run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=[gateway])
    assert raised.value.as_json()["code"] == "not_this_gateway"
    assert gateways.bill()["submissions"] == 0


def test_an_account_is_asked_once_and_again_when_the_key_is_another(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger keeps account -> kind; another key is another account."""
    catalog = products(tmp_path / "c.csv", 1)
    names = ["evolink", "gccai", "apiin"]
    run(catalog, tmp_path / "a", gateways=names)
    asked = gateways.bill()["requests"]
    run(catalog, tmp_path / "a", gateways=names)
    assert gateways.bill()["requests"] == asked
    monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "another-key")
    run(catalog, tmp_path / "a", gateways=names)
    after = gateways.bill()["requests"]
    assert {name: count for name, count in after.items() if count != asked.get(name)} == {
        "GET /evolink/v1/credits": asked["GET /evolink/v1/credits"] + 1
    }


def test_what_runs_at_an_account_without_its_key_stays_in_flight_and_names_it(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt is asked for only at its own account; with another key nothing is asked, bought or lost."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 3600}])
    catalog = products(tmp_path / "c.csv", 1)
    first = run(catalog, tmp_path / "a", gateways=["evolink"], wait_s=0.2)
    (account,) = ledger(tmp_path / "a", "SELECT account FROM attempts")
    gateways.advance(3600)
    asked = gateways.bill()["requests"]["GET /evolink/v1/tasks/{id}"]
    told: list[str] = []
    silence = listen(lambda _, event: told.append(event.text if event else ""))
    with monkeypatch.context() as other:
        other.setenv("SEEDREAM_EVOLINK_API_KEY", "another-key")
        second = run(catalog, tmp_path / "a", gateways=["evolink"])
    silence()
    assert second.one("p0")["status"] == "in_flight"
    assert any(account["account"] in text for text in told)
    assert gateways.bill()["requests"]["GET /evolink/v1/tasks/{id}"] == asked
    third = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert third.one("p0")["status"] == "archived"
    assert gateways.bill()["submissions"] == 1
    assert_bill(gateways, now(first), second, third)


def test_an_archive_that_names_another_ledger_is_refused(gateways: Sandbox, tmp_path: Path) -> None:
    """Two archives with a ledger each: one with the other's ledger would buy everything again."""
    catalog = products(tmp_path / "c.csv", 1)
    runs = [run(catalog, tmp_path / name, gateways=["evolink"]) for name in ("a", "b")]
    with pytest.raises(LedgerMismatch) as raised:
        run(catalog, tmp_path / "a", gateways=["evolink"], ledger=f"sqlite:///{tmp_path / 'b' / 'ledger.db'}")
    error = raised.value.as_json()
    assert "seedream ledger rebuild" in error["hint"]
    assert gateways.bill()["submissions"] == 2
    assert_bill(gateways, *runs)


@pytest.mark.outside_the_law("the ledger that bought is gone")
@pytest.mark.parametrize("lost", ["ledger", "ledger and archive.json"])
def test_a_used_archive_without_its_ledger_is_refused(gateways: Sandbox, tmp_path: Path, lost: str) -> None:
    """A ledger that is not there is not an empty one: exit 2 with the way out, and no new ledger is left behind."""
    catalog = products(tmp_path / "c.csv", 1)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    for file in (tmp_path / "a").glob("ledger.db*"):
        file.unlink()
    if lost != "ledger":
        (tmp_path / "a" / "archive.json").unlink()
    for _ in range(2):
        with pytest.raises(LedgerMismatch) as raised:
            run(catalog, tmp_path / "a", gateways=["evolink"])
        assert "seedream ledger rebuild" in raised.value.as_json()["hint"]
    assert gateways.bill()["submissions"] == 1
    assert_bill(gateways, first)


def test_a_new_ledger_beside_a_used_archive_is_refused(gateways: Sandbox, tmp_path: Path) -> None:
    """Naming a place where no ledger stands yet does not get round it."""
    catalog = products(tmp_path / "c.csv", 1)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    with pytest.raises(LedgerMismatch):
        run(catalog, tmp_path / "a", gateways=["evolink"], ledger=f"sqlite:///{tmp_path / 'new.db'}")
    assert not (tmp_path / "new.db").exists()
    assert_bill(gateways, first)


def test_the_marker_of_an_archive_is_needed_beside_a_used_ledger(gateways: Sandbox, tmp_path: Path) -> None:
    """An archive with runs but without archive.json is not taken for a new one of another ledger."""
    catalog = products(tmp_path / "c.csv", 1)
    runs = [run(catalog, tmp_path / name, gateways=["evolink"]) for name in ("a", "b")]
    (tmp_path / "a" / "archive.json").unlink()
    with pytest.raises(LedgerMismatch):
        run(catalog, tmp_path / "a", gateways=["evolink"], ledger=f"sqlite:///{tmp_path / 'b' / 'ledger.db'}")
    assert_bill(gateways, *runs)


@pytest.mark.outside_the_law("the ledger that bought is damaged")
def test_an_unreadable_ledger_is_an_error_and_stays_as_it_is(gateways: Sandbox, tmp_path: Path) -> None:
    """A damaged file is not replaced by an empty ledger."""
    catalog = products(tmp_path / "c.csv", 1)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    for file in (tmp_path / "a").glob("ledger.db-*"):
        file.unlink()
    (tmp_path / "a" / "ledger.db").write_bytes(b"this was a ledger once" * 500)
    with pytest.raises(LedgerFault):
        run(catalog, tmp_path / "a", gateways=["evolink"])
    assert (tmp_path / "a" / "ledger.db").read_bytes() == b"this was a ledger once" * 500
    assert gateways.bill()["submissions"] == 1
    assert_bill(gateways, first)
