"""How speed and memory grow with the catalog: a first run, a rerun in which nothing has changed, the manifest alone.

    python -m benchmarks.growth --rows 1000 --rows 10000              every image bought from a sandbox, in its own process
    python -m benchmarks.growth --rows 100000 --filled                the first run recorded without buying, see filling.py
    python -m benchmarks.growth --rows 1000000 --filled --no-rerun    the manifest alone

Each command is a process of its own, with Prefect's database in a folder of its own; "Prefect" is the time until its flow begins.
Peak memory is that of the largest process: the command, or Prefect's server beside it.
"""

import argparse
import contextlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

from . import plan

# How the parts of a run are told apart from outside: each ends with a file.
PARTS = (("plan", "jobs.parquet"), ("images", "manifest.parquet"), ("contact sheet", "contact-sheet.html"))


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    began: float  # seconds since 1970
    seconds: float
    cpu: float  # seconds, its children's with it
    megabytes: float  # at its largest; that of its largest child where that is more
    output: str


def measured(command: list[str], folder: Path, environment: dict[str, str]) -> Ended:
    """Run a command to its end; what it says on stderr is shown only when it fails."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.time()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.time() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        output.seek(0)
        assert process.returncode == 0, output.read() + errors.read()[-4000:]
        output.seek(0)
        # ru_maxrss is in KiB on Linux.
        return Ended(began, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output.read())


@contextlib.contextmanager
def sandbox(arguments: argparse.Namespace) -> Iterator[str]:
    """A sandbox in a process of its own; yields its address."""
    command = [sys.executable, "-m", "seedream_tasks.sandbox", "--port", str(arguments.port), "--exit-with-stdin"]
    command += ["--seconds", str(arguments.seconds), "--image-px", str(arguments.image_px)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()


def requests(url: str) -> int:
    """Requests that all gateways have had, downloads included."""
    with urlopen(f"{url}/sandbox/bill", timeout=600) as answer:  # noqa: S310 - our own sandbox
        return sum(json.load(answer)["requests"].values())


class Bench:
    """One catalog of so many rows."""

    def __init__(self, folder: Path, rows: int, url: str, form: str, granularity: str) -> None:
        self.folder = folder
        self.rows = rows
        self.url = url
        self.granularity = granularity
        self.archive = folder / "archive"
        self.catalog = plan.write(folder, rows, form)
        (folder / "shots.yaml").write_text(plan.SHOTS)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SEEDREAM_")}
        self.environment |= {
            "SEEDREAM_EVOLINK_API_KEY": "benchmark",
            "SEEDREAM_EVOLINK_BASE_URL": f"{url}/evolink",
            "PREFECT_HOME": str(folder / "prefect"),
        }

    def python(self, *words: str) -> Ended:
        """Run Python on these words."""
        return measured([sys.executable, *words], self.folder, self.environment)

    def run(self) -> tuple[Ended, str]:
        """One `seedream run`; also its id."""
        words = ("run", str(self.catalog), "--shots", "shots.yaml", "--archive", str(self.archive), "--json")
        words += ("--granularity", self.granularity)
        ended = self.python("-m", "seedream_tasks", *words)
        result = json.loads(ended.output)
        assert result["by_status"] == {"archived": self.rows}, result
        return ended, result["run_id"]

    def fill(self, files: bool) -> tuple[Ended, str]:
        """The ledger and, for a rerun, the archive as a first run would leave them, without its manifest."""
        here = Path(__file__).parent / "filling.py"
        words = (
            str(self.catalog),
            "shots.yaml",
            str(self.archive),
            f"{self.url}/evolink",
            *([] if files else ["--no-files"]),
        )
        return self.python(str(here), *words), FILLED

    def parts(self, run_id: str, ended: Ended) -> dict[str, float]:
        """Seconds of each part of a run, by the times of the files with which they end."""
        with contextlib.closing(sqlite3.connect(self.archive / "ledger.db")) as ledger:
            query = "SELECT created_at FROM runs WHERE run_id = ?"
            times = [ended.began, ledger.execute(query, (run_id,)).fetchone()[0] / 1e6]
        names = ["Prefect"]
        for name, file in PARTS:
            names.append(name)
            times.append((self.archive / "runs" / run_id / file).stat().st_mtime)
        names.append("end")
        times.append(ended.began + ended.seconds)
        return {name: after - before for name, (before, after) in zip(names, pairwise(times), strict=True)}

    def bytes_of(self, *names: str) -> int:
        """Bytes on the disk of these files and folders."""
        return sum(
            each.stat().st_size
            for name in names
            for each in ((self.folder / name).rglob("*") if (self.folder / name).is_dir() else [self.folder / name])
            if each.is_file()
        )


FILLED = "00000000-0000-0000-0000-000000000001"
MANIFEST = """
import sys
from seedream_tasks.runs.manifest import write_manifest
from seedream_tasks.config.pairing import open_known
from seedream_tasks.config.settings import locations
place = locations(sys.argv[1], None, simulated=False)
ledger = open_known(place)
write_manifest(ledger, place.archive, sys.argv[2])
"""
SHEET = MANIFEST.replace("runs.manifest import write_manifest", "runs.contact_sheet import write_contact_sheet")
SHEET = SHEET.replace("write_manifest", "write_contact_sheet")
READ = """
import sys
import pyarrow.parquet as pq
file = pq.ParquetFile(sys.argv[1])
print(sum(len(batch) for batch in file.iter_batches(batch_size=2048)))
"""


def line(name: str, rows: int, ended: Ended, **more: object) -> None:
    """One row of a table."""
    cells = [name, f"{rows:,}", f"{ended.seconds:.1f}", f"{rows / ended.seconds:,.0f}", f"{ended.cpu:.1f}"]
    cells += [f"{ended.megabytes:.0f}", ", ".join(f"{word} {value}" for word, value in more.items())]
    print(f"| {' | '.join(cells)} |", flush=True)


def rerun(bench: Bench) -> str:
    """The same catalog again; returns the run's id."""
    asked = requests(bench.url)
    ended, run_id = bench.run()
    told = {name: f"{seconds:.1f} s" for name, seconds in bench.parts(run_id, ended).items()}
    line("rerun", bench.rows, ended, **told, requests=requests(bench.url) - asked)
    return run_id


