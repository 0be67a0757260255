"""Before the first intent: does each gateway still accept the key, and is the balance sufficient?"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.errors import GatewayFault
from ..core.money import dollars, plain
from ..core.outcomes import ErrorInfo, class_of_status
from ..gateways.dialect import Balance
from ..planning.forecast import Forecast, GatewayForecast
from .account_limiter import Lane

logger = logging.getLogger("seedream_tasks.engine")


@dataclass(frozen=True, slots=True)
class Funds:
    """A gateway account's balance, compared with what this run will cost there. Texts; None where not stated."""

    left: str | None
    short: str | None  # a warning with both figures


async def check_funds(lanes: Mapping[str, Lane], figures: Forecast, known: Mapping[str, Balance]) -> dict[str, Funds]:
    """Query every gateway that will be bought from, unless its balance is `known` from opening the run.

    A refused key takes its gateway out of the run; other problems are left to the first purchase.
    """
    wanted = {name: each for name, each in figures.by_gateway.items() if name in lanes and not lanes[name].out}
    answers = await asyncio.gather(*(_balance(lanes[name], known.get(name)) for name in wanted))
    found = {}
    for (name, forecast), balance in zip(wanted.items(), answers, strict=True):
        if balance is None:
            continue
        found[name] = _compared(name, forecast, balance)
        if found[name].short:
            logger.warning("%s", found[name].short)
    return found


async def _balance(lane: Lane, known: Balance | None) -> Balance | None:
    if known is not None:
        return known
    try:
        return (await lane.client.probe()).balance
    except GatewayFault as fault:
        status = fault.facts.get("status")
        if status in (401, 403):
            lane.refused_account(ErrorInfo("key_refused", fault.message, class_of_status(status)))
        return None


def _compared(name: str, forecast: GatewayForecast, balance: Balance) -> Funds:
    if balance.usd is not None:
        left, needed, is_short = dollars(balance.usd), dollars(forecast.usd), forecast.usd > balance.usd
    elif balance.credits is not None:
        left, needed = f"{plain(balance.credits)} credits", "unknown"
        is_short = forecast.credits is not None and forecast.credits > balance.credits
        if forecast.credits is not None:
            needed = f"{plain(forecast.credits)} credits"
    else:
        return Funds(None, None)
    return Funds(left, f"{name}: the forecast of {needed} is above its balance of {left}" if is_short else None)
