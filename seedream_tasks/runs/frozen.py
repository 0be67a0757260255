"""The frozen run: one Parquet row per (row, shot), written before anything is bought and never changed.

It holds the catalog's columns, the rendered jobs, and what was already decided (invalid, skipped). Together with the ledger it
defines a run completely: the manifest, a resume and a rebuild are computed from the two.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..core.errors import ArchiveFault
from ..core.jobs import Job, job_key
from ..core.secrets import without_secrets
from ..core.states import Reason
from ..storage.archive import Archive

ROWS_PER_GROUP = 2048
MONEY = pa.decimal128(14, 6)

_TIME = pa.timestamp("us", tz="UTC")
_REFERENCES = pa.list_(pa.struct([("uri", pa.string()), ("sha256", pa.string())]))
_IMAGES = pa.list_(
    pa.struct(
        [
            ("slot", pa.int32()),
            ("uri", pa.string()),
            ("path", pa.string()),
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("bytes", pa.int64()),
            ("mime_type", pa.string()),
            ("source_url", pa.string()),
            ("attempt_id", pa.string()),
            ("gateway", pa.string()),
            ("task_id", pa.string()),
        ]
    )
)
# The manifest's columns, after the catalog's own.
RECORD = pa.schema(
    [
        ("row_number", pa.int64()),
        ("row_key", pa.string()),
        ("shot", pa.string()),
        ("job_key", pa.string()),
        ("fingerprint", pa.string()),
        ("edition", pa.string()),
        ("operation", pa.string()),
        ("model", pa.string()),
        ("model_reported", pa.string()),
        ("prompt", pa.string()),
        ("n", pa.int32()),
        ("ratio", pa.string()),
        ("pixels", pa.string()),
        ("tier", pa.string()),
        ("references", _REFERENCES),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("warnings", pa.list_(pa.string())),
        ("reused", pa.bool_()),
        ("stale", pa.bool_()),
        ("gateway", pa.string()),
        ("task_id", pa.string()),
        ("attempt_ids", pa.list_(pa.string())),
        ("task_ids", pa.list_(pa.string())),
        ("attempts", pa.int32()),
        ("route_reason", pa.string()),
        ("cheapest_usd", MONEY),
        ("images", _IMAGES),
        ("image_count", pa.int32()),
        ("quoted_usd", MONEY),
        ("billed_usd", MONEY),
        ("cost_usd", MONEY),
        ("at_risk_usd", MONEY),
        ("billed_credits", MONEY),
        ("cost_basis", pa.string()),
        ("price_as_of", pa.date32()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("submitted_at", _TIME),
        ("completed_at", _TIME),
        ("archived_at", _TIME),
        ("expires_at", _TIME),
        ("run_id", pa.string()),
        ("simulated", pa.bool_()),
    ]
)
_FROM_RECORD = (
    *("row_number", "row_key", "shot", "job_key", "fingerprint", "edition", "operation", "model", "prompt", "n"),
    *("ratio", "pixels", "tier", "references", "reason", "warnings", "error_code", "error_message"),
)
# Internal columns of the frozen file; the names cannot clash with a catalog's, see `manifest_names`.
_OWN = pa.schema(
    [
        ("_line", pa.int64()),
        ("_settled", pa.string()),  # invalid or skipped: nothing is to be bought; null: a job
        ("_selected", pa.bool_()),  # false: --only leaves it out
        ("_job", pa.string()),  # the whole job as JSON
        ("_take", pa.int32()),  # how often its images were requested again after a review; null: never
        ("_beside", pa.list_(pa.string())),  # further jobs (JSON) of the record, each with its slots
        ("_forecast_usd", MONEY),
        ("_rests", pa.bool_()),  # its images were archived when the run started: nothing was left to do for it
    ]
)
FROZEN = pa.schema([*(RECORD.field(name) for name in _FROM_RECORD), *_OWN])
_TAKEN = {name.lower() for name in (*RECORD.names, *_OWN.names)}


def manifest_names(columns: Sequence[str]) -> list[str]:
    """The catalog's column names as the manifest has them: one that clashes with ours (case ignored) becomes catalog_<name>."""
    names: list[str] = []
    for column in columns:
        name = f"catalog_{column}" if column.lower() in _TAKEN else column
        while name in names or (name != column and name in columns):
            name = f"{name}_"
        names.append(name)
    return names


