"""The page about Prefect is held to the code: names in its tables, and its examples as they stand there."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow, Task
from runs import products
from sandbox_process import Sandbox

import seedream_tasks

ROOT = Path(__file__).parents[2]
SOURCE = "\n".join(path.read_text() for path in (ROOT / "seedream_tasks").rglob("*.py"))
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


def test_the_hook_in_the_docs_is_called(gateways: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/prefect.md, as it stands there: the flow's own states come to it, with the message that says what it cost."""
    (example,) = re.findall(r"```python\n(.*?)```", _section("Flows"), re.DOTALL)
    there: dict[str, Any] = {}
    exec(compile(example, "example.py", "exec"), there)  # noqa: S102
    asyncio.run(there["mine"](str(products(tmp_path / "c.csv", 1)), archive=str(tmp_path / "a"), gateways=["evolink"]))
    said = capsys.readouterr().out
    assert "c.csv: 1 to buy: Completed: 1 archived; 1 image bought, $0.031 billed" in said
