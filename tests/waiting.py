"""Waiting for what other processes do: until it is so, or a deadline that only a broken program reaches."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], what: str, within_s: float = 120.0) -> None:
    """Look again and again until the condition holds; fails when it does not in time."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {within_s:g} s"
        time.sleep(0.05)
