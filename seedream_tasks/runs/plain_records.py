"""Manifest records of jobs that succeeded at the first try, column by column: nearly all jobs of a large catalog.

The results are the same as those of `records.record`, which handles every other case and takes several times as long.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from ..core.market import market
from ..core.states import RecordStatus
from ..ledger.settled_jobs import Plain, plain_jobs
from .frozen import MONEY, RECORD, kept_link
from .records import REPEATED, RunFacts

_MICRO = pa.scalar(Decimal("0.000001"), pa.decimal128(7, 6))


def find_plain(
    connection: Connection, frozen: pa.RecordBatch, run: RunFacts, deferred: Sequence[str]
) -> dict[int, Plain]:
    """The plain jobs among these frozen records, by their place in the batch. `deferred`: jobs that this run did not buy."""
    candidates = pc.and_(frozen["_settled"].is_null(), frozen["_take"].is_null())
    candidates = pc.and_(candidates, pc.equal(pc.list_value_length(frozen["_beside"]), 0)).to_pylist()
    keys, counts = frozen["job_key"].to_pylist(), frozen["n"].to_pylist()
    wanted = {key: n for key, n, may in zip(keys, counts, candidates, strict=True) if may}
    for key in deferred:
        wanted.pop(key, None)
    found = plain_jobs(connection, wanted, run.archive)
    return {
        place: found[key]
        for place, (key, may) in enumerate(zip(keys, candidates, strict=True))
        if may and key in found and _as_expected(found[key].attempt)
    }


def _as_expected(attempt: Any) -> bool:
    """Neither charged above its reservation, nor made by another model than requested."""
    reported = attempt.model_reported
    return attempt.billed_usd <= attempt.reserved_usd and (
        not reported or reported.lower() in _spellings(attempt.gateway, attempt.model)
    )


@cache
def _spellings(gateway: str, model: str) -> frozenset[str]:
    row = market().by_offer.get((gateway, model))
    return frozenset({model, *(name.lower() for name in row.wire_models.value)} if row else {model})


def plain_columns(frozen: pa.RecordBatch, jobs: Sequence[Plain], run: RunFacts) -> dict[str, pa.Array]:
    """The manifest's own columns of these frozen records, each of which is the job at its place."""
    count = len(jobs)
    attempts = [job.attempt for job in jobs]
    mine = [each.run_id == run.run_id for each in attempts]
    columns: dict[str, Any] = {name: frozen[name] for name in REPEATED}

    def of_attempts(name: str) -> list[Any]:
        return [getattr(each, name) for each in attempts]

    def of_mine(name: str, otherwise: int | None = 0) -> list[Any]:
        return [getattr(each, name) if bought else otherwise for each, bought in zip(attempts, mine, strict=True)]

    columns |= {name: frozen[name] for name in ("reason", "error_code", "error_message")}
    columns |= {name: of_attempts(name) for name in _SAME}
    columns |= {
        "status": [RecordStatus.ARCHIVED.value] * count,
        "warnings": [each or [] for each in frozen["warnings"].to_pylist()],
        "reused": [not bought for bought in mine],
        "stale": [False] * count,
        "attempt_ids": [[each.attempt_id] for each in attempts],
        "task_ids": [[each.task_id] for each in attempts],
        "attempts": [1] * count,
        "cheapest_usd": _money([usd or None for usd in of_mine("cheapest_usd")]),
        "images": _images(jobs, run.places[run.archive]),
        "image_count": [len(job.images) for job in jobs],
        "quoted_usd": _money(of_mine("quoted_usd")),
        "billed_usd": _money(of_mine("billed_usd")),
        "cost_usd": _money(of_attempts("billed_usd")),
        "at_risk_usd": _money(of_attempts("at_risk_usd")),
        "billed_credits": _money(of_mine("billed_credits", None)),
        "price_as_of": pa.array(of_attempts("price_as_of"), pa.string()).cast(pa.date32()),
        "archived_at": [max((each.archived_at for each in job.images), default=None) for job in jobs],
        "run_id": [run.run_id] * count,
        "simulated": [run.simulated] * count,
    }
    return {field.name: _typed(columns[field.name], field.type) for field in RECORD}


_SAME = (
    *("model_reported", "gateway", "task_id", "route_reason", "cost_basis"),
    *("submitted_at", "completed_at", "expires_at"),
)


def _typed(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _money(millionths: Sequence[int | None]) -> pa.Array:
    return pc.multiply(pa.array(millionths, pa.int64()).cast(pa.decimal128(19, 0)), _MICRO).cast(MONEY)


def _images(jobs: Sequence[Plain], root: str) -> pa.Array:
    kind = RECORD.field("images").type
    images = [image for job in jobs for image in job.images]
    attempts = [job.attempt for job in jobs for _ in job.images]
    values = {name: [getattr(each, name) for each in images] for name in _OF_IMAGE}
    values |= {name: [getattr(each, name) for each in attempts] for name in ("attempt_id", "gateway", "task_id")}
    values["uri"] = [f"{root}/{each.path}" for each in images]
    values["source_url"] = [kept_link(each.url) for each in images]
    fields = list(kind.value_type)
    structs = pa.StructArray.from_arrays([pa.array(values[each.name], each.type) for each in fields], fields=fields)
    ends = [0]
    for job in jobs:
        ends.append(ends[-1] + len(job.images))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), structs).cast(kind)


_OF_IMAGE = ("slot", "path", "sha256", "width", "height", "bytes", "mime_type")
