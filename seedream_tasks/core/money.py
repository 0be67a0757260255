"""Money: US dollars and credits as `Decimal` with six places, rounded half-even once per settled attempt."""

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from .errors import BadValue

SIX_PLACES = Decimal("0.000001")
ZERO = Decimal("0.000000")
# More than the manifest's decimal128(14,6) holds, and far above any bill.
MOST = Decimal(100_000_000)
_STATED = re.compile(r"(-?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_ACCEPTED = "digits with a decimal point and at most six places, such as 12.50"


def stated(value: Any, most: Decimal = MOST, unit: str = "an amount") -> Decimal:
    """An amount given by a person: a price, a cap, a fraction. At least zero, below `most`, and never rounded.

    Raises BadValue naming the value and what is accepted.
    """
    text = value.strip() if isinstance(value, str) else _digits(value)
    found = _STATED.fullmatch(text) if text is not None else None
    if found is None or len(found[2]) > 60:
        raise BadValue(f"{value!r} is not an amount: write {_ACCEPTED}")
    if found[1]:
        raise BadValue(f"{value} is below zero: write {_ACCEPTED}")
    written = Decimal(found[2])
    if written >= most:
        raise BadValue(f"{value} is too much: {unit} is below {most:,}")
    rounded = money(written)
    # Only a float, which has more digits than were written, is rounded, and never to zero.
    if rounded != written and (not isinstance(value, float) or not rounded):
        raise BadValue(f"{value} has more than six decimal places: write {_ACCEPTED}")
    return rounded


def _digits(value: Any) -> str | None:
    """A number's digits; None for anything else, including `true`, NaN and `1.0e3` in YAML."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, Decimal) and value.is_finite() and int(value.as_tuple().exponent) > 0:
        return None
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return f"{exact:f}" if exact.is_finite() and abs(exact.adjusted()) < 40 else None


def money(value: Decimal | int | str) -> Decimal:
    """Round to six places. Raises ValueError unless it is a finite number; the types exclude floats."""
    try:
        amount = Decimal(value)
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"not an amount of money: {value!r}") from error
    if not amount.is_finite() or abs(amount) >= MOST:
        raise ValueError(f"not an amount below {MOST:,}: {value!r}")
    return amount.quantize(SIX_PLACES, rounding=ROUND_HALF_EVEN)


def reported(value: Any) -> Decimal | None:
    """An amount as a gateway's JSON states it (number or decimal string), exactly as written; None when there is none."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        # repr of a JSON float is its shortest round-trip text, which is what the gateway wrote.
        amount = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MOST else None


def dollars(amount: Decimal) -> str:
    """For people: `$0.062`, at least two places, no trailing zeros beyond them."""
    whole, _, places = f"{abs(amount):f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{places.rstrip('0').ljust(2, '0')}"


def plain(amount: Decimal) -> str:
    """For JSON: a decimal string without exponent or needless zeros (`0.062`, `0`)."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
