"""`collect`: one pass over whatever any run left, which finishes it, writes the manifests it changes, and buys nothing."""

import signal
import threading
import time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from balance import balance, listed
from crashing import Moment, Runs, command, order
from runs import Ran, collected, products, read, run
from sandbox_process import Sandbox, start_sandbox
from waiting import until
from witness import ASYNCHRONOUS, PRICE, assert_files, leases_end, ledger, ledger_money, now, submissions

from seedream_tasks.config.embedded_sandbox import embedded_sandbox, sandbox_state
from seedream_tasks.config.settings import locations
from seedream_tasks.core.errors import ConfigurationError
from seedream_tasks.engine.progress import Event, listen
from seedream_tasks.gateways.client import Account
from seedream_tasks.ledger import transitions
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.runs import publish as publishing
from seedream_tasks.runs.manifest import PROVISIONAL

ZERO = Decimal(0)
WEEK_S = 7 * 86_400


def told_by(archive: Path) -> list[Event]:
    """What one pass tells its user."""
    told: list[Event] = []
    stop = listen(lambda _, event: told.append(event) if event else None)
    try:
        collected(archive)
    finally:
        stop()
    return told


def left_in_flight(sandbox: Sandbox, tmp_path: Path, rows: int = 1, kind: str = "slow", **options: Any) -> Any:
    """A run that ended while all of its tasks were still running; with `slow` for an hour."""
    sandbox.faults([{"gateway": "*", "kind": kind, "rate": 1, "value": 3600 if kind == "slow" else None}])
    catalog = products(tmp_path / "c.csv", rows)
    ran = run(catalog, tmp_path / "a", wait_s=0.2, **({"gateways": ["evolink"]} | options))
    assert ran.statuses() == {"in_flight": rows}
    sandbox.faults([])
    return ran


def later(archive: Path, seconds: float) -> None:
    """Let time pass for the ledger, as if everything in it had happened that much earlier."""
    back = int(seconds * 1_000_000)
    ledger(
        archive,
        "UPDATE attempts SET intent_at = intent_at - ?, submitted_at = submitted_at - ?,"
        " next_look_at = next_look_at - ?, not_found_since = not_found_since - ?",
        *[back] * 4,
    )
    ledger(archive, "UPDATE events SET at = at - ?", back)


def run_beside_an_old_task(tmp_path: Path) -> Ran:
    """A run of two products whose first one's task is two days old: it is polled once and left, the other is archived."""
    later(tmp_path / "a", 2 * 86_400)
    ran = run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"archived": 1, "in_flight": 1}
    return ran


def states(archive: Path) -> list[str]:
    """The state of every attempt, oldest first."""
    return [row["state"] for row in ledger(archive, "SELECT state FROM attempts ORDER BY attempt_id")]


def looks(sandbox: Sandbox, gateway: str = "evolink") -> int:
    """Status requests so far."""
    return sum(
        count for path, count in sandbox.bill()["requests"].items() if path.startswith("GET") and f"/{gateway}/" in path
    )


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_one_pass_archives_what_a_run_left_and_writes_its_manifest_again(
    gateways: Sandbox, tmp_path: Path, gateway: str
) -> None:
    """Archived, billed in the run that bought it, to the cent; the archive's newest manifest says so too; nothing is bought."""
    first = left_in_flight(gateways, tmp_path, rows=3, gateways=[gateway])
    gateways.advance(3600)
    done = collected(tmp_path / "a")
    assert (done.polled, done.archived, done.still_in_flight, done.unknown, done.expired) == (3, 3, 0, 0, 0)
    assert done.billed_usd == 3 * PRICE[gateway] == now(first).summary.billed_usd
    assert done.manifests == [f"{tmp_path / 'a'}/runs/{first.run_id}/manifest.parquet"]
    assert now(first).statuses() == {"archived": 3}
    assert_files(now(first))
    newest = pq.read_table(tmp_path / "a" / "manifest.parquet").to_pylist()
    assert newest == read(tmp_path / "a", first.run_id)
    assert submissions(gateways) == 3
    assert balance(gateways.bill(), listed(tmp_path / "a")).lawful
    again = collected(tmp_path / "a")
    assert (again.polled, again.archived, again.billed_usd, again.manifests) == (0, 0, ZERO, [])


