"""The sandbox's own price list: what it charges per image, in every tier.

It is a list of its own, not the plugin's, also for what has no public price. Each stand-in states its part.
"""

from dataclasses import dataclass
from decimal import Decimal

from seedream_tasks.sandbox.stand_ins import stand_ins


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What one image costs."""

    usd: Decimal
    """US dollars per image."""
    credits: Decimal | None
    """The gateway's own unit per image; None where it has none."""


def gateways() -> tuple[str, ...]:
    """The names of all stand-ins, in order."""
    return tuple(stand_ins())


def unit_price(gateway: str, model: str) -> UnitPrice:
    """The price of one image of `model` at `gateway`."""
    return stand_ins()[gateway].prices[model]


def money(amount: Decimal) -> str:
    """A decimal string without exponent and without trailing zeros: `0.07`, `12`, `0`."""
    return format(amount.normalize(), "f")


def price_list() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    """gateway -> model -> tier -> `{usd, credits}`, amounts as decimal strings; the only tier is `*`, all."""
    return {
        gateway: {model: {"*": _row(price)} for model, price in kind.prices.items()}
        for gateway, kind in stand_ins().items()
    }


def price_list_yaml() -> str:
    """The price list as a price file (what `seedream run --prices` reads)."""
    lines = ["# What the sandbox charges per image, USD and credits, in every tier."]
    for gateway, models in price_list().items():
        lines.append(f"{gateway}:")
        for model, tiers in models.items():
            row = ", ".join(f"{unit}: {amount}" for unit, amount in tiers["*"].items())
            lines.append(f'  {model}: {{"*": {{{row}}}}}')
    return "\n".join(lines) + "\n"


def _row(price: UnitPrice) -> dict[str, str]:
    row = {"usd": money(price.usd)}
    if price.credits is not None:
        row["credits"] = money(price.credits)
    return row
