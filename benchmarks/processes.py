"""The processes that a benchmark consists of: the sandbox, Prefect's server, and what is measured. Reads /proc, so Linux only."""

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from seedream_tasks.config.process import SERVER
from seedream_tasks.sandbox.images.drawing import hue_of

from .usage import cpu_s

ROOT = Path(__file__).parents[1]
GATEWAY = "evolink"
_READY_WITHIN_S = 120.0
# A server whose CPU use over this long is below this share has nothing left to write.
_QUIET_S, _QUIET_SHARE, _QUIET_WITHIN_S = 1.0, 0.08, 120.0


def machine(*packages: str) -> str:
    """The line above a table: machine, versions, date."""
    found = "".join(f", {name} {version(name)}" for name in packages)
    day = date.today().isoformat()  # noqa: DTZ011 - the day where it ran
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}{found}, {day}"


def clean_environment() -> dict[str, str]:
    """This environment without anything that could name a gateway, a key, an archive, a ledger or a Prefect server."""
    ours = ("SEEDREAM_", "GETIMG_", "PREFECT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Ended:
    """What a process took from its start to its end."""

    output: str  # its stdout
    seconds: float
    cpu_s: float  # user and system, with that of children it waited for


def run(command: list[str], environment: Mapping[str, str], folder: Path, within_s: float = 1800.0) -> Ended:
    """Run a process to its end; after `within_s` it is killed. Raises RuntimeError with the end of its stderr when it fails."""
    with (folder / "stdout").open("w+") as out, (folder / "stderr").open("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=dict(environment), stdout=out, stderr=errors, cwd=ROOT)
        timer = threading.Timer(within_s, process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{errors.read()[-4000:]}")
        return Ended(out.read(), seconds, usage.ru_utime + usage.ru_stime)


class Sandbox:
    """A running sandbox."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self._process = process
        self._url: str = ready["url"]
        self.base: str = ready["gateways"][GATEWAY]
        self._draw_all()
        self._started_cpu_s = cpu_s(self._process.pid)

    @property
    def cpu_s(self) -> float:
        """What it has used since it was ready, in seconds."""
        return cpu_s(self._process.pid) - self._started_cpu_s

    def _draw_all(self) -> None:
        """Have it draw each of its small images once: afterwards it only hands them out, whoever comes first."""
        prompts = {hue_of(text): text for text in map(str, range(1000))}
        with httpx.Client(headers={"Authorization": "Bearer benchmark"}, timeout=120, trust_env=False) as http:
            for prompt in prompts.values():
                order = {"model": "doubao-seedream-4.5", "prompt": prompt, "size": "1:1", "quality": "2K"}
                task = http.post(f"{self.base}/v1/images/generations", json=order).raise_for_status().json()
                http.post(f"{self._url}/sandbox/clock", json={"advance_s": 3600}).raise_for_status()
                done = http.get(f"{self.base}/v1/tasks/{task['id']}").raise_for_status().json()
                http.get(done["results"][0]).raise_for_status()
                http.post(f"{self._url}/sandbox/reset").raise_for_status()

    def bill(self) -> dict[str, Any]:
        """What it was asked for."""
        answer = httpx.get(f"{self._url}/sandbox/bill", timeout=120, trust_env=False).raise_for_status()
        return dict(answer.json())

    def environment(self) -> dict[str, str]:
        """What configures it as the one gateway."""
        return {"SEEDREAM_EVOLINK_API_KEY": "benchmark", "SEEDREAM_EVOLINK_BASE_URL": self.base}


@contextmanager
def sandbox(seconds: float, image_px: int) -> Iterator[Sandbox]:
    """A new sandbox in a process of its own: tasks take `seconds`, images have `image_px` on their longest side."""
    command = [sys.executable, "-m", "seedream_tasks.sandbox", "--port", "0", "--exit-with-stdin"]
    command += ["--seconds", str(seconds), "--image-px", str(image_px)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment(), cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Sandbox(process, json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()


@dataclass(frozen=True)
class PrefectServer:
    """A running server, started as Prefect starts its ephemeral one, but for longer than one flow run."""

    pid: int
    api: str
    home: Path
    seconds: float  # until it was ready
    startup_cpu_s: float

    def environment(self) -> dict[str, str]:
        """What a process needs that is to use it."""
        return {"PREFECT_API_URL": self.api, "PREFECT_HOME": str(self.home)}

    @property
    def cpu_s(self) -> float:
        """What it has used so far, in seconds."""
        return cpu_s(self.pid)

    def settled_cpu_s(self) -> float:
        """What it has used once it has written what it was told, in seconds."""
        until = time.monotonic() + _QUIET_WITHIN_S
        before = self.cpu_s
        while time.monotonic() < until:
            time.sleep(_QUIET_S)
            now = self.cpu_s
            if now - before < _QUIET_SHARE * _QUIET_S:
                return now
            before = now
        return before


@contextmanager
def prefect_server() -> Iterator[PrefectServer]:
    """Prefect's server on a free port, with a home and a database of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]
    with tempfile.TemporaryDirectory(prefix="seedream-bench-prefect-") as name:
        home = Path(name)
        environment = clean_environment() | SERVER | {"PREFECT_HOME": str(home), "PREFECT_UI_ENABLED": "0"}
        began = time.perf_counter()
        with (home / "server.log").open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            api = f"http://127.0.0.1:{port}/api"
            _wait_for(api, process, home / "server.log")
            yield PrefectServer(process.pid, api, home, time.perf_counter() - began, cpu_s(process.pid))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(api: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{api}/health", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass  # it does not listen yet
        time.sleep(0.05)
    raise RuntimeError(f"Prefect's server did not start:\n{log.read_text()[-4000:]}")