def test_the_manifest_of_a_newer_run_is_written_again_too(gateways: Sandbox, tmp_path: Path) -> None:
    """An earlier run's task stands in the newest manifest as in flight; once it is archived both say so, billed in one."""
    first = left_in_flight(gateways, tmp_path)
    second = run_beside_an_old_task(tmp_path)
    gateways.advance(3600)
    done = collected(tmp_path / "a")
    assert [Path(uri).parent.name for uri in done.manifests] == [first.run_id, second.run_id]
    assert [now(each).one("p0")["billed_usd"] for each in (first, second)] == [PRICE["evolink"], 0]
    assert pq.read_table(tmp_path / "a" / "manifest.parquet").to_pylist() == read(tmp_path / "a", second.run_id)
    assert now(first).summary.billed_usd + now(second).summary.billed_usd == Decimal(gateways.bill()["usd"])


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
@pytest.mark.parametrize(
    "moment",
    [Moment("submit", "after"), Moment("download", "after"), Moment("copy", "after"), Moment("publish", "before", 2)],
    ids=str,
)
def test_a_killed_run_is_finished_and_gets_the_manifest_it_never_wrote(
    gateways: Sandbox, processes: Runs, tmp_path: Path, gateway: str, moment: Moment
) -> None:
    """Killed between any two statements: `collect` alone archives what it bought and writes its first manifest."""
    catalog = products(tmp_path / "c.csv", 3)
    assert processes.one(catalog, tmp_path / "a", moment, gateways=[gateway], run_id="killed") == -signal.SIGKILL
    assert not (tmp_path / "a" / "runs" / "killed" / "manifest.parquet").exists()
    leases_end(tmp_path / "a")
    bought = submissions(gateways)
    done = collected(tmp_path / "a")
    assert done.manifests == [f"{tmp_path / 'a'}/runs/killed/manifest.parquet"]
    assert submissions(gateways) == bought
    found = balance(gateways.bill(), listed(tmp_path / "a"))
    assert found.lawful
    assert done.still_in_flight == 0
    assert done.unknown == found.unknown
    rows = read(tmp_path / "a", "killed")
    assert [each["row_key"] for each in rows] == ["p0", "p1", "p2"]
    assert sum(each["billed_usd"] for each in rows) == found.billed_usd
    assert (tmp_path / "a" / "manifest.parquet").exists()


