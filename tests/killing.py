"""One catalog that grows, run again and again, killed each time: what the tests and `benchmarks/kills.py` have in common."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balance import Balance, balance, listed
from crashing import PLACES, SYNCHRONOUS, Moment, Runs, order
from runs import products
from sandbox_process import Sandbox
from witness import leases_end

KILLED = -9
MOST_FINISHING_RUNS = 5
# Kinds that strike calls, tasks and links in ways that cost money, or look as if they did. What is not listed here ends a
# gateway for good (stuck, reject_401...) and leaves nothing to be killed.
FAULTS: dict[str, dict[str, Any]] = {
    "drop_response": {"rate": 0.2},
    "http_502_accepted": {"rate": 0.2},
    "garbage_json": {"rate": 0.2},
    "drop_request": {"rate": 0.2},
    "http_500": {"rate": 0.2},
    "http_503": {"rate": 0.3, "value": 0.1},
    "reject_429": {"rate": 0.3, "value": 0.1},
    "refuse_connection": {"rate": 0.1, "value": 0.1},
    "reject_content": {"rate": 0.3},
    "status_500": {"rate": 0.4},
    "status_garbage": {"rate": 0.4},
    "surrogate": {"rate": 0.4},
    "slow": {"rate": 0.5, "value": 0.3},
    "task_failed": {"rate": 0.3},
    "task_failed_billed": {"rate": 0.3},
    "task_cancelled": {"rate": 0.3},
    "fewer_images": {"rate": 0.5},
    "other_model": {"rate": 0.5},
    "download_500": {"rate": 0.3, "count": 6},
    "expired_link": {"rate": 0.3},
    "corrupt_image": {"rate": 0.3},
    "wrong_type": {"rate": 0.3},
}


def faults(kinds: Iterable[str]) -> list[dict[str, Any]]:
    """Entries for `Sandbox.faults`, at every gateway."""
    return [{"gateway": "*", "kind": kind} | FAULTS[kind] for kind in kinds]


def every_moment(gateway: str) -> list[Moment]:
    """Before and after each of the first calls of every place; what a synchronous gateway has no use for is left out."""
    places = SYNCHRONOUS if gateway == "getimg" else tuple(PLACES)
    often = {"record": 10, "commit": 6}
    return [
        Moment(place, when, number)
        for place in places
        for when in ("before", "after")
        for number in range(1, 1 + often.get(place, 2))
    ]


@dataclass
class Killed:
    """What a round of kills came to."""

    kills: list[str] = field(default_factory=list)
    runs: int = 0
    rows: int = 0
    balance: Balance = field(default_factory=Balance)


@dataclass
class Round:
    """Runs of one catalog into one archive. Each may be killed; `finish` runs it to its end and compares with the bill."""

    processes: Runs
    sandbox: Sandbox
    folder: Path
    options: dict[str, Any]  # of the runs, as `crashing.order` takes them
    images: int = 1  # per row
    rows_per_kill: int = 2
    killed: Killed = field(default_factory=Killed)

    @property
    def archive(self) -> Path:
        """Where its images are."""
        return self.folder / "a"

    def catalog(self) -> Path:
        """The catalog as it is now."""
        return products(self.folder / "c.csv", self.killed.rows, n=self.images)

    def kill(self, when: Moment | float) -> None:
        """Let the catalog grow, run it, kill that at a moment or after so many seconds; leases of the dead end at once."""
        self.killed.rows += self.rows_per_kill
        wanted = order(self.catalog(), self.archive, **self.options)
        wanted |= (
            {"killed_after_s": when} if isinstance(when, float) else {"moment": [when.place, when.when, when.number]}
        )
        self.ran(self.processes.together(wanted)[0], f"after {when:.2f} s" if isinstance(when, float) else str(when))

    def kill_command(self, after_s: float) -> None:
        """The same for a whole `seedream run`, a process of its own as a user starts it; its helpers are killed with it."""
        self.killed.rows += self.rows_per_kill
        command = [sys.executable, "-m", "seedream_tasks", "run", str(self.catalog()), "--archive", str(self.archive)]
        command += [word for name in self.options["gateways"] for word in ("--gateway", name)]
        command += ["--wait", str(self.options["wait_s"])]
        for option in ("ledger", "prices"):
            command += [f"--{option}", str(self.options[option])] if option in self.options else []
        with subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                _, said = process.communicate(timeout=after_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                _, said = process.communicate()
        # Refused images and the like are no fault: 3.
        self.ran(0 if process.returncode == 3 else process.returncode, f"after {after_s:.2f} s: {said}")

    def ran(self, status: int, what: str) -> None:
        """Count a run that was to be killed."""
        self.killed.runs += 1
        if status == KILLED:
            self.killed.kills.append(what)
        elif status != 0:
            raise AssertionError(f"a run that was to be killed {what} ended with {status}")
        leases_end(self.archive, self.options.get("ledger"))

    def finish(self) -> Killed:
        """Without faults from here on: run until nothing is in flight, then compare."""
        self.sandbox.faults([])
        for _ in range(MOST_FINISHING_RUNS):
            self.killed.runs += 1
            status = self.processes.one(self.catalog(), self.archive, **self.options)
            assert status == 0, f"the run that finishes ended with {status}"
            found = balance(self.sandbox.bill(), listed(self.archive, self.options.get("ledger")))
            if not found.in_flight:
                break
        self.killed.balance = found
        return self.killed


def assert_lawful(killed: Killed) -> None:
    """Nothing paid twice, nothing lost, bill and ledger agree; shows all of it where they do not."""
    assert killed.balance.lawful, killed
