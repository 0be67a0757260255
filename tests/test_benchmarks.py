"""The benchmarks run, and stop where a contender buys what it should not. Times are of no interest here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Python at the root of the project, where `python -m benchmarks...` is at home."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_contender_buys_every_row_once() -> None:
    """All of them run side by side in one command, which checks the bill and the manifest of each before it prints its line."""
    ended = python("-m", "benchmarks.contenders", "--rows", "20", "--seconds", "0.2", "--image-px", "96")
    assert ended.returncode == 0, ended.stderr
    lines = [line.split(" | ") for line in ended.stdout.splitlines() if " | 20 | " in line and " : " not in line]
    names = [cells[0].removeprefix("| ") for cells in lines if len(cells) > 3]
    assert names == ["bare", "bare+verify", "naive", "task-per-row", "ours-row", "ours-chunk"]


BILL = """
from benchmarks.contenders.__main__ import check_bill
def bill(*prompts):
    entries = [{"prompt": each, "downloads": 1} for each in prompts]
    return {"submissions": len(entries), "accepted": len(entries), "images": len(entries), "entries": entries}
"""


@pytest.mark.parametrize("prompts", [("a",), ("a", "b", "b"), ("a", "a")])
def test_a_row_bought_twice_or_not_at_all_ends_a_benchmark(prompts: tuple[str, ...]) -> None:
    """Speed without the right bill is no result: two rows are two submissions with an image each, one for either prompt."""
    assert python("-c", f"{BILL}check_bill('somebody', 2, bill('a', 'b'))").returncode == 0
    ended = python("-c", f"{BILL}check_bill('somebody', 2, bill{prompts})")
    assert ended.returncode == 1
    assert "AssertionError: somebody: " in ended.stderr
