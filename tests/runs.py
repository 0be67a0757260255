"""Whole runs without Prefect around them: the flow's own tasks, called as plain functions, against a sandbox."""

import asyncio
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
from sandbox_process import Sandbox

from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.config.settings import configured, locations
from seedream_tasks.core.money import ZERO
from seedream_tasks.engine.progress import Progress
from seedream_tasks.maintenance.collect import Collected, collect
from seedream_tasks.orchestration.session import session
from seedream_tasks.orchestration.tasks import plan_jobs, write_manifest
from seedream_tasks.runs.summary import Summary


@dataclass(frozen=True)
class Ran:
    """A finished run."""

    run_id: str
    summary: Summary
    records: list[dict[str, Any]]
    archive: Path

    def one(self, row_key: str, shot: str = "image") -> dict[str, Any]:
        """The record of one (row key, shot)."""
        (found,) = [each for each in self.records if (each["row_key"], each["shot"]) == (row_key, shot)]
        return found

    def statuses(self) -> dict[str, int]:
        """Records by status."""
        return dict(self.summary.by_status)


def settings(catalog: Path, archive: Path | str, **options: Any) -> RunOptions:
    """Settings as the command line would make them; `options` are those of RunOptions."""
    place = locations(str(archive), options.pop("ledger", None), simulated=False)
    gateways = tuple(options.pop("gateways", ()))
    return RunOptions(
        catalog=str(catalog),
        archive=place.archive.root,
        ledger=place.ledger_url,
        gateways=configured(gateways).names,
        **options,
    )


async def go(wanted: RunOptions, run_id: str | None = None) -> Ran:
    """Plan, process, write the manifest; the archive may be remote, `Ran.archive` is of use for a folder only."""
    run_id = run_id or str(uuid.uuid4())
    async with session(run_id, wanted) as run:
        await plan_jobs.fn(run_id, wanted)
        runner = await run.runner()
        await runner.run(0, len(runner.frozen))
        summary = await write_manifest.fn(run_id, wanted)
    return Ran(run_id, summary, read(wanted.archive, run_id), Path(wanted.archive))


def run(catalog: Path, archive: Path | str, **options: Any) -> Ran:
    """One whole run."""
    return asyncio.run(go(settings(catalog, archive, **options)))


def collected(archive: Path, ledger_url: str | None = None) -> Collected:
    """One pass of `collect`, as the command makes it."""
    return asyncio.run(collect(locations(str(archive), ledger_url, simulated=False), Progress()))


def read(archive: Path | str, run_id: str) -> list[dict[str, Any]]:
    """A run's manifest as rows; the archive is a folder or a URI."""
    with fsspec.open(f"{archive}/runs/{run_id}/manifest.parquet", "rb") as file:
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def write_catalog(path: Path, *rows: dict[str, Any]) -> Path:
    """A CSV catalog in column mode."""
    import csv

    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def products(path: Path, count: int, **fields: Any) -> Path:
    """A column-mode catalog of `count` rows, p0 to pN, each with its own prompt."""
    return write_catalog(path, *({"sku": f"p{n}", "prompt": f"Product number {n}", **fields} for n in range(count)))


def assert_bill(sandbox: Sandbox, *runs: Ran) -> None:
    """The law of money, exact: billed <= the gateway's bill <= billed + at risk, over all runs; equal when nothing is at risk."""
    billed = sum((each.summary.billed_usd for each in runs), ZERO)
    at_risk = at_risk_now(*runs)
    bill = Decimal(sandbox.bill()["usd"])
    assert billed <= bill <= billed + at_risk, f"billed {billed}, bill {bill}, at risk {at_risk}"
    if not at_risk:
        assert billed == bill


def at_risk_now(*runs: Ran) -> Decimal:
    """What is at risk by the newest manifest: it speaks for all runs."""
    return runs[-1].summary.at_risk_usd
