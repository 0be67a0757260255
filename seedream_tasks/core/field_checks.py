"""Checks shared by shots and gateway options: a value as written -> as stored, or BadValue."""

import re
from collections.abc import Callable
from typing import Any

from .errors import BadValue
from .jobs import MOST_IMAGES


def one_of(*allowed: str) -> Callable[[Any], str]:
    """One of these words."""

    def check(value: Any) -> str:
        if value not in allowed:
            raise BadValue(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return check


def count(value: Any) -> int:
    """A number of images."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,3}(\.0+)?", str(value).strip()):
        raise BadValue(f"{value!r} is not a whole number")
    number = int(float(value))  # tables with empty cells store whole numbers as floats: 2.0
    if not 1 <= number <= MOST_IMAGES:
        raise BadValue(f"{number} is outside 1 to {MOST_IMAGES}")
    return number


def flag(value: Any) -> bool:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("true", "yes", "1"):
        return True
    if text in ("false", "no", "0"):
        return False
    raise BadValue(f"{value!r} is neither true nor false")
