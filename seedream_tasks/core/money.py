"""Money: US dollars and credits as `Decimal` with six places, rounded half-even once per settled attempt."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

SIX_PLACES = Decimal("0.000001")
ZERO = Decimal("0.000000")
# More than the manifest's decimal128(14,6) holds, and far above any bill.
MOST = Decimal(100_000_000)


def money(value: Decimal | int | str) -> Decimal:
    """Round to six places. Raises ValueError for what is no finite number; floats are refused by type."""
    try:
        amount = Decimal(value)
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"not an amount of money: {value!r}") from error
    if not amount.is_finite() or abs(amount) >= MOST:
        raise ValueError(f"not an amount below {MOST:,}: {value!r}")
    return amount.quantize(SIX_PLACES, rounding=ROUND_HALF_EVEN)


def reported(value: Any) -> Decimal | None:
    """An amount as a gateway's JSON states it (number or decimal string), exactly as written; None when it states none."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        # repr of a JSON float is the shortest text that reads back to it, which is what the gateway wrote.
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