def measure(bench: Bench, arguments: argparse.Namespace) -> None:
    """All that is asked for of one size."""
    rows = bench.rows
    if arguments.again:
        rerun(bench)
        return
    if arguments.filled:
        ended, run_id = bench.fill(arguments.rerun)
        line("filled, not bought", rows, ended)
    else:
        ended, run_id = bench.run()
        told = {name: f"{seconds:.1f} s" for name, seconds in bench.parts(run_id, ended).items()}
        line("first run", rows, ended, **told, requests=f"{requests(bench.url) / rows:.2f}/row")
    folder = bench.archive / "runs" / run_id
    line("manifest", rows, bench.python("-c", MANIFEST, str(bench.archive), run_id))
    line("contact sheet", rows, bench.python("-c", SHEET, str(bench.archive), run_id))
    ended = bench.python("-c", READ, str(folder / "manifest.parquet"))
    assert int(ended.output) == rows
    line("manifest read", rows, ended)
    if arguments.rerun:
        run_id = rerun(bench)
    sizes = {
        "ledger": bench.bytes_of("archive/ledger.db") / rows,
        "frozen run": bench.bytes_of(f"archive/runs/{run_id}/jobs.parquet") / rows,
        "manifest": bench.bytes_of(f"archive/runs/{run_id}/manifest.parquet") / rows,
    }
    print("bytes per row: " + ", ".join(f"{name} {size:,.0f}" for name, size in sizes.items()), flush=True)
    print(f"bytes of Prefect's database: {bench.bytes_of('prefect'):,}\n", flush=True)


def main() -> None:
    """Print the rows of the tables in docs/large-catalogs.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", required=True)
    parser.add_argument("--filled", action="store_true", help="record the first run without buying")
    parser.add_argument("--no-rerun", dest="rerun", action="store_false")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a task takes at the gateway")
    parser.add_argument("--image-px", type=int, default=64)
    parser.add_argument("--format", choices=["csv", "jsonl", "parquet"], default="csv")
    parser.add_argument("--granularity", choices=["auto", "row", "chunk"], default="auto")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave it")
    parser.add_argument("--port", type=int, default=0, help="the sandbox's: an account is known by its address")
    parser.add_argument("--again", action="store_true", help="only a rerun in what --keep and --port left")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, Prefect {version('prefect')},"
          f" {datetime.now(UTC).date()}; tasks of {arguments.seconds} s, images of {arguments.image_px} px\n")  # fmt: skip
    print("| | rows | seconds | rows/s | CPU, s | peak memory, MB | |\n|---|---|---|---|---|---|---|")
    for rows in arguments.rows:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(sandbox(arguments))
            folder = arguments.keep.resolve() / str(rows) if arguments.keep else None
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seedream-bench-")))
            folder.mkdir(parents=True, exist_ok=True)
            measure(Bench(folder, rows, url, arguments.format, arguments.granularity), arguments)


if __name__ == "__main__":
    main()
