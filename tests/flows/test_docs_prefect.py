"""The pages about Prefect are held to the code: names in their tables, and their examples as they stand there."""

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow, Task
from prefect.blocks.notifications import SlackWebhook
from prefect.settings import get_current_settings
from pydantic import SecretStr
from sandbox_process import Sandbox

import seedream_tasks
from seedream_tasks import SeedreamGateway

ROOT = Path(__file__).parents[2]
SOURCE = "\n".join(path.read_text() for path in (ROOT / "seedream_tasks" / "orchestration").glob("*.py"))
PAGE = (ROOT / "docs" / "prefect.md").read_text()


def _section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _names(title: str) -> set[str]:
    """What stands in code marks in the first column of a section's table."""
    rows = re.findall(r"^\| (`[^|]*) \|", _section(title), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def _exported(kind: type) -> set[str]:
    return {name for name in seedream_tasks.__all__ if isinstance(getattr(seedream_tasks, name), kind)}


def test_every_flow_task_and_block_is_documented() -> None:
    """What the package exports for Prefect stands in docs/prefect.md, and nothing that is not there."""
    assert _names("Flows") == _exported(Flow)
    assert _names("Tasks") == _exported(Task)
    assert _names("Blocks") >= {"SeedreamGateway", "SeedreamLedger", "seedream-gateway", "seedream-ledger"}


def test_every_artifact_and_event_is_documented() -> None:
    """Keys and names are read from the source."""
    assert _names("Artifacts") == set(re.findall(r'key="(seedream-[a-z-]+)"', SOURCE))
    assert _names("Events") == set(re.findall(r'"(seedream\.[a-z]+\.[a-z]+)"', SOURCE))


def _examples(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / "how-to" / page).read_text()
    return [textwrap.dedent(each) for each in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]


def test_the_automations_in_the_docs_are_accepted(tmp_path: Path) -> None:
    """`prefect automation create --from-file` takes every example; only the id of a notification block is put in."""
    block = SlackWebhook(url="https://127.0.0.1/nowhere")
    identity = str(asyncio.run(block.asave("money-alerts", overwrite=True)))
    pages = ("alert-on-unknown-payments.md", "alerts.md")
    found = [yaml.safe_load(each.replace("BLOCK-ID", identity)) for page in pages for each in _examples(page, "yaml")]
    assert len(found) == 3
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({"automations": found}))
    environment = {**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)}
    command = [sys.executable, "-m", "prefect", "automation", "create", "--from-file", str(tmp_path / "all.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(each["name"] in " ".join(done.stdout.split()) for each in found)


def test_the_flow_in_the_docs_makes_one_image(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/how-to/one-image-in-my-own-flow.md, as it stands there."""
    monkeypatch.chdir(tmp_path)
    block = SeedreamGateway(gateway="evolink", api_key="sk-evo-test-key", base_url=sandbox.bases["evolink"])
    asyncio.run(block.asave("my-evolink", overwrite=True))
    there: dict[str, Any] = {"__name__": "example"}
    exec(compile(_examples("one-image-in-my-own-flow.md", "python")[1], "example.py", "exec"), there)  # noqa: S102
    (uri,) = asyncio.run(there["banner"]("the spring sale"))
    assert Path(uri).stat().st_size > 0
    assert sandbox.bill()["images"] == 1


def test_a_key_is_rotated_as_the_docs_say(sandbox: Sandbox) -> None:
    """docs/how-to/rotate-a-key.md: the block has the new key, the rest of it stays."""
    base = sandbox.bases["evolink"]
    block = SeedreamGateway(gateway="evolink", api_key="sk-evo-old", base_url=base, in_flight=7)
    asyncio.run(block.asave("my-evolink", overwrite=True))
    (example,) = _examples("rotate-a-key.md", "python")
    exec(compile(example, "example.py", "exec"), {})  # noqa: S102
    now = asyncio.run(SeedreamGateway.aload("my-evolink"))
    assert (now.api_key, now.base_url, now.in_flight) == (SecretStr("sk-evo-new"), base, 7)
