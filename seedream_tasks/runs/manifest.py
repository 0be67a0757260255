"""The manifest: every record of a run joined back to its catalog row, streamed, and reconciled before anyone sees it."""

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from ..core.errors import SeedreamError
from ..core.jobs import Job
from ..core.market import market
from ..core.money import ZERO, dollars, plain
from ..core.states import COMPLETE, RecordStatus
from ..ledger import facts
from ..ledger.images import any_derived
from ..ledger.queries import JobView, admissions_of, job_views, known_jobs
from ..ledger.store import Ledger
from ..storage.archive import Archive
from ..version import __version__
from .frozen import FROZEN, RECORD, FrozenRun
from .manifest_parts import (
    OF_RUN,
    SUMS,
    Part,
    Range,
    delete_parts,
    is_final,
    part_path,
    parts_of,
)
from .output_files import outputs_path, write_outputs
from .plain_records import find_plain, plain_columns
from .records import RunFacts, made_of, may_be_stale, price_risk, record

logger = logging.getLogger("seedream_tasks.runs")

MANIFEST_SCHEMA_VERSION = "1"
# Key of the file's metadata: written while the run was still going on, so it does not know all that the run bought.
# The last run's manifest, under the name that readers hold on to.
NEWEST = "manifest.parquet"
PROVISIONAL = "seedream_tasks.provisional"
_FAILURES_SHOWN = 200
# What a summary says of a run and not of its records.
_OF_A_WHOLE = frozenset({"run_id", "simulated", "rows", "by_gateway"})


@dataclass
class GatewayTotals:
    """What one gateway was to cost a run, and did."""

    attempts: int = 0
    images: int = 0
    quoted_usd: Decimal = ZERO
    billed_usd: Decimal = ZERO
    at_risk_usd: Decimal = ZERO


