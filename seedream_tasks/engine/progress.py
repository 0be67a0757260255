"""Events of a run, passed to the listeners in this process as they happen."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from ..core.money import ZERO

logger = logging.getLogger("seedream_tasks.engine")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run. `kind`: archived, reused, failed, unknown, expired, lost, deferred, surplus, price_drift, out."""

    kind: str
    row_key: str
    shot: str
    text: str


Listener = Callable[["Progress", Event | None], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Subscribe to every event; returns a function that unsubscribes. Listeners must be quick and must not raise."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


@dataclass
class Progress:
    """Figures of a run in progress."""

    total: int = 0  # jobs
    done: int = 0
    images: int = 0
    billed_usd: Decimal = ZERO
    kinds: Counter[str] = field(default_factory=Counter)

    def tell(self, kind: str, row_key: str, shot: str, text: str) -> None:
        """Count an event and pass it on."""
        self.kinds[kind] += 1
        self._pass_on(Event(kind, row_key, shot, text))

    def job_done(self) -> None:
        """This run has finished one more job."""
        self.done += 1
        self._pass_on(None)

    def reached(self, share: float) -> None:
        """Other processes have finished this share of the jobs, 0 to 1."""
        self.done = max(self.done, round(self.total * share))
        self._pass_on(None)

    def _pass_on(self, event: Event | None) -> None:
        for listener in list(_listeners):
            listener(self, event)
