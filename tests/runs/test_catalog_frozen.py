"""The frozen run and the manifest's columns."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.errors import ArchiveFault
from seedream_tasks.core.jobs import Job, Reference
from seedream_tasks.core.states import Reason
from seedream_tasks.runs.frozen import (
    FROZEN,
    RECORD,
    ROWS_PER_GROUP,
    FrozenRecord,
    FrozenRun,
    FrozenWriter,
    frozen_path,
    manifest_names,
)
from seedream_tasks.storage.archive import Archive

JOB = Job(
    "a/b",
    "hero",
    "seedream-4.5",
    "edit",
    "Größe × 2",
    n=2,
    references=(Reference("https://shop.example/a.jpg?v=2&X-Amz-Signature=s", "1" * 64, "JPEG", 10, 20, 30),),
    edition="spring",
    gateway_options={"evolink": {"size_form": "pixels"}},
)
BOUGHT = FrozenRecord(1, 2, "a/b", "hero", ("a/b", "Lamp"), JOB, Reason.NEW, forecast_usd=Decimal("0.062"))
REFUSED = FrozenRecord(
    2,
    3,
    None,
    "hero",
    (None, "Chair"),
    None,
    Reason.MISSING_KEY,
    settled="invalid",
    error_code="missing_key",
    error_message="line 3: the key is empty",
)
LEFT_OUT = replace(BOUGHT, row_number=3, line=None, selected=False, warnings=("reference_unreachable",))
TEXT = pa.schema([("sku", pa.string()), ("Status", pa.string())])


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An empty local archive."""
    return Archive(str(tmp_path / "archive"))


