"""The law of money, from the sandbox's side: every entry of its bill against what the ledger says about it.

Rows are products as `runs.products` writes them: one job a row, its prompt the row's own.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from seedream_tasks.cli.attempts import attempts as attempts_command

ZERO = Decimal(0)
IN_FLIGHT = frozenset({"intent", "accepted", "delivered"})


@dataclass
class Balance:
    """What a bill and the attempts of the ledger behind it add up to."""

    images: int = 0  # billed by the gateways
    paid_twice: list[tuple[str, int]] = field(default_factory=list)  # (row key, slot)
    unaccounted: list[str] = field(default_factory=list)  # entries that no attempt accounts for
    unaccounted_usd: Decimal = ZERO
    unknown: int = 0  # attempts
    in_flight: int = 0
    bill_usd: Decimal = ZERO
    billed_usd: Decimal = ZERO
    at_risk_usd: Decimal = ZERO

    def __add__(self, other: "Balance") -> "Balance":
        """Both together."""
        return Balance(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def lawful(self) -> bool:
        """Nothing is in flight, paid twice or lost, and the sums agree, exactly where nothing is at risk."""
        kept = not self.paid_twice and not self.unaccounted and not self.in_flight
        agreed = self.billed_usd <= self.bill_usd <= self.billed_usd + self.at_risk_usd
        return kept and agreed and (self.at_risk_usd > 0 or self.billed_usd == self.bill_usd)


def listed(archive: Path, ledger_url: str | None = None) -> list[dict[str, Any]]:
    """What `seedream attempts --json` says."""
    where = ["--archive", str(archive), *(["--ledger", ledger_url] if ledger_url else [])]
    answer = CliRunner().invoke(attempts_command, [*where, "--json"], standalone_mode=False, catch_exceptions=False)
    found: list[dict[str, Any]] = json.loads(answer.stdout)["attempts"]
    return found


def row_of(prompt: str) -> str:
    """The row key of a product's prompt, to which a gateway's dialect may have added how many images it asks for."""
    found = re.match(r"Product number (\d+)", prompt)
    assert found, f"not a product's prompt: {prompt!r}"
    return f"p{found[1]}"


def balance(bill: dict[str, Any], attempts: Iterable[dict[str, Any]]) -> Balance:
    """Compare a sandbox's bill with attempts as `seedream attempts --json` lists them."""
    attempts = list(attempts)
    found = Balance(bill_usd=Decimal(bill["usd"]))
    for each in attempts:
        found.billed_usd += Decimal(each["billed_usd"])
        found.at_risk_usd += Decimal(each["at_risk_usd"])
        found.unknown += each["state"] == "unknown"
        found.in_flight += each["state"] in IN_FLIGHT
    by_task = {(each["gateway"], each["task_id"]): each for each in attempts if each["task_id"]}
    # A bill without an attempt that names its task must be one of those whose fate the ledger calls unknown.
    in_doubt = [each for each in attempts if each["state"] == "unknown" and not each["task_id"]]
    paid: Counter[tuple[str, int]] = Counter()
    for entry in bill["entries"]:
        usd = Decimal(entry["usd"])
        if not usd:
            continue
        row_key = row_of(entry["prompt"])
        known = by_task.get((entry["gateway"], entry["task_id"]))
        if known is None:
            known = next((each for each in in_doubt if _may_be(each, entry, row_key)), None)
            if known is not None:
                in_doubt.remove(known)
        stated = ZERO if known is None else Decimal(known["billed_usd"]) + Decimal(known["at_risk_usd"])
        if stated < usd:
            found.unaccounted.append(f"{entry['gateway']} {entry['task_id']} {row_key}")
            found.unaccounted_usd += usd - stated
        made = entry["images"] or entry["n"]
        slots = range(made) if known is None else known["slots"][:made]
        found.images += made
        paid.update((row_key, slot) for slot in slots)
    found.paid_twice = sorted(place for place, count in paid.items() if count > 1)
    return found


def _may_be(attempt: dict[str, Any], entry: dict[str, Any], row_key: str) -> bool:
    return (attempt["gateway"], attempt["row_key"], len(attempt["slots"])) == (entry["gateway"], row_key, entry["n"])
