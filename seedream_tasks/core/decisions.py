"""What may be bought next, where, and in how many calls. Pure: the ledger's views go in, a plan comes out.

"Buy the free slots" is the one rule; count, split, partial result, top-up and retry are all cases of it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from .capabilities import Capability, Refetch
from .outcomes import ErrorClass
from .pricing import PriceRow
from .states import RETRY_OPENS, AttemptState, Closed, SlotState

_PASSING = (ErrorClass.TRANSIENT, ErrorClass.RATE)
# Attempts at one slot in one run that end in a transient, certainly unbilled no.
TRANSIENT_TRIES_PER_RUN = 2


class Purpose(StrEnum):
    """Why an attempt buys its slots."""

    FIRST = "first"  # never bought before, or given back
    AGAIN = "again"  # after a transient, certainly unbilled no
    ELSEWHERE = "elsewhere"  # after another gateway's definite, unbilled no
    RETRY = "retry"  # a named --retry
    TOP_UP = "top_up"  # the gateway had finished with fewer


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot as the ledger knows it. A slot that the ledger does not know is open."""

    slot: int
    state: SlotState
    attempt_id: str | None = None  # the attempt that holds it, or held it last
    closed: Closed | None = None


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """What deciding needs to know of an earlier attempt at the same job."""

    attempt_id: str
    run_id: str
    gateway: str
    state: AttemptState
    slots: tuple[int, ...]
    purpose: Purpose
    error: ErrorClass | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """Slots to buy together, and where not."""

    slots: tuple[int, ...]
    purpose: Purpose
    not_at: frozenset[str] = frozenset()


def wanted(
    n: int,
    slots: Iterable[SlotView],
    attempts: Sequence[PastAttempt],
    run_id: str,
    retry: Collection[str] = (),
    top_up: bool = False,
    among: Collection[int] = (),
) -> list[Want]:
    """The slots this run may buy now, grouped by purpose and by the gateways that are out for them.

    `retry` holds `--retry` words; each opens what an *earlier* run closed, so one run buys a retried slot once.
    `among`: only these slots; empty: all.
    """
    known = {view.slot: view for view in slots}
    if not known and not attempts:
        return [Want(tuple(sorted(among) or range(n)), Purpose.FIRST)]
    opened = frozenset().union(*(RETRY_OPENS[word] for word in retry)) if retry else frozenset()
    groups: dict[tuple[Purpose, frozenset[str]], list[int]] = {}
    for slot in sorted(among) or range(n):
        want = _want(known.get(slot), [each for each in attempts if slot in each.slots], run_id, opened, top_up)
        if want:
            groups.setdefault(want, []).append(slot)
    return [Want(tuple(numbers), purpose, not_at) for (purpose, not_at), numbers in groups.items()]


def _want(
    view: SlotView | None,
    attempts: list[PastAttempt],
    run_id: str,
    opened: frozenset[Closed],
    top_up: bool,
) -> tuple[Purpose, frozenset[str]] | None:
    in_run = [each for each in attempts if each.run_id == run_id]
    refused = frozenset(
        each.gateway for each in in_run if each.state in (AttemptState.FAILED, AttemptState.CANCELLED)
        and each.error in (ErrorClass.PARAMETERS, ErrorClass.CANCELLED)
    )  # fmt: skip
    if view is None or view.state is SlotState.OPEN:
        transient = [each for each in in_run if each.state is AttemptState.FAILED and each.error in _PASSING]
        if len(transient) >= TRANSIENT_TRIES_PER_RUN:
            return None
        return (Purpose.AGAIN if transient else Purpose.FIRST), refused
    if view.state is not SlotState.CLOSED or view.closed is None:
        return None
    if view.closed is Closed.FEWER and top_up and not any(each.purpose is Purpose.TOP_UP for each in in_run):
        return Purpose.TOP_UP, frozenset()
    if any(each.attempt_id == view.attempt_id for each in in_run):
        return (Purpose.ELSEWHERE, refused) if view.closed is Closed.REFUSED else None
    # An attempt that finished without any picture failed, so --retry failed opens its slots like those of the others.
    empty = any(each.attempt_id == view.attempt_id and each.state is AttemptState.FAILED for each in attempts)
    closed = Closed.BILLED if view.closed is Closed.FEWER and empty else view.closed
    return (Purpose.RETRY, frozenset()) if closed in opened else None


def split(slots: Sequence[int], call_size: int) -> list[tuple[int, ...]]:
    """Slots as calls of at most `call_size` pictures."""
    if call_size < 1:
        raise ValueError("a call makes at least one picture")
    return [tuple(slots[start : start + call_size]) for start in range(0, len(slots), call_size)]


@dataclass(frozen=True, slots=True)
class Offer:
    """A gateway that can do the job."""

    capability: Capability
    price: PriceRow | None
    out: str | None = None  # why it may not be used now; None when it may

    @property
    def gateway(self) -> str:
        """Its name."""
        return self.capability.gateway


@dataclass(frozen=True, slots=True)
class Route:
    """Where to buy, and why there."""

    offer: Offer
    price: PriceRow
    reason: str
    cheapest_usd: Decimal  # per picture, at the cheapest able gateway


class NoRoute(StrEnum):
    """Why nothing can be bought now."""

    NO_PRICE = "no_price"
    OUT = "out"  # those that can are out, for now or for this run
    PREMIUM = "premium"  # those that are left cost more than --max-premium above the cheapest


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
            more = f"{(price.usd / lowest.usd - 1) * 100:.0f} % more than" if lowest.usd else "more than nothing at"
            passed.append(f"{offer.gateway} costs {more} {cheapest.gateway}")
            return NoRoute.PREMIUM, "; ".join(passed)
        else:
            return Route(
                offer, price, "; ".join(["cheapest" if not passed else f"next: {'; '.join(passed)}"]), lowest.usd
            )
    return NoRoute.OUT, "; ".join(passed)
