"""How typed cells become text: one table for every format, so that one catalog has one set of fingerprints.

Text is unchanged. Everything else becomes what Python, and pandas when writing CSV, write for it:

    missing (null, NaN)   empty text            float      shortest text that reads back (19.9, 10.0, 1e+20)
    whole number          its digits            decimal    its digits and point, no exponent
    true, false           True, False           date       2026-01-31
    list, object          JSON                  timestamp  2026-01-31 08:00:00, with +00:00 where it has a zone
    bytes                 UTF-8, else their hexadecimal digits (an id, a thumbnail)
"""

import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Rational, Real
from typing import Any

from .amounts import Numeral


def cell_text(value: Any) -> str:
    """One cell as text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else Numeral(float.__repr__(value))
    if isinstance(value, Real) and not isinstance(value, Rational):  # NumPy's float32 keeps its own shortest text
        return "" if value != value else Numeral(str(value))
    if isinstance(value, Decimal):
        return Numeral(f"{value:f}")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.hex()
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=cell_text)
    return str(value)
