"""A failover whose new primary still answers as a read-only standby."""

import threading

import psycopg
from ledger_book import Book, make_job

from seedream_tasks.core.states import AttemptState


def _say(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def test_a_read_only_standby_is_waited_for_like_an_outage(postgres_ledger: str) -> None:
    """Nothing can be written for a while, and nothing fails: the record is made once the server takes it."""
    name = postgres_ledger.rpartition("/")[2]
    with Book(postgres_ledger) as book:
        attempt_id = book.claim(make_job("a"))
        _say(
            postgres_ledger,
            f"ALTER DATABASE {name} SET default_transaction_read_only = on",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        back = threading.Timer(
            1.0, _say, (postgres_ledger, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        )
        back.start()
        try:
            book.accepted(attempt_id)
        finally:
            back.join()
        assert book.attempt(attempt_id).state is AttemptState.ACCEPTED