def freeze(archive: Archive, records: list[FrozenRecord], schema: pa.Schema = TEXT) -> FrozenRun:
    """Write a run and open it as any worker would."""
    path = archive.local_path(frozen_path("r1"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FrozenWriter(path, schema) as writer:
        for record in records:
            writer.write(record)
        writer.metadata = {"run_id": "r1", "rows": str(len(records))}
    return FrozenRun(archive, "r1")


def test_a_frozen_run_reads_back(archive: Archive) -> None:
    """Jobs come back whole with their positions; what is settled is none."""
    run = freeze(archive, [BOUGHT, REFUSED, LEFT_OUT])
    assert len(run) == 3
    assert list(run.jobs(0, 3)) == [(0, JOB, True), (2, JOB, False)]
    assert run.metadata() == {"run_id": "r1", "rows": "3"}
    run.close()


def test_a_record_says_what_was_decided(archive: Archive) -> None:
    """Our own columns as the manifest will repeat them; a signature is not kept."""
    run = freeze(archive, [BOUGHT, REFUSED])
    bought, refused = run.rows(0, 2)
    run.close()
    assert (bought["row_number"], bought["_line"], bought["row_key"], bought["job_key"]) == (1, 2, "a/b", JOB.job_key)
    assert (bought["n"], bought["edition"], bought["_forecast_usd"]) == (2, "spring", Decimal("0.062000"))
    assert bought["references"] == [{"uri": "https://shop.example/a.jpg?v=2", "sha256": "1" * 64}]
    assert (refused["row_key"], refused["job_key"], refused["_job"]) == (None, None, None)
    assert (refused["_settled"], refused["reason"], refused["error_code"]) == ("invalid", "missing_key", "missing_key")


def test_any_part_of_a_long_run_can_be_read(archive: Archive) -> None:
    """Chunks, shards and resumes read across row groups and lose nothing."""
    count = ROWS_PER_GROUP * 2 + 10
    jobs = [replace(JOB, row_key=f"p{number}") for number in range(count)]
    records = [replace(BOUGHT, row_number=n + 1, row_key=job.row_key, job=job) for n, job in enumerate(jobs)]
    run = freeze(archive, records)
    for start, stop in [(0, 5), (ROWS_PER_GROUP - 3, ROWS_PER_GROUP + 3), (5, count), (count - 1, count + 9), (7, 7)]:
        end = min(stop, count)
        assert [row["row_key"] for row in run.rows(start, stop)] == [f"p{n}" for n in range(start, end)]
        assert [(n, job.row_key) for n, job, _ in run.jobs(start, stop)] == [(n, f"p{n}") for n in range(start, end)]
    assert sum(batch.num_rows for batch in run.batches()) == count
    run.close()


KINDS: list[tuple[pa.DataType, Any]] = [
    (pa.string(), "Lamp"),
    (pa.large_string(), "Lamp"),
    (pa.int64(), 7),
    (pa.float32(), 0.5),
    (pa.float64(), 19.9),
    (pa.bool_(), True),
    (pa.decimal128(8, 2), Decimal("1.50")),
    (pa.date32(), date(2026, 1, 31)),
    (pa.time64("us"), time(8, 30)),
    (pa.timestamp("us", tz="UTC"), datetime(2026, 1, 31, 8, tzinfo=UTC)),
    (pa.timestamp("ns", tz="UTC"), datetime(2026, 1, 31, 8, tzinfo=UTC)),
    (pa.list_(pa.string()), ["a.jpg", "b.jpg"]),
    (pa.struct([("width", pa.int32())]), {"width": 3}),
    (pa.map_(pa.string(), pa.int32()), [("width", 3)]),
    (pa.binary(), b"\x00\xff"),
    (pa.null(), None),
]


@pytest.mark.parametrize(("kind", "value"), KINDS, ids=lambda each: str(each) if isinstance(each, pa.DataType) else "")
def test_typed_columns_keep_their_types(kind: pa.DataType, value: Any, archive: Archive) -> None:
    """A warehouse's column is in the manifest what it was in the warehouse, missing values included."""
    values = pa.array([value, None], kind).to_pylist()
    records = [replace(BOUGHT, values=(each,)) for each in values]
    run = freeze(archive, records, pa.schema([("thing", kind)]))
    found = pa.Table.from_batches(run.batches()).column("thing")
    run.close()
    assert found.type == kind
    assert found.to_pylist() == values


def test_dictionary_columns_are_kept(archive: Archive) -> None:
    """What pandas calls a category survives with its values."""
    kind = pa.dictionary(pa.int32(), pa.string())
    run = freeze(archive, [replace(BOUGHT, values=(each,)) for each in ("red", "blue", None)], pa.schema([("c", kind)]))
    found = pa.Table.from_batches(run.batches()).column("c").to_pylist()
    run.close()
    assert found == ["red", "blue", None]


def test_a_run_that_is_not_there_is_a_fault_that_names_it(archive: Archive) -> None:
    """With the place where it should be."""
    with pytest.raises(ArchiveFault, match=r"the run r9 has no frozen jobs at .*runs/r9/jobs\.parquet"):
        FrozenRun(archive, "r9")


def test_a_damaged_run_is_a_fault(archive: Archive) -> None:
    """Not an empty run: nothing may be bought by it."""
    path = archive.local_path(frozen_path("r1"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 is not all there is to it")
    with pytest.raises(ArchiveFault, match="cannot be read"):
        FrozenRun(archive, "r1")


# The manifest's columns

SCHEMA = """
row_number int64, row_key string, shot string, job_key string, fingerprint string, edition string, operation string,
model string, model_reported string, prompt string, n int32, ratio string, pixels string, tier string,
references list<struct<uri string, sha256 string>>,
status string, reason string, warnings list<string>, reused bool, stale bool, gateway string, task_id string,
attempt_ids list<string>, task_ids list<string>, attempts int32, route_reason string, cheapest_usd decimal128(14, 6),
images list<struct<slot int32, uri string, path string, sha256 string, width int32, height int32, bytes int64,
 mime_type string, source_url string, attempt_id string, gateway string, task_id string>>, image_count int32,
quoted_usd decimal128(14, 6), billed_usd decimal128(14, 6), cost_usd decimal128(14, 6), at_risk_usd decimal128(14, 6),
billed_credits decimal128(14, 6), cost_basis string, price_as_of date32[day], error_code string, error_message string,
submitted_at timestamp[us, tz=UTC], completed_at timestamp[us, tz=UTC], archived_at timestamp[us, tz=UTC],
expires_at timestamp[us, tz=UTC], run_id string, simulated bool
"""


def spelled(kind: pa.DataType) -> str:
    """A type as the schema above writes it."""
    if pa.types.is_list(kind):
        return f"list<{spelled(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{kind.field(n).name} {spelled(kind.field(n).type)}' for n in range(len(kind)))}>"
    return str(kind)


def test_the_manifests_own_columns() -> None:
    """Names, order and types are fixed: users' queries hold on to them."""
    found = ", ".join(f"{field.name} {spelled(field.type)}" for field in RECORD)
    assert found == " ".join(SCHEMA.split())


def test_a_catalogs_column_that_clashes_is_renamed() -> None:
    """Case ignored, since databases ignore it; others keep their names."""
    assert manifest_names(["sku", "Status", "PROMPT", "title"]) == ["sku", "catalog_Status", "catalog_PROMPT", "title"]


@pytest.mark.parametrize("name", RECORD.names)
def test_none_of_our_columns_can_be_hidden(name: str) -> None:
    """A customer's column of any of our names is theirs under catalog_<name>."""
    assert manifest_names([name, name.upper()]) == [f"catalog_{name}", f"catalog_{name.upper()}"]


NAMES = st.sampled_from(["n", "N", "catalog_n", "catalog_N", "catalog_n_", "status", "catalog_status", "sku", "_job"])


@given(st.lists(NAMES, unique=True))
def test_renamed_columns_never_collide(columns: list[str]) -> None:
    """Neither with each other nor with ours, whatever a catalog already calls its columns."""
    names = manifest_names(columns)
    assert len(set(names)) == len(columns)
    assert not {name.lower() for name in names} & {name.lower() for name in [*RECORD.names, *FROZEN.names]}


def test_the_frozen_run_has_the_catalogs_columns_first(archive: Archive) -> None:
    """Under the names the manifest will give them."""
    run = freeze(archive, [BOUGHT])
    assert run.catalog_columns == ["sku", "catalog_Status"]
    assert run.schema.names == ["sku", "catalog_Status", *FROZEN.names]
    run.close()


def test_busy_is_all_but_what_rests_or_is_skipped(archive: Archive) -> None:
    """What is left to do, or to be told of, is found at its place however much lies between."""
    count = ROWS_PER_GROUP * 2 + 10
    busy = {5, ROWS_PER_GROUP - 1, ROWS_PER_GROUP, count - 1}
    records = [
        replace(BOUGHT, row_number=n + 1, row_key=f"p{n}", job=replace(JOB, row_key=f"p{n}"), rests=n not in busy)
        for n in range(count)
    ]
    records[7] = replace(REFUSED, row_number=8)
    records[9] = replace(REFUSED, row_number=10, settled="skipped", reason=Reason.CONDITION_FALSE)
    run = freeze(archive, records)
    assert run.busy().tolist() == sorted(busy | {7})
    assert [position for position, _ in run.busy_rows(0, count)] == sorted(busy | {7})
    assert [(n, job.row_key) for n, job, _ in run.jobs(6, count)] == [(n, f"p{n}") for n in sorted(busy)[1:]]
    assert run.count_jobs() == (count - 2, count - 2 - len(busy))
    assert len(run.rows(0, count)) == count
    run.close()
