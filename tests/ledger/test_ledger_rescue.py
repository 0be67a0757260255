"""Rescue files: an acceptance that the ledger refused is not lost, and is taken in once."""

import threading
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_book import Book, attempt_in, make_job

from seedream_tasks.core.states import AttemptState, SlotState
from seedream_tasks.ledger.rescue import Rescued, rescue, rescue_path, rescued, take_in


def test_rescued_answers_read_back(tmp_path: Path) -> None:
    """What is appended is read back as it was given, run by run, in the order of writing."""
    first = Rescued("attempt-1", "task-1", 12.5, "a-model", None)
    second = Rescued("attempt-2", "req-2", None, None, ("https://a.example/1", "https://a.example/2"), "0.04")
    third = Rescued("attempt-3", "task-é", None, None, None)
    rescue(rescue_path(tmp_path, "run-a"), first)
    rescue(rescue_path(tmp_path, "run-a"), second)
    rescue(rescue_path(tmp_path / "deeper", "run-b"), third)
    assert list(rescued(tmp_path)) == [(tmp_path / "rescue-run-a.jsonl", [first, second])]
    assert list(rescued(tmp_path / "deeper")) == [(tmp_path / "deeper" / "rescue-run-b.jsonl", [third])]


@pytest.mark.parametrize("kept", [1, 20, 60])
def test_a_last_line_cut_off_by_a_crash_is_left_out(tmp_path: Path, kept: int) -> None:
    """Half a line is no acceptance that anyone acted on; the lines before it count."""
    path = rescue_path(tmp_path, "run")
    whole = Rescued("attempt-1", "task-1", None, None, None)
    rescue(path, whole)
    length = path.stat().st_size
    rescue(path, Rescued("attempt-2", "task-2", None, None, None))
    path.write_bytes(path.read_bytes()[: length + kept])
    assert list(rescued(tmp_path)) == [(path, [whole])]


def test_an_answer_after_a_cut_off_line_is_not_lost(tmp_path: Path) -> None:
    """A line that could not be written in full (the disk was full) does not swallow the acceptance that follows it."""
    path = rescue_path(tmp_path, "run")
    rescue(path, Rescued("attempt-1", "task-1", None, None, None))
    path.write_bytes(path.read_bytes()[:-10])
    later = Rescued("attempt-2", "task-2", None, None, None)
    rescue(path, later)
    assert list(rescued(tmp_path)) == [(path, [later])]


def test_a_folder_without_rescue_files_gives_none(tmp_path: Path) -> None:
    """Neither an empty folder nor one that is not there is an error."""
    assert list(rescued(tmp_path)) == []
    assert list(rescued(tmp_path / "nowhere")) == []


def test_rescued_answers_become_records_once(book: Book) -> None:
    """Taken in at the next start: acceptances and synchronous answers with their cost; again changes nothing."""
    intent, overdue = book.claim(make_job("a")), attempt_in(book, AttemptState.UNKNOWN, make_job("b"))
    answers = [
        Rescued(intent, "task-1", 3.0, "a-model", None),
        Rescued(overdue, "req-2", None, "a-model", ("https://a.example/1",), "0.04"),
    ]
    book.write(lambda connection: take_in(connection, answers))
    before = book.rows()
    assert book.attempt(intent).state is AttemptState.ACCEPTED
    assert book.attempt(overdue).state is AttemptState.DELIVERED
    assert book.attempt(overdue).billed_usd == Decimal("0.04")
    book.write(lambda connection: take_in(connection, answers))
    assert book.rows() == before


def test_an_answer_that_is_long_known_does_not_stop_the_others(book: Book) -> None:
    """An acceptance whose attempt has gone on meanwhile changes nothing, and those after it are taken in."""
    done = attempt_in(book, AttemptState.ARCHIVED, make_job("a"))
    task = book.attempt(done).task_id
    intent = book.claim(make_job("b"))
    answers = [Rescued(done, str(task), None, None, None), Rescued(intent, "task-2", None, None, None)]
    book.write(lambda connection: take_in(connection, answers))
    assert book.attempt(done).state is AttemptState.ARCHIVED
    assert book.slots(make_job("a"))[0][0] is SlotState.FILLED
    assert book.attempt(intent).state is AttemptState.ACCEPTED


def test_an_answer_of_an_ended_attempt_does_not_stop_the_others(book: Book) -> None:
    """One answer that the ledger will not take must not keep the acceptances beside it out of the ledger."""
    refused = attempt_in(book, AttemptState.FAILED, make_job("a"))
    intent = book.claim(make_job("b"))
    answers = [Rescued(refused, "task-1", None, None, None), Rescued(intent, "task-2", None, None, None)]
    book.write(lambda connection: take_in(connection, answers))
    assert book.attempt(intent).state is AttemptState.ACCEPTED


def test_nothing_is_added_to_a_file_that_is_being_taken_in(tmp_path: Path) -> None:
    """Who rescues an acceptance meanwhile waits, and finds that the name is free again: the line stands in a file of its own."""
    path = rescue_path(tmp_path, "r1")
    rescue(path, Rescued("a1", "t1", None, None, None))
    late = threading.Thread(target=rescue, args=(path, Rescued("a2", "t2", None, None, None)))
    for taken, answers in rescued(tmp_path):
        late.start()
        assert [each.attempt_id for each in answers] == ["a1"]
        taken.rename(taken.with_suffix(".taken-in"))
    late.join(30)
    assert [[each.attempt_id for each in answers] for _, answers in rescued(tmp_path)] == [["a2"]]
