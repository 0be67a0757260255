"""What is for sale, and where: the offers that gateways state in their own folders, or in packages of their own.

Core has the forms and the rules, and knows no gateway. Whoever loads the offers is named once, by the package's front door
(`provide`); they are loaded when they are first asked for, and once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from .capabilities import Capability
from .errors import ConfigurationError
from .outcomes import ErrorClass
from .pricing import PriceRow

# Of a shot that names none.
DEFAULT_MODEL = "seedream-4.5"


@dataclass(frozen=True, slots=True)
class Option:
    """One name that `gateway_options` may hold for a gateway."""

    check: Callable[[Any], Any]  # a value as it is written -> as it is kept; raises BadValue
    decides: bool = True  # False: it says how to ask, not what for, and never makes an image a different one
    default: Any = None  # what the gateway does without it: spelled out or not, it is the same image
    example: str = ""


@dataclass(frozen=True)
class Offers:
    """All that lists, prices and rules need to know of one gateway."""

    gateway: str  # as users write it: lower-case letters, digits and _
    title: str  # as people know it
    capabilities: tuple[Capability, ...]  # one a model
    prices: tuple[PriceRow, ...] = ()
    sandbox_prices: tuple[
        PriceRow, ...
    ] = ()  # what its stand-in charges for what no source prices; simulated runs only
    options: Mapping[str, Option] = field(default_factory=dict)
    error_codes: Mapping[str, ErrorClass] = field(default_factory=dict)  # codes and types that it documents
    longest_callback: int | None = None  # characters of a callback's address; None: not stated
    foreign_variables: tuple[str, ...] = ()  # how variables begin that hold its credentials for tools of its own
    order: int = 100  # where it stands in lists, among those that come with this package


@dataclass(frozen=True)
class Market:
    """The offers of all gateways, in the order in which they are listed."""

    offers: tuple[Offers, ...]
    broken: Mapping[str, str] = field(default_factory=dict)  # gateway -> why what provides it cannot be used

    @cached_property
    def gateways(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(each.gateway for each in self.offers)

    @cached_property
    def capabilities(self) -> tuple[Capability, ...]:
        """Every gateway's rows."""
        return tuple(row for each in self.offers for row in each.capabilities)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Every model that somebody sells."""
        return tuple(dict.fromkeys(row.model for row in self.capabilities))

    @cached_property
    def by_offer(self) -> dict[tuple[str, str], Capability]:
        """Gateway and model -> its row."""
        return {(row.gateway, row.model): row for row in self.capabilities}

    @cached_property
    def prices(self) -> tuple[PriceRow, ...]:
        """Every gateway's published prices."""
        return tuple(row for each in self.offers for row in each.prices)

    @cached_property
    def sandbox_prices(self) -> tuple[PriceRow, ...]:
        """What stand-ins charge for what no source prices."""
        return tuple(row for each in self.offers for row in each.sandbox_prices)

    @cached_property
    def error_codes(self) -> dict[str, ErrorClass]:
        """The codes that any gateway documents; where two disagree, the first in order. A gateway's own count first."""
        found: dict[str, ErrorClass] = {}
        for each in self.offers:
            for code, kind in each.error_codes.items():
                found.setdefault(code, kind)
        return found

    @cached_property
    def _by_name(self) -> dict[str, Offers]:
        return {each.gateway: each for each in self.offers}

    def at(self, gateway: str) -> Offers:
        """One gateway's offers. Raises ConfigurationError where there is none of that name, saying why."""
        found = self._by_name.get(gateway)
        if found is None:
            raise ConfigurationError(self.why_not(gateway), field="gateway")
        return found

    def why_not(self, gateway: object) -> str:
        """Why a name is no gateway that can be used."""
        if isinstance(gateway, str) and gateway in self.broken:
            return self.broken[gateway]
        return f"unknown gateway {gateway!r}; known: {', '.join(self.gateways)}"

    def rows_of(self, gateway: str) -> dict[str, Capability]:
        """A gateway's rows by model; none for a gateway that is not there."""
        found = self._by_name.get(gateway)
        return {row.model: row for row in found.capabilities} if found else {}

    def title(self, gateway: str) -> str:
        """A gateway's name as people know it."""
        found = self._by_name.get(gateway)
        return found.title if found else gateway

    def credits_settle(self, gateway: str, model: str) -> bool:
        """Whether a charge in credits ends all doubt there: no source disputes what a credit costs."""
        disputed = [row for row in self.prices if (row.gateway, row.model) == (gateway, model) and row.disputed_usd]
        return all(row.disputed_credits for row in disputed)


_providers: list[Callable[[], Market]] = []


def provide(load: Callable[[], Market]) -> None:
    """Say who loads the offers. Called by the package's front door when it is imported."""
    _providers[:] = [load]
    market.cache_clear()


@cache
def market() -> Market:
    """The offers of all gateways: those in this package, then those of other packages."""
    (load,) = _providers
    return load()
