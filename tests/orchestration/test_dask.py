"""Chunks on a Dask cluster: other processes, the same run, the same cap on what the account is asked for."""

import asyncio
import runpy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from runs import products, read
from sandbox_process import Sandbox
from sqlalchemy import create_engine, text
from witness import bought

from seedream_tasks import catalog_images
from seedream_tasks.ledger.urls import parse_url

FLOWS = Path(__file__).parents[2] / "flows"
ROWS = 12


def test_chunks_on_two_dask_processes_are_one_run(
    gateways: Sandbox, tmp_path: Path, postgres_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """flows/catalog_images_on_dask.py as it stands, on PostgreSQL: each row bought once, bill and manifest agree exactly, and
    what is in flight at once is what the account's limit says, not twice that. Again, without
    Dask: nothing is bought."""
    monkeypatch.setattr("seedream_tasks.orchestration.chunks.FIRST_CHUNK", 2)
    monkeypatch.setattr("seedream_tasks.orchestration.chunks.CHUNK", 5)
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "3")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.3}])
    catalog = products(tmp_path / "c.csv", ROWS)
    on_dask = runpy.run_path(str(FLOWS / "catalog_images_on_dask.py"))["catalog_images_on_dask"]

    def go(flow: Flow[Any, Any]) -> dict[str, Any]:
        wanted = {"catalog": str(catalog), "archive": str(tmp_path / "a"), "ledger": postgres_ledger}
        result: dict[str, Any] = asyncio.run(flow(**wanted, gateways=["evolink"]))
        return result

    first = go(on_dask)
    assert first["by_status"] == {"archived": ROWS}
    records = read(tmp_path / "a", first["run_id"])
    assert sum((each["billed_usd"] for each in records), Decimal(0)) == Decimal(gateways.bill()["usd"])
    assert set(bought(gateways).values()) == {1}
    entries = gateways.bill()["entries"]
    at_once = [sum(e["accepted_at"] <= at["accepted_at"] < e["finished_at"] for e in entries) for at in entries]
    assert max(at_once) <= 3
    engine = create_engine(parse_url(postgres_ledger))
    with engine.connect() as connection:
        sessions = connection.scalar(text("SELECT count(DISTINCT lease_owner) FROM attempts"))
    engine.dispose()
    assert sessions == 3  # a chunk each, and none of the flow's own process
    again = go(catalog_images)
    assert (again["by_status"], again["billed_usd"]) == ({"archived": ROWS}, "0")
    assert gateways.bill()["submissions"] == ROWS
