"""Runs whose gateways are to call back, and the endpoint that takes the calls."""

from pathlib import Path

import pytest
from serving import Serve, prefect

__all__ = ["prefect"]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks are looked for often, and whoever may ask without one does so soon. No rule depends on how often."""
    monkeypatch.setattr("seedream_tasks.engine.callback_hints.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.poller.AFTER_FAULT_S", 0.05)
    for name in ("POLL_COST_S", "POLL_COST_CALLED_BACK_S"):
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
