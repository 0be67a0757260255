"""External text and numbers, made storable anywhere: databases, Parquet, JSON, HTML, a terminal.

Gateways send half an emoji, NUL, numbers of a thousand digits. Such a value must not affect other records, so it is made
storable on entry, before it is compared or kept.
"""

import json
import re
from math import isfinite
from typing import Any

MOST_WORD = 300  # a code, a model's name
MOST_TEXT = 2000  # a message
# A link: the longest text that is used.
MOST_LINK = 16_384
# Python itself parses at most about four thousand digits; database integers end here.
_MOST_NUMBER = 2**63 - 1
_UNSTORABLE = re.compile("[\ud800-\udfff\0]")


def storable(text: str) -> str:
    """Replace lone surrogates and NUL, which databases and files reject, with U+FFFD."""
    return text if text.isascii() and "\0" not in text else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def short(text: str, most: int = MOST_TEXT) -> str:
    """Storable text, truncated to a readable length."""
    text = storable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def read_json(content: bytes) -> Any:
    """Parse external JSON with every text made storable; a number that cannot be stored becomes null. Raises ValueError."""
    text = content.decode(json.detect_encoding(content), "replace").removeprefix("\ufeff")
    try:
        return _cleaned(_DECODER.decode(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole(digits: str) -> int | None:
    if len(digits) > 20:
        return None
    number = int(digits)
    return number if abs(number) <= _MOST_NUMBER else None


def _fraction(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


# Not strict: a line break within a string must not lose the whole answer.
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=lambda _: None, strict=False)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if isinstance(value, dict):
        return {storable(name): _cleaned(each) for name, each in value.items()}
    return value
