"""One contender in a process of its own: `python -m benchmarks.contenders.child NAME ORDER`, where ORDER is JSON.

It imports only what that contender needs. The last line of its stdout says when the last image was there and what it took.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..usage import Children, peak_mb


@dataclass(frozen=True)
class Order:
    """What a contender is to do."""

    base: str  # the gateway's base URL
    rows: int
    folder: str  # for what it keeps
    catalog: str  # the same rows as a file


def bare(order: Order) -> float:
    """An asyncio loop that keeps nothing."""
    return _loop(order, keeps=False)


def bare_and_verify(order: Order) -> float:
    """The same loop, and every image checked and kept."""
    return _loop(order, keeps=True)


def _loop(order: Order, keeps: bool) -> float:
    import aiohttp

    from .. import by_hand

    async def main() -> float:
        keeper = by_hand.Keeper(Path(order.folder))
        async with aiohttp.ClientSession() as http:

            async def row(number: int) -> None:
                link = await by_hand.buy(http, order.base, number)
                await (keeper.keep(http, link, number) if keeps else by_hand.fetch(http, link))

            await asyncio.gather(*map(row, range(order.rows)))
            return time.time()

    return asyncio.run(main())


def naive(order: Order) -> float:
    """What most people write in Prefect."""
    from .with_prefect import three_sync_tasks

    three_sync_tasks(order.base, order.rows, Path(order.folder))
    return time.time()


def task_per_row(order: Order) -> float:
    """What those write in Prefect who know asyncio."""
    from .with_prefect import a_task_per_row

    asyncio.run(a_task_per_row(order.base, order.rows, Path(order.folder)))
    return time.time()


def ours_by_row(order: Order) -> float:
    """`seedream run --granularity row`."""
    return _ours(order, "row")


def ours_by_chunk(order: Order) -> float:
    """`seedream run --granularity chunk`."""
    return _ours(order, "chunk")


def _ours(order: Order, granularity: str) -> float:
    from seedream_tasks.cli.main import seedream

    command = ["run", order.catalog, "--archive", f"{order.folder}/archive", "--json", "--granularity", granularity]
    status = seedream.main(command, standalone_mode=False)
    assert status == 0, f"seedream run ended with {status}"
    return 0.0  # the manifest says when the last image was there


CONTENDERS: dict[str, Callable[[Order], float]] = {
    "bare": bare,
    "bare+verify": bare_and_verify,
    "naive": naive,
    "task-per-row": task_per_row,
    "ours-row": ours_by_row,
    "ours-chunk": ours_by_chunk,
}


def main() -> None:
    """Run one contender."""
    order = Order(**json.loads(sys.argv[2]))
    children = Children()
    last = CONTENDERS[sys.argv[1]](order)
    print(json.dumps({"last_image": last, "peak_mb": peak_mb() + children.peak_mb()}))


def arguments(name: str, order: Order) -> list[str]:
    """The command line of a contender's process."""
    return [sys.executable, "-m", __name__, name, json.dumps(asdict(order))]


if __name__ == "__main__":
    main()
