"""Rows through `seedream run` against a sandbox in its own process: rows/s, CPU, memory, requests.

    python benchmarks/rows.py --rows 1000 --seconds 2

Prints one Markdown table. "whole command" counts everything from the start of the process, Prefect's server included; "pictures"
counts from the first acceptance to the last picture in the archive.
"""

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq


def main() -> None:
    """Run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a task takes at the gateway")
    parser.add_argument("--image-px", type=int, default=512)
    parser.add_argument("--granularity", default="auto", choices=["auto", "row", "chunk"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seedream-bench-") as folder:
        figures = measure(Path(folder), arguments)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, Prefect {version('prefect')},"
          f" {date.today().isoformat()}\n")  # fmt: skip  # noqa: DTZ011 - the day where it ran
    print(f"| {' | '.join(figures)} |\n|{'---|' * len(figures)}\n| {' | '.join(map(str, figures.values()))} |")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One run of the command line; asserts that it is complete and that its bill is the sandbox's."""
    catalog = folder / "catalog.csv"
    with catalog.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "prompt"])
        writer.writerows([f"p{number}", f"Product number {number}"] for number in range(arguments.rows))
    command = [sys.executable, "-m", "seedream_tasks.sandbox", "--port", "0", "--exit-with-stdin"]
    command += ["--seconds", str(arguments.seconds), "--image-px", str(arguments.image_px)]
    sandbox = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert sandbox.stdin is not None
    assert sandbox.stdout is not None
    ready = json.loads(sandbox.stdout.readline())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEEDREAM_")}
    environment |= {
        "SEEDREAM_EVOLINK_API_KEY": "benchmark",
        "SEEDREAM_EVOLINK_BASE_URL": ready["gateways"]["evolink"],
        "PREFECT_HOME": str(folder / "prefect"),
    }
    run = [sys.executable, "-m", "seedream_tasks", "run", str(catalog), "--archive", str(folder / "out"), "--json"]
    run += ["--granularity", arguments.granularity]
    began = time.perf_counter()
    ended = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(ended.stdout)
    bill = httpx.get(f"{ready['url']}/sandbox/bill", timeout=60).json()
    sandbox.stdin.close()
    sandbox.wait()
    assert result["by_status"] == {"archived": arguments.rows}
    assert Decimal(result["billed_usd"]) == Decimal(bill["usd"])
    accepted = min(datetime.fromisoformat(each["accepted_at"]) for each in bill["entries"])
    archived = max(pq.read_table(result["manifest"], columns=["archived_at"]).column(0).to_pylist())
    pictures = (archived - accepted).total_seconds()
    requests = sum(bill["requests"].values())
    return {
        "rows": arguments.rows,
        "task, s": arguments.seconds,
        "image, px": arguments.image_px,
        "whole command, s": f"{wall:.1f}",
        "pictures, s": f"{pictures:.1f}",
        "rows/s": f"{arguments.rows / pictures:.0f}",
        "CPU of command and sandbox, s": f"{usage.ru_utime + usage.ru_stime:.1f}",
        "peak memory, MB": usage.ru_maxrss // 1024,
        "requests/row": f"{requests / arguments.rows:.2f}",
    }


if __name__ == "__main__":
    main()
