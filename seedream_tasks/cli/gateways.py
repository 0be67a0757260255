"""`seedream gateways`: each gateway's capabilities and prices, each limit with its source."""

from dataclasses import fields
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import click

from ..config.environment import key_variable
from ..config.settings import configured, read_prices
from ..core.capabilities import Capability, Limit, ReferenceLimits
from ..core.errors import ConfigurationError
from ..core.market import market
from ..core.money import dollars, plain
from ..core.price_book import PriceBook
from ..core.pricing import PriceRow
from ..core.sizes import PixelRange
from . import options
from .terminal import print_json, say


@click.command()
@click.option(
    "--prices", metavar="FILE", help="Price file (YAML) above the built-in prices. Default: SEEDREAM_PRICES, else none."
)
@options.as_json
def gateways(prices: str | None, json_: bool) -> int:
    """Show capabilities and prices with their sources."""
    rows, _ = read_prices(prices)
    book = PriceBook.for_run(simulated=False, user_rows=rows)
    try:
        names = set(configured().names)
    except ConfigurationError:
        names = set()
    if json_:
        print_json(
            {
                "gateways": [
                    {
                        "gateway": row.gateway,
                        "configured": row.gateway in names,
                        "model": row.model,
                        "limits": _limits(row),
                        "prices": [
                            _price(each) for each in book if (each.gateway, each.model) == (row.gateway, row.model)
                        ],
                    }
                    for row in market().capabilities
                ]
            }
        )
        return 0
    for row in market().capabilities:
        state = "configured" if row.gateway in names else f"not configured ({key_variable(row.gateway)})"
        say(f"{row.gateway} {row.model}: {state}")
        for price in book:
            if (price.gateway, price.model) == (row.gateway, row.model):
                disputed = f", another source says {dollars(price.disputed_usd)}" if price.disputed_usd else ""
                say(
                    f"  price {price.tier:<14} {dollars(price.usd)} an image{disputed}  [{price.source}, {price.as_of}]"
                )
                if price.note:
                    say(f"    {price.note}")
        if not any((price.gateway, price.model) == (row.gateway, row.model) for price in book):
            say("  price                no source states one; nothing is bought without --prices")
        for name, limit in _limits(row).items():
            say(f"  {name:<20} {limit['value']}  [{limit['source']}]")
    return 0


def _limits(row: Capability) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for holder, prefix in ((row, ""), (row.references, "reference_")):
        for each in fields(holder):
            value = getattr(holder, each.name)
            if isinstance(value, Limit):
                found[f"{prefix}{each.name}"] = {"value": _shown(value.value), "source": value.source}
            elif isinstance(holder, ReferenceLimits) and each.name == "ways":
                found["reference_transports"] = {
                    "value": [way.value.value for way in value],
                    "source": "; ".join(f"{way.value.value}: {way.source}" for way in value),
                }
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_shown(each) for each in value]
    return str(value) if isinstance(value, PixelRange | Decimal | date) else value


def _price(row: PriceRow) -> dict[str, Any]:
    return {
        "tier": row.tier,
        "usd": plain(row.usd),
        "credits": None if row.credits is None else plain(row.credits),
        "disputed_usd": None if row.disputed_usd is None else plain(row.disputed_usd),
        "source": row.source,
        "as_of": row.as_of.isoformat(),
        "note": row.note,
    }
