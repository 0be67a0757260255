"""What is wrong with a command line is said at once, with the way out, before Prefect is started and anything is made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import seedream
from runs import products

from seedream_tasks.core.store_schemes import driver_hint


def run(*arguments: str, cwd: Path, **environment: str) -> tuple[int, dict[str, str], str]:
    """`seedream run` with --json: exit code, the error object, stderr."""
    ended = seedream(
        *("run", "c.csv", "--sandbox", *arguments, "--json"), cwd=cwd, environment={**os.environ, **environment}
    )
    return ended.returncode, json.loads(ended.stdout)["error"], ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says", "hint"),
    [
        (("--archive", "file"), "archive_unwritable", "file is a file", "--archive"),
        (("--archive", "file/below"), "archive_unwritable", "file is a file", "--archive"),
        (("--archive", "/proc/nowhere"), "archive_unwritable", "cannot be written", "--archive"),
        (
            ("--ledger", "sqlite:////proc/nowhere/ledger.db"),
            "ledger_unwritable",
            "no ledger can be written",
            "--ledger",
        ),
        (("--max-usd", "ten"), "bad_configuration", "--max-usd: 'ten' is not an amount: write digits", None),
        (("--max-premium", "10%"), "bad_configuration", "--max-premium: '10%' is not an amount", None),
        (("--limit", "0"), "usage", "--limit", None),
    ],
)
def test_a_mistake_is_told_before_prefect_starts(
    arguments: tuple[str, ...], code: str, says: str, hint: str | None, tmp_path: Path
) -> None:
    """Exit 2; the folder is as it was."""
    products(tmp_path / "c.csv", 1)
    (tmp_path / "file").write_text("x")
    exit_code, error, said = run(*arguments, cwd=tmp_path)
    assert (exit_code, error["code"]) == (2, code)
    assert says in error["message"]
    assert hint is None or hint in error["hint"]
    assert "starting Prefect" not in said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c.csv", "file"]


def test_an_unknown_variable_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    """Mistyped, it would simulate without a word."""
    products(tmp_path / "c.csv", 1)
    _, _, said = run("--max-usd", "ten", cwd=tmp_path, SEEDREAM_EVOLINK_KEY="sk-secret", SEEDREAM_LEGDER="x")
    assert (
        "WARNING SEEDREAM_EVOLINK_KEY is not a setting and is ignored; did you mean SEEDREAM_EVOLINK_API_KEY?" in said
    )
    assert "SEEDREAM_LEGDER is not a setting and is ignored; did you mean SEEDREAM_LEDGER?" in said
    assert "sk-secret" not in said


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("s3://bucket/a.csv", "pip install 'seedream-tasks[s3]'"),
        ("gs://bucket/a.csv", "pip install gcsfs"),
        ("abfs://c@account/a.csv", "pip install adlfs"),
        ("sftp://host/a.csv", "pip install paramiko"),
        ("zip://a.csv::s3://bucket/a.zip", "pip install 'seedream-tasks[s3]'"),
        ("nowhere://a", None),
    ],
)
def test_a_missing_driver_is_named(address: str, hint: str | None) -> None:
    """For catalogs, shots, prices, places of uploads and archives alike."""
    assert driver_hint(address, ModuleNotFoundError("no such module")) == hint
    assert driver_hint(address, OSError("no such host")) is None


def test_a_catalog_in_a_store_without_its_driver_says_what_to_install(tmp_path: Path) -> None:
    """As an archive there does."""
    (tmp_path / "gcsfs.py").write_text("raise ImportError('no gcsfs')")
    command = (sys.executable, "-m", "seedream_tasks", "plan", "gs://bucket/a.csv", "--sandbox")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 2
    assert "pip install gcsfs" in ended.stderr
