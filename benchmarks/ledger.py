"""Durable transitions a second in the ledger: claim, accepted, delivered, archived, each awaited until it is on disk.

    python -m benchmarks.ledger --jobs 5000 --at-once 400
    python -m benchmarks.ledger --ledger postgresql://user@host/name     (an empty database)

SQLite with synchronous=FULL and group commit, as runs use it. Beside it, in the same run, the least that the disk and SQLite ask
for: one prepared statement per record through the standard library, committed in groups of the size that ours had.
"""

import argparse
import asyncio
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from seedream_tasks.core.jobs import Job
from seedream_tasks.core.outcomes import Finished, Link
from seedream_tasks.core.pricing import PriceRow
from seedream_tasks.core.slots import Purpose
from seedream_tasks.core.states import AttemptState
from seedream_tasks.core.stored_images import Stored
from seedream_tasks.ledger import image_records, transitions
from seedream_tasks.ledger.claims import Claim, boot_time, claim, new_attempt_id
from seedream_tasks.ledger.known_runs import open_run
from seedream_tasks.ledger.schema import attempts
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.ledger.writer import Ledger

PRICE = PriceRow("evolink", "seedream-4.5", "*", Decimal("0.031"), None, "a benchmark", date(2026, 11, 1))
STEPS = ("claim", "accepted", "delivered", "archived")


def main() -> None:
    """Run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=400, help="attempts in flight, as in a run")
    parser.add_argument("--capped", action="store_true", help="with a cap on the run: money moves in each record")
    parser.add_argument("--ledger", help="URL of an empty PostgreSQL database; default: a new SQLite file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seedream-bench-") as folder:
        ledger = open_ledger(arguments.ledger or f"sqlite:///{folder}/ledger.db", create=True)
        try:
            rows = [("ours", *asyncio.run(ours(ledger, arguments.jobs, arguments.at_once, arguments.capped)))]
        finally:
            ledger.close()
        if not arguments.ledger:
            rows.append(("one statement each, sqlite3", *least(Path(folder) / "least.db", arguments.jobs)))
    database = "PostgreSQL" if arguments.ledger else f"SQLite {sqlite3.sqlite_version}, FULL"
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {database},"
          f" {datetime.now(UTC).date()}; {arguments.jobs} jobs, {arguments.at_once} at once\n")  # fmt: skip
    print("| | transitions/s | CPU, us per transition | transitions per commit |\n|---|---|---|---|")
    for name, seconds, cpu, commits in rows:
        many = arguments.jobs * len(STEPS)
        print(f"| {name} | {many / seconds:,.0f} | {cpu / many * 1e6:.0f} | {many / commits:.1f} |")


async def ours(ledger: Ledger, jobs: int, at_once: int, capped: bool) -> tuple[float, float, int]:
    """All jobs through the four records; returns seconds, CPU seconds of this process, and commits."""
    cap = Decimal(1_000_000) if capped else None
    await ledger.write(lambda connection: open_run(connection, "run", "/archive", "catalog.csv", True, cap))
    commits = _count_commits(ledger)
    places = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with places:
            await _life(ledger, number, capped)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one(number) for number in range(jobs)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    query = select(func.count()).where(attempts.c.state == AttemptState.ARCHIVED)
    assert await ledger.read(lambda connection: connection.scalar(query)) == jobs
    return seconds, cpu, commits()


async def _life(ledger: Ledger, number: int, capped: bool) -> None:
    job = Job(
        row_key=f"sku-{number}",
        shot="image",
        model="seedream-4.5",
        operation="generate",
        n=1,
        prompt=f"Bottle {number}",
    )
    attempt_id = new_attempt_id()
    wanted = Claim(job, (0,), {}, Purpose.FIRST, "run", capped, "evolink", "evolink@bench#0", PRICE, PRICE, "cheapest")
    finished = Finished((Link(f"https://images.example/{number}"),), usd=Decimal("0.031"))
    stored = Stored("/archive", f"images/sku-{number}/image.png", "ab" * 32, 123_456, "image/png", 1024, 1024)
    granted_at = boot_time()
    steps: list[Callable[[Connection], Any]] = [
        lambda connection: claim(connection, ledger.owner, attempt_id, wanted, granted_at),
        lambda connection: transitions.accepted(connection, attempt_id, f"task-{number}", 12.0, "seedream-4-5"),
        lambda connection: transitions.delivered(connection, attempt_id, finished, datetime.now(UTC)),
        lambda connection: image_records.archived(connection, attempt_id, 0, stored),
    ]
    for step in steps:
        await ledger.write(step)


def _count_commits(ledger: Ledger) -> Callable[[], int]:
    from sqlalchemy import event

    counted = [0]
    event.listen(ledger._engine, "commit", lambda _: counted.__setitem__(0, counted[0] + 1))
    return lambda: counted[0]


def least(path: Path, jobs: int) -> tuple[float, float, int]:
    """One INSERT a record through the standard library, 64 to a commit: what is left when nothing is checked or decided."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE records (attempt_id TEXT, step TEXT, at INTEGER, PRIMARY KEY (attempt_id, step))")
    began, cpu, commits = time.perf_counter(), time.process_time(), 0
    rows = [(f"{number:020}", step, number) for step in STEPS for number in range(jobs)]
    for first in range(0, len(rows), 64):
        connection.execute("BEGIN IMMEDIATE")
        for row in rows[first : first + 64]:
            connection.execute("INSERT INTO records VALUES (?, ?, ?)", row)
        connection.execute("COMMIT")
        commits += 1
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    connection.close()
    return seconds, cpu, commits


if __name__ == "__main__":
    main()
