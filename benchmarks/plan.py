"""How fast a catalog of many rows is planned, and in how much memory: one `seedream plan` in a process of its own.

python -m benchmarks.plan --rows 1000000 --format csv
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .processes import machine

NAMES = ("sku", "title", "description", "brand", "category", "color", "material", "price", "image")
SHOTS = """
shots:
  - name: hero
    prompt: "Studio photograph of {{ title }} in {{ color }}, made of {{ material }}, on seamless white"
"""


def rows(count: int) -> Iterator[tuple[str, ...]]:
    """Products as a shop has them."""
    text = "A handmade mug, with a wide handle and a matte glaze inside and out"
    for number in range(count):
        color = ("red", "blue", "green", "sand")[number % 4]
        image = f"https://cdn.shop.example/p/{number}.jpg"
        price = f"{number % 100}.90"
        yield (
            f"SKU-{number:07d}",
            f"Stoneware mug number {number}",
            text,
            "Kettle",
            "Mugs",
            color,
            "stoneware",
            price,
            image,
        )


def batched(each: Iterator[tuple[str, ...]], size: int) -> Iterator[list[tuple[str, ...]]]:
    """Lists of up to `size`."""
    while several := list(islice(each, size)):
        yield several


def write(folder: Path, count: int, form: str) -> Path:
    """The catalog in one of its forms."""
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(NAMES)
        writer.writerows(rows(count))
    if form == "csv":
        return path
    if form == "parquet":
        # In batches: a child's peak memory begins with what its parent has when it starts it.
        schema = pa.schema([(name, pa.string()) for name in NAMES])
        with pq.ParquetWriter(path.with_suffix(".parquet"), schema) as parquet:
            for several in batched(rows(count), 50_000):
                parquet.write_table(pa.table(list(map(list, zip(*several, strict=True))), schema=schema))
        return path.with_suffix(".parquet")
    if form == "jsonl":
        with path.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows(count))
        return path.with_suffix(".jsonl")
    import openpyxl  # of the test extra

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Products")
    sheet.append(NAMES)
    for row in rows(count):
        sheet.append(row)
    book.save(path.with_suffix(".xlsx"))
    return path.with_suffix(".xlsx")


def main() -> None:
    """Print one line of docs/performance.md."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--format", choices=["csv", "jsonl", "parquet", "xlsx"], default="csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog = write(folder, options.rows, options.format)
        (folder / "shots.yaml").write_text(SHOTS)
        command = [
            sys.executable,
            "-m",
            "seedream_tasks",
            "plan",
            str(catalog),
            "--shots",
            "shots.yaml",
            "--sandbox",
            "--json",
        ]
        began = time.perf_counter()
        ended = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        took = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert json.loads(ended.stdout)["jobs"] == options.rows
    cpu = used.ru_utime + used.ru_stime
    megabytes = used.ru_maxrss / 1024  # ru_maxrss is in KiB on Linux
    print(f"{machine()}:\n")
    print("| format | rows | whole command, s | CPU, s | jobs/s | jobs per CPU second | peak memory, MB |")
    print(
        f"| {options.format} | {options.rows:,} | {took:.1f} | {cpu:.1f} | {options.rows / took:,.0f} |"
        f" {options.rows / cpu:,.0f} | {megabytes:.0f} |"
    )


if __name__ == "__main__":
    main()
