"""What a picture costs: price rows with source and date, quotes, reservations, and the settlement of an attempt.

Quotes use the row. Reservations use the highest price any source states, until the user's price file settles it. What no
source prices is not bought: `PriceBook.row` returns None for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from .capabilities import BY_OFFER, GATEWAYS, MODELS, SEEDREAM_40, SEEDREAM_45
from .errors import BadValue, InputError
from .money import MOST, ZERO, money, stated
from .sizes import TIERS
from .yaml_text import read_yaml

EVERY_TIER = "*"
# Far above any price, and so far below what an amount may be that no sum over a job reaches it.
MOST_PER_PICTURE = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The price of one picture."""

    gateway: str
    model: str
    tier: str  # 1K, 2K, 4K, or * for all
    usd: Decimal  # per picture
    credits: Decimal | None  # per picture, where the gateway counts in credits
    source: str
    as_of: date
    disputed_usd: Decimal | None = None  # the highest price another source states
    disputed_credits: Decimal | None = (
        None  # how many credits that is; None: as many as here, a credit's worth is disputed
    )
    note: str = ""

    @property
    def highest_usd(self) -> Decimal:
        """What a reservation must cover, per picture."""
        return max(self.usd, self.disputed_usd or ZERO)


_READ = date(2026, 11, 1)
_SANDBOX = "sandbox price list"

PRICES: tuple[PriceRow, ...] = (
    PriceRow(
        "evolink",
        SEEDREAM_45,
        EVERY_TIER,
        Decimal("0.031"),
        Decimal("2.25"),
        "EvoLink, Seedream 4.5 page: all sizes",
        _READ,
    ),
    PriceRow(
        "evolink",
        SEEDREAM_45,
        "4K",
        Decimal("0.031"),
        Decimal("2.25"),
        "EvoLink, Seedream 4.5 page: all sizes",
        _READ,
        disputed_usd=Decimal("0.035"),
        disputed_credits=Decimal("2.5"),
        note="The same page calls 4K 'higher cost' without a figure; $0.035 (2.5 credits) is the highest that copies of it state"
        " for any size. The credits that a finished task reports settle it.",
    ),
    PriceRow("getimg", SEEDREAM_45, "2K", Decimal("0.04"), None, "getimg.ai, Seedream 4.5 page", _READ),
    PriceRow("getimg", SEEDREAM_45, "4K", Decimal("0.04"), None, "getimg.ai, Seedream 4.5 page", _READ),
    PriceRow(
        "apiin",
        SEEDREAM_45,
        EVERY_TIER,
        Decimal("0.024"),
        Decimal("12"),
        "API in One, Seedream 4.5 page: 12 credits, ~$0.024",
        _READ,
        disputed_usd=Decimal("0.12"),
        note="The vendor's current site states about $0.12 for the same 12 credits.",
    ),
)

# What the sandbox charges where no gateway states a price. Only simulated runs may use these.
SANDBOX_PRICES: tuple[PriceRow, ...] = (
    PriceRow("evolink", SEEDREAM_40, EVERY_TIER, Decimal("0.0248"), Decimal("1.8"), _SANDBOX, _READ),
    PriceRow("gccai", SEEDREAM_45, EVERY_TIER, Decimal("0.035"), None, _SANDBOX, _READ),
)


class PriceBook:
    """The rows in force for one run: ours, the sandbox's for a simulated run, and the user's above both."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._rows = {(row.gateway, row.model, row.tier): row for row in rows}

    @classmethod
    def for_run(cls, simulated: bool, user_rows: Iterable[PriceRow] = ()) -> "PriceBook":
        """Rows for a real or a simulated run. A user's row replaces every row of ours that it covers."""
        rows = {(row.gateway, row.model, row.tier): row for row in (*PRICES, *(SANDBOX_PRICES if simulated else ()))}
        for row in user_rows:
            if row.tier == EVERY_TIER:
                rows = {key: kept for key, kept in rows.items() if key[:2] != (row.gateway, row.model)}
        rows.update({(row.gateway, row.model, row.tier): row for row in user_rows})
        return cls(rows.values())

    def __iter__(self) -> Any:
        return iter(self._rows.values())

    def row(self, gateway: str, model: str, tier: str | None) -> PriceRow | None:
        """The row for a picture; None when nothing prices it. Explicit pixels (tier None) take the dearest tier's row."""
        if tier is not None:
            return self._rows.get((gateway, model, tier)) or self._rows.get((gateway, model, EVERY_TIER))
        offered = [row for row in (self.row(gateway, model, each) for each in (*TIERS, EVERY_TIER)) if row]
        return max(offered, key=lambda row: (row.usd, row.highest_usd), default=None)


