"""Archiving beside a hand-written aiohttp loop that checks and keeps as much: images/s and CPU, in one run.

    python -m benchmarks.archiving --images 1000

Both get the same links of one sandbox, in its own process: download, sha256, full decode, thumbnail, a write that is on the disk
before it has its name. Ours also records every image in the ledger, warns of what looks wrong, and goes by expiry. The loop
runs before and after ours, so that neither has the warm caches to itself.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import aiohttp

from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.jobs import Job
from seedream_tasks.ledger import queries
from seedream_tasks.orchestration.session import session

from .by_hand import Keeper
from .processes import machine, sandbox
from .usage import cpu_s


def main() -> None:
    """Run once and print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.archiving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--image-px", type=int, default=1024)
    arguments = parser.parse_args()
    with (
        sandbox(0.2, arguments.image_px) as stand_in,
        tempfile.TemporaryDirectory(prefix="seedream-bench-") as folder,
    ):
        os.environ |= stand_in.environment()
        rows = asyncio.run(measure(Path(folder), arguments.images))
    print(f"{machine('aiohttp', 'pillow')}; {arguments.images:,} images of {arguments.image_px} px:\n")
    print("| | seconds | images/s | CPU, ms per image |\n|---|---|---|---|")
    for name, seconds, cpu in rows:
        print(f"| {name} | {seconds:.1f} | {arguments.images / seconds:.0f} | {1000 * cpu / arguments.images:.1f} |")


async def measure(folder: Path, count: int) -> list[tuple[str, float, float]]:
    """Buy `count` images, then fetch them three times."""
    settings = RunOptions(
        "", archive=str(folder / "archive"), ledger=f"sqlite:///{folder}/ledger.db", gateways=("evolink",)
    )
    jobs = [Job(f"p{number}", "image", "seedream-4.5", "generate", f"Product {number}") for number in range(count)]
    async with session("benchmark", settings) as run:
        await run.begin()
        engine = await run.engine()
        bought = [attempt for ids in await asyncio.gather(*map(engine.submit, jobs)) for attempt in ids]
        assert len(await engine.wait(bought)) == count
        links = await run.around.ledger.read(
            lambda connection: [each.url for one in bought for each in queries.images_of(connection, one)]
        )
        first = await timed("hand-written loop", by_hand(links, folder / "first"))
        ours = await timed("ours", engine.archive(bought))
        again = await timed("hand-written loop, again", by_hand(links, folder / "again"))
    assert len(list((folder / "archive" / "images").rglob("*.jpg"))) == count
    assert len(list((folder / "again" / "images").rglob("*.jpg"))) == count
    return [first, ours, again]


async def timed(name: str, work: Awaitable[None]) -> tuple[str, float, float]:
    """Wall clock and CPU of this process and those it started, in seconds."""
    began, cpu = time.perf_counter(), _cpu_s()
    await work
    return name, time.perf_counter() - began, _cpu_s() - cpu


def _cpu_s() -> float:
    started = {int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}
    return time.process_time() + sum(cpu_s(pid) for pid in started)


async def by_hand(links: list[str], folder: Path) -> None:
    """What a careful engineer writes for one job: as many at once and as thorough as ours."""
    keeper = Keeper(folder)
    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(keeper.keep(http, link, number) for number, link in enumerate(links)))


if __name__ == "__main__":
    main()
