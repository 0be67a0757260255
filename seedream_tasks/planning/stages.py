"""A run's progress before anything is bought: planning, forecast. Passed to the listeners in this process."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """What a run does now. `kind`: planning, invalid (a reason of records that cannot be bought), forecast, buying, writing."""

    kind: str
    text: str = ""
    done: int = 0  # rows, of planning


Listener = Callable[[Stage], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Subscribe to every stage; returns a function that unsubscribes. Listeners must be quick and must not raise."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def enter(kind: str, text: str = "", done: int = 0) -> None:
    """Announce a stage, or its progress."""
    for listener in list(_listeners):
        listener(Stage(kind, text, done))
