"""A run in shards on a Prefect server with two workers, one of which dies in the middle of its shard."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect_ui import server_with_ui
from process_family import kill_family
from runs import products, read
from sandbox_process import Sandbox
from sqlalchemy import create_engine, text
from waiting import until
from witness import bought

from seedream_tasks.ledger.urls import parse_url

ROOT = Path(__file__).parents[2]
ROWS = 6
SLOW: list[dict[str, Any]] = [{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}]
PARENT = """
import asyncio, json, sys
from seedream_tasks import catalog_images
asyncio.run(catalog_images(**json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def server(
    _fast_sandbox: Sandbox, prefect_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of a new server that has a work pool and the deployment of this project's prefect.yaml, keys and all."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(ROOT / "flows", folder / "flows")
    shutil.copy(ROOT / "prefect.yaml", folder)
    with server_with_ui(folder / "prefect", prefect_database) as url:
        known = {
            **os.environ,
            **{f"SEEDREAM_{name.upper()}_API_KEY": f"key-of-{name}" for name in _fast_sandbox.bases},
            **{f"SEEDREAM_{name.upper()}_BASE_URL": base for name, base in _fast_sandbox.bases.items()},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        for words in (("work-pool", "create", "seedream", "--type", "process"), ("deploy", "--name", "process-shard")):
            command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
            done = subprocess.run(command, env=known, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        yield known


@contextmanager
def worker(server: dict[str, str], folder: Path, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that takes one shard at a time, as a machine of its own would."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "seedream", "--name", name, "--limit", "1"]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=server, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """As a machine that goes away: the worker and its flow runs, all at once."""
    if process.poll() is None:
        kill_family(process.pid)
        process.wait()


@contextmanager
def parent(
    server: dict[str, str], folder: Path, ledger: str, rows: int
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A run of so many rows in two shards, in a process of its own; and where it says what happens."""
    wanted = {
        "catalog": str(products(folder / "c.csv", rows)),
        "archive": str(folder / "archive"),
        "ledger": ledger,
        "gateways": ["evolink"],
        "shards": 2,
    }
    said = folder / "parent.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT, json.dumps(wanted)], env=server, stdout=log, stderr=log
        )
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()


def all_accepted(gateways: Sandbox, process: "subprocess.Popen[bytes]", said: Path, ledger: str, rows: int) -> None:
    """Wait for all tasks to be at the gateway, and in the ledger: a worker that is killed before that leaves unknown ones."""
    until(lambda: gateways.bill()["accepted"] == rows or process.poll() is not None, "all tasks at the gateway", 300)
    assert process.poll() is None, said.read_text()
    recorded = "SELECT 1 FROM attempts WHERE state = 'accepted'"
    until(lambda: len(rows_of(ledger, recorded)) == rows, "all tasks in the ledger")


def rows_of(ledger: str, statement: str) -> list[Any]:
    """One statement on the ledger."""
    engine = create_engine(parse_url(ledger))
    with engine.begin() as connection:
        done = connection.execute(text(statement))
        found = list(done) if done.returns_rows else []
    engine.dispose()
    return found


def test_a_worker_killed_in_mid_shard_costs_nothing_twice(
    server: dict[str, str], gateways: Sandbox, tmp_path: Path, postgres_ledger: str
) -> None:
    """Two shards on two workers, all tasks in flight; one worker dies, and both shards are taken for lost: one really is, the
    other has two processes at work on it from then on. Each row is bought once, and the manifest adds up to the bill."""
    gateways.faults(SLOW)
    with (
        worker(server, tmp_path, "one") as one,
        worker(server, tmp_path, "two"),
        parent(server, tmp_path, postgres_ledger, ROWS) as (process, said),
    ):
        all_accepted(gateways, process, said, postgres_ledger, ROWS)
        kill(one)
        assert len(rows_of(postgres_ledger, "SELECT * FROM shards")) == 2
        rows_of(postgres_ledger, "UPDATE shards SET alive_until = 0")
        until(lambda: said.read_text().count("it is begun again") == 2, "two shards that are begun again", 300)
        gateways.faults([])
        gateways.advance(4000)
        with worker(server, tmp_path, "three"):
            assert process.wait(timeout=300) == 0, said.read_text()
    assert gateways.bill()["submissions"] == ROWS
    assert set(bought(gateways).values()) == {1}
    (run,) = (tmp_path / "archive" / "runs").iterdir()
    records = read(tmp_path / "archive", run.name)
    assert [each["status"] for each in records] == ["archived"] * ROWS
    billed = sum((each["billed_usd"] for each in records), Decimal(0))
    assert billed == Decimal(gateways.bill()["usd"]) == Decimal("0.186")
    assert not (run / "parts").exists()


def test_a_parent_that_is_stopped_stops_its_shards(
    server: dict[str, str], gateways: Sandbox, tmp_path: Path, postgres_ledger: str
) -> None:
    """Its flow runs on the workers end as cancelled, what is in flight stays in the ledger, and nobody is at work any more."""
    gateways.faults(SLOW)
    with (
        worker(server, tmp_path, "four"),
        worker(server, tmp_path, "five"),
        parent(server, tmp_path, postgres_ledger, 2) as (process, said),
    ):
        all_accepted(gateways, process, said, postgres_ledger, 2)
        process.terminate()
        assert process.wait(timeout=300) != 0
        (run_id,) = (path.name for path in (tmp_path / "archive" / "runs").iterdir())
        with httpx.Client(base_url=server["PREFECT_API_URL"], timeout=60, trust_env=False) as http:

            def states() -> list[str]:
                every = http.post("/flow_runs/filter", json={}).raise_for_status().json()
                return [each["state_type"] for each in every if each["parameters"].get("run_id") == run_id]

            until(lambda: states() == ["CANCELLED"] * 2, "both shards cancelled", 300)
    assert [row.state for row in rows_of(postgres_ledger, "SELECT state FROM attempts")] == ["accepted"] * 2
    assert rows_of(postgres_ledger, "SELECT * FROM rate_leases") == []
