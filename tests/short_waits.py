"""Short waits, so that a suite of whole runs takes a minute or two. No rule depends on their length."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from seedream_tasks.engine.archiver import Archiver


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are polled as soon as they can be done, and what does not answer is not waited for."""
    monkeypatch.setattr("seedream_tasks.engine.poller.POLL_COST_S", 0.0002)
    monkeypatch.setattr("seedream_tasks.engine.poller.AFTER_FAULT_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.opening.PROBE_FOR_S", 0.4)
    monkeypatch.setattr("seedream_tasks.engine.engine._OTHERS_S", 0.05)
    monkeypatch.setattr("seedream_tasks.engine.engine._CAP_CHECK_S", 0.1)


@contextmanager
def links_tried_for(seconds: float) -> Iterator[None]:
    """Try links that give nothing for so long only, and wait for all else as usual: a slow machine may take its time."""
    begin = Archiver.__init__

    def impatient(self: Archiver, *around: Any) -> None:
        links, ledger, archive, source, patience_s, *rest = around
        begin(self, links, ledger, archive, source, min(patience_s, seconds), *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Archiver, "__init__", impatient)
        yield
