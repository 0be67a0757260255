"""Short waits, so that a suite of whole runs takes a minute or two. No rule depends on their length."""

import pytest


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are polled as soon as they can be done, and what does not answer is not waited for."""
    monkeypatch.setattr("seedream_tasks.engine.poller.LOOK_COST_S", 0.0002)
    monkeypatch.setattr("seedream_tasks.engine.poller.AFTER_FAULT_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.opening.PROBE_FOR_S", 0.4)
    monkeypatch.setattr("seedream_tasks.engine.engine._OTHERS_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.engine._CAP_CHECK_S", 0.1)
