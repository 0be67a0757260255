"""A server and a worker that the tests of this folder share: bringing them up takes a while."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from own_prefect import at_home
from prefect_place import Place
from sandbox_process import Sandbox


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The place's ledgers hold what earlier tests bought, the bill only what this one did; each compares its own run."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.outside_the_law("the place is shared"))


@pytest.fixture(scope="session")
def _place(_fast_sandbox: Sandbox, prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    environment = {}
    for name, base in _fast_sandbox.bases.items():
        environment[f"SEEDREAM_{name.upper()}_API_KEY"] = f"key-of-{name}"
        environment[f"SEEDREAM_{name.upper()}_BASE_URL"] = base
    made = Place(tmp_path_factory.mktemp("place"), environment)
    at_home(prefect_database, made.folder / "home/prefect")
    try:
        made.up()
        yield made
    finally:
        made.script("down")


@pytest.fixture
def place(_place: Place, gateways: Sandbox) -> Place:
    """The running place, its worker alive, with gateways as if just started."""
    return _place
