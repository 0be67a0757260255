"""Runs whose gateways are to call back, and the endpoint that takes the calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_listener import PrefectListener
from serving import UPLOAD_SECRET, Serve


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks are looked for often, and whoever may ask without one does so soon. No rule depends on how often."""
    monkeypatch.setattr("seedream_tasks.engine.callback_hints.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.poller.AFTER_FAULT_S", 0.05)
    for name in ("LOOK_COST_S", "LOOK_COST_CALLED_BACK_S"):
        monkeypatch.setattr(f"seedream_tasks.engine.poller.{name}", 0.0002)


@pytest.fixture
def _called_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways are given a public address, as they demand; the tests bring their calls to the endpoint."""
    monkeypatch.setenv("SEEDREAM_CALLBACK_URL", "https://callbacks.example.com/seedream")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of this test."""
    return tmp_path / "a"


@pytest.fixture
def serve(archive: Path) -> Serve:
    """The endpoint of that archive's ledger, to be entered."""
    return Serve(archive)


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectListener]:
    """Where `serve` finds Prefect, and the secret that uploads need."""
    monkeypatch.setenv("SEEDREAM_UPLOAD_SECRET", UPLOAD_SECRET)
    with PrefectListener() as listener:
        monkeypatch.setenv("PREFECT_API_URL", listener.url)
        yield listener
