"""Shares of an account's limits: whatever happens in whatever order, together they never exceed the limit."""

from collections.abc import Callable

import pytest
from ledger_book import ACCOUNT, Book, on_both
from sqlalchemy import Connection, create_engine, text, update

from seedream_tasks.ledger.rates import Asked, Key, Rate, RateShare, fair_part, give_back, lease
from seedream_tasks.ledger.schema import rate_leases
from seedream_tasks.ledger.urls import parse_url

PLACES: Key = (ACCOUNT, Rate.IN_FLIGHT)


def asking(holder: str, keep: int = 0, most: int = 10) -> Callable[[Connection], dict[Key, RateShare]]:
    """A renewal of one holder's share of the places, as an operation."""
    return lambda connection: lease(connection, holder, {PLACES: Asked(most, keep)})


def renewed(book: Book, holder: str, keep: int = 0, most: int = 10) -> tuple[int, int]:
    """The same, done; share and fair part."""
    got = book.write(asking(holder, keep, most))[PLACES]
    return got.share, got.fair


@on_both
def test_the_first_has_all_at_once_and_newcomers_get_what_is_given_back(book: Book) -> None:
    """One holder alone has the whole limit; a second gets nothing until the first has come down to its fair part."""
    assert renewed(book, "a") == (10, 10)
    assert renewed(book, "b") == (0, 5)
    assert renewed(book, "a", keep=10) == (10, 5)
    assert renewed(book, "a", keep=7) == (7, 5)
    assert renewed(book, "b") == (3, 5)
    assert renewed(book, "a", keep=5) == (5, 5)
    assert renewed(book, "b", keep=3) == (5, 5)
    book.write(lambda connection: give_back(connection, "a"))
    assert renewed(book, "b", keep=5) == (10, 10)


@on_both
def test_a_share_falls_back_when_its_lease_ends(book: Book) -> None:
    """By the database's clock; whoever comes back later than that begins anew, behind the others."""
    assert renewed(book, "a") == (10, 10)
    book.write(lambda connection: connection.execute(update(rate_leases).values(until=1)))
    assert renewed(book, "b") == (10, 10)
    assert renewed(book, "a", keep=10) == (0, 5)


@on_both
def test_rates_and_accounts_are_divided_each_for_itself(book: Book) -> None:
    """A holder of one takes nothing of another; giving one back keeps the rest."""
    other: Key = (ACCOUNT, Rate.POLLS)
    both = {PLACES: Asked(10, 0), other: Asked(4000, 0)}
    got = book.write(lambda connection: lease(connection, "a", both))
    assert (got[PLACES].share, got[other].share) == (10, 4000)
    assert renewed(book, "b", most=10) == (0, 5)
    book.write(lambda connection: give_back(connection, "a", [PLACES]))
    assert renewed(book, "b") == (10, 10)
    assert [row[1:4] for row in book.rows("rate_leases")["rate_leases"]] == [
        ("in_flight", "b", 10),
        ("polls", "a", 4000),
    ]


@on_both
def test_holders_that_were_told_different_limits_keep_to_the_smallest(book: Book) -> None:
    """Nobody starves because another process was configured with more."""
    assert renewed(book, "generous", most=100) == (100, 100)
    assert renewed(book, "careful", most=10) == (0, 5)
    assert renewed(book, "generous", keep=5, most=100) == (5, 5)
    assert renewed(book, "careful", most=10) == (5, 5)


@pytest.mark.parametrize("most", [1, 2, 7, 400])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_fair_parts_are_equal_and_add_up(most: int, count: int) -> None:
    """No unit is left over; nobody gets more than one above another; with more holders than units the first have them."""
    names = [f"holder {number}" for number in range(count)]
    parts = [fair_part(most, names, name) for name in names]
    assert sum(parts) == most
    assert max(parts) - min(parts) <= 1
    assert parts == sorted(parts, reverse=True)


def test_an_account_that_is_being_divided_is_left_out_not_waited_for(postgres_ledger: str) -> None:
    """On PostgreSQL nobody waits for the lock while holding others: two processes could wait for each other."""
    with Book(postgres_ledger) as book:
        engine = create_engine(parse_url(postgres_ledger))
        with engine.begin() as connection:
            assert lease(connection, "a", {PLACES: Asked(10, 0)})[PLACES].share == 10
            assert book.write(asking("b")) == {}
            assert book.write(lambda connection: connection.scalar(text("SELECT 1"))) == 1
        assert renewed(book, "b") == (0, 5)
        engine.dispose()
