"""What a ledger is: its id, its kind, and the kind of each account that it knows."""

from datetime import UTC, datetime

from sqlalchemy import Connection, select

from .schema import accounts, meta
from .sql import upsert

REAL, SIMULATED = "real", "simulated"


def ledger_id(connection: Connection) -> str:
    """The ledger's id; archives store it too."""
    return str(connection.scalar(select(meta.c.value).where(meta.c.key == "ledger_id")))


def kind(connection: Connection) -> str | None:
    """`real` or `simulated`; None until something is bought or reused with it."""
    value = connection.scalar(select(meta.c.value).where(meta.c.key == "kind"))
    return None if value is None else str(value)


def set_kind(connection: Connection, value: str) -> str:
    """Set a new ledger's kind; returns its kind (the first one set is kept)."""
    row = upsert(connection, meta).values(key="kind", value=value)
    connection.execute(row.on_conflict_do_nothing(index_elements=[meta.c.key]))
    return str(kind(connection))


def known_accounts(connection: Connection) -> dict[str, bool]:
    """Account -> whether it is simulated."""
    return {row.account: bool(row.simulated) for row in connection.execute(select(accounts))}


def know_account(connection: Connection, account: str, gateway: str, simulated: bool) -> None:
    """Record an account's kind, so that the next run need not ask."""
    row = upsert(connection, accounts).values(
        account=account, gateway=gateway, simulated=simulated, checked_at=datetime.now(UTC)
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=[accounts.c.account]))
