"""Where a job is bought: the cheapest gateway that is able and healthy."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from .capabilities import Capability, Refetch
from .pricing import PriceRow


@dataclass(frozen=True, slots=True)
class Offer:
    """A gateway that can do the job."""

    capability: Capability
    price: PriceRow | None
    out: str | None = None  # why it may not be used now; None: it may

    @property
    def gateway(self) -> str:
        """Its name."""
        return self.capability.gateway


@dataclass(frozen=True, slots=True)
class Route:
    """The chosen gateway, and why."""

    offer: Offer
    price: PriceRow
    reason: str
    cheapest_usd: Decimal  # per image, at the cheapest able gateway


class NoRoute(StrEnum):
    """Why nothing can be bought now."""

    NO_PRICE = "no_price"
    OUT = "out"  # those that can are unavailable, for now or for this run
    PREMIUM = "premium"  # the remaining ones cost more than --max-premium above the cheapest


def route(
    offers: Sequence[Offer], not_at: Collection[str] = (), max_premium: Decimal | None = None
) -> Route | tuple[NoRoute, str]:
    """The cheapest able and healthy gateway; among equals one whose tasks can be fetched again.

    `offers` are able already (see `core.preflight`) and must not be empty; `max_premium` is a fraction above the cheapest.
    """
    priced = [(offer, offer.price) for offer in offers if offer.price is not None]
    if not priced:
        names = ", ".join(offer.gateway for offer in offers)
        return NoRoute.NO_PRICE, f"no price is known at {names}; give one with --prices"
    priced.sort(key=lambda each: (each[1].usd, each[0].capability.refetch is Refetch.NEVER))
    cheapest, lowest = priced[0]
    passed: list[str] = []
    for offer, price in priced:
        if offer.out:
            passed.append(f"{offer.gateway}: {offer.out}")
        elif offer.gateway in not_at:
            passed.append(f"{offer.gateway} refused it")
        elif max_premium is not None and price.usd > lowest.usd * (1 + max_premium):
            more = f"{(price.usd / lowest.usd - 1) * 100:.0f} % more than" if lowest.usd else "more than the free"
            passed.append(f"{offer.gateway} costs {more} {cheapest.gateway}")
            return NoRoute.PREMIUM, "; ".join(passed)
        else:
            return Route(
                offer, price, "; ".join(["cheapest" if not passed else f"next: {'; '.join(passed)}"]), lowest.usd
            )
    return NoRoute.OUT, "; ".join(passed)
