"""Spending by run, by gateway, by account and day."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select

from ..core.money import ZERO
from ..core.states import AttemptState
from .schema import attempts, images


def billed_by_day(connection: Connection, account: str, start: datetime, end: datetime) -> dict[date, Decimal]:
    """What an account has charged by the ledger (USD), by the day (UTC) on which each attempt was completed."""
    query = select(attempts.c.completed_at, attempts.c.billed_usd).where(
        attempts.c.account == account, attempts.c.completed_at.between(start, end)
    )
    found: dict[date, Decimal] = defaultdict(lambda: ZERO)
    for row in connection.execute(query):
        found[row.completed_at.date()] += row.billed_usd
    return found


def credits_billed(connection: Connection, account: str) -> tuple[Decimal, bool]:
    """Credits that an account has charged by the ledger, and whether it ever reported any."""
    count, total = connection.execute(
        select(func.count(attempts.c.billed_credits), func.sum(attempts.c.billed_credits)).where(
            attempts.c.account == account
        )
    ).one()
    return total or ZERO, bool(count)


def spent_by_gateway(connection: Connection, run_id: str) -> dict[str, tuple[int, int, Decimal, Decimal, Decimal]]:
    """Of a run's attempts at each gateway: count, images archived, quoted, billed and at risk (USD)."""
    sent = (attempts.c.run_id == run_id) & (attempts.c.state != AttemptState.NOT_SENT)
    archived = (
        select(attempts.c.gateway, func.count().label("made"))
        .select_from(images.join(attempts, attempts.c.attempt_id == images.c.attempt_id))
        .where(sent, images.c.state == "archived")
        .group_by(attempts.c.gateway)
    )
    made = {row.gateway: row.made for row in connection.execute(archived)}
    query = (
        select(
            attempts.c.gateway,
            func.count(),
            func.sum(attempts.c.quoted_usd),
            func.sum(attempts.c.billed_usd),
            func.sum(attempts.c.at_risk_usd),
        )
        .where(sent)
        .group_by(attempts.c.gateway)
    )
    return {
        gateway: (count, made.get(gateway, 0), quoted, billed, at_risk)
        for gateway, count, quoted, billed, at_risk in connection.execute(query)
    }


def spent(connection: Connection, run_id: str) -> dict[str, Decimal]:
    """The cost of this run's attempts so far: billed_usd, at_risk_usd, reserved_usd (unsettled)."""
    open_states: Sequence[str] = (AttemptState.INTENT, AttemptState.ACCEPTED)
    of_run = attempts.c.run_id == run_id
    billed, at_risk = connection.execute(
        select(func.sum(attempts.c.billed_usd), func.sum(attempts.c.at_risk_usd)).where(of_run)
    ).one()
    reserved = connection.scalar(
        select(func.sum(attempts.c.reserved_usd)).where(of_run, attempts.c.state.in_(open_states))
    )
    return {"billed_usd": billed or ZERO, "at_risk_usd": at_risk or ZERO, "reserved_usd": reserved or ZERO}
