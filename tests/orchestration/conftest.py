"""One Prefect server for the flow tests; starting it takes seconds, so it is shared."""

from collections.abc import Iterator

import pytest
from prefect.testing.utilities import prefect_test_harness
from sandbox_process import Sandbox


@pytest.fixture(scope="session", autouse=True)
def _prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=60):
        yield


@pytest.fixture
def sandbox(_fast_sandbox: Sandbox) -> Sandbox:
    """The gateways, with nothing in the environment: only blocks know them."""
    _fast_sandbox.reset()
    return _fast_sandbox
