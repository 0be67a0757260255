"""What is for sale, and where: the offers of all gateways, in their own folders or in separate packages.

Core has the types and rules, and knows no gateway. The package's `__init__` registers the loader once (`provide`); offers are
loaded once, on first use.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from .capabilities import Capability
from .errors import ConfigurationError
from .outcomes import ErrorClass
from .pricing import PriceRow

# The model of a shot that names none.
DEFAULT_MODEL = "seedream-4.5"


@dataclass(frozen=True, slots=True)
class Option:
    """One name that `gateway_options` may hold for a gateway."""

    check: Callable[[Any], Any]  # a value as written -> as stored; raises BadValue
    decides: bool = True  # False: it changes how the request is made, never the image
    default: Any = None  # the gateway's default: given or omitted, it is the same image
    example: str = ""


@dataclass(frozen=True)
class Offers:
    """Everything that lists, prices and rules need to know about one gateway."""

    gateway: str  # as users write it: lower-case letters, digits and _
    title: str  # display name
    capabilities: tuple[Capability, ...]  # one per model
    prices: tuple[PriceRow, ...] = ()
    sandbox_prices: tuple[PriceRow, ...] = ()  # its stand-in's prices for what no source prices; simulated runs only
    options: Mapping[str, Option] = field(default_factory=dict)
    error_codes: Mapping[str, ErrorClass] = field(default_factory=dict)  # documented error codes and types
    longest_callback: int | None = None  # characters of a callback's address; None: not stated
    foreign_variables: tuple[
        str, ...
    ] = ()  # prefixes of environment variables that hold its credentials for other tools
    order: int = 100  # position in lists, among the gateways of this package


@dataclass(frozen=True)
class Market:
    """The offers of all gateways, in list order."""

    offers: tuple[Offers, ...]
    broken: Mapping[str, str] = field(default_factory=dict)  # gateway -> why its package cannot be used

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
        """Every model sold by at least one gateway."""
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
        """The stand-ins' prices for what no source prices."""
        return tuple(row for each in self.offers for row in each.sandbox_prices)

    @cached_property
    def error_codes(self) -> dict[str, ErrorClass]:
        """The codes that any gateway documents; where two disagree, the first in order wins. A gateway's own codes come first."""
        found: dict[str, ErrorClass] = {}
        for each in self.offers:
            for code, kind in each.error_codes.items():
                found.setdefault(code, kind)
        return found

    @cached_property
    def _by_name(self) -> dict[str, Offers]:
        return {each.gateway: each for each in self.offers}

    def at(self, gateway: str) -> Offers:
        """One gateway's offers. Raises ConfigurationError, saying why, when it is unknown or unusable."""
        found = self._by_name.get(gateway)
        if found is None:
            raise ConfigurationError(self.why_not(gateway), field="gateway")
        return found

    def why_not(self, gateway: object) -> str:
        """Why this gateway cannot be used."""
        if isinstance(gateway, str) and gateway in self.broken:
            return self.broken[gateway]
        return f"unknown gateway {gateway!r}; known: {', '.join(self.gateways)}"

    def rows_of(self, gateway: str) -> dict[str, Capability]:
        """A gateway's rows by model; empty for an unknown gateway."""
        found = self._by_name.get(gateway)
        return {row.model: row for row in found.capabilities} if found else {}

    def title(self, gateway: str) -> str:
        """A gateway's display name."""
        found = self._by_name.get(gateway)
        return found.title if found else gateway

    def credits_settle(self, gateway: str, model: str) -> bool:
        """Whether a charge in credits settles the price there: no source disputes what a credit costs."""
        disputed = [row for row in self.prices if (row.gateway, row.model) == (gateway, model) and row.disputed_usd]
        return all(row.disputed_credits for row in disputed)


_providers: list[Callable[[], Market]] = []


def provide(load: Callable[[], Market]) -> None:
    """Register the loader of the offers. Called when the package is imported."""
    _providers[:] = [load]
    market.cache_clear()


@cache
def market() -> Market:
    """The offers of all gateways: this package's, then those of other packages."""
    (load,) = _providers
    return load()
