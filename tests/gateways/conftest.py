"""Gateways are spoken to over real connections: the sandbox, or a small server that misbehaves as told."""

import functools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The client alone keeps no books: there is no ledger to compare a bill with."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.outside_the_law("a client without a ledger"))


@pytest.fixture(scope="module", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """Every test makes clients of its own; reading the system's certificates for each is most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", functools.cache(httpx.create_ssl_context))
        yield
