"""An account's limits, shared by all processes that use it: each leases a part, and the parts together never exceed the whole.

A new process gets what is left, at most its fair share; holders of more release what they do not use at their next renewal, and
the new one grows at its own. Idle leases expire and are released, by the database's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, select, text

from .schema import rate_leases
from .sql import database_now, has_ended, upsert

LEASE_S = 8.0
# Lock namespace, beside the hash of the account's name: unique in this database.
_LOCKS = 713_601_452


class Rate(StrEnum):
    """What is divided, each in whole units."""

    IN_FLIGHT = "in_flight"  # attempts at once
    SUBMITS = "submits"  # a minute
    POLLS = "polls"  # thousandths of one per second: every process that follows attempts must poll now and then


Key = tuple[str, Rate]  # account and rate


@dataclass(frozen=True, slots=True)
class Asked:
    """A holder's request."""

    most: int  # of all holders together, as configured for this one
    keep: int  # what it may be using meanwhile: it keeps at least this


@dataclass(frozen=True, slots=True)
class RateShare:
    """A holder's current share and its target: if `fair` is smaller, it uses no more than that from now on."""

    share: int
    fair: int


def lease(connection: Connection, holder: str, asked: Mapping[Key, Asked]) -> dict[Key, RateShare]:
    """Take, renew, grow or shrink shares until LEASE_S from now.

    An account that another process is dividing at this moment is missing from the result: ask again.
    """
    found: dict[Key, RateShare] = {}
    for account in sorted({account for account, _ in asked}):
        if _locked(connection, account):
            now = database_now(connection)
            of_account = rate_leases.c.account == account
            connection.execute(delete(rate_leases).where(of_account, has_ended(rate_leases.c.until, now + 1, LEASE_S)))
            for key, wanted in asked.items():
                if key[0] == account:
                    found[key] = _lease(connection, holder, key, wanted, now)
    return found


def _lease(connection: Connection, holder: str, key: Key, asked: Asked, now: int) -> RateShare:
    of_key = (rate_leases.c.account == key[0], rate_leases.c.rate == key[1])
    rows = connection.execute(
        select(rate_leases).where(*of_key).order_by(rate_leases.c.since, rate_leases.c.holder)
    ).all()
    holders = [row.holder for row in rows]
    mine = next((row for row in rows if row.holder == holder), None)
    if mine is None:
        holders.append(holder)
    # With different configured limits, all keep to the smallest.
    most = min([asked.most, *(row.most for row in rows if row.holder != holder)])
    fair = fair_part(most, holders, holder)
    left = max(0, most - sum(row.share for row in rows if row.holder != holder))
    share = min(max(asked.keep, fair), left)
    values = {
        "share": share,
        "most": asked.most,
        "since": now if mine is None else mine.since,
        "until": now + int(LEASE_S * 1_000_000),
    }
    row = upsert(connection, rate_leases).values(account=key[0], rate=key[1], holder=holder, **values)
    keys = [rate_leases.c.account, rate_leases.c.rate, rate_leases.c.holder]
    connection.execute(row.on_conflict_do_update(index_elements=keys, set_=values))
    return RateShare(share, fair)


def fair_part(most: int, holders: Sequence[str], holder: str) -> int:
    """An equal share in whole units; the remainder goes to the earliest holders."""
    return most // len(holders) + (holders.index(holder) < most % len(holders))


def give_back(connection: Connection, holder: str, keys: Collection[Key] | None = None) -> None:
    """Release shares; None: all of this holder's."""
    mine = rate_leases.c.holder == holder
    if keys is None:
        connection.execute(delete(rate_leases).where(mine))
        return
    for account, rate in keys:
        connection.execute(
            delete(rate_leases).where(mine, rate_leases.c.account == account, rate_leases.c.rate == rate)
        )


def _locked(connection: Connection, account: str) -> bool:
    """Try to lock this account's division until our transaction ends.

    SQLite has one writer. On PostgreSQL the lock is tried, never waited for: this transaction may hold rows, of budgets for one,
    that whoever has it waits for.
    """
    if connection.dialect.name != "postgresql":
        return True
    tried = text("SELECT pg_try_advisory_xact_lock(:locks, hashtext(:account))")
    return bool(connection.scalar(tried, {"locks": _LOCKS, "account": account}))
