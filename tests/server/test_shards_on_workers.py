"""A run in shards on a Prefect server with two workers, one of which dies in the middle of its shard."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from prefect_ui import server_with_ui
from runs import products, read
from sandbox_process import Sandbox
from sqlalchemy import create_engine, text
from waiting import until
from witness import bought

from seedream_tasks.ledger.store import parse_url

ROOT = Path(__file__).parents[2]
ROWS = 6
PARENT = """
import asyncio, json, sys
from seedream_tasks import catalog_images
asyncio.run(catalog_images(**json.loads(sys.argv[1])))
"""


@pytest.fixture
def server(gateways: Sandbox, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a new server that has a work pool and the deployment of this project's prefect.yaml, keys and all."""
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    with server_with_ui(tmp_path / "prefect") as url:
        known = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        for words in (("work-pool", "create", "seedream", "--type", "process"), ("deploy", "--name", "process-shard")):
            command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
            done = subprocess.run(command, env=known, cwd=tmp_path, capture_output=True, text=True, check=False)
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


def family(process: "subprocess.Popen[bytes]") -> set[int]:
    """A process and everything below it."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(each): int(parent) for each, parent in (line.split() for line in listed.splitlines())}
    found = {process.pid}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def kill(process: "subprocess.Popen[bytes]") -> None:
    """As a machine that goes away: the worker and its flow runs, all at once."""
    if process.poll() is None:
        for each in family(process):
            os.kill(each, signal.SIGKILL)
        process.wait()


def test_a_worker_killed_in_mid_shard_costs_nothing_twice(
    server: dict[str, str], gateways: Sandbox, tmp_path: Path, postgres_ledger: str
) -> None:
    """Two shards on two workers, all tasks in flight; one worker dies, and both shards are taken for lost: one really is, the
    other has two processes at work on it from then on. Each row is bought once, and the manifest adds up to the bill."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    wanted = {
        "catalog": str(products(tmp_path / "c.csv", ROWS)),
        "archive": str(tmp_path / "archive"),
        "ledger": postgres_ledger,
        "gateways": ["evolink"],
        "shards": 2,
    }
    said = tmp_path / "parent.log"
    with worker(server, tmp_path, "one") as one, worker(server, tmp_path, "two"), said.open("wb") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, json.dumps(wanted)], env=server, stdout=log, stderr=log
        )
        try:
            until(lambda: gateways.bill()["accepted"] == ROWS or parent.poll() is not None, "all tasks at the gateway")
            assert parent.poll() is None, said.read_text()
            kill(one)
            engine = create_engine(parse_url(postgres_ledger))
            with engine.begin() as connection:
                begun = connection.scalar(text("SELECT count(*) FROM shards"))
                connection.execute(text("UPDATE shards SET alive_until = 0"))
            engine.dispose()
            assert begun == 2
            until(lambda: said.read_text().count("it is begun again") == 2, "two shards that are begun again")
            gateways.faults([])
            gateways.advance(4000)
            with worker(server, tmp_path, "three"):
                assert parent.wait(timeout=120) == 0, said.read_text()
        finally:
            parent.kill()
            parent.wait()
    assert gateways.bill()["submissions"] == ROWS
    assert set(bought(gateways).values()) == {1}
    (run,) = (tmp_path / "archive" / "runs").iterdir()
    records = read(tmp_path / "archive", run.name)
    assert [each["status"] for each in records] == ["archived"] * ROWS
    billed = sum((each["billed_usd"] for each in records), Decimal(0))
    assert billed == Decimal(gateways.bill()["usd"]) == Decimal("0.186")
    assert not (run / "parts").exists()
