"""Every test of this folder holds on both databases."""

from collections.abc import Iterator

import pytest
from ledger_book import Book


@pytest.fixture
def book(ledger_url: str) -> Iterator[Book]:
    """A new ledger, opened."""
    with Book(ledger_url) as opened:
        yield opened
