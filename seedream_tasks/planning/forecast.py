"""What a run would buy and cost: the figures of `plan`, and the forecast shown before a run."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from ..core.money import ZERO, dollars, plain
from ..core.states import AttemptState, SlotState
from .planner import Planned
from .shrunken_catalog import Shrunk


@dataclass
class GatewayForecast:
    """What would be bought at one gateway."""

    jobs: int = 0
    images: int = 0
    usd: Decimal = ZERO
    credits: Decimal | None = ZERO  # None: a row of its prices names none


@dataclass
class Forecast:
    """New purchases only; `max_usd` defers what the reservations would not fit under."""

    max_usd: Decimal | None = None
    rows: int = 0
    jobs: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_gateway: dict[str, GatewayForecast] = field(default_factory=dict)
    usd: Decimal = ZERO
    reserved_usd: Decimal = ZERO
    unpriced_jobs: int = 0
    unchecked_references: int = 0
    shrunk: Shrunk | None = None  # the catalog lost most of the last run's products

    @property
    def records(self) -> int:
        """The number of records counted."""
        return sum(self.by_status.values())

    def in_words(self, simulated: bool) -> str:
        """What would be bought, where and for how much, in one line."""
        images = sum(each.images for each in self.by_gateway.values())
        if not images:
            return "nothing to buy"
        where = ", ".join(
            f"{each.images} at {name} for {dollars(each.usd)}" for name, each in sorted(self.by_gateway.items())
        )
        more = f"; up to {dollars(self.reserved_usd)} is reserved, since sources disagree about a price"
        return (
            f"{dollars(self.usd)} for {images} image{'' if images == 1 else 's'} ({where})"
            + (more if self.reserved_usd != self.usd else "")
            + (", simulated: nothing is charged" if simulated else "")
        )

    def add(self, planned: Planned) -> str:
        """Count one record; returns its status in the forecast."""
        status = self._status(planned)
        record = planned.record
        self.by_status[status] += 1
        self.jobs += record.job is not None and record.settled is None and status != "skipped"
        self.unpriced_jobs += planned.unpriced
        if planned.unchecked and record.job is not None:
            self.unchecked_references += sum(each.sha256 is None for each in record.job.references)
        if status == "planned" and planned.route is not None and planned.quoted is not None:
            quoted = planned.quoted
            self.usd += quoted.usd
            self.reserved_usd += quoted.reserved_usd
            totals = self.by_gateway.setdefault(planned.route.offer.gateway, GatewayForecast())
            totals.jobs += 1
            totals.images += len(planned.slots)
            totals.usd += quoted.usd
            per_image = planned.route.price.credits
            if totals.credits is not None:
                totals.credits = None if per_image is None else totals.credits + per_image * len(planned.slots)
        return status

    def _status(self, planned: Planned) -> str:
        record, view = planned.record, planned.view
        if record.settled is not None:
            return record.settled
        if record.rests:
            return "archived"
        if planned.slots:
            if planned.quoted is None:
                return "deferred"
            fits = self.max_usd is None or self.reserved_usd + planned.quoted.reserved_usd <= self.max_usd
            return "planned" if fits else "deferred"
        slots = view.slots if view else []
        attempts = {each.attempt_id: each for each in (view.attempts if view else [])}
        taken = [attempts.get(each.attempt_id or "") for each in slots if each.state is SlotState.TAKEN]
        if any(each is not None and each.state is AttemptState.UNKNOWN for each in taken):
            return "unknown"
        if taken:
            return "in_flight"
        if any(each.state is SlotState.FILLED for each in slots):
            return "archived"
        return "skipped" if not record.selected else "deferred"

    def kept(self) -> str:
        """Serialized for the frozen run, for a resumed flow."""
        of_gateways = {
            name: [each.jobs, each.images, plain(each.usd), None if each.credits is None else plain(each.credits)]
            for name, each in self.by_gateway.items()
        }
        counts = [self.rows, self.jobs, self.unpriced_jobs, self.unchecked_references]
        shrunk = None if self.shrunk is None else asdict(self.shrunk)
        return json.dumps([counts, plain(self.usd), plain(self.reserved_usd), self.by_status, of_gateways, shrunk])

    @classmethod
    def from_kept(cls, text: str, max_usd: Decimal | None) -> "Forecast":
        """The inverse of `kept`."""
        (rows, jobs, unpriced, unchecked), usd, reserved, by_status, of_gateways, *shrunk = json.loads(text)
        by_gateway = {
            name: GatewayForecast(jobs, images, Decimal(of_usd), None if credits_ is None else Decimal(credits_))
            for name, (jobs, images, of_usd, credits_) in of_gateways.items()
        }
        return cls(
            max_usd,
            rows,
            jobs,
            Counter(by_status),
            by_gateway,
            Decimal(usd),
            Decimal(reserved),
            unpriced,
            unchecked,
            Shrunk(**shrunk[0]) if any(shrunk) else None,
        )

    def as_json(self) -> dict[str, Any]:
        """The object of `plan --json`."""
        return {
            "rows": self.rows,
            "jobs": self.jobs,
            "by_status": dict(sorted(self.by_status.items())),
            "by_gateway": {
                name: {"jobs": each.jobs, "images": each.images, "usd": plain(each.usd)}
                for name, each in sorted(self.by_gateway.items())
            },
            "usd": plain(self.usd),
            "unpriced_jobs": self.unpriced_jobs,
            "unchecked_references": self.unchecked_references,
        }