@dataclass
class Summary:
    """A run in figures, as its manifest adds up."""

    run_id: str
    simulated: bool
    rows: int = 0
    records: int = 0
    jobs: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    images: int = 0
    reused: int = 0
    quoted_usd: Decimal = ZERO
    billed_usd: Decimal = ZERO
    cost_usd: Decimal = ZERO
    at_risk_usd: Decimal = ZERO
    # Of what is at risk: what gateways would have been paid more, by the dearest price stated. Millionths of a dollar.
    price_risk: Counter[str] = field(default_factory=Counter)
    deferred_usd: Decimal = ZERO
    rework_usd: Decimal = ZERO  # of what is billed: pictures that were bought anew because people rejected others
    by_gateway: dict[str, GatewayTotals] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)  # the first of those that are not archived or skipped

    @property
    def complete(self) -> bool:
        """Whether every record is archived or skipped."""
        return all(RecordStatus(status) in COMPLETE for status in self.by_status)

    def at_risk_in_words(self) -> str:
        """What is at risk and why, in half a line."""
        total, named = (
            dollars(self.at_risk_usd),
            " and ".join(market().title(name) for name in sorted(self.price_risk)),
        )
        of_prices = Decimal(self.price_risk.total()).scaleb(-6)
        if not of_prices:
            return total
        why = (
            f"if {named} {'charge what their sites say' if len(self.price_risk) > 1 else 'charges what its site says'}"
        )
        rest = self.at_risk_usd - of_prices
        return f"{total}: {dollars(of_prices)} {why}, {dollars(rest)} otherwise" if rest else f"{total} {why}"

    def add(self, values: dict[str, Any], deferred_usd: Decimal, anew: bool = False) -> None:
        """Count one record; `anew`: its pictures were asked for because people rejected others."""
        status = values["status"]
        self.records += 1
        self.jobs += values["job_key"] is not None and status not in (RecordStatus.INVALID, RecordStatus.SKIPPED)
        self.by_status[str(status)] += 1
        self.images += values["image_count"]
        self.reused += values["reused"]
        for name in ("quoted_usd", "billed_usd", "cost_usd", "at_risk_usd"):
            setattr(self, name, getattr(self, name) + values[name])
        self.deferred_usd += deferred_usd
        self.rework_usd += values["billed_usd"] if anew else ZERO
        if RecordStatus(status) not in COMPLETE and len(self.failures) < _FAILURES_SHOWN:
            shown = ("row_number", "row_key", "shot", "status", "reason", "gateway", "error_code", "error_message")
            self.failures.append({name: values[name] for name in shown})

    def add_plain(self, columns: Mapping[str, pa.Array]) -> None:
        """Count records that are archived with all their pictures."""
        count = len(columns["status"])
        self.records += count
        self.jobs += count
        self.by_status[RecordStatus.ARCHIVED.value] += count
        self.images += pc.sum(columns["image_count"]).as_py()
        self.reused += columns["reused"].true_count
        for name in ("quoted_usd", "billed_usd", "cost_usd", "at_risk_usd"):
            setattr(self, name, getattr(self, name) + pc.sum(columns[name]).as_py())
        for row in (
            pa.table({name: columns[name] for name in ("gateway", "at_risk_usd")})
            .group_by("gateway")
            .aggregate([("at_risk_usd", "sum")])
            .to_pylist()
        ):
            if row["at_risk_usd_sum"]:
                self.price_risk[row["gateway"]] += int(row["at_risk_usd_sum"].scaleb(6))

    def as_part(self) -> str:
        """The sums as JSON, exactly, for whoever adds them to others with `add_part`."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _OF_A_WHOLE}
        return json.dumps(
            {name: plain(value) if isinstance(value, Decimal) else value for name, value in values.items()}
        )

    def add_part(self, text: str) -> None:
        """Add the sums of some records."""
        for name, value in json.loads(text).items():
            mine = getattr(self, name)
            if isinstance(mine, Counter):
                mine.update(value)
            elif isinstance(mine, list):
                mine += value[: _FAILURES_SHOWN - len(mine)]
            else:
                setattr(self, name, mine + type(mine)(value))

    def gateways(self) -> dict[str, dict[str, Any]]:
        """What was forecast and what it cost, by gateway, with money as decimal strings."""
        return {
            name: {
                "attempts": each.attempts,
                "images": each.images,
                "quoted_usd": plain(each.quoted_usd),
                "billed_usd": plain(each.billed_usd),
                "at_risk_usd": plain(each.at_risk_usd),
            }
            for name, each in sorted(self.by_gateway.items())
        }

    def as_json(self) -> dict[str, Any]:
        """Figures with money as decimal strings."""
        return {
            "run_id": self.run_id,
            "rows": self.rows,
            "jobs": self.jobs,
            "by_status": dict(sorted(self.by_status.items())),
            "images": self.images,
            "reused": self.reused,
            "quoted_usd": plain(self.quoted_usd),
            "billed_usd": plain(self.billed_usd),
            "cost_usd": plain(self.cost_usd),
            "at_risk_usd": plain(self.at_risk_usd),
            "deferred_usd": plain(self.deferred_usd),
            "simulated": self.simulated,
        }


def manifest_path(run_id: str) -> str:
    """Where a run's manifest stands below the archive's root."""
    return f"runs/{run_id}/manifest.parquet"


class ManifestMismatch(SeedreamError):
    """The manifest does not add up to the ledger; it is not published."""

    code = "manifest_mismatch"


def write_manifest(
    ledger: Ledger, archive: Archive, run_id: str, provisional: bool = False, parts: Sequence[Range] = ()
) -> Summary:
    """Compute every record of a run, check the sums, publish. Blocks; memory does not grow with the catalog.

    Where no run that began later has a manifest, it becomes the archive's own manifest.parquet too. `provisional`: the run may
    still be going on; `parts`: ranges of records that `write_part` has written, to be joined where they are final. Raises
    ManifestMismatch, ArchiveFault or LedgerFault.
    """
    run = ledger.read_now(lambda connection: facts.find_run(connection, run_id))
    if run is None:
        raise SeedreamError(f"the ledger knows no run {run_id}")
    frozen = FrozenRun(archive, run_id)
    facts_of_run = RunFacts.of(ledger, archive, run_id, run.simulated)
    later = ledger.read_now(lambda connection: facts.newer_runs(connection, run))
    try:
        with tempfile.TemporaryDirectory(prefix="seedream-") as folder, parts_of(archive, run_id, parts) as made_parts:
            target = Path(folder, "manifest.parquet")

            def work(connection: Connection) -> Summary:
                # One snapshot for all of it: somebody else may be settling attempts of this run meanwhile.
                summary = _write(connection, frozen, target, facts_of_run, provisional, made_parts)
                try:
                    _reconcile(connection, frozen, summary)
                except ManifestMismatch as mismatch:
                    if not made_parts:
                        raise
                    logger.info("a part of the manifest is out of date, all records are computed again: %s", mismatch)
                    summary = _write(connection, frozen, target, facts_of_run, provisional)
                    _reconcile(connection, frozen, summary)
                summary.by_gateway = {
                    name: GatewayTotals(*figures)
                    for name, figures in facts.spent_by_gateway(connection, run_id).items()
                }
                return summary

            summary = ledger.read_now(work)
            if ledger.read_now(lambda connection: any_derived(connection, archive.name)):
                made = Path(folder, "outputs.parquet")
                if ledger.read_now(lambda connection: write_outputs(connection, target, made, archive)):
                    archive.publish(outputs_path(run_id), made)
            archive.publish(manifest_path(run_id), target)
            more = {
                "rework_usd": plain(summary.rework_usd),
                "at_risk_in_words": summary.at_risk_in_words(),
                "at_risk_of_prices": not summary.at_risk_usd - Decimal(summary.price_risk.total()).scaleb(-6),
                "by_gateway": summary.gateways(),
            }
            archive.publish_json(f"runs/{run_id}/summary.json", {**summary.as_json(), **more})
            if not any(archive.exists(manifest_path(other)) for other in later):
                archive.publish(NEWEST, target)
        delete_parts(archive, run_id, parts)
    finally:
        frozen.close()
    return summary


def write_part(ledger: Ledger, archive: Archive, run_id: str, start: int, stop: int) -> Summary:
    """Compute a range of a run's records for the manifest to be joined from, and keep them if all are final.

    Raises ArchiveFault or LedgerFault.
    """
    run = ledger.read_now(lambda connection: facts.find_run(connection, run_id))
    if run is None:
        raise SeedreamError(f"the ledger knows no run {run_id}")
    frozen = FrozenRun(archive, run_id)
    told = RunFacts.of(ledger, archive, run_id, run.simulated)
    schema = _schema(frozen, {OF_RUN: run_id})
    try:
        with tempfile.TemporaryDirectory(prefix="seedream-") as folder:
            target = Path(folder, "part.parquet")

            def work(connection: Connection) -> Summary:
                summary = Summary(run_id, told.simulated)
                with pq.ParquetWriter(target, schema, compression="zstd") as writer:
                    _compute(connection, frozen, writer, schema, told, summary, start, stop)
                    writer.add_key_value_metadata({SUMS: summary.as_part()})
                return summary

            summary = ledger.read_now(work)
            if is_final(summary.by_status):
                archive.publish(part_path(run_id, (start, stop)), target)
            else:
                delete_parts(archive, run_id, [(start, stop)])  # of somebody who was here before
    finally:
        frozen.close()
    return summary


def summarize(
    ledger: Ledger, frozen: FrozenRun, run: RunFacts, start: int, stop: int
) -> tuple[Summary, list[dict[str, Any]]]:
    """The figures and records of what is busy in a part of a run, as its manifest would have them now."""
    rows = [row for _, row in frozen.busy_rows(start, stop)]

    def work(connection: Connection) -> tuple[Summary, list[dict[str, Any]]]:
        summary = Summary(run.run_id, run.simulated)
        return summary, _records(connection, rows, run, summary)

    return ledger.read_now(work)


def _reconcile(connection: Connection, frozen: FrozenRun, summary: Summary) -> None:
    problem = None
    billed = facts.spent(connection, frozen.run_id)["billed_usd"]
    if summary.records != len(frozen):
        problem = f"{summary.records} records for {len(frozen)} frozen ones"
    elif billed != summary.billed_usd:
        problem = f"the records are billed {plain(summary.billed_usd)} USD, the ledger says {plain(billed)}"
    if problem:
        raise ManifestMismatch(f"run {frozen.run_id}: {problem}")


def _schema(frozen: FrozenRun, metadata: dict[str, str]) -> pa.Schema:
    catalog = [frozen.schema.field(name) for name in frozen.catalog_columns]
    return pa.schema([*catalog, *RECORD], metadata=metadata)


def _write(
    connection: Connection,
    frozen: FrozenRun,
    target: Path,
    run: RunFacts,
    provisional: bool,
    parts: Sequence[Part] = (),
) -> Summary:
    stated = frozen.metadata()
    metadata = {
        "seedream_tasks.schema_version": MANIFEST_SCHEMA_VERSION,
        "run_id": run.run_id,
        "parent_run_id": stated.get("parent_run_id", ""),
        "catalog_uri": stated.get("catalog_uri", ""),
        "catalog_sha256": stated.get("catalog_sha256", ""),
        "shots_sha256": stated.get("shots_sha256", ""),
        "prices_sha256": stated.get("prices_sha256", ""),
        "plugin_version": __version__,
        **({PROVISIONAL: "true"} if provisional else {}),
    }
    schema = _schema(frozen, metadata)
    summary = Summary(run.run_id, run.simulated, rows=int(stated.get("rows", "0")))
    position = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for part in parts:
            _compute(connection, frozen, writer, schema, run, summary, position, part.start)
            part.copy_into(writer, schema)
            summary.add_part(part.sums)
            position = part.stop
        _compute(connection, frozen, writer, schema, run, summary, position, len(frozen))
    return summary


def _compute(
    connection: Connection,
    frozen: FrozenRun,
    writer: pq.ParquetWriter,
    schema: pa.Schema,
    run: RunFacts,
    summary: Summary,
    start: int,
    stop: int,
) -> None:
    """Write the records from `start` to before `stop` as the ledger has them, and count them."""
    for batch in frozen.batches(start, stop):
        columns = [batch.column(name) for name in frozen.catalog_columns]
        columns += _record_columns(connection, batch.select(FROZEN.names), run, summary)
        writer.write_batch(pa.record_batch(columns, schema=schema))


def _record_columns(connection: Connection, frozen: pa.RecordBatch, run: RunFacts, summary: Summary) -> list[pa.Array]:
    """The manifest's own columns of these frozen records, in their order."""
    put_off = admissions_of(connection, run.run_id, [key for key in frozen["job_key"].to_pylist() if key is not None])
    plain = find_plain(connection, frozen, run, list(put_off))
    places = [place for place in range(len(frozen)) if place not in plain]
    records = _records(connection, frozen.take(pa.array(places, pa.int64())).to_pylist(), run, summary)
    others = {field.name: pa.array([each[field.name] for each in records], field.type) for field in RECORD}
    if not plain:
        return [others[name] for name in RECORD.names]
    well = plain_columns(frozen.take(pa.array(list(plain), pa.int64())), list(plain.values()), run)
    summary.add_plain(well)
    order = np.argsort([*plain, *places])
    return [pa.concat_arrays([well[name], others[name]]).take(pa.array(order)) for name in RECORD.names]


