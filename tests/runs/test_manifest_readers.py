"""What docs/manifest.md shows of pandas, Polars and DuckDB, run as it stands there on a real manifest."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from runs import Ran, run, write_catalog
from sandbox_process import Sandbox

DOCS = Path(__file__).parents[2] / "docs" / "manifest.md"
PRICE = Decimal("0.031")


@pytest.fixture
def ran(tmp_path: Path, gateways: Sandbox) -> Ran:
    """Three records: two images, one, and none."""
    catalog = write_catalog(
        tmp_path / "c.csv",
        {"sku": "a", "prompt": "One", "n": "2"},
        {"sku": "b", "prompt": "Two", "n": "1"},
        {"sku": "c", "prompt": "", "n": "1"},
    )
    return run(catalog, tmp_path / "seedream-out", gateways=["evolink"])


def shown(library: str, ran: Ran) -> dict[str, Any]:
    """The names that the example with this library leaves behind."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if f"import {library}" in block]
    names: dict[str, Any] = {}
    exec(code.replace("seedream-out/", f"{ran.archive}/"), names)  # noqa: S102 - our own documentation
    return names


def test_pandas(ran: Ran) -> None:
    """Decimals, aware times, a dict per image."""
    names = shown("pandas", ran)
    spent = names["spent"]
    assert spent["evolink"] == 3 * PRICE
    assert isinstance(spent["evolink"], Decimal)
    assert [(each["row_key"], each["slot"]) for each in names["images"]] == [("a", 0), ("a", 1), ("b", 0)]
    assert all((ran.archive / each["path"]).stat().st_size == each["bytes"] for each in names["images"])
    submitted = names["records"]["submitted_at"]
    assert str(submitted.dtype) == "timestamp[us, tz=UTC][pyarrow]"
    assert pd.isna(submitted[2])


def test_polars(ran: Ran) -> None:
    """Decimals of six places, times in UTC, structs with their fields."""
    names = shown("polars", ran)
    spent = dict(names["spent"].drop_nulls("gateway").iter_rows())
    assert spent == {"evolink": 3 * PRICE}
    images = names["images"]
    assert images.select("row_key", "slot").rows() == [("a", 0), ("a", 1), ("b", 0)]
    assert images["width"].min() > 0
    schema = names["records"].collect_schema()
    assert schema["billed_usd"] == pl.Decimal(14, 6)
    assert schema["submitted_at"] == pl.Datetime("us", "UTC")


def test_duckdb(ran: Ran) -> None:
    """Sums stay exact, lists of structs unnest, times know their zone."""
    names = shown("duckdb", ran)
    assert dict(names["spent"])["evolink"] == 3 * PRICE
    assert [row[:2] for row in names["images"]] == [("a", 0), ("a", 1), ("b", 0)]
    records = duckdb.read_parquet(str(ran.archive / "manifest.parquet"))
    described = dict(zip(records.columns, map(str, records.types), strict=True))
    assert described["billed_usd"] == "DECIMAL(14,6)"
    assert described["submitted_at"] == "TIMESTAMP WITH TIME ZONE"
    (at,) = records.filter("row_key = 'a'").project("epoch(submitted_at)").fetchall()
    assert abs(at[0] - datetime.now(UTC).timestamp()) < 3600
