"""What an image costs: price rows, quotes, reservations, and the settlement of an attempt.

Quotes use the row. Reservations use the highest price any source states, until the user's price file settles it.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from .money import MOST, ZERO, money

EVERY_TIER = "*"


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The price of one image."""

    gateway: str
    model: str
    tier: str  # 1K, 2K, 4K, or * for all
    usd: Decimal  # per image
    credits: Decimal | None  # per image, where the gateway counts in credits
    source: str
    as_of: date
    disputed_usd: Decimal | None = None  # the highest price another source states
    disputed_credits: Decimal | None = (
        None  # how many credits that is; None: as many as here, a credit's worth is disputed
    )
    note: str = ""

    @property
    def highest_usd(self) -> Decimal:
        """What a reservation must cover, per image."""
        return max(self.usd, self.disputed_usd or ZERO)


@dataclass(frozen=True, slots=True)
class Quote:
    """The forecast of an attempt, and what must be reserved for it."""

    usd: Decimal
    reserved_usd: Decimal


def quote(row: PriceRow, images: int) -> Quote:
    """For an attempt over that many images."""
    return Quote(money(row.usd * images), money(row.highest_usd * images))


@dataclass(frozen=True, slots=True)
class Bill:
    """What a settled attempt cost."""

    billed_usd: Decimal
    at_risk_usd: Decimal
    credits: Decimal | None
    basis: str  # "reported" by the gateway, "computed" from a price row, or "none" (nothing billed)


NOTHING_BILLED = Bill(ZERO, ZERO, None, "none")


def settle(
    row_usd: Decimal,
    row_credits: Decimal | None,
    highest_usd: Decimal,
    images: int,
    reported_usd: Decimal | None = None,
    reported_credits: Decimal | None = None,
    unitless: Decimal | None = None,
    settled_by_credits: bool = False,
) -> Bill:
    """The bill of a finished attempt that made `images`: USD reported, else credits reported x row, else images x row.

    `row_usd`, `row_credits` and `highest_usd` are the price row's, per image, as of the reservation.
    `settled_by_credits`: see `credits_settle`.
    """
    if reported_usd is not None:
        return Bill(money(reported_usd), ZERO, _credits(reported_credits), "reported")
    if reported_credits is not None and row_credits and reported_credits * highest_usd < MOST * row_credits:
        # Multiply first, divide last: a rounded rate would not add up to the gateway's own bill.
        billed = money(reported_credits * row_usd / row_credits)
        # Where sources dispute what a credit costs, the number of credits does not settle it.
        dearest = row_usd if settled_by_credits else highest_usd
        at_risk = money(reported_credits * dearest / row_credits) - billed
        return Bill(billed, at_risk, money(reported_credits), "reported")
    if images == 0:
        return Bill(ZERO, money(unitless or ZERO), _credits(reported_credits), "none")
    billed = money(row_usd * images)
    at_risk = max(money(highest_usd * images), money(unitless or ZERO)) - billed
    return Bill(billed, at_risk, money(row_credits * images) if row_credits else None, "computed")


def _credits(value: Decimal | None) -> Decimal | None:
    return None if value is None else money(value)
