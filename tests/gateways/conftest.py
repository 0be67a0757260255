"""Gateways are spoken to over real connections: the sandbox, or a small server that misbehaves as told."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The client alone keeps no books: there is no ledger to compare a bill with."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.outside_the_law("a client without a ledger"))
