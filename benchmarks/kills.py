"""Kills runs, restarts them, and compares what was paid for with the sandbox's bill.

    python -m benchmarks.kills --kills 1000

A round has an archive and a ledger of its own. Its catalog grows by two rows before each run; each run is killed (SIGKILL)

- at a named moment: before or after a call of claim, submit, status, wait, download, copy, store, publish, each in turn, or
- at a random time of a run (the engine without Prefect, forked from a process that has imported everything), or
- at a random time of a whole `seedream run`, started as a user starts it, with a Prefect server,

and at the end of the round run until nothing is in flight. Half of the rounds add three kinds of the sandbox's faults. A killed
process would hold its leases for another minute; here they end at once. Prints one Markdown table; exit 1 if a round broke the
law of money, whose folder is kept then. Needs the test dependencies.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from itertools import cycle, product
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import conftest  # drops every key before anything of the project is imported
from balance import Balance
from crashing import Runs
from killing import FAULTS, Round, every_moment, faults
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness
from sandbox_process import Sandbox, start_sandbox

GATEWAYS = ("evolink", "gccai", "getimg", "apiin")
MOMENTS, TIMES, COMMANDS = "at named moments", "at random times", "whole commands"
KILLS_PER_ROUND = {MOMENTS: 18, TIMES: 12, COMMANDS: 8}
# How often a kind of round comes: whole commands take seconds each, since Prefect is loaded every time.
SHARES = {MOMENTS: 3, TIMES: 2, COMMANDS: 1}
WAIT_S = 20.0


@dataclass
class Line:
    """One line of the table."""

    rounds: int = 0
    kills: int = 0
    runs: int = 0
    jobs: int = 0
    balance: Balance = field(default_factory=Balance)

    def __add__(self, other: "Line") -> "Line":
        return Line(
            self.rounds + other.rounds,
            self.kills + other.kills,
            self.runs + other.runs,
            self.jobs + other.jobs,
            self.balance + other.balance,
        )

    def cells(self) -> dict[str, object]:
        """Its cells by their headings."""
        found = self.balance
        return {
            "kills": self.kills,
            "rounds": self.rounds,
            "runs": self.runs,
            "jobs": self.jobs,
            "images billed": found.images,
            "paid twice": len(found.paid_twice),
            "billed but unaccounted, USD": f"{found.unaccounted_usd:.2f}",
            "bill, USD": f"{found.bill_usd:.3f}",
            "billed by the ledger, USD": f"{found.billed_usd:.3f}",
            "unknown attempts": found.unknown,
            "at risk, USD": f"{found.at_risk_usd:.3f}",
        }


class Bench:
    """All rounds, one after the other, against one sandbox."""

    def __init__(self, processes: Runs, sandbox: Sandbox, gateways: list[str], seed: int, prices: Path) -> None:
        self._processes = processes
        self._sandbox = sandbox
        self._random = Random(seed)
        self._prices = prices
        rounds = list(product([kind for kind, share in SHARES.items() for _ in range(share)], gateways, (False, True)))
        self._rounds = cycle(self._random.sample(rounds, len(rounds)))
        # Every moment of every gateway comes once before any comes a second time.
        self._moments = {
            name: cycle(self._random.sample(found, len(found))) for name in gateways for found in [every_moment(name)]
        }
        self._images = cycle((1, 2, 3))
        self._longest_s: dict[str, float] = {}
        self.lines: dict[tuple[str, bool], Line] = {}
        self.broken: list[str] = []

    def measure(self) -> None:
        """How long a run takes that nobody kills: random times are drawn from there."""
        for kind in (TIMES, COMMANDS):
            this = self._new("evolink", 2)
            for _ in range(2):  # the first one makes the ledger
                began = time.monotonic()
                this.kill(600.0) if kind == TIMES else this.kill_command(600.0)
                self._longest_s[kind] = 1.1 * (time.monotonic() - began)
            shutil.rmtree(this.folder)

    def round(self) -> int:
        """One more round; returns how many runs it killed."""
        kind, gateway, with_faults = next(self._rounds)
        kinds = self._random.sample(sorted(FAULTS), 3) if with_faults else []
        this = self._new(gateway, next(self._images))
        self._sandbox.faults(faults(kinds))
        began = time.monotonic()
        for _ in range(KILLS_PER_ROUND[kind]):
            if kind == MOMENTS:
                this.kill(next(self._moments[gateway]))
            else:
                after_s = self._random.uniform(0.0, self._longest_s[kind])
                this.kill(after_s) if kind == TIMES else this.kill_command(after_s)
        done = this.finish()
        line = Line(1, len(done.kills), done.runs, done.rows, done.balance)
        self.lines[kind, with_faults] = self.lines.get((kind, with_faults), Line()) + line
        what = f"{gateway}, {kind}, faults: {', '.join(kinds) or 'none'}"
        print(f"{what}: {len(done.kills)} kills in {time.monotonic() - began:.1f} s", file=sys.stderr)
        if done.balance.lawful:
            shutil.rmtree(this.folder)
        else:
            self.broken.append(f"{what}; {this.folder}: {done}")
        return len(done.kills)

    def _new(self, gateway: str, images: int) -> Round:
        self._sandbox.reset()
        folder = Path(tempfile.mkdtemp(prefix="seedream-kills-"))
        options = {"gateways": [gateway], "wait_s": WAIT_S, "prices": str(self._prices)}
        return Round(self._processes, self._sandbox, folder, options, images)

    def table(self) -> str:
        """The Markdown table."""
        order = [(kind, with_faults) for kind in SHARES for with_faults in (False, True)]
        rows = [
            (f"{kind}{', with faults' if with_faults else ''}", self.lines[kind, with_faults])
            for kind, with_faults in order
            if (kind, with_faults) in self.lines
        ]
        rows.append(("**all**", sum((line for _, line in rows), Line())))
        headings = ["killed", *Line().cells()]
        lines = ["| " + " | ".join(map(str, (name, *line.cells().values()))) + " |" for name, line in rows]
        return "\n".join(["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|", *lines])


def main() -> int:
    """Kill until there are enough, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gateways", nargs="+", choices=GATEWAYS, default=list(GATEWAYS))
    parser.add_argument("--minutes", type=float, default=40.0, help="stop after this long, with what has been killed")
    arguments = parser.parse_args()
    assert conftest
    began = time.monotonic()
    killed = 0
    with (
        tempfile.TemporaryDirectory(prefix="seedream-kills-prices-") as folder,
        prefect_test_harness(server_startup_timeout=90),
        start_sandbox("--seconds", "0.2", "--image-px", "96") as sandbox,
        Runs() as processes,
    ):
        for name, base in sandbox.bases.items():
            os.environ[f"SEEDREAM_{name.upper()}_API_KEY"] = "benchmark"
            os.environ[f"SEEDREAM_{name.upper()}_BASE_URL"] = base
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        prices = Path(folder, "prices.yaml")  # with them no price is disputed, and sums must be equal, not only near
        command = [sys.executable, "-m", "seedream_tasks", "sandbox", "--prices"]
        prices.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
        bench = Bench(processes, sandbox, arguments.gateways, arguments.seed, prices)
        bench.measure()
        while killed < arguments.kills and time.monotonic() - began < 60 * arguments.minutes:
            killed += bench.round()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" seedream-tasks {version('seedream-tasks')}, Prefect {version('prefect')},"
        f" {date.today().isoformat()}, {(time.monotonic() - began) / 60:.0f} minutes:"  # noqa: DTZ011 - the day where it ran
        f" `python -m benchmarks.kills --kills {arguments.kills} --seed {arguments.seed}`\n"
    )
    print(bench.table())
    for each in bench.broken:
        print(f"\nBROKEN: {each}")
    return 1 if bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
