"""A command that has no Prefect server configured, and so one of its own: signals, kills, proxies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from own_prefect import at_home
from runs import products
from sandbox_process import Sandbox
from waiting import until
from witness import ledger_money

WITHIN_S = 300.0


def _as_a_terminal_starts_it() -> None:
    """Whatever started the tests may ignore these, as `nohup` does."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def running(folder: Path, database: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`seedream run` as the leader of a process group, which is what a terminal sends Ctrl-C to."""
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(at_home(database, folder / "prefect"))
    command = [sys.executable, "-m", "seedream_tasks", "run", *arguments, "--archive", str(folder / "a")]
    with (
        (folder / "said").open("w") as said,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=said,
            text=True,
            start_new_session=True,
            preexec_fn=_as_a_terminal_starts_it,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(each) for each, parent in map(str.split, listed.splitlines()) if int(parent) == pid]


def gone(pid: int) -> bool:
    """Whether a process has ended; remains that nobody fetches are not a process."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return not state or state.startswith("Z")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_terminals_signal_is_for_the_run_and_its_server_ends_after_it(
    gateways: Sandbox, prefect_database: Path, tmp_path: Path, number: int, status: int
) -> None:
    """A signal to the whole process group ends the run in order, since its server still answers; nobody is left behind."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 600}])
    with running(tmp_path, prefect_database, str(products(tmp_path / "c.csv", 3))) as process:
        until(lambda: gateways.bill()["accepted"] == 3 or process.poll() is not None, "three jobs", WITHIN_S)
        started = children(process.pid)
        os.killpg(process.pid, number)
        assert process.wait(WITHIN_S) == status, (tmp_path / "said").read_text()
    said = (tmp_path / "said").read_text()
    assert "taken up by the next run" in said
    assert "cannot be used" not in said
    assert started
    until(lambda: all(map(gone, started)), "the end of what the run has started", WITHIN_S)
    billed, at_risk = ledger_money(tmp_path / "a")
    assert (billed, at_risk) == (0, 0)  # all three are known to the ledger as in flight


def test_a_killed_run_leaves_no_server_behind(gateways: Sandbox, prefect_database: Path, tmp_path: Path) -> None:
    """kill -9 asks nobody: the server and the sandbox notice that their pipe has ended."""
    with running(tmp_path, prefect_database, str(products(tmp_path / "c.csv", 3)), "--sandbox") as process:
        until(lambda: len(children(process.pid)) >= 2 or process.poll() is not None, "server and sandbox", WITHIN_S)
        started = children(process.pid)
        process.kill()
        process.wait()
    assert len(started) >= 2, (tmp_path / "said").read_text()
    until(lambda: all(map(gone, started)), "the end of what the run has started", WITHIN_S)


def test_a_proxy_never_stands_between_a_run_and_its_own_processes(
    prefect_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY and its like name a proxy that is not there: server and sandbox are reached all the same."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for each in (name, name.upper()):
            monkeypatch.setenv(each, "http://127.0.0.1:9")
    with running(tmp_path, prefect_database, str(products(tmp_path / "c.csv", 2)), "--sandbox", "--json") as process:
        assert process.wait(WITHIN_S) == 0, (tmp_path / "said").read_text()
    assert '"archived": 2' in (tmp_path / "said").read_text()