def _records(
    connection: Connection, rows: Sequence[dict[str, Any]], run: RunFacts, summary: Summary
) -> list[dict[str, Any]]:
    keys = [row["job_key"] for row in rows if row["job_key"] is not None and row["_settled"] is None]
    views = job_views(connection, keys)
    beside = _with_those_beside(connection, rows, views)
    put_off = admissions_of(connection, run.run_id, [*keys, *(key for each in beside.values() for key in each)])
    earlier = _earlier(connection, rows, views)
    records = []
    for row in rows:
        is_job = row["_settled"] is None
        view = views.get(row["job_key"]) if is_job else None
        of_record = [put_off.get(key) for key in beside.get(row["job_key"], [row["job_key"]])] if is_job else []
        admission = next((each for each in of_record if each is not None), None)
        name = (row["row_key"], row["shot"])
        values = record(row, run, view, admission, earlier.get(name))
        deferred = values["status"] in (RecordStatus.DEFERRED, RecordStatus.PARTIAL) and admission is not None
        summary.add(values, admission.usd if deferred and admission else ZERO, anew=bool(row["_take"]))
        if values["at_risk_usd"] and view is not None:
            summary.price_risk.update(price_risk(view.attempts))
        records.append(values)
    return records


def _with_those_beside(
    connection: Connection, rows: Sequence[dict[str, Any]], views: dict[str, JobView]
) -> dict[str, list[str]]:
    """Let the views of records that are made of several jobs hold all of them; returns the keys of those, by record."""
    several = {row["job_key"]: row for row in rows if row["_beside"]}
    jobs = {
        key: [Job.from_json(row["_job"]), *(Job.from_json(text) for text in row["_beside"])]
        for key, row in several.items()
    }
    found = job_views(connection, [job.job_key for each in jobs.values() for job in each])
    for key, each in jobs.items():
        views[key] = made_of([(job, found[job.job_key]) for job in each])
    return {key: [job.job_key for job in each] for key, each in jobs.items()}


