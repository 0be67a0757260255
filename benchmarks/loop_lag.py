"""How late the event loop is while images are verified beside it: ours in a whole run, a hand-written loop, an idle one.

    python -m benchmarks.loop_lag --rows 1000 --image-px 2048

A task in the same loop sleeps 5 ms again and again and notes how late it wakes; what counts is the time between the first and
the last image that is kept. Nothing in the product knows of it: the public flow `catalog_images` runs in the process of the
probe. The images have the size that is bought by default, because decoding them is what could hold the loop up. The
hand-written loop verifies as much; the idle one shows what is late on this machine anyway. Reads /proc: Linux only.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from .contenders.__main__ import check_bill, write_catalog
from .processes import PrefectServer, clean_environment, machine, prefect_server, run, sandbox

EVERY_S = 0.005
IDLE_S = 5.0


class Probe:
    """Sleeps and notes how late it wakes."""

    def __init__(self) -> None:
        self.late: list[tuple[float, float]] = []  # when (epoch seconds), how late in seconds

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(EVERY_S)
            self.late.append((time.time(), time.perf_counter() - before - EVERY_S))

    def between(self, first: float, last: float) -> list[float]:
        """Lateness in ms of a stretch of time, sorted."""
        return sorted(1000 * late for at, late in self.late if first <= at <= last)


async def _watched(work: Callable[[], Awaitable[object]]) -> Probe:
    probe = Probe()
    watching = asyncio.create_task(probe.watch())
    try:
        await work()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return probe


def idle(base: str, rows: int, folder: Path) -> list[float]:
    """A loop that does nothing else."""
    probe = asyncio.run(_watched(lambda: asyncio.sleep(IDLE_S)))
    return probe.between(0.0, time.time())


def by_hand(base: str, rows: int, folder: Path) -> list[float]:
    """The hand-written loop that verifies."""
    import aiohttp

    from . import by_hand as hand

    async def work() -> None:
        keeper = hand.Keeper(folder)
        async with aiohttp.ClientSession() as http:

            async def row(number: int) -> None:
                await keeper.keep(http, await hand.buy(http, base, number), number)

            await asyncio.gather(*map(row, range(rows)))

    probe = asyncio.run(_watched(work))
    return probe.between(*_kept(folder))


def ours(base: str, rows: int, folder: Path) -> list[float]:
    """The flow, in chunks."""
    from seedream_tasks.orchestration.flows import catalog_images

    catalog = write_catalog(folder / "catalog.csv", rows)

    async def work() -> None:
        result = await catalog_images(str(catalog), archive=str(folder / "archive"), granularity="chunk")
        assert result["by_status"] == {"archived": rows}, result

    probe = asyncio.run(_watched(work))
    return probe.between(*_kept(folder / "archive"))


def _kept(folder: Path) -> tuple[float, float]:
    """When the first and the last image were there."""
    times = [path.stat().st_mtime for path in (folder / "images").rglob("*.jpg")]
    return min(times), max(times)


LOOPS: dict[str, Callable[[str, int, Path], list[float]]] = {"idle": idle, "bare+verify": by_hand, "ours-chunk": ours}


def main() -> None:
    """Run all, each in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.loop_lag", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--image-px", type=int, default=2048, help="longest side of the images")
    parser.add_argument("--in-process", nargs=3, metavar=("NAME", "BASE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        name, base, folder = options.in_process
        print(json.dumps(LOOPS[name](base, options.rows, Path(folder))))
        return
    with prefect_server() as server:
        lines = [measured(name, server, options) for name in LOOPS]
    print(f"```sh\n{' '.join(['python -m benchmarks.loop_lag', *sys.argv[1:]])}\n```\n")
    print(f"{machine('prefect', 'aiohttp', 'pillow')}; {options.rows:,} images of {options.image_px} px:\n")
    print("| loop | images/s | median, ms | 99 %, ms | 99.9 %, ms | longest, ms |\n|---|---|---|---|---|---|")
    print("\n".join(lines))


def measured(name: str, server: PrefectServer, options: argparse.Namespace) -> str:
    """One loop's line of the table."""
    with (
        sandbox(2.0, options.image_px) as stand_in,
        tempfile.TemporaryDirectory(prefix="seedream-bench-") as place,
    ):
        folder = Path(place)
        command = [sys.executable, "-m", "benchmarks.loop_lag", "--rows", str(options.rows), "--in-process", name]
        environment = clean_environment() | stand_in.environment() | server.environment()
        ended = run([*command, stand_in.base, str(folder)], environment, folder)
        late = json.loads(ended.output.strip().splitlines()[-1])
        speed = ""
        if name != "idle":
            check_bill(name, options.rows, stand_in.bill())
            first, last = _kept(folder / "archive" if name.startswith("ours") else folder)
            speed = f"{options.rows / (last - first):.0f}"
    shares = (0.5, 0.99, 0.999)
    cells = [f"{late[min(len(late) - 1, int(share * len(late)))]:.1f}" for share in shares]
    return f"| {' | '.join([name, speed, *cells, f'{late[-1]:.1f}'])} |"


if __name__ == "__main__":
    main()
