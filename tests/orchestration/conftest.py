"""The flows' tests share one Prefect server."""

import pytest
from sandbox_process import Sandbox


@pytest.fixture(scope="session", autouse=True)
def _prefect(prefect_api: str) -> None:
    """Flows report to it."""


@pytest.fixture
def sandbox(_fast_sandbox: Sandbox) -> Sandbox:
    """The gateways, with nothing in the environment: only blocks know them."""
    _fast_sandbox.reset()
    return _fast_sandbox