def _earlier(
    connection: Connection, rows: Sequence[dict[str, Any]], views: dict[str, JobView]
) -> dict[tuple[str, str], JobView]:
    """For records without a picture of their own: the job of the same (row key, shot) that was archived last."""
    pending = [
        (row["row_key"], row["shot"])
        for row in rows
        if may_be_stale(row, views.get(row["job_key"]) if row["_settled"] is None else None)
    ]
    known = known_jobs(connection, pending)
    others = job_views(connection, [job.job_key for jobs in known.values() for job in jobs])
    found = {}
    for name, jobs in known.items():
        last = next((others[job.job_key] for job in _newest(jobs, others) if others[job.job_key].standing()), None)
        if last is not None:
            found[name] = last
    return found


def _newest(jobs: Sequence[Any], views: dict[str, JobView]) -> list[Any]:
    """Jobs by the time their last picture was archived, newest first."""

    def when(job: Any) -> Any:
        times = [each.archived_at for each in views[job.job_key].standing() if each.archived_at]
        return (max(times) if times else job.created_at, job.job_key)

    return sorted(jobs, key=when, reverse=True)


def read_manifest(uri: str) -> pd.DataFrame:
    """A manifest as a pandas DataFrame: amounts as Decimal, images as lists of dicts."""
    with fsspec.open(uri, "rb") as file:
        return cast(pd.DataFrame, pq.read_table(file).to_pandas())
