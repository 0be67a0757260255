"""A Prefect server of its own with its UI, a run on it with everything there is to see, and a browser."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chromium
import httpx
import pytest
from chromium import Page, browser
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from runs import write_catalog
from sandbox_process import Sandbox
from waiting import until

from seedream_tasks import catalog_images

_BOTH = ("evolink", "getimg")


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


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One tab; skipped where there is no Chromium."""
    if chromium.PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium")
        pytest.skip("Chromium is not installed")
    with browser(tmp_path_factory.mktemp("downloads")) as tab:
        tab.screen(1400, 1000)
        yield tab


@contextmanager
def _server(home: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_UI_API_URL": f"{url}/api"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(url, process), "Prefect's server answers", within_s=90.0)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "Prefect's server does not start"
    try:
        return httpx.get(f"{url}/api/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def shown(page: Page, _fast_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A run with pictures, a refusal, an unknown payment, a set that fits under no cap and an invalid row, at two gateways."""
    folder = tmp_path_factory.mktemp("ui")
    _fast_sandbox.reset()
    _fast_sandbox.faults(
        [
            {"gateway": "*", "kind": "reject_content", "match": "weapon", "rate": 1},
            {"gateway": "*", "kind": "drop_response", "match": "Kettle", "rate": 1},
        ]
    )
    rows: list[dict[str, Any]] = [
        {"sku": f"mug-{n}", "prompt": f"Mug number {n}", "gateways": _BOTH[n % 2]} for n in range(6)
    ]
    rows += [
        {"sku": "knife", "prompt": "A weapon", "gateways": "evolink"},
        {"sku": "kettle", "prompt": "Kettle", "gateways": "evolink"},
        {"sku": "empty", "prompt": "", "gateways": "evolink"},
        {"sku": "many", "prompt": "A table set", "n": 15, "gateways": "evolink"},
    ]
    catalog = write_catalog(folder / "spring-catalog.csv", *rows)
    with _server(folder / "home") as url, pytest.MonkeyPatch.context() as patch:
        for name in _BOTH:
            patch.setenv(f"SEEDREAM_{name.upper()}_API_KEY", f"key-of-{name}")
            patch.setenv(f"SEEDREAM_{name.upper()}_BASE_URL", _fast_sandbox.bases[name])
        with temporary_settings({PREFECT_API_URL: f"{url}/api", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            result: Any = asyncio.run(
                catalog_images(str(catalog), archive=str(folder / "archive"), gateways=[*_BOTH], max_usd="0.45")
            )
            yield Shown(url, result)
