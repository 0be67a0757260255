"""The form that a suspended run shows, filled in and sent in both UIs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from chromium import Page
from prefect_ui import Shown
from runs import products
from sandbox_process import Sandbox
from test_ui import UIS, _keep, _wait_for

# A worker's process: it finds a flow run of a deployment and runs it from the top, until it suspends.
PROGRAM = """
import asyncio, sys
from prefect import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_async
from seedream_tasks import catalog_images

async def go() -> None:
    deployment = await (await catalog_images.ato_deployment("with-approval")).apply()
    async with get_client() as client:
        parameters = {"catalog": sys.argv[1], "archive": sys.argv[2], "gateways": ["evolink"], "approve_above_usd": "0.10"}
        run = await client.create_flow_run_from_deployment(deployment, parameters=parameters)
    try:
        await run_flow_async(catalog_images, flow_run=run, return_type="state", parameters=run.parameters)
    except Pause:
        print(run.id)

asyncio.run(go())
"""
_PRESS = """word => {
  const named = [...document.querySelectorAll('button, [role=menuitem], [role=option], .p-select-option, li')];
  const found = named.filter(each => each.innerText.trim() === word).at(-1);
  if (!found) return false;
  for (const kind of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'])
    found.dispatchEvent(new PointerEvent(kind, {bubbles: true, button: 0, pointerType: 'mouse'}));
  return true;
}"""


@pytest.fixture
def suspended(shown: Shown, _fast_sandbox: Sandbox, tmp_path: Path) -> str:
    """A flow run that waits for a person's word."""
    environment = {
        **os.environ,
        "PREFECT_API_URL": f"{shown.url}/api",
        "SEEDREAM_EVOLINK_API_KEY": "key-of-evolink",
        "SEEDREAM_EVOLINK_BASE_URL": _fast_sandbox.bases["evolink"],
    }
    command = [sys.executable, "-c", PROGRAM, str(products(tmp_path / "c.csv", 6)), str(tmp_path / "archive")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def _press(page: Page, word: str) -> None:
    page.until(f"({_PRESS})({json.dumps(word)})")


def _answer(url: str, run_id: str) -> dict[str, Any] | None:
    """What was answered, as the run is going to read it."""
    found = httpx.post(
        f"{url}/api/flow_runs/{run_id}/input/filter", json={"prefix": "", "limit": 10}, timeout=30
    ).json()
    answers = [json.loads(each["value"]) for each in found if each["key"].endswith("-response")]
    return answers[0] if answers else None


@pytest.mark.parametrize("ui", UIS)
def test_a_suspended_run_is_answered_by_its_form(shown: Shown, page: Page, suspended: str, ui: str) -> None:
    """Resume shows the three fields with what they mean; the answer reaches the run, which is to go on."""
    page.open(f"{shown.url}{UIS[ui]}/runs/flow-run/{suspended}")
    _wait_for(page, "Suspended")
    if ui == "V2":
        _press(page, "Open menu")
    _press(page, "Resume")
    _wait_for(page, "Approve the forecast, reduce what the run may spend", "the canary included", "Why, for whoever")
    _keep(page, f"{ui}-approval-form")
    _press(page, {"V1": "Submit", "V2": "Resume"}[ui])
    page.wait(lambda: _answer(shown.url, suspended) is not None, "the answer is stored")
    answer = _answer(shown.url, suspended)
    assert answer is not None
    assert answer["decision"] == "approve"
    state = httpx.get(f"{shown.url}/api/flow_runs/{suspended}", timeout=30).json()["state"]
    assert (state["type"], state["name"]) == ("SCHEDULED", "Resuming")
