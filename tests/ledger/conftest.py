"""A ledger for every test of this folder: on SQLite, and on PostgreSQL too where the two can differ (`ledger_book.on_both`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_book import Book


@pytest.fixture
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    """A new ledger, opened: on each database where the test asks for `ledger_url`, by itself or by `on_both`."""
    both = "ledger_url" in request.fixturenames
    url = request.getfixturevalue("ledger_url") if both else f"sqlite:///{tmp_path / 'ledger' / 'ledger.db'}"
    with Book(url) as opened:
        yield opened
