"""The writing thread: many records in one commit, each with its own result, on disk when the caller goes on."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ledger_book import ACCOUNT, RUN, Book, make_claim, make_job, on_both, taking
from sqlalchemy import Connection, text

from seedream_tasks.core.errors import AttemptMoved, LedgerFault, SlotsTaken
from seedream_tasks.core.states import AttemptState
from seedream_tasks.ledger import attempt_rows, transitions
from seedream_tasks.ledger.queries import list_attempts
from seedream_tasks.ledger.store import open_ledger


def in_one_batch(book: Book, *operations: Callable[[Connection], Any]) -> list[Any]:
    """Queue all operations while the writing thread is busy, so that the next commit takes them together."""

    async def queue_up() -> list[Any]:
        busy, go_on = threading.Event(), threading.Event()

        def hold(_: Connection) -> None:
            busy.set()
            assert go_on.wait(20)

        holding = asyncio.ensure_future(book.ledger.write(hold))
        await asyncio.to_thread(busy.wait, 20)
        waiting = [asyncio.ensure_future(book.ledger.write(each)) for each in operations]
        await asyncio.sleep(0)  # each of them has put its operation into the queue
        go_on.set()
        await holding
        return await asyncio.gather(*waiting, return_exceptions=True)

    with asyncio.Runner() as runner:
        return runner.run(queue_up())


def claiming(book: Book, name: str) -> Callable[[Connection], Any]:
    """A claim of its own job."""
    return taking(book.ledger.owner, make_claim(make_job(name)), f"attempt-{name}")


def claimed(book: Book) -> list[str]:
    """The attempts in the ledger."""
    return [row[0] for row in book.rows("attempts")["attempts"]]


@on_both
def test_records_that_wait_together_share_a_commit(book: Book) -> None:
    """What is queued while a commit is under way becomes one transaction, with one result for each."""
    seen: list[Connection] = []

    def numbered(number: int) -> Callable[[Connection], int]:
        def operation(connection: Connection) -> int:
            seen.append(connection)
            return number

        return operation

    assert in_one_batch(book, *map(numbered, range(20))) == list(range(20))
    assert len({id(each) for each in seen}) == 1


def test_those_whose_records_share_a_commit_are_woken_a_few_at_a_time(book: Book) -> None:
    """Whoever is woken does something; in between the event loop looks after everybody else."""
    woken: list[int] = []
    busy, go_on = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        busy.set()
        assert go_on.wait(20)

    async def wait_for(number: int) -> None:
        await book.ledger.write(lambda _: None)
        woken.append(number)

    async def work() -> list[int]:
        holding = asyncio.ensure_future(book.ledger.write(hold))
        await asyncio.to_thread(busy.wait, 20)
        waiting = asyncio.gather(*map(wait_for, range(100)))
        await asyncio.sleep(0)
        go_on.set()
        await holding
        by_turn = [len(woken)]
        while not waiting.done():
            await asyncio.sleep(0)  # one turn of the loop
            by_turn.append(len(woken))
        return by_turn

    by_turn = asyncio.run(work())
    assert woken == list(range(100))
    assert max(later - earlier for earlier, later in pairwise(by_turn)) <= 8


@on_both
def test_a_refusal_does_not_disturb_the_others(book: Book) -> None:
    """A LedgerRefusal in the middle of a batch reaches its caller alone; the records around it are written."""
    results = in_one_batch(
        book,
        claiming(book, "a"),
        claiming(book, "a2"),
        taking(book.ledger.owner, make_claim(make_job("a")), "attempt-late"),
        lambda connection: transitions.not_sent(connection, "no-such-attempt", None),
        claiming(book, "b"),
    )
    assert isinstance(results[2], SlotsTaken)
    assert isinstance(results[3], AttemptMoved)
    assert claimed(book) == ["attempt-a", "attempt-a2", "attempt-b"]


def broken(connection: Connection) -> None:
    """An operation that the database refuses."""
    connection.execute(text("INSERT INTO no_such_table VALUES (1)"))


def clashing(connection: Connection) -> None:
    """An operation that violates a constraint, after it has written something."""
    attempt_rows.note(connection, "half", "must not be kept")
    connection.execute(text("INSERT INTO meta (key, value) VALUES ('ledger_id', 'another')"))


def mistaken(connection: Connection) -> None:
    """An operation with a mistake of its own, after it has written something."""
    attempt_rows.note(connection, "half", "must not be kept")
    raise ZeroDivisionError


@on_both
@pytest.mark.parametrize(
    ("operation", "error"), [(broken, LedgerFault), (clashing, LedgerFault), (mistaken, ZeroDivisionError)]
)
def test_an_error_does_not_disturb_the_others(book: Book, operation: Any, error: type[Exception]) -> None:
    """The batch is rolled back and run one by one: the others are written once, of the failed one nothing is left."""
    results = in_one_batch(book, claiming(book, "a"), operation, claiming(book, "b"), claiming(book, "c"))
    assert [type(each) for each in results if isinstance(each, BaseException)] == [error]
    assert isinstance(results[1], error)
    assert claimed(book) == ["attempt-a", "attempt-b", "attempt-c"]
    assert book.rows("events")["events"] == []


def test_results_arrive_on_the_loop_that_asked(book: Book) -> None:
    """Several event loops share one ledger: each caller goes on in its own thread, with its own result."""

    def one_loop(number: int, answers: dict[int, list[tuple[str, int]]]) -> None:
        async def ask(each: int) -> tuple[str, int]:
            loop = asyncio.get_running_loop()
            lease = await book.ledger.write(claiming(book, f"{number}-{each}"))
            assert asyncio.get_running_loop() is loop
            return lease.attempt_id, threading.get_ident()

        async def ask_all() -> list[tuple[str, int]]:
            return await asyncio.gather(*(ask(each) for each in range(10)))

        answers[number] = asyncio.run(ask_all())
        assert {ident for _, ident in answers[number]} == {threading.get_ident()}

    answers: dict[int, list[tuple[str, int]]] = {}
    threads = [threading.Thread(target=one_loop, args=(number, answers)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, given in answers.items():
        assert [attempt_id for attempt_id, _ in given] == [f"attempt-{number}-{each}" for each in range(10)]
    assert len(answers) == 3
    assert len(claimed(book)) == 30


@on_both
def test_a_caller_that_is_cancelled_leaves_its_record(book: Book) -> None:
    """Cancelling the wait does not take the write back, and does not hold up those who wait beside it."""

    async def leave() -> Any:
        waiting = asyncio.ensure_future(book.ledger.write(claiming(book, "a")))
        await asyncio.sleep(0)
        waiting.cancel()
        return await book.ledger.write(claiming(book, "b"))

    assert asyncio.run(leave()).attempt_id == "attempt-b"
    assert claimed(book) == ["attempt-a", "attempt-b"]


def test_closing_writes_what_is_queued(ledger_url: str) -> None:
    """A ledger is closed only after everything that was handed to it is on disk."""
    book = Book(ledger_url)

    async def hand_over_and_close() -> list[Any]:
        waiting = [asyncio.ensure_future(book.ledger.write(claiming(book, str(each)))) for each in range(100)]
        await asyncio.sleep(0)
        await asyncio.to_thread(book.ledger.close)
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(hand_over_and_close())) == 100
    book.close()
    with Book(ledger_url, create=False) as again:
        assert len(claimed(again)) == 100


WRITER = """
import asyncio, sys
from ledger_book import make_claim, make_job, taking
from seedream_tasks.ledger import transitions
from seedream_tasks.ledger.store import open_ledger

