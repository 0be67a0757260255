"""Where jobs would be bought, decided once per kind of job: in a large catalog most jobs differ only in the prompt.

Nothing is decided here: `preflight.obstacles` and `decisions.route` say who can do a job and who gets it. Their results are
cached for the next job of the same kind.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from .capabilities import Capability
from .jobs import Job, canonical_json
from .preflight import Obstacle, obstacles, prompt_length
from .price_book import PriceBook
from .pricing import Quote, quote
from .routing import NoRoute, Offer, Route, route

# Kinds of jobs kept; a catalog whose rows state their own options may have as many kinds as rows.
_KINDS = 4096


@dataclass(frozen=True)
class Choice:
    """Which gateways can do a job, and the route."""

    against: Mapping[str, Sequence[Obstacle]]  # per gateway that sells the model: why it cannot do the job
    route: Route | None  # None: no gateway can do it, or those that can have no price or are too expensive
    _quotes: dict[int, Quote] = field(default_factory=dict, repr=False, compare=False)

    @property
    def able(self) -> bool:
        """Whether any gateway can do the job."""
        return not all(self.against.values())

    def quote(self, images: int) -> Quote | None:
        """For that many images; None when it cannot be bought."""
        if self.route is None:
            return None
        if images not in self._quotes:
            self._quotes[images] = quote(self.route.price, images)
        return self._quotes[images]


class Choices:
    """The gateways of one run, with the prices in force before any of them was asked. `max_premium` as for `route`."""

    def __init__(
        self, capabilities: Mapping[str, Mapping[str, Capability]], prices: PriceBook, max_premium: Decimal | None
    ) -> None:
        self._capabilities = capabilities
        self._prices = prices
        self._max_premium = max_premium
        self._kept: dict[Hashable, tuple[Choice, int | None]] = {}

    def of(self, job: Job) -> Choice:
        """Which gateways can do a job, and where it would be bought."""
        if job.references:  # their bytes, sizes and links matter too: no two jobs are alike
            return self._choose(job)
        kind = _kind(job)
        if kind not in self._kept:
            if len(self._kept) >= _KINDS:
                self._kept.clear()
            self._kept[kind] = self._choose(job.having(prompt="")), self._longest(job)
        choice, longest = self._kept[kind]
        return choice if longest is None or len(job.prompt) <= longest else self._choose(job)

    def _choose(self, job: Job) -> Choice:
        rows = self._rows(job)
        against = {name: obstacles(job, row) for name, row in rows.items()}
        offers = [
            Offer(row, self._prices.row(name, job.model, job.tier)) for name, row in rows.items() if not against[name]
        ]
        found = route(offers, (), self._max_premium) if offers else NoRoute.OUT
        return Choice(against, found if isinstance(found, Route) else None)

    def _longest(self, job: Job) -> int | None:
        """The longest prompt that every gateway takes, in characters; None: any."""
        rooms = [
            row.prompt_chars.value - prompt_length(job.having(prompt=""), row)
            for row in self._rows(job).values()
            if row.prompt_chars
        ]
        return min(rooms, default=None)

    def _rows(self, job: Job) -> dict[str, Capability]:
        return {name: models[job.model] for name, models in self._capabilities.items() if job.model in models}


def _kind(job: Job) -> Hashable:
    """Everything that decides the route of a job without references, except its prompt."""
    options = canonical_json(job.gateway_options) if job.gateway_options else b""
    return (
        *(job.model, job.ratio, job.tier, job.pixels, job.n, job.speed, job.watermark, job.output_format),
        *(job.gateways, options),
    )
