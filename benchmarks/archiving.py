"""Archiving beside a hand-written aiohttp loop that checks and keeps as much: pictures/s and CPU, in one run.

    python benchmarks/archiving.py --pictures 1000

Both get the same links of one sandbox, in its own process: download, sha256, full decode, thumbnail, a write that is on the disk
before it has its name. Ours also records every picture in the ledger, warns of what looks wrong, and goes by expiry. The loop
runs before and after ours, so that neither has the warm caches to itself.
"""

import argparse
import asyncio
import hashlib
import io
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from PIL import Image

from seedream_tasks.core.jobs import Job
from seedream_tasks.engine.archiving import AT_ONCE
from seedream_tasks.engine.freezing import Request
from seedream_tasks.ledger import views
from seedream_tasks.orchestration.session import RunSettings, session


def main() -> None:
    """Run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--image-px", type=int, default=1024)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "seedream_tasks.sandbox", "--port", "0", "--exit-with-stdin"]
    command += ["--seconds", "0.2", "--image-px", str(arguments.image_px)]
    sandbox = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert sandbox.stdin is not None
    assert sandbox.stdout is not None
    ready = json.loads(sandbox.stdout.readline())
    os.environ["SEEDREAM_EVOLINK_API_KEY"] = "benchmark"
    os.environ["SEEDREAM_EVOLINK_BASE_URL"] = ready["gateways"]["evolink"]
    try:
        with tempfile.TemporaryDirectory(prefix="seedream-bench-") as folder:
            rows = asyncio.run(measure(Path(folder), arguments.pictures))
    finally:
        sandbox.stdin.close()
        sandbox.wait()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC).date()};"
          f" {arguments.pictures} pictures of {arguments.image_px} px\n")  # fmt: skip
    print("| | seconds | pictures/s | CPU, ms per picture |\n|---|---|---|---|")
    for name, seconds, cpu in rows:
        print(
            f"| {name} | {seconds:.1f} | {arguments.pictures / seconds:.0f} | {1000 * cpu / arguments.pictures:.1f} |"
        )


async def measure(folder: Path, count: int) -> list[tuple[str, float, float]]:
    """Buy `count` pictures, then fetch them three times."""
    settings = RunSettings(
        Request(catalog=""), str(folder / "archive"), f"sqlite:///{folder}/ledger.db", gateways=("evolink",)
    )
    jobs = [Job(f"p{number}", "image", "seedream-4.5", "generate", f"Product {number}") for number in range(count)]
    async with session("benchmark", settings) as run:
        await run.begin()
        engine = await run.engine()
        bought = [attempt for ids in await asyncio.gather(*map(engine.submit, jobs)) for attempt in ids]
        assert len(await engine.wait(bought)) == count
        links = await run.around.ledger.read(
            lambda connection: [each.url for one in bought for each in views.pictures_of(connection, one)]
        )
        await by_hand(links, folder / "warm")  # the sandbox draws a picture when it is first asked for
        first = await timed("hand-written loop", by_hand(links, folder / "first"))
        ours = await timed("ours", engine.archive(bought))
        again = await timed("hand-written loop, again", by_hand(links, folder / "again"))
    assert len(list((folder / "archive" / "images").rglob("*.jpg"))) == count
    assert len(list((folder / "again").rglob("*.jpg"))) == count
    return [first, ours, again]


async def timed(name: str, work: Awaitable[None]) -> tuple[str, float, float]:
    """Wall clock and CPU of this process, in seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    await work
    return name, time.perf_counter() - began, time.process_time() - cpu


async def by_hand(links: list[str], folder: Path) -> None:
    """What a careful engineer writes for one job: as many at once and as thorough as ours."""
    at_once = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor((os.cpu_count() or 2) + 2) as threads:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as http:

            async def one(number: int, link: str) -> None:
                async with at_once, http.get(link) as response:
                    response.raise_for_status()
                    content = await response.read()
                await loop.run_in_executor(threads, keep, content, folder / f"p{number}" / "image.jpg")

            await asyncio.gather(*(one(number, link) for number, link in enumerate(links)))


def keep(content: bytes, path: Path) -> None:
    """Check a picture in full, make its thumbnail, and put it under its name once it is on the disk."""
    digest = hashlib.sha256(content).hexdigest()
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        small = image.copy()
        small.thumbnail((256, 256))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=75)
    path.parent.mkdir(parents=True, exist_ok=True)
    place(path, content)
    (path.parent / f"{digest}.thumbnail").write_bytes(file.getvalue())


def place(path: Path, content: bytes) -> None:
    """No half file under the name, and none that a crash takes back."""
    temporary = path.parent / f".{secrets.token_hex(8)}"
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if __name__ == "__main__":
    main()