@dataclass(frozen=True, slots=True)
class FrozenRecord:
    """One (row, shot) as of the start of the run."""

    row_number: int
    line: int | None
    row_key: str | None
    shot: str
    values: Sequence[Any]  # the catalog's cells
    job: Job | None
    reason: Reason
    settled: str | None = None  # "invalid" or "skipped"
    selected: bool = True
    warnings: tuple[str, ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    forecast_usd: Decimal | None = None
    take: int = 0
    beside: tuple[Job, ...] = ()
    fingerprint: str = ""  # the job's, if already computed
    rests: bool = False  # nothing is left to do for its job

    def own_values(self) -> dict[str, Any]:
        """The columns after the catalog's."""
        job = self.job
        values: dict[str, Any] = {
            "row_number": self.row_number,
            "row_key": self.row_key,
            "shot": self.shot,
            "reason": self.reason.value,
            "warnings": list(self.warnings),
            "error_code": self.error_code,
            "error_message": self.error_message,
            "_line": self.line,
            "_settled": self.settled,
            "_selected": self.selected,
            "_job": None,
            "_take": self.take or None,
            "_beside": [job.as_json() for job in self.beside],
            "_forecast_usd": self.forecast_usd,
            "_rests": self.rests,
        }
        if job is not None:
            fingerprint = self.fingerprint or job.fingerprint
            values |= {
                "job_key": job_key(job.row_key, job.shot, fingerprint),
                "fingerprint": fingerprint,
                "edition": job.edition,
                "operation": job.operation,
                "model": job.model,
                "prompt": job.prompt,
                "n": job.n,
                "ratio": job.ratio,
                "pixels": job.pixels,
                "tier": job.tier,
                "references": [{"uri": kept_uri(each.uri), "sha256": each.sha256} for each in job.references],
                "_job": job.as_json(),
            }
        return values


def kept_uri(uri: str) -> str:
    """A reference's URI as manifests keep it: no password or signature, and of a data URI only its type."""
    return uri.partition(",")[0] if uri.startswith("data:") else without_secrets(uri)


def kept_link(url: str) -> str:
    """A gateway's link to an image as manifests keep it: without its query, which may be a signature under any name."""
    return kept_uri(url).split("?", 1)[0]


class FrozenWriter:
    """Writes records in batches to a local file. Use as a context manager; the file is complete on leaving it."""

    def __init__(self, path: Path, catalog: pa.Schema) -> None:
        names = manifest_names(catalog.names)
        self._catalog = [field.with_name(name) for field, name in zip(catalog, names, strict=True)]
        self._schema = pa.schema([*self._catalog, *FROZEN])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[FrozenRecord] = []
        self.count = 0
        self.metadata: dict[str, str] = {}  # written last: the catalog's sha256 is known only once it is read

    def __enter__(self) -> "FrozenWriter":
        return self

    def __exit__(self, *_: Any) -> None:
        self._flush()
        self._writer.add_key_value_metadata(self.metadata)
        self._writer.close()

    def write(self, record: FrozenRecord) -> None:
        """Add one record."""
        self._waiting.append(record)
        self.count += 1
        if len(self._waiting) >= ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        columns = [
            pa.array([record.values[number] for record in self._waiting], type=field.type)
            for number, field in enumerate(self._catalog)
        ]
        rows = [record.own_values() for record in self._waiting]
        columns += [pa.array([row.get(field.name) for row in rows], type=field.type) for field in FROZEN]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._waiting.clear()


class FrozenRun:
    """Reads a frozen run from its archive. Random access is by row group, so that a chunk costs one read."""

    def __init__(self, archive: Archive, run_id: str) -> None:
        self.run_id = run_id
        self._lock = threading.Lock()
        try:
            self._file = archive.open(frozen_path(run_id))
            self._parquet = pq.ParquetFile(self._file)
        except FileNotFoundError:
            raise ArchiveFault(f"the run {run_id} has no frozen jobs at {archive.uri(frozen_path(run_id))}") from None
        except (OSError, pa.ArrowException) as error:
            raise ArchiveFault(f"{archive.uri(frozen_path(run_id))} cannot be read: {error}") from None
        self.schema: pa.Schema = self._parquet.schema_arrow
        self._cached: tuple[int, list[tuple[int, dict[str, Any]]]] | None = None

    def __len__(self) -> int:
        return int(self._parquet.metadata.num_rows)

    def count_jobs(self) -> tuple[int, int]:
        """How many records are jobs (not settled by planning), and how many of these are at rest."""
        jobs = resting = 0
        for group in self._parquet.iter_batches(batch_size=ROWS_PER_GROUP, columns=["_settled", "_rests"]):
            jobs += group["_settled"].null_count
            resting += group["_rests"].true_count
        return jobs, resting

    def busy(self) -> Any:
        """Positions of the records that a run works on or must report: all but those at rest or skipped. Ascending."""
        found, start = [np.zeros(0, dtype=np.int64)], 0
        for group in self._parquet.iter_batches(batch_size=ROWS_PER_GROUP, columns=["_settled", "_rests"]):
            found.append(start + np.flatnonzero(_busy(group)))
            start += len(group)
        return np.concatenate(found)

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()
        self._file.close()

    @property
    def catalog_columns(self) -> list[str]:
        """The catalog's columns, as the manifest names them."""
        return list(self.schema.names[: len(self.schema) - len(FROZEN)])

    def metadata(self) -> dict[str, str]:
        """The metadata of the frozen run."""
        stated = self._parquet.metadata.metadata or {}
        return {key.decode(): value.decode() for key, value in stated.items() if key != b"ARROW:schema"}

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """The records from `start` to before `stop` (None: the end), in order."""
        stop = len(self) if stop is None else stop
        position = 0
        for group in range(self._parquet.num_row_groups):
            count = self._parquet.metadata.row_group(group).num_rows
            if position + count <= start or position >= stop:
                position += count
                continue
            for batch in self._parquet.iter_batches(batch_size=ROWS_PER_GROUP, row_groups=[group]):
                first, last = max(0, start - position), min(batch.num_rows, stop - position)
                if first < last:
                    yield batch.slice(first, last - first)
                position += batch.num_rows

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Our own columns of the records from `start` to before `stop`."""
        found: list[dict[str, Any]] = []
        for group, first, last in self._groups(start, stop):
            with self._lock:
                found += (
                    self._parquet.read_row_group(group, columns=FROZEN.names).slice(first, last - first).to_pylist()
                )
        return found

    def busy_rows(self, start: int, stop: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """The same of the `busy` ones among them, each with its position."""
        for group, _, _ in self._groups(start, stop):
            for position, record in self._group(group):
                if start <= position < stop:
                    yield position, record

    def jobs(self, start: int, stop: int) -> Iterator[tuple[int | None, Job, bool]]:
        """The busy jobs among the records from `start` to before `stop`: position, job, whether it is selected.

        Further jobs of a record follow its own and have no position.
        """
        for position, record in self.busy_rows(start, stop):
            if record["_job"] is not None and record["_settled"] is None:
                yield position, Job.from_json(record["_job"]), record["_selected"]
                for beside in record["_beside"] or ():
                    yield None, Job.from_json(beside), record["_selected"]

    def _groups(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The row groups that hold these records, each with the first and, exclusive, the last of them within it."""
        position = 0
        for group in range(self._parquet.num_row_groups):
            count = self._parquet.metadata.row_group(group).num_rows
            first, last = max(0, start - position), min(count, stop - position)
            if first < last:
                yield group, first, last
            position += count

    def _group(self, group: int) -> list[tuple[int, dict[str, Any]]]:
        # Chunks are read from several threads at once, and the file's reader is not thread-safe.
        with self._lock:
            if self._cached is None or self._cached[0] != group:
                before = sum(self._parquet.metadata.row_group(each).num_rows for each in range(group))
                whole = self._parquet.read_row_group(group, columns=FROZEN.names)
                here = np.flatnonzero(_busy(whole))
                self._cached = (group, list(zip((before + here).tolist(), whole.take(here).to_pylist(), strict=True)))
            return self._cached[1]


def _busy(records: Any) -> Any:
    idle = pc.or_(records["_rests"], pc.fill_null(pc.equal(records["_settled"], "skipped"), False))
    return pc.invert(idle).to_numpy(zero_copy_only=False)


def frozen_path(run_id: str) -> str:
    """The path of a run's frozen jobs below the archive's root."""
    return f"runs/{run_id}/jobs.parquet"