def read_price_file(text: str, as_of: date, what: str = "price file") -> list[PriceRow]:
    """Parse `evolink: {seedream-4.5: {2K: {usd: 0.031, credits: 2.25}}}`; `as_of` is the file's date. Raises InputError."""
    tree = read_yaml(text, what)
    if not isinstance(tree, dict):
        raise InputError(
            f"{what}: expected gateways at the top, as in `evolink: {{seedream-4.5: {{'*': {{usd: 0.031}}}}}}`"
        )
    rows = []
    for gateway, models in tree.items():
        if gateway not in GATEWAYS:
            raise InputError(f"{what}: unknown gateway {gateway!r}; known: {', '.join(GATEWAYS)}", field=str(gateway))
        for model, tiers in _children(models, what, gateway):
            if model not in MODELS:
                raise InputError(
                    f"{what}: unknown model {model!r}; known: {', '.join(MODELS)}", field=f"{gateway}.{model}"
                )
            for tier, price in _children(tiers, what, f"{gateway}.{model}"):
                field = f"{gateway}.{model}.{tier}"
                if tier not in (*TIERS, EVERY_TIER):
                    raise InputError(f"{what}: {field}: a tier is one of {', '.join(TIERS)} or *", field=field)
                row = _user_row(gateway, model, tier, dict(_children(price, what, field)), as_of, what, field)
                if (gateway, model) in BY_OFFER:  # a price for what nobody sells can be in a list, and is never used
                    rows.append(row)
    return rows


def _children(node: Any, what: str, field: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(node, dict):
        raise InputError(f"{what}: {field} must be a mapping, not {node!r}", field=field)
    return node.items()


def _user_row(
    gateway: str, model: str, tier: str, price: dict[str, Any], as_of: date, what: str, field: str
) -> PriceRow:
    unknown = sorted(set(price) - {"usd", "credits"})
    if unknown:
        raise InputError(f"{what}: {field}: unknown {', '.join(unknown)}; a price has usd and credits", field=field)
    if "usd" not in price:
        raise InputError(f"{what}: {field}: usd is missing", field=field)
    amounts = {}
    for name, value in price.items():
        try:
            amounts[name] = stated(value, MOST_PER_PICTURE, "a price per picture")
        except BadValue as error:
            raise InputError(f"{what}: {field}.{name}: {error}", field=f"{field}.{name}") from None
    if not amounts["usd"]:
        # What costs nothing is bought under any cap.
        raise InputError(f"{what}: {field}.usd: a price is above 0, not {price['usd']}", field=f"{field}.usd")
    return PriceRow(gateway, model, tier, amounts["usd"], amounts.get("credits"), what, as_of)


def credits_settle(gateway: str, model: str) -> bool:
    """Whether a charge in credits ends all doubt there: no source disputes what a credit costs."""
    disputed = [row for row in PRICES if (row.gateway, row.model) == (gateway, model) and row.disputed_usd]
    return all(row.disputed_credits for row in disputed)


@dataclass(frozen=True, slots=True)
class Quote:
    """The forecast of an attempt, and what must be reserved for it."""

    usd: Decimal
    reserved_usd: Decimal


def quote(row: PriceRow, pictures: int) -> Quote:
    """For an attempt over that many pictures."""
    return Quote(money(row.usd * pictures), money(row.highest_usd * pictures))


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
    pictures: int,
    reported_usd: Decimal | None = None,
    reported_credits: Decimal | None = None,
    unitless: Decimal | None = None,
    settled_by_credits: bool = False,
) -> Bill:
    """The bill of a finished attempt that made `pictures`: USD reported, else credits reported x row, else pictures x row.

    `row_usd`, `row_credits` and `highest_usd` are the price row's, per picture, as they stood when the attempt was reserved.
    `settled_by_credits`: see `credits_settle`.
    """
    if reported_usd is not None:
        return Bill(money(reported_usd), ZERO, _credits(reported_credits), "reported")
    if reported_credits is not None and row_credits and reported_credits * highest_usd < MOST * row_credits:
        # Credits first, division last: a rate rounded before would not add up to the gateway's own bill.
        billed = money(reported_credits * row_usd / row_credits)
        # Where sources dispute what a credit costs, the number of credits leaves that open.
        dearest = row_usd if settled_by_credits else highest_usd
        at_risk = money(reported_credits * dearest / row_credits) - billed
        return Bill(billed, at_risk, money(reported_credits), "reported")
    if pictures == 0:
        return Bill(ZERO, money(unitless or ZERO), _credits(reported_credits), "none")
    billed = money(row_usd * pictures)
    at_risk = max(money(highest_usd * pictures), money(unitless or ZERO)) - billed
    return Bill(billed, at_risk, money(row_credits * pictures) if row_credits else None, "computed")


def _credits(value: Decimal | None) -> Decimal | None:
    return None if value is None else money(value)
