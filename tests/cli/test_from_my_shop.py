"""The page about shops' exports: each of its commands works as it stands, on the sample that it names."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "from-my-shop.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^seedream (plan .*)$", PAGE, re.MULTILINE)
# What each sample holds: products to buy, and those that are not for sale.
HOLDS = {
    "shopify": {"planned": 2, "skipped": 1},
    "woocommerce": {"planned": 8},
    "merchant": {"planned": 6},
    "amazon": {"planned": 4},
    "magento": {"planned": 2, "skipped": 1},
    "prestashop": {"planned": 2, "skipped": 1},
    "wix": {"planned": 2, "skipped": 1},
    "squarespace": {"planned": 2, "skipped": 1},
    "bigcommerce": {"planned": 2, "skipped": 1},
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: re.sub(r".*--preset (\w+).*", r"\1", command))
def test_each_command_of_the_page_works(command: str, tmp_path: Path) -> None:
    """Every product is planned with its photo found; what is not for sale is left out."""
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "seedream_tasks",
            *shlex.split(command),
            "--archive",
            str(tmp_path),
            "--sandbox",
            "--json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    preset = re.sub(r".*--preset (\w+).*", r"\1", command)
    assert (answer["by_status"], answer["unchecked_references"]) == (HOLDS[preset], 0)


def test_the_page_has_a_command_for_each_shop() -> None:
    """Of those that have a sample."""
    assert [re.sub(r".*--preset (\w+).*", r"\1", command) for command in COMMANDS] == list(HOLDS)
