"""The figures of a run: records by status and reason, money by gateway."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core.market import market
from ..core.money import ZERO, dollars, plain
from ..core.states import COMPLETE, RecordStatus

_FAILURES_SHOWN = 200


# Fields of a summary that describe the run, not its records.
_OF_A_WHOLE = frozenset({"run_id", "simulated", "rows", "by_gateway"})


@dataclass
class GatewayTotals:
    """A gateway's forecast and actual cost in a run."""

    attempts: int = 0
    images: int = 0
    quoted_usd: Decimal = ZERO
    billed_usd: Decimal = ZERO
    at_risk_usd: Decimal = ZERO


@dataclass
class Summary:
    """A run's figures, as the sums of its manifest."""

    run_id: str
    simulated: bool
    rows: int = 0
    records: int = 0
    jobs: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    images: int = 0
    reused: int = 0
    quoted_usd: Decimal = ZERO
    billed_usd: Decimal = ZERO
    cost_usd: Decimal = ZERO
    at_risk_usd: Decimal = ZERO
    # The part at risk because of disputed prices, at the highest price stated. Millionths of a dollar.
    price_risk: Counter[str] = field(default_factory=Counter)
    deferred_usd: Decimal = ZERO
    rework_usd: Decimal = ZERO  # billed for images that were bought again because others were rejected
    by_gateway: dict[str, GatewayTotals] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)  # the first of those that are not archived or skipped

    @property
    def complete(self) -> bool:
        """Whether every record is archived or skipped."""
        return all(RecordStatus(status) in COMPLETE for status in self.by_status)

    def at_risk_in_words(self) -> str:
        """The amount at risk and why, as a short phrase."""
        total, named = (
            dollars(self.at_risk_usd),
            " and ".join(market().title(name) for name in sorted(self.price_risk)),
        )
        of_prices = Decimal(self.price_risk.total()).scaleb(-6)
        if not of_prices:
            return total
        why = (
            f"if {named} {'charge what their sites say' if len(self.price_risk) > 1 else 'charges what its site says'}"
        )
        rest = self.at_risk_usd - of_prices
        return f"{total}: {dollars(of_prices)} {why}, {dollars(rest)} otherwise" if rest else f"{total} {why}"

    def add(self, values: dict[str, Any], deferred_usd: Decimal, anew: bool = False) -> None:
        """Count one record; `anew`: its images replace rejected ones."""
        status = values["status"]
        self.records += 1
        self.jobs += values["job_key"] is not None and status not in (RecordStatus.INVALID, RecordStatus.SKIPPED)
        self.by_status[str(status)] += 1
        self.images += values["image_count"]
        self.reused += values["reused"]
        for name in ("quoted_usd", "billed_usd", "cost_usd", "at_risk_usd"):
            setattr(self, name, getattr(self, name) + values[name])
        self.deferred_usd += deferred_usd
        self.rework_usd += values["billed_usd"] if anew else ZERO
        if RecordStatus(status) not in COMPLETE and len(self.failures) < _FAILURES_SHOWN:
            shown = ("row_number", "row_key", "shot", "status", "reason", "gateway", "error_code", "error_message")
            self.failures.append({name: values[name] for name in shown})

    def add_plain(self, columns: Mapping[str, pa.Array]) -> None:
        """Count records that are archived with all their images."""
        count = len(columns["status"])
        self.records += count
        self.jobs += count
        self.by_status[RecordStatus.ARCHIVED.value] += count
        self.images += pc.sum(columns["image_count"]).as_py()
        self.reused += columns["reused"].true_count
        for name in ("quoted_usd", "billed_usd", "cost_usd", "at_risk_usd"):
            setattr(self, name, getattr(self, name) + pc.sum(columns[name]).as_py())
        for row in (
            pa.table({name: columns[name] for name in ("gateway", "at_risk_usd")})
            .group_by("gateway")
            .aggregate([("at_risk_usd", "sum")])
            .to_pylist()
        ):
            if row["at_risk_usd_sum"]:
                self.price_risk[row["gateway"]] += int(row["at_risk_usd_sum"].scaleb(6))

    def as_part(self) -> str:
        """The exact sums as JSON, for `add_part`."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _OF_A_WHOLE}
        return json.dumps(
            {name: plain(value) if isinstance(value, Decimal) else value for name, value in values.items()}
        )

    def add_part(self, text: str) -> None:
        """Add the sums of some records."""
        for name, value in json.loads(text).items():
            mine = getattr(self, name)
            if isinstance(mine, Counter):
                mine.update(value)
            elif isinstance(mine, list):
                mine += value[: _FAILURES_SHOWN - len(mine)]
            else:
                setattr(self, name, mine + type(mine)(value))

    def gateways(self) -> dict[str, dict[str, Any]]:
        """Forecast and actual cost by gateway, with money as decimal strings."""
        return {
            name: {
                "attempts": each.attempts,
                "images": each.images,
                "quoted_usd": plain(each.quoted_usd),
                "billed_usd": plain(each.billed_usd),
                "at_risk_usd": plain(each.at_risk_usd),
            }
            for name, each in sorted(self.by_gateway.items())
        }

    def as_json(self) -> dict[str, Any]:
        """Figures with money as decimal strings."""
        return {
            "run_id": self.run_id,
            "rows": self.rows,
            "jobs": self.jobs,
            "by_status": dict(sorted(self.by_status.items())),
            "images": self.images,
            "reused": self.reused,
            "quoted_usd": plain(self.quoted_usd),
            "billed_usd": plain(self.billed_usd),
            "cost_usd": plain(self.cost_usd),
            "at_risk_usd": plain(self.at_risk_usd),
            "deferred_usd": plain(self.deferred_usd),
            "simulated": self.simulated,
        }
