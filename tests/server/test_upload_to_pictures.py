"""From a file in a folder to archived pictures, on a server and a worker as `make server` brings them up."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from runs import products, read
from sandbox_process import Sandbox
from waiting import until

from seedream_tasks import collect_images, watch_uploads

ROOT = Path(__file__).parents[2]


class Place:
    """A folder with a project like this one in it, on a server of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = folder / "archive"
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        shutil.copytree(ROOT / "flows", folder / "flows")
        shutil.copytree(ROOT / "data/samples", folder / "data/samples", ignore=shutil.ignore_patterns("photos"))
        self._configure()

    def _configure(self) -> None:
        """prefect.yaml with this place's values where the example's stand."""
        whole = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
        for deployment in whole["deployments"]:
            parameters = deployment["parameters"]
            parameters.update(archive=str(self.archive))
            if "sandbox" in parameters:
                parameters.update(sandbox=False, shots=None, gateways=["evolink"])
            if "prefix" in parameters:
                parameters.update(prefix=str(self.uploads))
            for schedule in deployment.get("schedules", []):
                schedule["active"] = False  # the test says when
        (self.folder / "prefect.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")

    def script(self, what: str) -> str:
        """Run the script behind `make server` and `make server-down` here."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts/server.py"), what, "--home", "home", "--port", "0"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def up(self) -> None:
        """Server, worker, deployments."""
        said = self.script("up")
        self.url = said.strip().rpartition(" ")[2]
        self.http = httpx.Client(base_url=f"{self.url}/api", timeout=60, trust_env=False)

    def logs(self) -> str:
        """What server and worker had to say."""
        return "".join(path.read_text() for path in sorted((self.folder / "home/server").glob("*.log")))[-5000:]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """One call to Prefect's API."""
        return self._answered("POST", path, json=body)

    def _answered(self, method: str, path: str, **options: Any) -> Any:
        """The answer of Prefect's server, asked again while its database is busy: 503, nothing done."""
        answers: list[httpx.Response] = []

        def not_busy() -> bool:
            answers.append(self.http.request(method, path, **options))
            return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

        until(not_busy, f"an answer to {method} {path}")
        return answers[-1].raise_for_status().json()

    def start(self, deployment: str) -> str:
        """A run of a deployment, as its schedule would start it; returns the id of its flow run."""
        flow = deployment.replace("-", "_")
        found = self._answered("GET", f"/deployments/name/{flow}/{deployment}")
        return str(self.post(f"/deployments/{found['id']}/create_flow_run", {})["id"])

    def ended(self, run_id: str) -> dict[str, Any]:
        """A flow run, once it has ended."""
        run: dict[str, Any] = {}

        def has_ended() -> bool:
            run.update(self._answered("GET", f"/flow_runs/{run_id}"))
            return run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        until(has_ended, f"the end of flow run {run_id}")
        return run

    def look(self) -> list[str]:
        """One look at the folder, from this process; returns what was announced."""
        state = self._go(watch_uploads, prefix=str(self.uploads))
        announced: list[str] = asyncio.run(state.aresult())["announced"]
        return announced

    def collect(self) -> State[Any]:
        """One pass of collect_images, from this process."""
        return self._go(collect_images)

    def _go(self, flow: Flow[Any, Any], **parameters: Any) -> State[Any]:
        with temporary_settings({PREFECT_API_URL: f"{self.url}/api"}):
            state: State[Any] = asyncio.run(flow(archive=str(self.archive), **parameters, return_state=True))
            # Prefect keeps one sender of events a process, to the server it was first used with.
            EventsWorker.drain_all(timeout=30)
        return state

    def triggered(self, count: int) -> list[dict[str, Any]]:
        """The runs that uploads have started, once there are this many; oldest first."""
        named = {"deployments": {"name": {"any_": ["catalog-images-on-upload"]}}, "sort": "START_TIME_ASC"}
        until(lambda: len(self.post("/flow_runs/filter", named)) >= count, f"{count} triggered runs")
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", named)
        return found


@pytest.fixture
def place(tmp_path: Path, gateways: Sandbox) -> Iterator[Place]:
    """A running place; everything it started has ended afterwards."""
    made = Place(tmp_path)
    try:
        made.up()
        yield made
    finally:
        made.script("down")


def _bill(sandbox: Sandbox) -> Decimal:
    return Decimal(sandbox.bill()["usd"])


def test_a_file_in_a_watched_folder_becomes_pictures_and_a_killed_worker_loses_none(
    place: Place, gateways: Sandbox
) -> None:
    """Put a file there: it is found, announced, bought, archived, and billed exactly. The same file again: nothing.

    Another file, and the worker is killed while the gateway works: a pass of collect_images finishes it, paying nothing more.
    """
    first = products(place.uploads / "goods.csv", 2)
    assert place.look() == []  # it may still be written
    assert place.ended(place.start("watch-uploads"))["state"]["message"] == "1 announced"
    (run,) = place.triggered(1)
    run = place.ended(run["id"])
    assert (run["state_name"], run["parameters"]["catalog"]) == ("Completed", str(first))
    assert {each["status"] for each in read(place.archive, run["id"])} == {"archived"}
    billed = sum((each["billed_usd"] for each in read(place.archive, run["id"])), Decimal(0))
    assert billed == _bill(gateways) == Decimal("0.062")

    first.write_bytes(first.read_bytes())
    assert place.look() == place.look() == []

    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    second = products(place.uploads / "more.csv", 3, prompt="A lamp")
    assert (place.look(), place.look()) == ([], [str(second)])
    killed = place.triggered(2)[1]["id"]
    until(lambda: gateways.bill()["accepted"] == 5, "three more tasks at the gateway")
    _kill_worker(place)
    gateways.faults([])
    gateways.advance(4000)
    assert place.collect().name == "Completed"
    records = read(place.archive, killed)
    assert {each["status"] for each in records} == {"archived"}
    assert sum((each["billed_usd"] for each in records), billed) == _bill(gateways) == Decimal("0.155")
    assert gateways.bill()["submissions"] == 5
    assert len(place.triggered(2)) == 2


def _kill_worker(place: Place) -> None:
    """As a machine that goes away: the worker and the processes of its flow runs, all at once."""
    pid = int(json.loads((place.folder / "home/server/worker.pid").read_text())["pid"])
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(each): int(parent) for each, parent in (line.split() for line in listed.splitlines())}
    family = {pid}
    while more := {each for each, parent in parents.items() if parent in family} - family:
        family |= more
    assert len(family) > 1, "no flow run is at work"
    for each in family:
        os.kill(each, signal.SIGKILL)
