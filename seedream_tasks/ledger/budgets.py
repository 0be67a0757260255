"""Caps: money held against each, moved in the same transaction as the attempt that holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, delete, literal, or_, select, update

from ..core.errors import OverCap
from ..core.money import ZERO, dollars
from ..core.states import AttemptState
from .schema import attempts, budgets, caps
from .sql import insert_on_conflict, upsert

ALL_GATEWAYS = "all"
_NO_CAP = Decimal(99_999_999)
_CAPS = select(caps).where(or_(caps.c.cap_key == ALL_GATEWAYS, caps.c.cap_key == bindparam("gateway")))
_OPEN = insert_on_conflict(budgets, "(budget_key) DO NOTHING")
_HELD = (
    select(budgets)
    .where(budgets.c.budget_key.in_(bindparam("keys", expanding=True)))
    .order_by(budgets.c.budget_key)
    .with_for_update()
)


def run_budget(run_id: str) -> str:
    """The budget key of a run's cap."""
    return f"run:{run_id}"


def open_run_budget(connection: Connection, run_id: str, max_usd: Decimal | None) -> None:
    """Create a run's budget once: a retried or resumed run continues under its original cap."""
    if max_usd is not None:
        _open(connection, run_budget(run_id), max_usd)


def change_run_budget(connection: Connection, run_id: str, max_usd: Decimal | None) -> None:
    """Change the cap of a run that has one."""
    cap_usd = _NO_CAP if max_usd is None else max_usd
    connection.execute(update(budgets).where(budgets.c.budget_key == run_budget(run_id)).values(cap_usd=cap_usd))


def _open(connection: Connection, key: str, cap_usd: Decimal) -> None:
    row = {"budget_key": key, "cap_usd": cap_usd, "reserved_usd": ZERO, "settled_usd": ZERO}
    connection.execute(_OPEN, row)


def budgets_for(connection: Connection, run_id: str, capped: bool, gateway: str, now: datetime) -> list[str]:
    """The budget keys an attempt made now must fit under: the run's, and the standing caps' of its day."""
    keys = [run_budget(run_id)] if capped else []
    for cap in connection.execute(_CAPS, {"gateway": gateway}):
        key = _day_key(cap.cap_key, cap.zone, now)
        _open(connection, key, cap.usd_per_day)
        keys.append(key)
    return keys


@dataclass(frozen=True, slots=True)
class StandingCap:
    """A daily cap, and what is held against it today."""

    cap_key: str
    usd_per_day: Decimal
    zone: str
    day: str
    reserved_usd: Decimal
    settled_usd: Decimal


def set_cap(
    connection: Connection, cap_key: str, usd_per_day: Decimal | None, zone: ZoneInfo, now: datetime | None = None
) -> None:
    """Set a standing cap, or remove it (None). It applies to claims from now on.

    In another time zone the current day may differ or begin sooner: what is held against the current day counts in every day
    of the new zone that begins before it ends. So changing the zone never frees budget.
    """
    now = now or datetime.now(UTC)
    if usd_per_day is None:
        connection.execute(delete(caps).where(caps.c.cap_key == cap_key))
        return
    before = connection.execute(select(caps).where(caps.c.cap_key == cap_key).with_for_update()).one_or_none()
    values = {"usd_per_day": usd_per_day, "zone": zone.key}
    row = upsert(connection, caps).values(cap_key=cap_key, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[caps.c.cap_key], set_=values))
    ends = now if before is None or before.zone == zone.key else _end_of_day(now, ZoneInfo(before.zone))
    held = ZERO if before is None else _held(connection, _day_key(cap_key, before.zone, now))
    for key in _days(cap_key, zone, now, ends):
        _open(connection, key, usd_per_day)
        lacks = max(held - _held(connection, key), ZERO)
        changed = {
            "cap_usd": usd_per_day,
            "settled_usd": budgets.c.settled_usd + literal(lacks, budgets.c.settled_usd.type),
        }
        connection.execute(update(budgets).where(budgets.c.budget_key == key).values(changed))


def _held(connection: Connection, key: str) -> Decimal:
    found = connection.execute(select(budgets).where(budgets.c.budget_key == key)).one_or_none()
    return found.reserved_usd + found.settled_usd if found else ZERO


def _end_of_day(now: datetime, zone: ZoneInfo) -> datetime:
    """The end of the current day in a zone."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC) - timedelta(microseconds=1)


def _days(cap_key: str, zone: ZoneInfo, first: datetime, last: datetime) -> list[str]:
    """The budget keys of a zone's days from one moment to another."""
    day, end = (moment.astimezone(zone).date() for moment in (first, last))
    return [f"day:{cap_key}:{day + timedelta(days=each)}" for each in range((end - day).days + 1)]


def list_caps(connection: Connection) -> list[StandingCap]:
    """All standing caps with today's figures."""
    found = []
    now = datetime.now(UTC)
    for cap in connection.execute(select(caps).order_by(caps.c.cap_key)):
        key = _day_key(cap.cap_key, cap.zone, now)
        held = connection.execute(select(budgets).where(budgets.c.budget_key == key)).one_or_none()
        found.append(
            StandingCap(
                cap.cap_key,
                cap.usd_per_day,
                cap.zone,
                key.rsplit(":", 1)[1],
                held.reserved_usd if held else ZERO,
                held.settled_usd if held else ZERO,
            )
        )
    return found


def _day_key(cap_key: str, zone: str, now: datetime) -> str:
    return f"day:{cap_key}:{now.astimezone(ZoneInfo(zone)).date().isoformat()}"


def reserve(connection: Connection, keys: Sequence[str], amount: Decimal) -> None:
    """Hold `amount` under every key, or raise OverCap before anything is written.

    The refusal also says whether money may be released: a separate query could race with another claim.
    """
    if not keys:
        return
    # Always in the same order, so that two processes cannot deadlock on each other's row.
    for row in connection.execute(_HELD, {"keys": list(keys)}).all():
        held = row.reserved_usd + row.settled_usd
        if held + amount > row.cap_usd:
            raise OverCap(
                f"{dollars(amount)} does not fit under the cap of {dollars(row.cap_usd)} ({row.budget_key});"
                f" {dollars(held)} are spent or reserved",
                budget=row.budget_key,
                cap_usd=row.cap_usd,
                held_usd=held,
                wanted_usd=amount,
                reserved_usd=row.reserved_usd,
                may_come_back=may_come_back(connection, row.budget_key),
            )
    move(connection, keys, amount, ZERO)


def may_come_back(connection: Connection, budget_key: str) -> bool:
    """Whether any attempt that holds money of this budget may still release it without intervention."""
    waiting = (AttemptState.INTENT, AttemptState.ACCEPTED)
    query = (
        select(attempts.c.attempt_id)
        .where(attempts.c.state.in_(waiting), attempts.c.budgets.contains(f'"{budget_key}"', autoescape=True))
        .limit(1)
    )
    return connection.execute(query).first() is not None


_MOVE = (
    update(budgets)
    .where(budgets.c.budget_key == bindparam("key"))
    .values(
        reserved_usd=budgets.c.reserved_usd + bindparam("reserved", type_=budgets.c.reserved_usd.type),
        settled_usd=budgets.c.settled_usd + bindparam("settled", type_=budgets.c.settled_usd.type),
    )
)


def move(connection: Connection, keys: Sequence[str], reserved: Decimal, settled: Decimal) -> None:
    """Add (or, negative, release) reserved and settled amounts under every key."""
    if keys and (reserved or settled):
        connection.execute(_MOVE, [{"key": key, "reserved": reserved, "settled": settled} for key in sorted(keys)])