async def buy(ledger, name):
    for number in range(100_000):
        attempt = f"{name}-{number}"
        await ledger.write(taking(ledger.owner, make_claim(make_job(attempt), capped=True), attempt))
        print("intent", attempt, flush=True)
        await ledger.write(lambda c: transitions.accepted(c, attempt, "task-" + attempt, None, None))
        print("accepted", attempt, flush=True)

async def main(url):
    ledger = open_ledger(url, create=False)
    await asyncio.gather(*(buy(ledger, f"buyer{number}") for number in range(6)))

asyncio.run(main(sys.argv[1]))
"""


@on_both
def test_what_was_written_survives_a_kill(book: Book) -> None:
    """Every record whose write had returned is there after SIGKILL, and the budget is still the sum of the attempts."""
    book.open_run(max_usd="1000000")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, book.url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
        env={**_environment(), "PYTHONPATH": _paths()},
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(100)]
    writer.kill()
    said += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    # A line that the kill cut off was not said.
    told = [line.split() for line in said if line.endswith("\n")]
    with Book(book.url, create=False) as again:
        found = {each.attempt_id: each for each, _, _ in again.read(lambda c: list(list_attempts(c)))}
        assert len(told) >= 100
        for what, attempt_id in told:
            assert attempt_id in found
            if what == "accepted":
                assert found[attempt_id].state is AttemptState.ACCEPTED
                assert found[attempt_id].task_id == f"task-{attempt_id}"
        held = sum(each.reserved_usd for each in found.values())
        assert again.money()[f"run:{RUN}"] == (held, 0)


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _paths() -> str:
    return os.pathsep.join(each for each in sys.path if each)


@on_both
def test_a_ledger_in_use_can_be_read_beside_it(book: Book) -> None:
    """Readers see committed rows while another ledger of the same URL writes."""
    other = open_ledger(book.url, create=False)
    try:
        attempt_id = book.claim(account=ACCOUNT)
        assert asyncio.run(other.read(lambda c: [each.attempt_id for each, _, _ in list_attempts(c)])) == [attempt_id]
    finally:
        other.close()


@on_both
def test_what_a_reader_gets_wrong_is_a_fault(book: Book) -> None:
    """A read that the database refuses is a LedgerFault, with or without an event loop."""
    with pytest.raises(LedgerFault):
        book.read(lambda connection: connection.execute(text("SELECT * FROM no_such_table")))
    with pytest.raises(LedgerFault):
        asyncio.run(book.ledger.read(lambda connection: connection.execute(text("SELECT * FROM no_such_table"))))
