"""A gateway's own accounting of unknown payments, compared with the ledger."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..config.environment import key_variable
from ..config.settings import Locations
from ..core.errors import GatewayFault, InputError
from ..core.money import ZERO, dollars, plain
from ..engine.account_limiter import Lane
from ..engine.opening import lanes_to
from ..ledger import spending
from ..ledger.values import Attempt
from ..ledger.writer import Ledger


@dataclass(frozen=True, slots=True)
class Evidence:
    """One account's statement. It proves nothing if others spend from the same account."""

    account: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """As `resolve --json` shows it."""
        return asdict(self)


async def evidence(ledger: Ledger, place: Locations, attempts: Sequence[Attempt]) -> list[Evidence]:
    """Balances and costs at the accounts of these attempts. Raises KindMismatch, ConfigurationError, LedgerFault."""
    accounts = sorted({each.account for each in attempts})
    async with lanes_to(ledger, place, accounts) as (_, lanes):
        by_account = {lane.account: lane for lane in lanes.values()}
        found = []
        for account in accounts:
            mine = [each for each in attempts if each.account == account]
            lane = by_account.get(account)
            if lane is None:
                text = "its key is not configured, so its books cannot be looked at"
            else:
                try:
                    text = await _of_account(ledger, lane, mine)
                except GatewayFault as fault:
                    text = f"its books cannot be read: {fault.message}"
            found.append(Evidence(account, text))
    return found


async def confirmed(ledger: Ledger, place: Locations, attempt: Attempt, task_id: str) -> str:
    """What the attempt's gateway says about a task that a user names for it. Raises InputError if it does not confirm it,
    KindMismatch, ConfigurationError, LedgerFault.
    """
    async with lanes_to(ledger, place, [attempt.account]) as (_, lanes):
        lane = next((each for each in lanes.values() if each.gateway == attempt.gateway), None)
        if lane is None:
            raise InputError(
                f"whether {attempt.gateway} knows task {task_id} cannot be asked: the key of {attempt.account} is not configured",
                field="task-id",
                hint=f"set {key_variable(attempt.gateway)} (and its base URL), or say --unchecked",
            )
        try:
            status = await lane.client.fetch(task_id)
        except GatewayFault as fault:
            is_unknown = fault.facts.get("own_body") and fault.facts.get("status") in (400, 404)
            what = "does not know" if is_unknown else "does not confirm"
            raise InputError(
                f"{attempt.gateway} {what} task {task_id}: {fault.message}",
                field="task-id",
                hint="look it up in the gateway's console; --unchecked takes it all the same",
            ) from None
    return f"{attempt.gateway} knows task {task_id}: {status.state}"


async def _of_account(ledger: Ledger, lane: Lane, attempts: Sequence[Attempt]) -> str:
    account = lane.account
    days = sorted({each.intent_at.date() for each in attempts})
    # A call made just before midnight may be charged on the next day.
    start = datetime.combine(days[0], datetime.min.time(), UTC)
    end = min(datetime.combine(days[-1], datetime.min.time(), UTC) + timedelta(days=2), datetime.now(UTC))
    costs = await lane.client.costs(start, end)
    if costs is not None:
        known = await ledger.read(lambda connection: spending.billed_by_day(connection, account, start, end))
        return "; ".join(
            f"on {day} the gateway charged {dollars(costs.get(day, ZERO))}, the ledger knows of {dollars(known[day])}"
            for day in sorted({*costs, *known, *days})
        )
    probe = await lane.client.probe()
    if probe.balance is None:
        return "it shows neither a balance nor costs; its own console has to be looked at"
    billed, counted = await ledger.read(lambda connection: spending.credits_billed(connection, account))
    parts = []
    if probe.balance.used_credits is not None:
        known_text = f"{plain(billed)} credits" if counted else "no credits, since it reports none with its tasks"
        parts.append(f"{plain(probe.balance.used_credits)} credits used in all, the ledger knows of {known_text}")
    if probe.balance.credits is not None:
        parts.append(f"{plain(probe.balance.credits)} credits left")
    return "; ".join(parts) or "it states no figures"
