"""The gateways: a folder each here, and those that other packages bring (entry points `seedream_tasks.gateways`).

An entry point names a package that is laid out as the folders here are: `offers.OFFERS`, `dialect.DIALECT` and, for the
sandbox, `stand_in.STAND_IN`. What another package brings is loaded with the offers, once; its dialect when it is first spoken.

A package that cannot be loaded is logged as a warning, with its name and the cause, and is an error for a run that uses its
gateway (names it, or has its key configured). Other runs continue without it.
"""

import importlib
import logging
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from .. import gateways
from ..core.errors import ConfigurationError
from ..core.market import Market, Offers, market
from .dialect import Dialect

logger = logging.getLogger("seedream_tasks.gateways")

GROUP = "seedream_tasks.gateways"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = frozenset({"sandbox"})  # used by routes of the stand-ins' server


class _Broken(Exception):
    """Why a package's gateway cannot be used."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A gateway's package."""

    gateway: str
    package: str  # import name


def load_market() -> Market:
    """The offers of every gateway: this package's by their order, then those of others by name."""
    own: list[Offers] = sorted(map(_offers, _own()), key=lambda each: (each.order, each.gateway))
    others: list[Offers] = []
    broken: dict[str, str] = {}
    for name, points in sorted(_brought().items()):
        try:
            others.append(_offers(_one_of(name, points)))
        except Exception as error:  # noqa: BLE001 - a foreign package may raise anything when imported
            broken[name] = _why(name, _packages(points), error)
            logger.warning("%s", broken[name])
    return Market((*own, *others), broken)


@cache
def dialect(gateway: str) -> Dialect:
    """A gateway's dialect. Raises ConfigurationError for an unknown gateway, or one that cannot be loaded."""
    market().at(gateway)
    for own in _own():
        if own.gateway == gateway:
            return _dialect(own)
    points = _brought()[gateway]
    try:
        return _dialect(_one_of(gateway, points))
    except Exception as error:
        raise ConfigurationError(_why(gateway, _packages(points), error), field="gateway") from error


@cache
def _own() -> tuple[_Found, ...]:
    """A gateway is a folder beside this file."""
    return tuple(
        _Found(each.name, f"{gateways.__name__}.{each.name}")
        for each in pkgutil.iter_modules(gateways.__path__)
        if each.ispkg
    )


def _brought() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _packages(points: list[EntryPoint]) -> str:
    return " and ".join(sorted({point.dist.name if point.dist else point.module for point in points}))


def _one_of(name: str, points: list[EntryPoint]) -> _Found:
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise _Broken("a gateway's name is 1 to 40 of a-z, 0-9 and _, beginning with a letter, and not sandbox")
    if name in {each.gateway for each in _own()}:
        raise _Broken("seedream_tasks has a gateway of that name itself, which is the one that is used")
    if len({point.value for point in points}) > 1:
        raise _Broken("both bring one of that name: uninstall one of them")
    return _Found(name, points[0].module)


def _offers(found: _Found) -> Offers:
    offers = importlib.import_module(f"{found.package}.offers").OFFERS
    if not isinstance(offers, Offers):
        raise _Broken(f"OFFERS is {type(offers).__name__}, not seedream_tasks.core.market.Offers")
    priced = (*offers.prices, *offers.sandbox_prices)
    named = {offers.gateway, *(row.gateway for row in offers.capabilities), *(row.gateway for row in priced)}
    strangers = named - {found.gateway}
    if strangers:
        raise _Broken(f"its offers are of {', '.join(sorted(strangers))}")
    if not offers.capabilities:
        raise _Broken("it offers no model")
    return offers


def _dialect(found: _Found) -> Dialect:
    spoken: Dialect = importlib.import_module(f"{found.package}.dialect").DIALECT
    if spoken.name != found.gateway:
        raise _Broken(f"its dialect is called {spoken.name!r}")
    return spoken


def _why(gateway: str, packages: str, error: Exception) -> str:
    cause = str(error) if isinstance(error, _Broken) else f"{type(error).__name__}: {error}"
    return f"the gateway {gateway} of the package {packages} cannot be loaded: {cause}"
