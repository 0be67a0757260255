"""Which records a contact sheet shows, and their contents."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...core.money import plain
from ...core.render import snake_case
from ...core.states import COMPLETE
from ...ledger.reviews import Review

# Beyond this a page is useless to a person and too large for a browser.
MOST_RECORDS = 20_000
_BATCH = 1024
_TITLES = ("title", "name", "product_title", "product_name")
_LONGEST = 8000  # characters of one text
_LOOKED_AT = ("status", "warnings", "stale")
SHOWN = (
    *(
        "row_number",
        "row_key",
        "shot",
        "job_key",
        "edition",
        "operation",
        "model",
        "prompt",
        "n",
        "ratio",
        "pixels",
        "tier",
    ),
    *("references", "status", "reason", "warnings", "reused", "stale", "gateway", "attempts", "images", "billed_usd"),
    *("cost_usd", "at_risk_usd", "error_code", "error_message"),
)


def chosen(manifest: pq.ParquetFile, most: int = MOST_RECORDS) -> Any:
    """Positions of the records to show, ascending: all, or as many as fit, those that need attention first."""
    total = manifest.metadata.num_rows
    if total <= most:
        return np.arange(total)
    problems = np.zeros(total, dtype=bool)
    start = 0
    for batch in manifest.iter_batches(batch_size=65_536, columns=list(_LOOKED_AT)):
        calm = pc.is_in(batch["status"], value_set=pa.array(sorted(COMPLETE)))
        warned = pc.greater(pc.fill_null(pc.list_value_length(batch["warnings"]), 0), 0)
        found = pc.or_(pc.or_(pc.invert(calm), warned), pc.fill_null(batch["stale"], False))
        problems[start : start + len(batch)] = found.to_numpy(zero_copy_only=False)
        start += len(batch)
    first = np.flatnonzero(problems)[:most]
    rest = np.flatnonzero(~problems)[: most - len(first)]
    return np.sort(np.concatenate([first, rest]))


def rows(manifest: pq.ParquetFile, positions: Any) -> Iterator[list[dict[str, Any]]]:
    """The chosen records in batches, each with its `title` where the catalog has one."""
    title = _title_column(manifest)
    columns = [*SHOWN, *([title] if title else [])]
    start = 0
    for group in range(manifest.num_row_groups):
        stop = start + manifest.metadata.row_group(group).num_rows
        if not len(_within(positions, start, stop)):
            start = stop
            continue
        for batch in manifest.iter_batches(batch_size=_BATCH, row_groups=[group], columns=columns):
            here = _within(positions, start, start + len(batch)) - start
            start += len(batch)
            if len(here):
                found = batch.take(here).to_pylist()
                yield [{**each, "title": each[title] if title else None} for each in found]


def _within(positions: Any, start: int, stop: int) -> Any:
    return positions[np.searchsorted(positions, start) : np.searchsorted(positions, stop)]


def _title_column(manifest: pq.ParquetFile) -> str | None:
    names = [name for name in manifest.schema_arrow.names if name not in SHOWN]
    by_short = {snake_case(name): name for name in reversed(names)}
    return next((by_short[short] for short in _TITLES if short in by_short), None)


def shown(
    row: Mapping[str, Any], archive: str, reviews: Mapping[tuple[str, int], Review], imaged: set[str]
) -> dict[str, Any]:
    """One record on the page. `imaged`: sha256 of the references that have a thumbnail."""
    return {
        "row": row["row_number"],
        "key": row["row_key"],
        "title": _text(row["title"]),
        "shot": row["shot"],
        "status": row["status"],
        "reason": row["reason"],
        "warnings": row["warnings"] or [],
        "stale": bool(row["stale"]),
        "reused": bool(row["reused"]),
        "gateway": row["gateway"],
        "model": row["model"],
        "operation": row["operation"],
        "ratio": row["ratio"],
        "tier": row["tier"],
        "pixels": row["pixels"],
        "edition": row["edition"],
        "attempts": row["attempts"],
        "prompt": _text(row["prompt"]),
        "cost": plain(row["cost_usd"]),
        "billed": plain(row["billed_usd"]),
        "at_risk": plain(row["at_risk_usd"]),
        "code": row["error_code"],
        "error": _text(row["error_message"] or row["error_code"]),
        "references": [
            {"uri": _text(each["uri"]), "sha": each["sha256"], "thumbnail": each["sha256"] in imaged}
            for each in row["references"] or []
        ],
        "images": [_image(each, archive, reviews) for each in row["images"] or []],
    }


def _image(image: Mapping[str, Any], archive: str, reviews: Mapping[tuple[str, int], Review]) -> dict[str, Any]:
    review = reviews.get((image["attempt_id"], image["slot"]))
    here = image["uri"] == f"{archive}/{image['path']}"
    return {
        "slot": image["slot"],
        "attempt": image["attempt_id"],
        "sha": image["sha256"],
        "path": image["path"] if here else None,
        "width": image["width"],
        "height": image["height"],
        "verdict": review.verdict.value if review else None,
        "note": review.note if review else None,
        "reviewer": review.reviewer if review else None,
    }


def name_of(catalog_uri: str) -> str:
    """A catalog's file name, without what a signed link carries behind it."""
    return PurePosixPath(catalog_uri.split("?", 1)[0]).name or catalog_uri


def _text(value: Any) -> str | None:
    text = None if value is None else str(value)
    return text if text is None or len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
