"""Answers that nobody can read, in whole runs: kept with their attempts, said once, shown, and offered to who settles them."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from balance import listed
from click.testing import CliRunner
from odd_gateway import PRICE, OddGateway, image
from runs import Ran, collected, products, read, run

from seedream_tasks.cli.attempts import attempts as attempts_command
from seedream_tasks.cli.resolve import resolve as resolve_command
from seedream_tasks.core.errors import InputError
from seedream_tasks.gateways import client as client_module


@pytest.fixture(autouse=True)
def _asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a task is known is asked again without a pause."""
    monkeypatch.setattr(client_module, "KNOWN_AFTER_S", (0.0,))


def go(tmp_path: Path, rows: int = 1, **options: Any) -> Ran:
    """A run for a few products."""
    return run(products(tmp_path / "c.csv", rows), tmp_path / "a", **{"wait_s": 1.0, **options})


def called(archive: Path, *arguments: str) -> str:
    """`seedream resolve`, without questions: what it says. Raises what it raises."""
    done = CliRunner().invoke(
        resolve_command, [*arguments, "--archive", str(archive), "--yes"], standalone_mode=False, catch_exceptions=False
    )
    return done.output


def shown(archive: Path) -> str:
    """What `seedream attempts` prints."""
    done = CliRunner().invoke(
        attempts_command, ["--archive", str(archive)], standalone_mode=False, catch_exceptions=False
    )
    return done.output


def older(archive: Path, days: float) -> None:
    """As if everything had been submitted that much earlier, and were due."""
    past = int(days * 86_400 * 1_000_000)
    with sqlite3.connect(archive / "ledger.db") as ledger:
        ledger.execute(
            "UPDATE attempts SET submitted_at = submitted_at - ?, intent_at = intent_at - ?, next_look_at = NULL",
            (past, past),
        )
        ledger.execute("UPDATE events SET at = at - ?", (past,))


# Of a submit


def test_an_acceptance_that_is_cut_short_is_kept_and_resolve_offers_its_id(odd: OddGateway, tmp_path: Path) -> None:
    """The words and the id stand with the unknown attempt; said paid, without a word more, it is followed and archived."""
    odd.accepting = lambda number, body: (200, json.dumps(body)[:40])
    ran = go(tmp_path)
    archive = tmp_path / "a"
    assert ran.statuses() == {"unknown": 1}
    (attempt,) = listed(archive)
    ((kept),) = attempt["unread"]
    assert (kept["to"], kept["ids"], kept["times"]) == ("submit", ["task-1"], 1)
    assert kept["text"].startswith('{"id": "task-1"')
    assert "ids in it: task-1" in shown(archive)
    assert "--task-id task-1" in called(archive, attempt["attempt_id"], "--as", "paid")
    assert collected(archive).archived == 1
    (record,) = read(archive, ran.run_id)
    assert (record["status"], record["task_id"], record["billed_usd"]) == ("archived", "task-1", PRICE)
    assert odd.accepted == 1


def test_a_task_beside_an_odd_code_is_bought_once_and_archived(odd: OddGateway, tmp_path: Path) -> None:
    """`code: 202` and `code: 500` with a task that the gateway knows: both are acceptances, nothing is unknown."""
    odd.accepting = lambda number, body: (200, {"code": 202 if number % 2 else 500, "data": {"task_id": body["id"]}})
    ran = go(tmp_path, rows=4)
    assert ran.statuses() == {"archived": 4}
    assert odd.accepted == 4
    assert ran.summary.billed_usd == 4 * PRICE


@pytest.mark.parametrize("cut", [("id",), ("id", "usage"), ("status", "id")])
def test_getimgs_images_are_archived_without_an_id(
    odd: OddGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: tuple[str, ...]
) -> None:
    """Several that have none are not taken for one: each is billed and archived."""
    monkeypatch.setenv("SEEDREAM_GETIMG_API_KEY", "key-of-getimg")
    monkeypatch.setenv("SEEDREAM_GETIMG_BASE_URL", odd.base)
    odd.accepting = lambda number, body: (200, {name: value for name, value in body.items() if name not in cut})
    ran = go(tmp_path, rows=3, gateways=["getimg"])
    assert ran.statuses() == {"archived": 3}
    assert ran.summary.billed_usd == Decimal("0.12")
    assert {record["task_id"] for record in ran.records} == {None}
    assert odd.accepted == 3


# A person's word


@pytest.mark.parametrize("task_id", ["../../etc", "task\nbreak", "a b", "..", "x" * 201, "a?b=c", "", "é"])
def test_a_task_id_has_a_form(odd: OddGateway, tmp_path: Path, task_id: str) -> None:
    """What could not be one is refused, checked or not, and nothing changes."""
    odd.accepting = lambda number, body: (200, "<html>")
    go(tmp_path)
    (attempt,) = listed(tmp_path / "a")
    for more in ([], ["--unchecked"]):
        with pytest.raises(InputError, match="form of a task id"):
            called(tmp_path / "a", attempt["attempt_id"], "--as", "paid", "--task-id", task_id, *more)
    assert listed(tmp_path / "a") == [attempt]


def test_a_task_that_the_gateway_does_not_know_is_refused(odd: OddGateway, tmp_path: Path) -> None:
    """Its amount stays at risk; `--unchecked` takes a person's word all the same."""
    odd.accepting = lambda number, body: (200, "<html>")
    go(tmp_path)
    (attempt,) = listed(tmp_path / "a")
    word = [attempt["attempt_id"], "--as", "paid", "--task-id", "made-up"]
    with pytest.raises(InputError, match="evolink does not know task made-up"):
        called(tmp_path / "a", *word)
    assert listed(tmp_path / "a") == [attempt]
    called(tmp_path / "a", *word, "--unchecked")
    assert listed(tmp_path / "a")[0]["state"] == "accepted"


