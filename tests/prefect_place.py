"""A project like this one in a folder of its own, with server, worker and deployments as `make server` brings them up."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_api import Api
from process_family import kill_family
from waiting import until

ROOT = Path(__file__).parents[1]
# On a busy machine a worker takes half a minute to start a run.
WITHIN_S = 300.0
# How soon the server looks for what is due, and a run asks again for a free slot: a minute, and half of one, by default.
_QUICK = """\
[server.services.scheduler]
loop_seconds = 2
recent_deployments_loop_seconds = 1
[server.deployments]
concurrency_slot_wait_seconds = 2
"""
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# collect-images once more, every ten seconds. What is due is started even after its schedule was switched off, and of
# collect-images one run at a time may be at work: the next test's would be cancelled.
OFTEN = "collect-images-often"


class Place:
    """The folder and its server. Runs buy at the gateways of `environment`; schedules are off."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.archive = folder / "archive"
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        self._environment = {**os.environ, **environment}
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
                schedule["active"] = False  # the tests say when
        (collect,) = [each for each in whole["deployments"] if each["name"] == "collect-images"]
        whole["deployments"].append({**collect, "name": OFTEN, "schedules": [{"interval": 10, "active": False}]})
        (self.folder / "prefect.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
        (self.folder / "prefect.toml").write_text(_QUICK, encoding="utf-8")

    def script(self, what: str) -> str:
        """Run the script behind `make server` and `make server-down` here."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts/server.py"), what, "--home", "home", "--port", "0"],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def up(self) -> None:
        """Server, worker, deployments: what of it does not run yet."""
        said = self.script("up")
        self.url = said.strip().rpartition(" ")[2]
        self.api = Api(self.url)

    def logs(self) -> str:
        """What server and worker had to say."""
        return "".join(path.read_text() for path in sorted((self.folder / "home/server").glob("*.log")))[-5000:]

    def worker(self) -> int:
        """The worker's process."""
        return int(json.loads((self.folder / "home/server/worker.pid").read_text())["pid"])

    def kill_worker(self) -> int:
        """As a machine that goes away: the worker and the processes of its flow runs, all at once. Returns how many."""
        return kill_family(self.worker())

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment of prefect.yaml."""
        (found,) = self.api.ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return dict(found)

    def start(self, deployment: str, **parameters: Any) -> str:
        """A run of a deployment, as the form in the UI starts it; returns the id of its flow run."""
        path = f"/deployments/{self.deployment(deployment)['id']}/create_flow_run"
        return str(self.api.ask("POST", path, {"parameters": parameters})["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """A flow run as it stands."""
        found: dict[str, Any] = self.api.ask("GET", f"/flow_runs/{run_id}")
        return found

    def reaches(self, run_id: str, *states: str) -> dict[str, Any]:
        """A flow run, once its state has one of these names or types; fails when it has ended otherwise."""
        seen: list[dict[str, Any]] = []

        def there() -> bool:
            seen.append(self.run(run_id))
            names = {seen[-1]["state_name"], seen[-1]["state_type"]}
            if names & set(states):
                return True
            assert not names & set(ENDED), f"{seen[-1]['state']} {self.logs()}"
            return False

        until(there, f"{' or '.join(states)} of flow run {run_id}", WITHIN_S)
        return seen[-1]

    def ended(self, run_id: str) -> dict[str, Any]:
        """A flow run, once it has ended."""
        return self.reaches(run_id, *ENDED)

    def runs_of(self, deployment: str, count: int) -> list[dict[str, Any]]:
        """The runs of a deployment, once there are this many; oldest first."""
        named = {"deployments": {"name": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}
        until(
            lambda: len(self.api.ask("POST", "/flow_runs/filter", named)) >= count,
            f"{count} runs of {deployment}",
            WITHIN_S,
        )
        found: list[dict[str, Any]] = self.api.ask("POST", "/flow_runs/filter", named)
        return found

    def here(self, flow: Flow[Any, Any], **parameters: Any) -> State[Any]:
        """A flow run of this process, without the worker."""
        with temporary_settings({PREFECT_API_URL: f"{self.url}/api"}):
            state: State[Any] = asyncio.run(flow(**parameters, return_state=True))
            # Prefect keeps one sender of events a process, to the server it was first used with.
            EventsWorker.drain_all(timeout=30)
        return state
