"""One sandbox for all tests of this folder, emptied before each; its clock is moved, never waited for."""

from collections.abc import Iterator

import pytest
from sandbox_process import Sandbox, start_sandbox

SECONDS = 10.0


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """Tasks take 10 s by its clock, images are small, callbacks may go to this machine."""
    with start_sandbox("--seconds", str(SECONDS), "--image-px", "96", "--allow-local-callbacks") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """The shared sandbox, as if just started."""
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture(scope="session")
def quick_sandbox() -> Iterator[Sandbox]:
    """Tasks are done at once, images have their real size, callbacks follow the documents."""
    with start_sandbox("--seconds", "0") as sandbox:
        yield sandbox
