"""The endpoint for callbacks over real HTTP: what it takes, what it never believes, and what a callback is good for."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from balance import balance, listed
from runs import Ran, collected, products, run
from sandbox_process import Sandbox
from serving import Serve, status_of, token_of
from waiting import until
from witness import PRICE, ledger, now, submissions

pytestmark = pytest.mark.usefixtures("_called_back")
QUIET = {"gateway": "*", "kind": "no_callback", "rate": 1}  # the tests make the calls themselves
DROPPED = {"gateway": "*", "kind": "drop_response", "rate": 1, "count": 1}
CALLING_BACK = ("evolink", "apiin")
WITHIN_S = 300.0  # only a broken program takes that long


def unknown(gateways: Sandbox, archive: Path, gateway: str = "evolink") -> Ran:
    """A run of two rows: one archived, the answer to the other's submit got lost."""
    gateways.faults([DROPPED, QUIET])
    ran = run(products(archive.with_name("c.csv"), 2), archive, gateways=[gateway], wait_s=WITHIN_S)
    gateways.faults([QUIET])
    assert ran.statuses() == {"archived": 1, "unknown": 1}
    return ran


def entries(gateways: Sandbox, archive: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The bill's entry that no attempt knows, and the other one."""
    known = {each["task_id"] for each in listed(archive)}
    lost, found = sorted(gateways.bill()["entries"], key=lambda entry: entry["task_id"] in known)
    return lost, found


def stored(archive: Path) -> list[tuple[str, str | None]]:
    """Task id and judgement of every callback in the ledger."""
    return [(row["task_id"], row["judged"]) for row in ledger(archive, "SELECT task_id, judged FROM callbacks")]


def polls(gateways: Sandbox) -> int:
    """Status requests of all kinds."""
    return sum(count for path, count in gateways.bill()["requests"].items() if "/tasks/" in path)


@pytest.mark.parametrize("gateway", CALLING_BACK)
def test_a_callback_with_the_attempts_token_finds_an_unknown_payment(
    gateways: Sandbox, archive: Path, serve: Serve, gateway: str
) -> None:
    """The answer got lost, the callback names the task: the next pass asks, follows and archives it; nothing is bought."""
    ran = unknown(gateways, archive, gateway)
    lost, _ = entries(gateways, archive)
    with serve:
        assert serve.deliver(gateways, lost).json() == {"ok": True}
        assert collected(archive).as_json()["archived"] == 1
    assert now(ran).statuses() == {"archived": 2}
    assert now(ran).summary.billed_usd == 2 * PRICE[gateway] == Decimal(gateways.bill()["usd"])
    assert submissions(gateways) == 2
    assert stored(archive) == [(lost["task_id"], "taken")]
    assert balance(gateways.bill(), listed(archive)).lawful


def test_a_run_too_takes_up_what_a_callback_found(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """Whoever holds the key and comes next asks: here the next run, which buys nothing."""
    first = unknown(gateways, archive)
    lost, _ = entries(gateways, archive)
    with serve:
        serve.deliver(gateways, lost)
    second = run(archive.with_name("c.csv"), archive, gateways=["evolink"])
    assert second.statuses() == now(first).statuses() == {"archived": 2}
    assert (second.summary.billed_usd, submissions(gateways)) == (0, 2)


def test_a_callback_whose_task_still_runs_makes_the_payment_accepted(
    gateways: Sandbox, archive: Path, serve: Serve
) -> None:
    """The gateway knows the task and is not done: in flight, in its run's manifest too, and archived by a later pass."""
    gateways.faults([DROPPED, QUIET, {"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    ran = run(products(archive.with_name("c.csv"), 1), archive, gateways=["evolink"])
    assert ran.statuses() == {"unknown": 1}
    (entry,) = gateways.bill()["entries"]
    with serve:
        serve.deliver(gateways, entry)
    done = collected(archive)
    assert (done.still_in_flight, done.unknown) == (1, 0)
    assert now(ran).statuses() == {"in_flight": 1}
    gateways.advance(3600)
    ledger(archive, "UPDATE attempts SET next_look_at = NULL")
    assert collected(archive).archived == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"/callbacks/{'A' * 43}", 404),
        ("POST", "/callbacks/short", 404),
        ("POST", f"/callbacks/{'A' * 42}%2F", 404),
        ("POST", "/callbacks/", 404),
        ("GET", f"/callbacks/{'A' * 43}", 405),
        ("POST", "/elsewhere", 404),
        ("GET", "/health", 200),
    ],
)
def test_a_token_that_no_attempt_has_is_not_found(
    serve: Serve, archive: Path, method: str, path: str, status: int
) -> None:
    """Only a token of an attempt opens anything; nothing is stored for another."""
    with serve:
        answer = serve.http.request(method, path, content=b'{"id": "task-unified-1"}' if method == "POST" else None)
        assert answer.status_code == status
    assert stored(archive) == []


FORGERIES: dict[str, bytes] = {
    "not JSON": b"\xff\xfe{",
    "empty": b"",
    "a list": b'["task-unified-1"]',
    "a number": b"7",
    "no id": b'{"status": "completed"}',
    "an id that is no text": b'{"id": {"$ne": 1}}',
    "an id that leads elsewhere": b'{"id": "../../v1/credits"}',
    "a task that the gateway does not know": b'{"id": "task-unified-1757165031-forged00"}',
    "brackets in brackets": b"[" * 200_000,
    "a number without end": b'{"id": ' + b"9" * 6000 + b"}",
}


def test_a_body_is_never_believed(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """Whatever is posted with a good token changes nothing by itself, and does not stand in the way of the truth."""
    unknown(gateways, archive)
    lost, _ = entries(gateways, archive)
    with serve:
        before = listed(archive)
        answers = {name: serve.post(token_of(lost), body).status_code for name, body in FORGERIES.items()}
        assert answers == dict.fromkeys(FORGERIES, 200)
        done = collected(archive)
        assert (done.unknown, done.archived, done.billed_usd) == (1, 0, 0)
        assert listed(archive) == before
        serve.deliver(gateways, lost)
    assert collected(archive).archived == 1
    assert balance(gateways.bill(), listed(archive)).lawful


def test_a_task_of_another_attempt_is_not_taken(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """The gateway knows that task, but it is paid for by another attempt: nothing of either changes."""
    unknown(gateways, archive)
    lost, other = entries(gateways, archive)
    before = listed(archive)
    with serve:
        serve.post(token_of(lost), status_of(gateways, other))
    assert collected(archive).unknown == 1
    assert listed(archive) == before
    assert stored(archive) == [(other["task_id"], "refused")]


def test_a_task_of_another_account_is_not_taken(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """Each attempt is asked for at its own account, which does not know another gateway's task."""
    gateways.faults([QUIET])
    run(products(archive.with_name("d.csv"), 3, ratio="4:3"), archive, gateways=["apiin"])
    unknown(gateways, archive)
    foreign = next(entry for entry in gateways.bill()["entries"] if entry["gateway"] == "apiin")
    lost = next(entry for entry in gateways.bill()["entries"] if entry["gateway"] == "evolink")
    with serve:
        serve.post(token_of(lost), status_of(gateways, foreign))
    assert collected(archive).unknown == 1


def test_a_body_of_two_megabytes_is_refused(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """413, nothing stored, and the endpoint goes on."""
    unknown(gateways, archive)
    lost, _ = entries(gateways, archive)
    with serve:
        assert serve.post(token_of(lost), json.dumps({"id": "x" * 2_000_000}).encode()).status_code == 413
        assert stored(archive) == []
        assert serve.deliver(gateways, lost).status_code == 200


def test_duplicates_and_late_ones_change_nothing(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """The same call three times, and again once all is archived: one record, one bill, no further request or manifest."""
    ran = unknown(gateways, archive)
    lost, other = entries(gateways, archive)
    with serve:
        assert [serve.deliver(gateways, lost).status_code for _ in range(3)] == [200] * 3
        assert len(stored(archive)) == 1
        assert collected(archive).archived == 1
        assert [serve.deliver(gateways, each).status_code for each in (lost, other)] == [200] * 2
        asked = polls(gateways)
        done = collected(archive)
    assert (done.polled, done.archived, done.manifests, polls(gateways)) == (0, 0, [], asked)
    assert now(ran).summary.billed_usd == Decimal(gateways.bill()["usd"])


def test_what_was_stored_survives_a_restart(gateways: Sandbox, archive: Path) -> None:
    """Killed right after its answer: the callback is on the disk, and the pass after the restart uses it."""
    unknown(gateways, archive)
    lost, _ = entries(gateways, archive)
    with Serve(archive) as before:
        assert before.deliver(gateways, lost).status_code == 200
        before.process.kill()
        before.process.wait()
    with Serve(archive) as after:
        assert after.http.get("/health").status_code == 200
        assert collected(archive).archived == 1


def test_a_ledger_that_is_busy_is_said_at_once_and_the_callback_stored_all_the_same(
    gateways: Sandbox, archive: Path, serve: Serve
) -> None:
    """503 and Retry-After while somebody else writes; once that ends the call is on record without having come again."""
    unknown(gateways, archive)
    lost, _ = entries(gateways, archive)
    body = status_of(gateways, lost)
    with serve:
        writer = sqlite3.connect(archive / "ledger.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        answer = serve.post(token_of(lost), body)  # comes while the lock is held
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert serve.http.get("/health").status_code == 200
        writer.execute("COMMIT")
        writer.close()
        until(lambda: stored(archive) == [(lost["task_id"], None)], "the call is on record")
        assert serve.post(token_of(lost), body).status_code == 200
    assert collected(archive).archived == 1


def test_it_ends_in_order_and_what_it_took_is_kept(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """SIGTERM: exit 0, no word on stderr; a call that was answered 503 a moment before is written on the way out."""
    unknown(gateways, archive)
    lost, _ = entries(gateways, archive)
    with serve:
        writer = sqlite3.connect(archive / "ledger.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        assert serve.post(token_of(lost), status_of(gateways, lost)).status_code == 503
        serve.process.terminate()
        writer.execute("COMMIT")
        writer.close()
        assert serve.process.wait(WITHIN_S) == 0
        assert "Traceback" not in serve.process.communicate()[1]
    assert [task_id for task_id, _ in stored(archive)] == [lost["task_id"]]


def test_serve_may_be_there_before_anything_was_bought(archive: Path, serve: Serve) -> None:
    """Started beside an archive that does not exist yet, it makes the ledger that the first run then uses."""
    with serve:
        assert serve.http.get("/health").json() == {"ok": True}
        assert serve.stop() == 0
    assert serve.said == ""
    assert (archive / "ledger.db").exists()


def test_no_secret_stands_in_what_it_says(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """A token is a key: it is in no log, and only its hash is in the ledger."""
    unknown(gateways, archive)
    lost, _ = entries(gateways, archive)
    with serve:
        serve.deliver(gateways, lost)
        serve.post("A" * 43, b"{}")
        serve.stop()
    assert token_of(lost) not in serve.said
    assert token_of(lost).encode() not in (archive / "ledger.db").read_bytes()


@pytest.mark.parametrize("gateway", CALLING_BACK)
def test_a_waiting_run_is_woken_and_hardly_polls(
    gateways: Sandbox, archive: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """SEEDREAM_POLLING=off: nobody is asked before the callbacks come, then each task once; the run is complete."""
    monkeypatch.setenv("SEEDREAM_POLLING", "off")
    gateways.faults([QUIET, {"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    catalog = products(archive.with_name("c.csv"), 5)
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(run, catalog, archive, gateways=[gateway], wait_s=WITHIN_S)
        until(lambda: gateways.bill()["accepted"] == 5, "five tasks at the gateway")
        asked = polls(gateways)  # apiin's account is checked by asking for a task that is made up
        assert asked <= 1
        gateways.advance(3600)
        with serve:
            for entry in gateways.bill()["entries"]:
                assert serve.deliver(gateways, entry).status_code == 200
            ran = running.result(WITHIN_S)
    assert ran.statuses() == {"archived": 5}
    assert polls(gateways) == asked + 5 + 5  # five of them are the test's own, for the bodies
    assert ran.summary.billed_usd == Decimal(gateways.bill()["usd"])


def test_a_callback_that_came_before_the_wait_began_is_not_missed(
    gateways: Sandbox, archive: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that adopts a task which was called back while nobody waited looks at once, though it does not poll."""
    gateways.faults([QUIET, {"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    catalog = products(archive.with_name("c.csv"), 2)
    run(catalog, archive, gateways=["evolink"], wait_s=0.2)
    gateways.advance(3600)
    with serve:
        for entry in gateways.bill()["entries"]:
            serve.deliver(gateways, entry)
    monkeypatch.setenv("SEEDREAM_POLLING", "off")
    assert run(catalog, archive, gateways=["evolink"], wait_s=WITHIN_S).statuses() == {"archived": 2}


def test_a_hint_that_comes_too_early_is_followed_by_the_next_one(
    gateways: Sandbox, archive: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged call while the task is running costs one look; the true one ends the wait."""
    monkeypatch.setenv("SEEDREAM_POLLING", "off")
    gateways.faults([QUIET, {"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    catalog = products(archive.with_name("c.csv"), 1)
    with ThreadPoolExecutor(1) as beside, serve:
        running = beside.submit(run, catalog, archive, gateways=["evolink"], wait_s=WITHIN_S)
        until(lambda: gateways.bill()["accepted"] == 1, "a task at the gateway")
        (entry,) = gateways.bill()["entries"]
        serve.post(token_of(entry), b'{"status": "completed", "id": "task-unified-1-forged"}')
        until(lambda: polls(gateways) == 1, "the hint is followed")
        assert not running.done()
        gateways.advance(3600)
        serve.deliver(gateways, entry)
        assert running.result(WITHIN_S).statuses() == {"archived": 1}
    assert polls(gateways) == 3  # the hint's, the test's own, the last


@pytest.mark.parametrize("kind", [None, "duplicate_callback", "forged_callback", "late_callback"])
def test_the_sandboxs_own_callbacks_end_a_run_that_does_not_poll(
    gateways: Sandbox, archive: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    """From the gateway's own POST to the archived image, with its calls doubled, forged or late."""
    monkeypatch.setenv("SEEDREAM_POLLING", "off")
    fault = [] if kind is None else [{"gateway": "*", "kind": kind, "rate": 1}]
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 600}, *fault])
    with ThreadPoolExecutor(1) as beside, serve:
        # An address of this machine is refused unless it is allowed by name; the sandbox is told to call it, too.
        monkeypatch.setenv("SEEDREAM_CALLBACK_URL", serve.url)
        monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", "127.0.0.1")
        running = beside.submit(
            run, products(archive.with_name("c.csv"), 3), archive, gateways=["evolink"], wait_s=WITHIN_S
        )
        until(lambda: gateways.bill()["accepted"] == 3, "three tasks at the gateway")
        gateways.advance(600)
        if kind == "late_callback":
            assert not running.done()
            gateways.advance(60)
        ran = running.result(WITHIN_S)
    assert ran.statuses() == {"archived": 3}
    assert ran.summary.billed_usd == Decimal(gateways.bill()["usd"])
    assert 3 <= polls(gateways) <= 9


def test_a_callback_makes_its_attempt_due_for_the_next_pass(gateways: Sandbox, archive: Path, serve: Serve) -> None:
    """collect asks old attempts rarely; one whose gateway has called is asked at the next occasion."""
    gateways.faults([QUIET, {"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    run(products(archive.with_name("c.csv"), 2), archive, gateways=["evolink"], wait_s=0.2)
    day = 86_400_000_000
    ledger(archive, "UPDATE attempts SET intent_at = intent_at - ?, submitted_at = submitted_at - ?", day, day)
    assert collected(archive).polled == 2
    gateways.advance(3600)
    with serve:
        serve.deliver(gateways, gateways.bill()["entries"][0])
    done = collected(archive)
    assert (done.polled, done.archived, done.still_in_flight) == (1, 1, 1)
