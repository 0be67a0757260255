"""Output that nobody takes: what was done stays done, and the exit status says so."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from runs import products
from sandbox_process import Sandbox
from witness import ledger_money

# How the shell takes stdout away: closed, a full disk, a pipe whose reader has gone.
WAYS = {
    "closed": 'exec "$@" >&-',
    "full": 'exec "$@" >/dev/full',
    "left": '{ "$@"; echo "status $?" >&2; } | true',
}


def with_output(way: str, *arguments: str, folder: Path) -> tuple[int, str]:
    """A command whose stdout goes nowhere; its exit status and what it says on stderr."""
    command = ["sh", "-c", WAYS[way], "sh", sys.executable, "-m", "seedream_tasks", *arguments]
    ended = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if way == "left":
        said, _, status = ended.stderr.rpartition("status ")
        return int(status), said
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_cannot_say_what_it_did_has_done_it(gateways: Sandbox, tmp_path: Path, way: str) -> None:
    """The run's own exit status, one line on stderr about the output, and every cent in the ledger."""
    catalog = products(tmp_path / "c.csv", 2)
    status, said = with_output(way, "run", str(catalog), "--archive", "a", "--gateway", "evolink", folder=tmp_path)
    assert (status, said.count("the output could not be written"), "Traceback" in said) == (0, 1, False), said
    billed, at_risk = ledger_money(tmp_path / "a")
    assert at_risk == 0
    assert gateways.bill()["usd"] == f"{billed.normalize()}"
    assert (tmp_path / "a/manifest.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("attempts", "--json"), 2), (("gateways",), 0), (("--help",), 0), (("plan", "no.csv", "--json"), 2)],
)
def test_every_command_keeps_its_exit_status(tmp_path: Path, arguments: tuple[str, ...], status: int) -> None:
    """Whatever command it is, and whether it ends well or not."""
    found, said = with_output("full", *arguments, folder=tmp_path)
    assert (found, said.count("the output could not be written"), "Traceback" in said) == (status, 1, False), said


def test_nothing_that_is_opened_gets_the_number_of_a_closed_stdout(gateways: Sandbox, tmp_path: Path) -> None:
    """With stdin, stdout and stderr all closed a run ends as ever, and its ledger holds no printed line."""
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "seedream_tasks"]
    command += ["run", str(products(tmp_path / "c.csv", 2)), "--archive", "a", "--gateway", "evolink"]
    assert subprocess.run(command, cwd=tmp_path).returncode == 0
    assert ledger_money(tmp_path / "a")[1] == 0


@pytest.mark.parametrize("program", [("seedream_tasks", "sandbox"), ("seedream_tasks.sandbox",)])
def test_a_sandbox_serves_without_a_stdout(tmp_path: Path, program: tuple[str, ...]) -> None:
    """Its first line is lost, or said on stderr; it serves, and its state is not written over."""
    module, *more = program
    reading, writing = os.pipe()
    command = ["sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", module, *more]
    process = subprocess.Popen(
        [*command, "--port", "0", "--state", "s.db", "--exit-with-stdin"],
        cwd=tmp_path,
        stdin=reading,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(reading)
    assert process.stderr is not None
    said = process.stderr.readline()
    url = said.strip().rpartition(" ")[2]
    assert httpx.get(f"{url}/sandbox/health", trust_env=False).is_success
    assert (tmp_path / "s.db").read_bytes().startswith(b"SQLite format 3")
    os.close(writing)
    process.stderr.close()
    assert process.wait(60) == 0