def test_the_manifest_of_a_run_that_may_still_be_at_work_is_provisional_until_it_is_not(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """A run killed a moment ago looks alive: its manifest is marked, and written for good by a later pass."""
    catalog = products(tmp_path / "c.csv", 2)
    moment = Moment("publish", "before", 2)
    assert processes.one(catalog, tmp_path / "a", moment, gateways=["evolink"], run_id="killed") == -signal.SIGKILL
    path = tmp_path / "a" / "runs" / "killed" / "manifest.parquet"
    ledger(tmp_path / "a", "UPDATE runs SET alive_until = ?", int((time.time() + 60) * 1_000_000))
    collected(tmp_path / "a")
    assert PROVISIONAL.encode() in pq.read_schema(path).metadata
    ledger(tmp_path / "a", "UPDATE runs SET alive_until = 0")
    collected(tmp_path / "a")
    assert PROVISIONAL.encode() not in pq.read_schema(path).metadata
    assert collected(tmp_path / "a").manifests == []


def test_a_pass_that_is_killed_before_it_wrote_the_manifests_leaves_them_to_the_next(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """What it settled stands in the ledger; the next pass writes every manifest that this changed, the newest one too."""
    first = left_in_flight(gateways, tmp_path)
    second = run_beside_an_old_task(tmp_path)
    gateways.advance(3600)
    killed = command("collect", "--archive", str(tmp_path / "a"), moment=Moment("publish", "before"))
    assert processes.ended(killed).status == -signal.SIGKILL
    assert states(tmp_path / "a") == ["archived", "archived"]
    assert now(second).statuses() == {"archived": 1, "in_flight": 1}
    done = collected(tmp_path / "a")
    assert (done.polled, done.billed_usd) == (0, ZERO)
    assert [now(each).one("p0")["status"] for each in (first, second)] == ["archived"] * 2


def test_an_attempt_is_due_less_often_the_older_it_is(gateways: Sandbox, tmp_path: Path) -> None:
    """The next look is kept in the ledger: none right after a look, one after a tenth of its age, an hour at most."""
    left_in_flight(gateways, tmp_path)
    archive = tmp_path / "a"
    later(archive, 3600)
    asked = looks(gateways)
    assert [collected(archive).polled for _ in range(3)] == [1, 0, 0]
    assert looks(gateways) == asked + 1
    later(archive, 350)
    assert collected(archive).polled == 0
    later(archive, 20)
    assert collected(archive).polled == 1
    later(archive, 4 * 86_400)
    assert collected(archive).polled == 1
    later(archive, 3590)
    assert collected(archive).polled == 0
    later(archive, 20)
    assert collected(archive).polled == 1
    assert looks(gateways) == asked + 4


def test_a_run_does_not_wait_for_the_next_look_of_collect(gateways: Sandbox, tmp_path: Path) -> None:
    """The spacing is for passes outside runs: a run asks for what it needs at once."""
    left_in_flight(gateways, tmp_path)
    later(tmp_path / "a", 3600)
    assert collected(tmp_path / "a").still_in_flight == 1
    gateways.advance(3600)
    ran = run(tmp_path / "c.csv", tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"archived": 1}
    assert submissions(gateways) == 1


def test_a_task_that_never_finishes_is_lost_after_seven_days(gateways: Sandbox, tmp_path: Path) -> None:
    """Still running at the gateway: in flight for seven days, then given up, its amount at risk, its slot closed."""
    first = left_in_flight(gateways, tmp_path, kind="stuck")
    archive = tmp_path / "a"
    for _ in range(6):
        later(archive, WEEK_S / 7)
        assert collected(archive).still_in_flight == 1
    later(archive, WEEK_S / 7)
    done = collected(archive)
    assert (done.still_in_flight, done.archived, done.billed_usd) == (0, 0, ZERO)
    assert states(archive) == ["lost"]
    assert ledger_money(archive) == (ZERO, PRICE["evolink"])
    assert now(first).one("p0")["status"] == "lost"
    assert run(tmp_path / "c.csv", archive, gateways=["evolink"]).one("p0")["status"] == "lost"
    assert submissions(gateways) == 1


def test_a_clock_that_jumps_by_days_gives_no_task_up(gateways: Sandbox, tmp_path: Path) -> None:
    """Weeks by the difference of two clocks, and a few looks within one day: it is in flight, and archived when it has ended."""
    left_in_flight(gateways, tmp_path)
    archive = tmp_path / "a"
    later(archive, 3 * WEEK_S)
    for _ in range(8):
        ledger(archive, "UPDATE attempts SET next_look_at = NULL")
        assert collected(archive).still_in_flight == 1
    assert states(archive) == ["accepted"]
    gateways.advance(3600)
    ledger(archive, "UPDATE attempts SET next_look_at = NULL")
    assert collected(archive).archived == 1


def test_after_seven_days_too_only_a_readable_answer_ends_an_attempt(gateways: Sandbox, tmp_path: Path) -> None:
    """Old as it is, a gateway's bad moment gives nothing up; and what has finished meanwhile is archived, not lost."""
    left_in_flight(gateways, tmp_path)
    archive = tmp_path / "a"
    later(archive, 2 * WEEK_S)
    gateways.advance(3600)
    gateways.faults([{"gateway": "*", "kind": "status_500", "rate": 1}])
    assert collected(archive).still_in_flight == 1
    gateways.faults([])
    later(archive, 3600)
    assert collected(archive).archived == 1


def test_a_task_the_gateway_has_forgotten_is_lost_after_three_404s_over_ten_minutes(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Its own 404, at least three times, the first and the last ten minutes apart: lost, at risk, closed until --retry lost."""
    left_in_flight(gateways, tmp_path)
    archive = tmp_path / "a"
    gateways.reset()  # the gateway knows nothing any more
    found = []
    for passed in (100, 200, 200, 150, 150):
        later(archive, passed)
        found.append((collected(archive).polled, *states(archive)))
    assert found == [*[(1, "accepted")] * 4, (1, "lost")]
    assert ledger_money(archive) == (ZERO, PRICE["evolink"])
    again = run(tmp_path / "c.csv", archive, gateways=["evolink"], retry=("lost",))
    assert again.one("p0")["status"] == "archived"


def test_404s_of_the_first_minute_end_nothing(gateways: Sandbox, tmp_path: Path) -> None:
    """However often it is asked for: a task may not have reached every server of its gateway yet."""
    left_in_flight(gateways, tmp_path)
    gateways.reset()
    for _ in range(4):
        ledger(tmp_path / "a", "UPDATE attempts SET next_look_at = NULL")
        collected(tmp_path / "a")
    assert states(tmp_path / "a") == ["accepted"]


NOT_AN_END = {
    "a 404 that is not the gateway's own": (404, b"<html>no such page</html>", "text/html"),
    "401": (401, b'{"error": {"code": 401, "message": "bad key", "type": "authentication_error"}}', "application/json"),
    "403": (403, b'{"error": {"code": 403, "message": "no", "type": "permission_error"}}', "application/json"),
    "500": (500, b'{"error": {"code": 500, "message": "oh"}}', "application/json"),
    "502": (502, b"<html>bad gateway</html>", "text/html"),
    "429": (429, b'{"error": {"code": 429, "message": "slow"}}', "application/json"),
    "not JSON": (200, b"\xff\xfe\x00", "application/json"),
    "JSON of another kind": (200, b'{"status": "who knows", "id": 7}', "application/json"),
}


class Elsewhere:
    """A server that answers every request alike, in the gateway's place."""

    def __init__(self, status: int, body: bytes, kind: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Seedream-Sandbox", "1")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("answer", NOT_AN_END.values(), ids=NOT_AN_END)
def test_no_such_answer_ends_an_attempt(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes, str]
) -> None:
    """Asked four times over twenty minutes by a gateway in trouble, a task is still in flight, and found once it is well."""
    left_in_flight(gateways, tmp_path)
    archive = tmp_path / "a"
    own = gateways.bases["evolink"]
    elsewhere = Elsewhere(*answer)

    def move(base: str) -> None:
        monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", base)
        account = Account("evolink", base, "key-of-evolink").name
        ledger(archive, "UPDATE attempts SET account = ?", account)
        ledger(archive, "UPDATE accounts SET account = ?", account)

    try:
        move(elsewhere.url)
        for _ in range(4):
            later(archive, 400)
            done = collected(archive)
            assert (done.polled, done.still_in_flight) == (1, 1)
    finally:
        elsewhere.close()
    move(own)
    gateways.advance(3600)
    later(archive, 400)
    assert collected(archive).archived == 1
    assert balance(gateways.bill(), listed(archive)).lawful


def test_a_dead_link_is_expired_and_said_so(gateways: Sandbox, tmp_path: Path) -> None:
    """The gateway made the image and its link is gone: billed, expired, bought again only by --retry expired."""
    left_in_flight(gateways, tmp_path)
    gateways.faults([{"gateway": "*", "kind": "expired_link", "rate": 1}])
    gateways.advance(3600)
    done = collected(tmp_path / "a")
    assert (done.archived, done.expired, done.billed_usd, done.still_in_flight) == (0, 1, PRICE["evolink"], 0)
    assert states(tmp_path / "a") == ["expired"]
    assert balance(gateways.bill(), listed(tmp_path / "a")).lawful


def test_without_its_key_an_attempt_stays_in_flight_and_says_which_account_it_needs(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another key is another account: nobody is asked. With the right key the very next pass asks."""
    left_in_flight(gateways, tmp_path)
    later(tmp_path / "a", 86_400)
    gateways.advance(3600)
    (account,) = {row["account"] for row in ledger(tmp_path / "a", "SELECT account FROM attempts")}
    asked = looks(gateways)
    for key in ("another-key", ""):
        monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", key)
        if not key:
            monkeypatch.delenv("SEEDREAM_EVOLINK_BASE_URL")
        (told,) = told_by(tmp_path / "a")
        assert (told.kind, told.row_key) == ("in_flight", "p0")
        assert account in told.text
    assert looks(gateways) == asked
    monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "key-of-evolink")
    monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", gateways.bases["evolink"])
    assert collected(tmp_path / "a").archived == 1


def test_two_archives_on_one_ledger_are_both_finished(gateways: Sandbox, tmp_path: Path) -> None:
    """Whichever archive is named: each run's images go into its own, with its manifests."""
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": ledger_url, "wait_s": 0.2}
    ran = [
        run(products(tmp_path / f"{name}.csv", count), tmp_path / name, **options)
        for name, count in (("one", 1), ("two", 2))
    ]
    assert [each.statuses()["in_flight"] for each in ran] == [1, 2]
    gateways.advance(3600)
    done = collected(tmp_path / "one", ledger_url)
    assert (done.archived, done.still_in_flight) == (2, 0)
    for each in ran:
        assert now(each).one("p0")["status"] == "archived"
    # p0 is one job of both catalogs: it was bought once, for the first archive; the second takes its copy at its next run.
    assert sum(now(each).summary.billed_usd for each in ran) == Decimal(gateways.bill()["usd"]) == Decimal("0.062")
    assert {Path(uri).parents[2].name for uri in done.manifests} == {"one", "two"}


def test_a_run_that_only_lacks_its_manifest_gets_it_in_whatever_archive(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """Killed after its last image: nothing is in flight, and its manifest is written all the same."""
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": ledger_url}
    run(products(tmp_path / "c.csv", 1), tmp_path / "one", **options)
    catalog = products(tmp_path / "d.csv", 3)
    moment = Moment("publish", "before", 2)
    assert processes.one(catalog, tmp_path / "two", moment, run_id="killed", **options) == -signal.SIGKILL
    done = collected(tmp_path / "one", ledger_url)
    assert done.manifests == [f"{tmp_path / 'two'}/runs/killed/manifest.parquet"]
    assert {each["status"] for each in read(tmp_path / "two", "killed")} == {"archived"}


def test_an_archive_that_cannot_be_reached_does_not_keep_the_others_waiting(
    gateways: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What belongs there stays in flight, said so; the rest is finished."""
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": ledger_url, "wait_s": 0.2}
    run(products(tmp_path / "c.csv", 1), tmp_path / "one", **options)
    run(products(tmp_path / "d.csv", 2), tmp_path / "two", **options)
    gateways.advance(3600)
    marker = tmp_path / "two" / "archive.json"
    marker.write_text(marker.read_text().replace('"ledger_id": "', '"ledger_id": "not-'))
    done = collected(tmp_path / "one", ledger_url)
    assert (done.archived, done.still_in_flight) == (1, 1)
    assert str(tmp_path / "two") in caplog.text


@pytest.mark.outside_the_law("it buys at the embedded sandbox")
def test_the_embedded_sandbox_is_started_for_what_it_left(gateways: Sandbox, tmp_path: Path) -> None:
    """A simulated run's tasks live in the archive's own sandbox, which `collect` starts; configured keys are not used."""
    place = locations(str(tmp_path / "a"), None, simulated=True)
    catalog = products(tmp_path / "c.csv", 2)
    with embedded_sandbox(sandbox_state(place)) as bases:
        url = bases["evolink"].rpartition("/")[0]
        httpx.put(f"{url}/sandbox/faults", json=[{"kind": "slow", "value": 3600}]).raise_for_status()
        ran = run(catalog, tmp_path / "a", bases={"evolink": bases["evolink"]}, wait_s=0.2)
        httpx.post(f"{url}/sandbox/clock", json={"advance_s": 3600}).raise_for_status()
    done = collected(tmp_path / "a")
    assert (done.archived, done.still_in_flight, done.billed_usd) == (2, 0, 2 * PRICE["evolink"])
    assert now(ran).statuses() == {"archived": 2}


def test_a_pass_beside_a_run_that_is_going_on_harms_nothing(gateways: Sandbox, processes: Runs, tmp_path: Path) -> None:
    """Both ask and copy the same attempts; each is settled once, and the run's own manifest is the last word."""
    archive = tmp_path / "a"
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 1}])
    catalog = products(tmp_path / "c.csv", 20)
    processes.begin(order(catalog, archive, gateways=["evolink"], run_id="live"))
    until(lambda: (archive / "runs" / "live" / "jobs.parquet").exists(), "the run's frozen list")
    passes = [collected(archive) for _ in range(5)]
    assert [ended.status for ended in processes.ends()] == [0]
    assert passes
    rows = read(archive, "live")
    assert {each["status"] for each in rows} == {"archived"}
    assert PROVISIONAL.encode() not in pq.read_schema(archive / "runs" / "live" / "manifest.parquet").metadata
    assert sum(each["billed_usd"] for each in rows) == Decimal(gateways.bill()["usd"]) == 20 * PRICE["evolink"]
    assert balance(gateways.bill(), listed(archive)).lawful
    assert collected(archive).manifests == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_provisional_manifest_never_stands_over_a_run_s_last_word(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A pass that saw the run at work writes just before or just after the run's own manifest, and then the run ends."""
    archive = tmp_path / "a"
    original, passes = publishing.publish, 0

    def beside(*arguments: Any, **more: Any) -> Any:
        nonlocal passes
        if passes or threading.current_thread().name == "a pass":
            return original(*arguments, **more)
        passes += 1
        done = None if when == "before" else original(*arguments, **more)
        at_once = threading.Thread(target=collected, args=(archive,), name="a pass")
        at_once.start()
        at_once.join()
        assert PROVISIONAL.encode() in pq.read_schema(archive / "manifest.parquet").metadata
        return done or original(*arguments, **more)

    monkeypatch.setattr(publishing, "publish", beside)
    ran = run(products(tmp_path / "c.csv", 3), archive, gateways=["evolink"])
    assert passes == 1
    for path in (archive / "runs" / ran.run_id / "manifest.parquet", archive / "manifest.parquet"):
        assert PROVISIONAL.encode() not in pq.read_schema(path).metadata
    assert ran.statuses() == {"archived": 3}
    assert collected(archive).manifests == []


def test_a_run_that_ends_while_a_provisional_manifest_is_written_gets_its_last_word_again(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass finds the run ended when it says what it wrote, and writes it for good."""
    ran = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"])
    archive = tmp_path / "a"
    at_work = int((time.time() + 60) * 1_000_000)
    ledger(archive, "UPDATE runs SET finished_at = NULL, alive_until = ?", at_work)
    original = publishing.publish

    def overtaken(*arguments: Any, provisional: bool = False, **more: Any) -> Any:
        summary = original(*arguments, provisional=provisional, **more)
        if provisional:
            ledger(archive, "UPDATE runs SET finished_at = created_at, alive_until = 0")
        return summary

    monkeypatch.setattr(publishing, "publish", overtaken)
    assert collected(archive).manifests == [f"{archive}/runs/{ran.run_id}/manifest.parquet"]
    for path in (archive / "runs" / ran.run_id / "manifest.parquet", archive / "manifest.parquet"):
        assert PROVISIONAL.encode() not in pq.read_schema(path).metadata


def test_what_is_left_unknown_is_counted_and_never_bought(gateways: Sandbox, tmp_path: Path) -> None:
    """An unknown payment waits for a person or a callback: collect says how many there are."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "rate": 1, "match": "number 0"}])
    run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"])
    done = collected(tmp_path / "a")
    assert (done.polled, done.still_in_flight, done.unknown) == (0, 0, 1)
    assert submissions(gateways) == 2


def test_a_paid_task_whose_slot_was_bought_meanwhile_is_kept_aside(gateways: Sandbox, tmp_path: Path) -> None:
    """Surplus: billed in its run, its image under quarantine/, the slot's own image untouched."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "rate": 1, "count": 1}])
    catalog = products(tmp_path / "c.csv", 1)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    (entry,) = gateways.bill()["entries"]
    archive = tmp_path / "a"
    # Somebody called it not sent, and it was bought again; then its task id turns up.
    ledger(archive, "UPDATE attempts SET state = 'not_sent', at_risk_usd = 0")
    ledger(archive, "UPDATE slots SET state = 'open'")
    second = run(catalog, archive, gateways=["evolink"])
    assert second.statuses() == {"archived": 1}
    store = open_ledger(f"sqlite:///{archive / 'ledger.db'}", create=False)
    attempt_id = listed(archive)[0]["attempt_id"]
    store.write_now(lambda connection: transitions.accepted(connection, attempt_id, entry["task_id"], None, None))
    store.close()
    done = collected(archive)
    assert (done.archived, done.billed_usd) == (1, PRICE["evolink"])
    assert [path.suffix for path in (archive / "quarantine").iterdir()] == [".jpg"]
    assert [now(each).summary.billed_usd for each in (first, second)] == [PRICE["evolink"]] * 2
    assert_files(now(second))
    assert ledger_money(archive) == (Decimal(gateways.bill()["usd"]), ZERO)


def test_collect_makes_no_ledger(gateways: Sandbox, tmp_path: Path) -> None:
    """Where nothing was ever bought there is nothing to collect: said as a wrong input, and nothing is created."""
    with pytest.raises(ConfigurationError):
        collected(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_restarted_sandbox_still_knows_what_was_bought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links that were handed out before are fetched anew where they moved: nothing paid for is given up for a new address."""
    archive = tmp_path / "a"
    with start_sandbox("--seconds", "0.05", "--image-px", "96", state=tmp_path / "s.db") as sandbox:
        for name, base in sandbox.bases.items():
            monkeypatch.setenv(f"SEEDREAM_{name.upper()}_API_KEY", "k")
            monkeypatch.setenv(f"SEEDREAM_{name.upper()}_BASE_URL", base)
        port = sandbox.url.rpartition(":")[2]
        left_in_flight(sandbox, tmp_path)
        sandbox.kill()
    assert collected(archive).still_in_flight == 1
    with start_sandbox("--port", port, "--image-px", "96", state=tmp_path / "s.db") as sandbox:
        sandbox.advance(3600)
        ledger(archive, "UPDATE attempts SET next_look_at = NULL")
        assert collected(archive).archived == 1
