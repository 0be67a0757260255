"""The law of money, over everything a test bought: billed <= the sandbox's bill <= billed + at risk + what is in flight."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from seedream_tasks.ledger.urls import parse_url

_SUMS = text(
    "SELECT coalesce(sum(billed_usd), 0), coalesce(sum(at_risk_usd), 0),"
    " coalesce(sum(CASE WHEN state IN ('intent', 'accepted', 'delivered') THEN reserved_usd ELSE 0 END), 0) FROM attempts"
)


def ledgers_below(folder: Path) -> list[str]:
    """The URLs of the SQLite ledgers that a test left in its folder; of several copies of one, the one written last."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.db"), key=lambda path: path.stat().st_mtime):
        ledger_id = _ledger_id(path)
        if ledger_id is not None:
            found[ledger_id] = path
    return [f"sqlite:///{path}" for path in found.values()]


def _ledger_id(path: Path) -> str | None:
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            if inspect(connection).has_table("meta"):
                found: str | None = connection.scalar(text("SELECT value FROM meta WHERE key = 'ledger_id'"))
                return found
    except DatabaseError:
        pass  # damaged on purpose: what it knew is gone, and the test says why the law cannot be shown
    finally:
        engine.dispose()
    return None


def assert_law(bill: dict[str, Any], ledgers: Iterable[str]) -> None:
    """Compare a sandbox's bill with all ledgers that bought at it; exact where nothing is at risk or in flight."""
    sums = [money_of(url) for url in ledgers]
    billed, at_risk, in_flight = (sum((each[place] for each in sums), Decimal(0)) for place in range(3))
    usd = Decimal(bill["usd"])
    said = f"billed {billed}, bill {usd}, at risk {at_risk}, in flight {in_flight}, over {len(sums)} ledgers"
    assert billed <= usd <= billed + at_risk + in_flight, said


def money_of(url: str) -> tuple[Decimal, Decimal, Decimal]:
    """What a ledger says is billed, at risk, and reserved for what is in flight, in USD."""
    engine = create_engine(parse_url(url))
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("attempts"):
                return Decimal(0), Decimal(0), Decimal(0)
            billed, at_risk, in_flight = connection.execute(_SUMS).one()
    finally:
        engine.dispose()
    return Decimal(billed) / 1_000_000, Decimal(at_risk) / 1_000_000, Decimal(in_flight) / 1_000_000
