"""Text and numbers from outside, made so that whatever stores them can: databases, Parquet, JSON, HTML, a terminal.

Gateways send half an emoji, NUL, numbers of a thousand digits. One such value may spoil its own record and nothing else, so it is
made storable where it enters, before anybody compares or keeps it.
"""

import json
import re
from math import isfinite
from typing import Any

MOST_WORD = 300  # a code, a model's name
MOST_TEXT = 2000  # a message
# A link, the longest text that anything is done with.
MOST_LINK = 16_384
# Python itself reads no more digits than about four thousand; a database's whole numbers end here.
_MOST_NUMBER = 2**63 - 1
_UNSTORABLE = re.compile("[\ud800-\udfff\0]")


def storable(text: str) -> str:
    """Half of a character pair and NUL, which no database or file takes, become U+FFFD."""
    return text if text.isascii() and "\0" not in text else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def short(text: str, most: int = MOST_TEXT) -> str:
    """Storable, and cut off where it is longer than anybody reads."""
    text = storable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def read_json(content: bytes) -> Any:
    """JSON from outside with every text in it storable; a number that nothing can store is null. Raises ValueError."""
    text = content.decode(json.detect_encoding(content), "replace").removeprefix("\ufeff")
    try:
        return _cleaned(_DECODER.decode(text))
    except RecursionError:
        raise ValueError("brackets in brackets, thousands deep") from None


def _whole(digits: str) -> int | None:
    if len(digits) > 20:
        return None
    number = int(digits)
    return number if abs(number) <= _MOST_NUMBER else None


def _fraction(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


# Not strict: a line break within a text is no reason to lose the answer that holds it.
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=lambda _: None, strict=False)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if isinstance(value, dict):
        return {storable(name): _cleaned(each) for name, each in value.items()}
    return value
