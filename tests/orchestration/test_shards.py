"""Shards: how a run is divided, what a parent does about each, and that a manifest of parts is the manifest."""

import asyncio
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import StateType
from prefect.states import State
from pydantic import TypeAdapter
from runs import go, products, settings
from sandbox_process import Sandbox

from seedream_tasks import catalog_images, process_shard
from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.errors import ConfigurationError
from seedream_tasks.ledger.shards import ShardView
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.orchestration.shards import MOST_STARTS, NOBODY_CAME_S, _Next, _next, ranges_of
from seedream_tasks.runs.frozen import ROWS_PER_GROUP
from seedream_tasks.runs.manifest import write_manifest, write_part
from seedream_tasks.runs.manifest_parts import part_path
from seedream_tasks.storage.archive import Archive


@given(st.integers(0, 1_000_000), st.integers(1, 64))
def test_shards_cover_every_record_once(records: int, count: int) -> None:
    """No more than were asked for, without gaps; large ones end where a row group does."""
    ranges = ranges_of(records, count)
    assert len(ranges) <= count
    assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges)][: len(ranges)]
    assert all(start < stop for start, stop in ranges)
    assert max((stop for _, stop in ranges), default=0) == records
    if ranges and ranges[0][1] > ROWS_PER_GROUP:
        assert all(start % ROWS_PER_GROUP == 0 for start, _ in ranges)


DEAD, ALIVE = ShardView(3, alive=False), ShardView(3, alive=True)


@pytest.mark.parametrize(
    ("state", "view", "starts", "waited_s", "what"),
    [
        (StateType.SCHEDULED, None, 1, 5.0, _Next.WAIT),
        (StateType.SCHEDULED, None, 1, NOBODY_CAME_S + 1, _Next.OURS),
        (StateType.PENDING, None, 1, 60.0, _Next.WAIT),
        (StateType.RUNNING, ALIVE, 1, 1e6, _Next.WAIT),
        (StateType.RUNNING, DEAD, 1, 90.0, _Next.AGAIN),
        (StateType.RUNNING, DEAD, MOST_STARTS, 90.0, _Next.OURS),
        (StateType.RUNNING, None, 1, 1e6, _Next.AGAIN),
        (StateType.CRASHED, ALIVE, 1, 9.0, _Next.AGAIN),
        (StateType.CRASHED, ALIVE, MOST_STARTS, 9.0, _Next.OURS),
        (StateType.FAILED, DEAD, 1, 9.0, _Next.OURS),
        (StateType.CANCELLED, DEAD, 1, 9.0, _Next.LEFT),
        (StateType.COMPLETED, DEAD, 1, 9.0, _Next.DONE),
    ],
)
def test_what_a_parent_does_about_a_shard(
    state: StateType, view: ShardView | None, starts: int, waited_s: float, what: _Next
) -> None:
    """A lost one is begun again a few times, then done by the parent; so is one that nobody takes, or that failed."""
    assert _next(State(type=state), view, starts, waited_s) is what


def test_shards_without_their_deployment_are_refused(gateways: Sandbox, tmp_path: Path) -> None:
    """Before anything is planned or bought, with what to do; so is a number that cannot be."""
    wanted: dict[str, Any] = {"catalog": str(products(tmp_path / "c.csv", 2)), "archive": str(tmp_path / "a")}
    for shards, words in ((2, "process_shard/process-shard"), (0, "at least one shard")):
        with pytest.raises(ConfigurationError, match=words):
            asyncio.run(catalog_images(**wanted, shards=shards))
    assert not (tmp_path / "a").exists()
    assert gateways.bill()["submissions"] == 0


def test_settings_cross_as_json(gateways: Sandbox, tmp_path: Path) -> None:
    """What a shard is started with is what the parent had; no key is in it."""
    wanted = settings(tmp_path / "c.csv", tmp_path / "a", max_premium=None, retry=("failed",), only=("p1",))
    kept = TypeAdapter(RunOptions).dump_python(wanted, mode="json")
    parameters = process_shard.validate_parameters({"run_id": "r", "options": kept, "start": 0, "stop": 2})
    assert parameters["options"] == wanted
    assert "key-of" not in str(kept)


def test_a_manifest_of_parts_is_the_manifest(gateways: Sandbox, tmp_path: Path) -> None:
    """Joined from parts, with a record between them that none holds: the same rows, sums and summary; the parts are gone."""
    gateways.faults([{"gateway": "*", "kind": "reject_content", "match": "number 3", "rate": 1}])
    catalog = products(tmp_path / "c.csv", 7, n=2, title="Mug")
    ran = asyncio.run(go(settings(catalog, tmp_path / "a", gateways=["evolink"])))
    archive = Archive(str(tmp_path / "a"))
    ledger = open_ledger(f"sqlite:///{tmp_path / 'a' / 'ledger.db'}", create=False)
    whole = pq.read_table(tmp_path / "a" / "runs" / ran.run_id / "manifest.parquet")
    parts = [(4, 7), (0, 3)]
    for part in parts:
        write_part(ledger, archive, ran.run_id, *part)
        assert archive.exists(part_path(ran.run_id, part))
    joined = write_manifest(ledger, archive, ran.run_id, parts=parts)
    table = pq.read_table(tmp_path / "a" / "runs" / ran.run_id / "manifest.parquet")
    assert table.equals(whole)
    assert table.schema.metadata == whole.schema.metadata
    assert joined == ran.summary
    assert not (tmp_path / "a" / "runs" / ran.run_id / "parts").exists()
    ledger.close()


def test_parts_that_are_not_final_missing_damaged_or_out_of_date_are_computed_again(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """What may still change is no part; a file that is no part, or whose sums the ledger contradicts, is not believed."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "match": "number 1", "rate": 1}])
    ran = asyncio.run(go(settings(products(tmp_path / "c.csv", 4), tmp_path / "a", gateways=["evolink"])))
    archive = Archive(str(tmp_path / "a"))
    ledger = open_ledger(f"sqlite:///{tmp_path / 'a' / 'ledger.db'}", create=False)
    folder = tmp_path / "a" / "runs" / ran.run_id
    write_part(ledger, archive, ran.run_id, 0, 2)
    assert not (folder / "parts").exists()
    write_part(ledger, archive, ran.run_id, 2, 4)
    sound = (folder / "parts" / "2-4.parquet").read_bytes()
    for wrong in (b"no parquet", (folder / "manifest.parquet").read_bytes(), sound[:-9]):
        (folder / "parts").mkdir(exist_ok=True)
        (folder / "parts" / "2-4.parquet").write_bytes(wrong)
        assert write_manifest(ledger, archive, ran.run_id, parts=[(0, 2), (2, 4)]) == ran.summary
    less = pq.read_metadata(folder / "manifest.parquet")
    assert less.num_rows == 4
    (folder / "parts").mkdir()
    (folder / "parts" / "2-4.parquet").write_bytes(sound)
    ledger.write_now(
        lambda connection: connection.exec_driver_sql("UPDATE attempts SET billed_usd = billed_usd + 1000")
    )
    again = write_manifest(ledger, archive, ran.run_id, parts=[(2, 4)])
    assert again.billed_usd > ran.summary.billed_usd
    ledger.close()
