"""Callbacks as the ledger keeps them: by the hash of their token, once for each task that they name, judged by whoever asked."""

from datetime import UTC, datetime, timedelta

import pytest
from ledger_book import Book, on_both

from seedream_tasks.ledger import callbacks, transitions

TOKEN, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def unknown(book: Book) -> str:
    """An attempt that is to be called back with TOKEN, and whose answer got lost."""
    book.open_run()
    attempt_id = book.claim(callback_sha256=TOKEN)
    book.unknown(attempt_id)
    return attempt_id


def received(book: Book, token: str = TOKEN, task_id: str = "task-1") -> bool:
    """Keep one."""
    return book.write(lambda connection: callbacks.received(connection, token, task_id))


def claimed(book: Book) -> list[tuple[str, str]]:
    """Attempt and task of every callback that nobody has judged."""
    return [(each.attempt.attempt_id, each.task_id) for each in book.read(callbacks.unjudged)]


def test_only_the_token_of_an_attempt_is_kept(book: Book, unknown: str) -> None:
    """A token that nobody was given leaves no trace."""
    assert not received(book, OTHER)
    assert received(book)
    assert [row[0] for row in book.rows("callbacks")["callbacks"]] == [TOKEN]


@on_both
def test_one_that_comes_again_is_kept_once_and_looked_at_again(book: Book, unknown: str) -> None:
    """Judged and refused, the same call may be true later: the gateway is asked once more, not once per call."""
    for _ in range(3):
        received(book)
    assert claimed(book) == [(unknown, "task-1")]
    (each,) = book.read(callbacks.unjudged)
    book.write(lambda connection: callbacks.judge(connection, each, callbacks.REFUSED))
    assert claimed(book) == []
    received(book)
    assert claimed(book) == [(unknown, "task-1")]


def test_each_task_that_a_call_names_is_judged_for_itself(book: Book, unknown: str) -> None:
    """A forged task with a good token does not hide the true one."""
    received(book, task_id="forged")
    received(book, task_id="")
    received(book, task_id="true")
    assert claimed(book) == [(unknown, "forged"), (unknown, "true")]
    forged, _ = book.read(callbacks.unjudged)
    book.write(lambda connection: callbacks.judge(connection, forged, callbacks.REFUSED))
    assert claimed(book) == [(unknown, "true")]


@pytest.mark.parametrize("end", ["not_sent", "lost"])
def test_what_was_given_up_can_still_be_found(book: Book, unknown: str, end: str) -> None:
    """A task id outweighs what was thought meanwhile."""
    getattr(book, end)(unknown)
    received(book)
    assert claimed(book) == [(unknown, "task-1")]


def test_an_attempt_with_a_task_needs_no_callback_to_find_it(book: Book, unknown: str) -> None:
    """Its calls are hints only."""
    book.accepted(unknown)
    received(book)
    assert claimed(book) == []
    assert book.read(lambda connection: callbacks.is_here(connection, TOKEN))
    assert not book.read(lambda connection: callbacks.is_here(connection, OTHER))


@on_both
def test_arrivals_are_told_since_a_time_and_make_their_attempt_due(book: Book, unknown: str) -> None:
    """By the database's clock, oldest first, the last call of each; what was to be asked later is due now."""
    book.accepted(unknown)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    book.write(lambda connection: transitions.poll_later(connection, unknown, tomorrow))
    received(book)
    ((attempt_id, first),) = book.read(lambda connection: callbacks.arrived_since(connection, 0))
    assert attempt_id == unknown
    received(book)
    ((_, last),) = book.read(lambda connection: callbacks.arrived_since(connection, first))
    assert last >= first
    assert book.read(lambda connection: callbacks.arrived_since(connection, last + 1)) == []
    assert book.attempt(unknown).next_look_at is None
