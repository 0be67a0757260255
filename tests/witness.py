"""What the engine's tests look at besides a run's own summary: the ledger, the bill's entries, manifests as they stand now."""

import hashlib
import sqlite3
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image
from runs import Ran, read
from sandbox_process import Sandbox
from sqlalchemy import create_engine, inspect, text

from seedream_tasks.core.money import ZERO
from seedream_tasks.ledger.urls import parse_url
from seedream_tasks.runs.summary import Summary

PRICE = {"evolink": Decimal("0.031"), "gccai": Decimal("0.035"), "getimg": Decimal("0.04"), "apiin": Decimal("0.024")}
RESERVED = PRICE | {"apiin": Decimal("0.12")}  # apiin's price is disputed: the highest stated is held
EVERY_GATEWAY = tuple(PRICE)
ASYNCHRONOUS = ("evolink", "gccai", "apiin")


def ledger(archive: Path, statement: str, *values: Any) -> list[sqlite3.Row]:
    """Run one statement on an archive's own SQLite ledger; amounts are whole millionths there."""
    connection = sqlite3.connect(archive / "ledger.db", timeout=30)
    connection.row_factory = sqlite3.Row
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def leases_end(archive: Path, ledger_url: str | None = None) -> None:
    """Let every lease end: the processes that held them are dead."""
    statements = ("UPDATE attempts SET lease_until = 0 WHERE state = 'intent'", "DELETE FROM rate_leases")
    if ledger_url is None:
        if (archive / "ledger.db").exists() and ledger(archive, "SELECT 1 FROM sqlite_master WHERE name = 'attempts'"):
            for statement in statements:
                ledger(archive, statement)
        return
    engine = create_engine(parse_url(ledger_url))
    with engine.begin() as connection:
        if inspect(connection).has_table("attempts"):
            for statement in statements:
                connection.execute(text(statement))
    engine.dispose()


def ledger_money(archive: Path) -> tuple[Decimal, Decimal]:
    """Billed and at risk over all runs, those without a manifest too."""
    (row,) = ledger(archive, "SELECT sum(billed_usd) AS billed, sum(at_risk_usd) AS at_risk FROM attempts")
    return Decimal(row["billed"] or 0) / 1_000_000, Decimal(row["at_risk"] or 0) / 1_000_000


def now(ran: Ran) -> Ran:
    """A run as its manifest stands now: a later run that settled its attempts has written it again."""
    records = read(ran.archive, ran.run_id)
    summary = Summary(ran.run_id, ran.summary.simulated)
    for record in records:
        summary.add(record, ZERO)
    return replace(ran, summary=summary, records=records)


def bought(sandbox: Sandbox) -> Counter[str]:
    """Images asked for and accepted, by prompt."""
    counted: Counter[str] = Counter()
    for entry in sandbox.bill()["entries"]:
        counted[entry["prompt"]] += entry["n"]
    return counted


def calls(sandbox: Sandbox, gateway: str | None = None) -> list[int]:
    """How many images each accepted call asked for, in order."""
    return [each["n"] for each in sandbox.bill()["entries"] if gateway in (None, each["gateway"])]


def submissions(sandbox: Sandbox) -> int:
    """Generation requests read completely, accepted or not."""
    count: int = sandbox.bill()["submissions"]
    return count


def submissions_at(sandbox: Sandbox, gateway: str) -> int:
    """The same at one gateway."""
    count: int = sandbox.bill()["by_gateway"][gateway]["submissions"]
    return count


def photo(path: Path, colour: str = "teal", side: int = 64) -> Path:
    """A small PNG to refer to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path)
    return path


def assert_files(ran: Ran) -> None:
    """Every image of a manifest is in the archive with the bytes that the manifest states."""
    for record in ran.records:
        for image in record["images"]:
            content = (ran.archive / image["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == image["sha256"]
            assert len(content) == image["bytes"]