def test_a_task_that_the_gateway_knows_is_recorded_with_what_it_says(odd: OddGateway, tmp_path: Path) -> None:
    """The answer is told and kept in the ledger's events."""
    odd.accepting = lambda number, body: (200, "<html>")
    go(tmp_path)
    (attempt,) = listed(tmp_path / "a")
    said = called(tmp_path / "a", attempt["attempt_id"], "--as", "paid", "--task-id", "task-1")
    assert "evolink knows task task-1: finished" in said
    with sqlite3.connect(tmp_path / "a" / "ledger.db") as ledger:
        ((detail,),) = ledger.execute("SELECT detail FROM events WHERE kind = 'resolved'").fetchall()
    assert "evolink knows task task-1: finished" in detail


def test_without_the_key_nobody_can_confirm_it(
    odd: OddGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which key is needed, and refuses unless it is told to do without."""
    odd.accepting = lambda number, body: (200, "<html>")
    go(tmp_path)
    (attempt,) = listed(tmp_path / "a")
    monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "another-key")
    word = [attempt["attempt_id"], "--as", "paid", "--task-id", "task-1"]
    with pytest.raises(InputError, match="is not configured") as refused:
        called(tmp_path / "a", *word)
    assert attempt["account"] in refused.value.message
    called(tmp_path / "a", *word, "--unchecked")
    assert listed(tmp_path / "a")[0]["task_id"] == "task-1"


def test_a_gateway_that_does_not_answer_confirms_nothing(odd: OddGateway, tmp_path: Path) -> None:
    """A fault is no proof either way."""
    odd.accepting = lambda number, body: (200, "<html>")
    odd.telling = lambda number, body: (500, "oops")
    go(tmp_path)
    (attempt,) = listed(tmp_path / "a")
    with pytest.raises(InputError, match="does not confirm"):
        called(tmp_path / "a", attempt["attempt_id"], "--as", "paid", "--task-id", "task-1")


# Of a status request


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "Zustand 7"}, "Zustand 7"),
        ({"results": None}, "completed"),
        ({"results": {"picture": {"where": 7}}}, "where"),
    ],
)
def test_a_status_that_nobody_can_read_is_said_once_shown_and_kept(
    odd: OddGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], words: str
) -> None:
    """In flight, but not "still running": the words are in the log once, with the attempts, and with what the run says."""
    odd.telling = lambda number, body: (200, {**body, **change})
    ran = go(tmp_path, rows=3)
    assert ran.statuses() == {"in_flight": 3}
    warned = [each for each in caplog.records if "an unreadable status" in each.getMessage()]
    assert len(warned) == 1
    assert words in warned[0].getMessage()
    for attempt in listed(tmp_path / "a"):
        (kept,) = attempt["unread"]
        assert kept["to"] == "status"
        assert words in kept["text"]
    assert words in shown(tmp_path / "a")
    odd.telling = lambda number, body: (200, body)
    assert go(tmp_path, rows=3).statuses() == {"archived": 3}
    assert all(attempt["unread"] == [] for attempt in listed(tmp_path / "a"))
    assert odd.accepted == 3


def test_seven_days_of_answers_that_nobody_can_read_end_it(odd: OddGateway, tmp_path: Path) -> None:
    """It is given up like a task that runs for ever, in those words, its amount at risk."""
    odd.telling = lambda number, body: (200, {**body, "status": "Zustand 7"})
    ran = go(tmp_path)
    archive = tmp_path / "a"
    for _ in range(6):
        assert collected(archive).still_in_flight == 1
        older(archive, 1)
    older(archive, 1)
    assert collected(archive).still_in_flight == 0
    (record,) = read(archive, ran.run_id)
    assert (record["status"], record["at_risk_usd"]) == ("lost", PRICE)
    assert "the status 'Zustand 7' is not known after 7 days" in record["error_message"]


def test_a_gateway_that_refuses_to_answer_for_days_ends_nothing(odd: OddGateway, tmp_path: Path) -> None:
    """401, 403 and 5xx say nothing of the task, however long they last."""
    odd.telling = lambda number, body: (503, {"error": {"code": 503, "message": "later"}})
    go(tmp_path)
    older(tmp_path / "a", 30)
    assert collected(tmp_path / "a").still_in_flight == 1


@pytest.mark.parametrize(
    "said",
    [
        {"error": "upstream said no"},
        {"error": {"message": "upstream said no"}},
        {"fail_reason": "upstream said no"},
    ],
)
def test_a_failed_tasks_words_stand_in_the_record(odd: OddGateway, tmp_path: Path, said: dict[str, Any]) -> None:
    """Without a code too: the status word stands for it."""
    odd.telling = lambda number, body: (200, {"id": body["id"], "status": "failed", **said})
    record = go(tmp_path).one("p0")
    assert (record["status"], record["error_code"], record["error_message"]) == ("failed", "failed", "upstream said no")
    assert record["at_risk_usd"] == 0


def test_a_task_called_expired_stays_at_risk(odd: OddGateway, tmp_path: Path) -> None:
    """The word may mean that it was made and charged: nothing is bought elsewhere, nothing is called free."""
    odd.telling = lambda number, body: (200, {"id": body["id"], "object": "task", "status": "expired"})
    record = go(tmp_path).one("p0")
    assert (record["status"], record["at_risk_usd"], record["billed_usd"]) == ("failed", PRICE, 0)
    odd.giving = lambda number, times: (200, image(number))
    assert go(tmp_path).statuses() == {"failed": 1}
    assert odd.accepted == 1
