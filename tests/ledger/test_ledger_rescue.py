"""Rescue files: an answer that the ledger refused is not lost, is taken in once, and counts only where this ledger wrote it."""

import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ledger_book import RUN, Book, attempt_in, make_job, on_both
from sqlalchemy import Connection, delete, update

from seedream_tasks.core.states import AttemptState, SlotState
from seedream_tasks.ledger.held_attempts import Rows, as_json, rows_of
from seedream_tasks.ledger.rescue import (
    Rescued,
    Rescuer,
    identity,
    private_folder,
    rescue,
    rescue_path,
    rescued,
)
from seedream_tasks.ledger.rescue_intake import take_in_rescued
from seedream_tasks.ledger.schema import TABLES, budgets, jobs, runs

OTHER_USER = 4711


@pytest.fixture(autouse=True)
def temporary(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The folder beside the ledger."""
    folder = tmp_path / "beside"
    folder.mkdir()
    return folder


def rescuer(book: Book, folder: Path) -> Rescuer:
    """Who writes the rescue files of this ledger."""
    return Rescuer(folder, *book.write(identity))


def take_in(book: Book, folder: Path) -> None:
    """What each start does."""
    take_in_rescued(book.ledger, folder)


def rows(book: Book, attempt_id: str) -> Rows:
    """All that makes an attempt."""
    (found,) = book.read(lambda connection: rows_of(connection, [attempt_id]))
    return found


def forget(book: Book, *attempt_ids: str, tables: tuple[str, ...] = ("attempts", "slots", "pictures")) -> None:
    """The ledger becomes one that never heard of these attempts."""

    def gone(connection: Connection) -> None:
        for table in tables:
            for attempt_id in attempt_ids:
                rows = TABLES.tables[table]
                connection.execute(delete(rows).where(rows.c.attempt_id == attempt_id))

    book.write(gone)


@on_both
def test_an_answer_becomes_a_record_once(book: Book, beside: Path) -> None:
    """Taken in at the next start: acceptances and synchronous answers with their cost; a second start changes nothing."""
    intent, overdue = book.claim(make_job("a")), attempt_in(book, AttemptState.UNKNOWN, make_job("b"))
    keeper = rescuer(book, beside)
    keeper.keep("r", Rescued(intent, "task-1", 3.0, "a-model"))
    keeper.keep("r", Rescued(overdue, "req-2", None, "a-model", ("https://a.example/1",), "0.04"))
    take_in(book, beside)
    before = book.rows()
    assert book.attempt(intent).state is AttemptState.ACCEPTED
    assert book.attempt(overdue).state is AttemptState.DELIVERED
    assert book.attempt(overdue).billed_usd == Decimal("0.04")
    assert [each.name for each in beside.iterdir()] == ["rescue-r.taken-in"]
    (beside / "rescue-r.taken-in").rename(beside / "rescue-r.jsonl")
    take_in(book, beside)
    assert book.rows() == before


@pytest.mark.parametrize("kept", [1, 20, 60])
def test_a_last_line_cut_off_by_a_crash_does_not_stop_those_before_it(book: Book, beside: Path, kept: int) -> None:
    """Half a line is no acceptance that anyone acted on; the lines before it count."""
    intent = book.claim(make_job("a"))
    keeper = rescuer(book, beside)
    line = keeper.signed(Rescued(intent, "task-1"))
    path = rescue_path(beside, "r")
    path.write_bytes(line + keeper.signed(Rescued("another", "task-2"))[:kept])
    take_in(book, beside)
    assert book.attempt(intent).task_id == "task-1"
    assert not path.exists()


def test_an_answer_after_a_cut_off_line_is_not_lost(book: Book, beside: Path) -> None:
    """A line that could not be written in full (the disk was full) does not swallow the acceptance that follows it."""
    intent = book.claim(make_job("a"))
    keeper, path = rescuer(book, beside), rescue_path(beside, "r")
    path.write_bytes(keeper.signed(Rescued("another", "task-1"))[:-10])
    keeper.keep("r", Rescued(intent, "task-2"))
    take_in(book, beside)
    assert book.attempt(intent).task_id == "task-2"


def test_an_answer_of_an_ended_attempt_does_not_stop_the_others(book: Book, beside: Path) -> None:
    """What has gone on meanwhile, or has ended, stays as it is, and the acceptances beside it are taken in."""
    done = attempt_in(book, AttemptState.ARCHIVED, make_job("a"))
    refused = attempt_in(book, AttemptState.FAILED, make_job("b"))
    intent = book.claim(make_job("c"))
    keeper = rescuer(book, beside)
    for attempt_id, task in ((done, str(book.attempt(done).task_id)), (refused, "task-1"), (intent, "task-2")):
        keeper.keep("r", Rescued(attempt_id, task))
    take_in(book, beside)
    assert [book.attempt(each).state for each in (done, refused, intent)] == ["archived", "failed", "accepted"]
    assert "task task-1" in str(book.rows("events")["events"])


@pytest.mark.parametrize("ledger", ["without the attempt", "without its run and job"])
@pytest.mark.parametrize("task", ["task-1", None])
def test_an_attempt_that_the_ledger_does_not_know_is_made_again(
    book: Book, beside: Path, ledger: str, task: str | None
) -> None:
    """A line holds all that makes its attempt: slots taken, money held, under the cap of its run, accepted or unknown."""
    book.open_run(max_usd="1")
    intent = book.claim(make_job("a", n=2), slots=(0, 1), capped=True)
    kept = Rescued(intent, task, rows=as_json(rows(book, intent)))
    before = book.rows("budgets", "jobs")
    rescuer(book, beside).keep(RUN, kept)
    forget(book, intent, tables=("attempts", "slots"))
    if ledger == "without its run and job":
        for table in (runs, jobs, budgets):
            book.write(lambda connection, table=table: connection.execute(delete(table)))  # type: ignore[misc]
    else:
        book.write(lambda connection: connection.execute(update(budgets).values(reserved_usd=0)))
    take_in(book, beside)
    found = book.attempt(intent)
    assert (found.state, found.task_id) == ((AttemptState.ACCEPTED, task) if task else (AttemptState.UNKNOWN, None))
    assert found.at_risk_usd == (0 if task else found.reserved_usd)
    assert [state[0] for state in book.slots(make_job("a", n=2)).values()] == [SlotState.TAKEN] * 2
    assert book.rows("budgets", "jobs") == before
    assert book.rows("runs")["runs"]


@on_both
def test_an_attempt_whose_slot_was_bought_meanwhile_comes_back_as_surplus(book: Book, beside: Path) -> None:
    """Both were paid for: the second keeps the place, the first is followed without one, and neither is lost."""
    book.open_run()
    first = book.claim(make_job("a"))
    kept = Rescued(first, "task-1", rows=as_json(rows(book, first)))
    forget(book, first)
    second = book.claim(make_job("a"))
    rescuer(book, beside).keep(RUN, kept)
    take_in(book, beside)
    assert book.attempt(first).surplus
    assert book.attempt(first).state is AttemptState.ACCEPTED
    assert book.slots(make_job("a"))[0][2] == second


def _broken(line: bytes) -> bytes:
    return line.replace(b"task-1", b"task-2")


def _unsigned(line: bytes) -> bytes:
    values = json.loads(line)
    del values["signature"]
    return json.dumps(values).encode() + b"\n"


NONSENSE: dict[str, Callable[[bytes], bytes]] = {
    "altered": _broken,
    "unsigned": _unsigned,
    "a number": lambda _: b"17\n",
    "a list": lambda _: b"[]\n",
    "an empty object": lambda _: b"{}\n",
    "no JSON": lambda _: b"\xff\xfe\x00 what is this\n",
    "brackets in brackets": lambda _: b"[" * 100_000 + b"\n",
    "a number of ten thousand digits": lambda _: b'{"signature": ' + b"9" * 10_000 + b"}\n",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_this_ledger_did_not_sign_is_set_aside(
    book: Book, beside: Path, temporary: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A forged, altered or damaged line in the user's own folder changes nothing, is warned about, and stops no start."""
    intent = book.claim(make_job("a"))
    line = rescuer(book, beside).signed(Rescued(intent, "task-1", links=("https://a.example/forged",)))
    path = rescue_path(private_folder(), "r")
    path.write_bytes(NONSENSE[what](line))
    with caplog.at_level(logging.WARNING):
        take_in(book, beside)
    assert book.attempt(intent).state is AttemptState.INTENT
    assert not path.exists()
    assert path.with_suffix(".set-aside").exists()
    assert str(path) in caplog.text


def test_another_ledgers_file_in_the_users_folder_stays(book: Book, beside: Path) -> None:
    """The folder holds the files of every ledger that the user has: each takes in its own."""
    path = rescue_path(private_folder(), "r")
    rescue(path, Rescuer(beside, "f" * 32, b"x" * 32).signed(Rescued("theirs", "task-1")))
    take_in(book, beside)
    assert path.exists()


def test_an_unsigned_line_counts_beside_the_ledger_alone(book: Book, beside: Path) -> None:
    """From before lines were signed: who can write there can write the ledger. What others may write counts nowhere."""
    intent, other = book.claim(make_job("a")), book.claim(make_job("b"))
    old = {"estimate_s": None, "model": None, "links": None, "usd": None}
    path = rescue_path(beside, "r")
    path.write_text(json.dumps({"attempt_id": intent, "task_id": "task-1", **old}) + "\n")
    open_to_all = rescue_path(beside, "s")
    open_to_all.write_text(json.dumps({"attempt_id": other, "task_id": "task-2", **old}) + "\n")
    open_to_all.chmod(0o666)
    take_in(book, beside)
    assert book.attempt(intent).task_id == "task-1"
    assert book.attempt(other).state is AttemptState.INTENT


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(b"mine\n")
    path.symlink_to(target)


def _hard_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(b"mine\n")
    path.hardlink_to(target)


TRAPS: dict[str, Callable[[Path], object]] = {
    "a FIFO": _fifo,
    "a symbolic link": _link,
    "a hard link": _hard_link,
    "a folder": lambda path: path.mkdir(),
    "a device": lambda path: os.mknod(path, 0o20644, os.makedev(1, 5)),  # /dev/zero
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("where", ["beside", "private"])
def test_only_a_file_is_read_or_added_to(book: Book, beside: Path, trap: str, where: str) -> None:
    """A FIFO, a link or a device under the name of a rescue file hangs no start, and nothing is written through it."""
    if trap == "a device" and os.geteuid():
        pytest.skip("only root makes devices")
    intent = book.claim(make_job("a"))
    folder = beside if where == "beside" else private_folder()
    path = rescue_path(folder, "r")
    TRAPS[trap](path)
    take_in(book, beside)
    assert book.attempt(intent).state is AttemptState.INTENT
    if path.exists():
        with pytest.raises(OSError, match=str(path)):
            rescue(path, b"{}\n")
    elsewhere = path.with_name("elsewhere")
    assert not elsewhere.exists() or elsewhere.read_bytes() == b"mine\n"


@pytest.mark.parametrize("squatter", ["another user's", "anybody's", "a link"])
def test_a_folder_that_somebody_else_made_is_neither_read_nor_written(
    book: Book, beside: Path, temporary: Path, squatter: str
) -> None:
    """Its lines do not count even when they are signed, and an answer goes to a new folder that nobody could guess."""
    if squatter == "another user's" and os.geteuid():
        pytest.skip("only root gives folders away")
    intent, other = book.claim(make_job("a")), book.claim(make_job("b"))
    keeper = rescuer(book, beside)
    taken = private_folder()
    rescue(rescue_path(taken, "forged"), keeper.signed(Rescued(other, "task-2")))
    if squatter == "another user's":
        os.chown(taken, OTHER_USER, OTHER_USER)
    elif squatter == "anybody's":
        taken.chmod(0o777)
    else:
        taken.rename(temporary / "target")
        taken.symlink_to(temporary / "target")
    keeper = Rescuer(temporary / "not" / "there", keeper.ledger_id, keeper.secret)
    kept = keeper.keep("r", Rescued(intent, "task-1"))
    assert str(taken) + "/" not in kept
    (made,) = temporary.glob(f"{taken.name}-*")
    assert made.stat().st_mode & 0o777 == 0o700
    take_in(book, beside)
    assert book.attempt(intent).task_id == "task-1"
    assert book.attempt(other).state is AttemptState.INTENT


def test_rescue_files_are_their_owners_alone(book: Book, beside: Path) -> None:
    """They hold prompts and task ids: folder 0700, file 0600."""
    keeper = rescuer(book, beside / "nowhere")
    keeper.keep("r", Rescued("attempt-1", "task-1"))
    path = rescue_path(private_folder(), "r")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_each_ledger_has_a_secret_of_its_own_and_keeps_it(book: Book) -> None:
    """Made when it is missing, as in a ledger from before there was one; the same ever after."""
    first: Any = book.write(identity)
    assert len(first[1]) == 32
    assert book.write(identity) == first


def test_nothing_is_added_to_a_file_that_is_being_taken_in(book: Book, beside: Path) -> None:
    """Who rescues an answer meanwhile waits, and finds that the name is free again: the line stands in a file of its own."""
    keeper = rescuer(book, beside)
    keeper.keep("r1", Rescued("a1", "t1"))
    late = threading.Thread(target=keeper.keep, args=("r1", Rescued("a2", "t2")))
    for found in rescued(beside, keeper.ledger_id, keeper.secret):
        late.start()
        assert [each.attempt_id for each in found.ours] == ["a1"]
        found.path.rename(found.path.with_suffix(".taken-in"))
    late.join(30)
    again = rescued(beside, keeper.ledger_id, keeper.secret)
    assert [[each.attempt_id for each in found.ours] for found in again] == [["a2"]]
