"""Everything that could be used for this job, side by side, each in a fresh process against a fresh sandbox in another.

    python -m benchmarks.contenders --rows 1000 5000 --rounds 3

- bare: asyncio and aiohttp; every row submits, looks every second, fetches its image, and keeps nothing.
- bare+verify: the same loop; sha256, full decode, thumbnail and a write that is on the disk, as one writes that with Pillow.
- naive: what most people write in Prefect, `.map` of three sync tasks that put the image into a file (up to 1,000 rows).
- task-per-row: an async Prefect task per row that puts the image into a file.
- ours-row, ours-chunk: `seedream run` with one Prefect task per row and per chunk: ledger, verification, manifest, contact sheet.

Prefect's server is one process, started before and measured apart; its recorder writes 200 task runs at once (by default one).
A contender must have been accepted once per row by the sandbox's bill, ours with the bill's USD in its manifest, or this ends
with an error. "rows/s" runs from the first acceptance to the last image; "whole" is the process from start to end. With
several rounds, every second one runs in reverse order and the table shows medians. Reads /proc: Linux only.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from ..processes import PrefectServer, clean_environment, machine, prefect_server, run, sandbox
from .child import CONTENDERS, Order, arguments
from .figures import Figures, goals, startup, table

NAIVE_UP_TO = 1000


def main() -> None:
    """Run the contenders and print the tables."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.contenders", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000], metavar="N")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a task takes at the gateway")
    parser.add_argument("--image-px", type=int, default=512, help="longest side of the images")
    parser.add_argument("--in-flight", type=int, help="SEEDREAM_IN_FLIGHT of ours; the others have all rows in flight")
    options = parser.parse_args()
    found: dict[tuple[int, str], list[Figures]] = defaultdict(list)
    with prefect_server() as server:
        for number in range(options.rounds):
            for rows in options.rows:
                for name in options.only if number % 2 == 0 else reversed(options.only):
                    if name == "naive" and rows > NAIVE_UP_TO:
                        continue
                    figures = measure(name, rows, server, options)
                    found[rows, name].append(figures)
                    print(f"{rows} rows, {name}: {figures.rows_per_s:.0f} rows/s", file=sys.stderr, flush=True)
        server_line = startup(server)
    print(f"```sh\n{' '.join(['python -m benchmarks.contenders', *sys.argv[1:]])}\n```\n")
    print(f"{machine('prefect', 'aiohttp', 'httpx', 'pillow', 'sqlalchemy')}; tasks of {options.seconds:g} s,"
          f" images of {options.image_px} px:\n")  # fmt: skip
    print(table(found, options.only))
    print(f"\n{server_line}\n")
    print(goals(found))


def measure(name: str, rows: int, server: PrefectServer, options: argparse.Namespace) -> Figures:
    """One contender, once. Raises AssertionError where its bill is not what it should be."""
    with (
        tempfile.TemporaryDirectory(prefix="seedream-bench-") as place,
        sandbox(options.seconds, options.image_px) as stand_in,
    ):
        folder = Path(place)
        order = Order(stand_in.base, rows, str(folder / "kept"), str(write_catalog(folder / "catalog.csv", rows)))
        (folder / "kept").mkdir()
        environment = clean_environment() | stand_in.environment() | server.environment()
        if options.in_flight:
            environment["SEEDREAM_IN_FLIGHT"] = str(options.in_flight)
        before = server.cpu_s
        ended = run(arguments(name, order), environment, folder)
        server_cpu_s = 0.0 if name.startswith("bare") else server.settled_cpu_s() - before
        told = json.loads(ended.output.strip().splitlines()[-1])
        sandbox_cpu_s = stand_in.cpu_s
        bill = stand_in.bill()
        check_bill(name, rows, bill)
        first = min(datetime.fromisoformat(each["accepted_at"]) for each in bill["entries"]).timestamp()
        last = told["last_image"] or check_manifest(folder / "kept" / "archive", rows, bill)
        return Figures(
            rows=rows,
            images_s=last - first,
            whole_s=ended.seconds,
            cpu_s=ended.cpu_s,
            sandbox_cpu_s=sandbox_cpu_s,
            server_cpu_s=server_cpu_s,
            peak_mb=told["peak_mb"],
            requests=sum(bill["requests"].values()),
        )


def write_catalog(path: Path, rows: int) -> Path:
    """The rows as a catalog in column mode."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "prompt"])
        writer.writerows([f"p{number}", f"Product number {number}"] for number in range(rows))
    return path


def check_bill(name: str, rows: int, bill: dict[str, object]) -> None:
    """Exactly one submission per row, each accepted, each with its image, and no prompt twice."""
    for what in ("submissions", "accepted", "images"):
        assert bill[what] == rows, f"{name}: {bill[what]} {what} for {rows} rows"
    entries = bill["entries"]
    assert isinstance(entries, list)
    assert len({each["prompt"] for each in entries}) == rows, f"{name}: a row was bought twice, another not at all"
    assert all(each["downloads"] for each in entries), f"{name}: not every image was fetched"


def check_manifest(archive: Path, rows: int, bill: dict[str, object]) -> float:
    """Ours: every row archived, the bill's USD in the manifest, the file of each image there; returns when the last one was."""
    import pyarrow.parquet as pq

    found = pq.read_table(archive / "manifest.parquet", columns=["status", "billed_usd", "archived_at"]).to_pylist()
    assert [each["status"] for each in found] == ["archived"] * rows
    assert sum(each["billed_usd"] for each in found) == Decimal(str(bill["usd"]))
    assert sum(1 for _ in (archive / "images").rglob("*.jpg")) == rows
    return float(max(each["archived_at"] for each in found).timestamp())


if __name__ == "__main__":
    main()
