"""The manifest: every record of a run joined back to its catalog row, streamed, and reconciled before anyone sees it."""

import logging
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

from ..core.errors import SeedreamError
from ..core.jobs import Job
from ..core.money import ZERO, plain
from ..core.states import RecordStatus
from ..ledger import known_runs, spending
from ..ledger.image_records import any_derived
from ..ledger.queries import admissions_of, job_views, known_jobs
from ..ledger.values import JobView
from ..ledger.writer import Ledger
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
from .summary import GatewayTotals, Summary

logger = logging.getLogger("seedream_tasks.runs")

MANIFEST_SCHEMA_VERSION = "1"
# Metadata key: written while the run was still active, so purchases may be missing.
# The last run's manifest, under a stable name for readers.
NEWEST = "manifest.parquet"
PROVISIONAL = "seedream_tasks.provisional"


def manifest_path(run_id: str) -> str:
    """The path of a run's manifest below the archive's root."""
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
    run = ledger.read_now(lambda connection: known_runs.find_run(connection, run_id))
    if run is None:
        raise SeedreamError(f"the ledger knows no run {run_id}")
    frozen = FrozenRun(archive, run_id)
    facts_of_run = RunFacts.of(ledger, archive, run_id, run.simulated)
    later = ledger.read_now(lambda connection: known_runs.newer_runs(connection, run))
    try:
        with tempfile.TemporaryDirectory(prefix="seedream-") as folder, parts_of(archive, run_id, parts) as made_parts:
            target = Path(folder, "manifest.parquet")

            def work(connection: Connection) -> Summary:
                # A single snapshot: another process may be settling attempts of this run meanwhile.
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
                    for name, figures in spending.spent_by_gateway(connection, run_id).items()
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
    run = ledger.read_now(lambda connection: known_runs.find_run(connection, run_id))
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
                delete_parts(archive, run_id, [(start, stop)])  # left by an earlier process
    finally:
        frozen.close()
    return summary


def summarize(
    ledger: Ledger, frozen: FrozenRun, run: RunFacts, start: int, stop: int
) -> tuple[Summary, list[dict[str, Any]]]:
    """The figures and records of the busy part of a range of a run, as its manifest would show them now."""
    rows = [row for _, row in frozen.busy_rows(start, stop)]

    def work(connection: Connection) -> tuple[Summary, list[dict[str, Any]]]:
        summary = Summary(run.run_id, run.simulated)
        return summary, _records(connection, rows, run, summary)

    return ledger.read_now(work)


def _reconcile(connection: Connection, frozen: FrozenRun, summary: Summary) -> None:
    problem = None
    billed = spending.spent(connection, frozen.run_id)["billed_usd"]
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
    """Write the records from `start` to before `stop` from the ledger, and count them."""
    for batch in frozen.batches(start, stop):
        columns = [batch.column(name) for name in frozen.catalog_columns]
        columns += _record_columns(connection, batch.select(FROZEN.names), run, summary)
        writer.write_batch(pa.record_batch(columns, schema=schema))


def _record_columns(connection: Connection, frozen: pa.RecordBatch, run: RunFacts, summary: Summary) -> list[pa.Array]:
    """The manifest's own columns of these frozen records, in their order."""
    deferred = admissions_of(connection, run.run_id, [key for key in frozen["job_key"].to_pylist() if key is not None])
    plain = find_plain(connection, frozen, run, list(deferred))
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
    deferred = admissions_of(connection, run.run_id, [*keys, *(key for each in beside.values() for key in each)])
    earlier = _earlier(connection, rows, views)
    records = []
    for row in rows:
        is_job = row["_settled"] is None
        view = views.get(row["job_key"]) if is_job else None
        of_record = [deferred.get(key) for key in beside.get(row["job_key"], [row["job_key"]])] if is_job else []
        admission = next((each for each in of_record if each is not None), None)
        name = (row["row_key"], row["shot"])
        values = record(row, run, view, admission, earlier.get(name))
        held_back = values["status"] in (RecordStatus.DEFERRED, RecordStatus.PARTIAL) and admission is not None
        summary.add(values, admission.usd if held_back and admission else ZERO, anew=bool(row["_take"]))
        if values["at_risk_usd"] and view is not None:
            summary.price_risk.update(price_risk(view.attempts))
        records.append(values)
    return records


def _with_those_beside(
    connection: Connection, rows: Sequence[dict[str, Any]], views: dict[str, JobView]
) -> dict[str, list[str]]:
    """Merge the views of records with several jobs; returns the jobs' keys by record."""
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
    """For records without an image of their own: the job of the same (row key, shot) that was archived last."""
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
    """Jobs by the time their last image was archived, newest first."""

    def when(job: Any) -> Any:
        times = [each.archived_at for each in views[job.job_key].standing() if each.archived_at]
        return (max(times) if times else job.created_at, job.job_key)

    return sorted(jobs, key=when, reverse=True)


def read_manifest(uri: str) -> pd.DataFrame:
    """A manifest as a pandas DataFrame: amounts as Decimal, images as lists of dicts."""
    with fsspec.open(uri, "rb") as file:
        return cast(pd.DataFrame, pq.read_table(file).to_pandas())
