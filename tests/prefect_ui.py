"""A Prefect server of its own with its UI, and a finished run on it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from own_prefect import at_home
from waiting import until


@dataclass(frozen=True)
class Shown:
    """A finished run on a server with a UI."""

    url: str
    result: dict[str, Any]

    @property
    def run_id(self) -> str:
        """The flow run."""
        return str(self.result["run_id"])

    def artifacts(self) -> dict[str, str]:
        """The run's artifacts: key -> id."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [self.run_id]}}}
        answer = httpx.post(f"{self.url}/api/artifacts/filter", json=wanted, timeout=30).raise_for_status()
        return {each["key"]: each["id"] for each in answer.json()}


@contextmanager
def server_with_ui(home: Path, database: Path) -> Iterator[str]:
    """A server that keeps what it keeps in `home`, where a copy of that database is; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "PREFECT_HOME": str(at_home(database, home)), "PREFECT_UI_API_URL": f"{url}/api"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(url, process), "Prefect's server answers", within_s=300.0)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=120)


def _answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "Prefect's server does not start"
    try:
        return httpx.get(f"{url}/api/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
