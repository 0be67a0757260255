"""One headless Chromium for all tests of the page; without it they are skipped, which CI does not accept."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import PROGRAM, Page, browser
from sheets import MadeUp
from short_waits import short_waits

__all__ = ["short_waits"]


@pytest.fixture(scope="session")
def _tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium")
        pytest.skip("Chromium is not installed")
    with browser(tmp_path_factory.mktemp("downloads")) as page:
        yield page


@pytest.fixture
def page(_tab: Page) -> Iterator[Page]:
    """A tab that must not log a single error."""
    _tab.errors.clear()
    _tab.requests.clear()
    _tab.screen(1400, 1000)
    yield _tab
    assert _tab.errors == []


@pytest.fixture
def made_up(tmp_path: Path) -> Iterator[MadeUp]:
    """A run that a test makes up."""
    run = MadeUp(tmp_path)
    yield run
    run.ledger.close()
