"""The commands under test find one Prefect server that runs already: starting one for each would take most of the time."""

import pytest


@pytest.fixture(autouse=True)
def _prefect(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
