"""A Prefect server of its own with its UI, a run on it with everything there is to see, and a browser."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
from chromium import Page, browser
from prefect_ui import Shown, server_with_ui
from runs import write_catalog
from sandbox_process import Sandbox

_BOTH = ("evolink", "getimg")


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


@pytest.fixture(scope="session")
def shown(
    page: Page, _fast_sandbox: Sandbox, prefect_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shown]:
    """A run with images, a refusal, an unknown payment, a set that fits under no cap and an invalid row, at two gateways."""
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
    with server_with_ui(folder / "home", prefect_database) as url:
        environment = {**os.environ, "PREFECT_HOME": str(folder / "client"), "PREFECT_API_URL": f"{url}/api"}
        for name in _BOTH:
            environment[f"SEEDREAM_{name.upper()}_API_KEY"] = f"key-of-{name}"
            environment[f"SEEDREAM_{name.upper()}_BASE_URL"] = _fast_sandbox.bases[name]
        options = ["--archive", str(folder / "archive"), "--max-usd", "0.45", "--json"]
        done = _ran([sys.executable, "-m", "seedream_tasks", "run", str(catalog), *options], environment)
        assert done.returncode == 3, done.stderr
        register = _ran([sys.executable, "-m", "prefect", "block", "register", "-m", "seedream_tasks"], environment)
        assert register.returncode == 0, register.stderr
        yield Shown(url, json.loads(done.stdout))


def _ran(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
