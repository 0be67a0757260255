"""Standing caps: another zone never makes room, on either side of either midnight."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from ledger_book import Book, on_both

from seedream_tasks.core.errors import OverCap
from seedream_tasks.ledger import budgets

CAP = Decimal("0.05")
SPENT = Decimal("0.031")


def set_cap(book: Book, zone: str, now: datetime, usd: Decimal = CAP) -> None:
    """Set the cap over all gateways at a moment."""
    book.write(lambda connection: budgets.set_cap(connection, "all", usd, ZoneInfo(zone), now))


def spend(book: Book, now: datetime, usd: Decimal = SPENT) -> bool:
    """Reserve under the standing caps of a moment; False where it does not fit."""
    try:
        book.write(
            lambda connection: budgets.reserve(
                connection, budgets.budgets_for(connection, "run", False, "evolink", now), usd
            )
        )
    except OverCap:
        return False
    return True


def at(hour: int, minute: int = 0) -> datetime:
    """A moment of one day, UTC; from hour 24 on of the next."""
    return datetime(2026, 6, 10, tzinfo=UTC) + timedelta(hours=hour, minutes=minute)


ZONES = ["Pacific/Kiritimati", "Asia/Tokyo", "Europe/Berlin", "UTC", "America/Los_Angeles", "Etc/GMT+12"]


@pytest.mark.parametrize("other", ZONES)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 6, 11, 14, 21, 23])
def test_what_a_day_has_spent_counts_until_it_would_have_ended(book: Book, zone: str, other: str, hour: int) -> None:
    """Whatever zone the cap is set in meanwhile, and however close that zone's own midnight is."""
    now = at(hour, 30)
    set_cap(book, zone, now)
    assert spend(book, now)
    set_cap(book, other, now + timedelta(minutes=1))
    local = (now + timedelta(minutes=1)).astimezone(ZoneInfo(zone))
    ends = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    for moment in (now + timedelta(minutes=2), now + (ends - now) / 2, ends - timedelta(seconds=1)):
        assert not spend(book, moment)
    assert spend(book, ends + timedelta(days=2))


@on_both
def test_going_back_and_forth_counts_once(book: Book) -> None:
    """What was spent in the running day is not added up by each change, and is never forgotten."""
    set_cap(book, "UTC", at(12), Decimal("0.10"))
    assert spend(book, at(12))
    for hour in range(13, 18):
        set_cap(book, "Pacific/Kiritimati" if hour % 2 else "UTC", at(hour), Decimal("0.10"))
    assert spend(book, at(18))
    set_cap(book, "UTC", at(19), Decimal("0.10"))
    assert spend(book, at(19))
    assert not spend(book, at(19))


@on_both
def test_the_same_zone_again_keeps_the_day(book: Book) -> None:
    """Another amount holds at once; the next day begins at midnight."""
    set_cap(book, "Europe/Berlin", at(12))
    assert spend(book, at(12))
    set_cap(book, "Europe/Berlin", at(13), Decimal("0.07"))
    assert spend(book, at(13))
    assert not spend(book, at(21, 59))
    assert spend(book, at(22))
