"""The HTTP client that all gateways share, beside plain aiohttp and httpx's own pool, at growing numbers of requests at once.

    python -m benchmarks.transport --at-once 16 64 200 512

Each cell sends free requests (an account's credits) to one sandbox, in its own process, for some seconds, over as many
connections as there are requests at once. CPU is that of the client's process.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import httpx

from seedream_tasks.gateways.http import HttpClients

from .by_hand import HEADERS
from .processes import machine, sandbox

Send = Callable[[str], Awaitable[int]]


@asynccontextmanager
async def plain_aiohttp(at_once: int) -> AsyncIterator[Send]:
    """aiohttp, used as it is."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once), headers=HEADERS) as session:

        async def send(url: str) -> int:
            async with session.get(url) as response:
                await response.read()
                return response.status

        yield send


@asynccontextmanager
async def ours(at_once: int) -> AsyncIterator[Send]:
    """httpx's API on aiohttp's pool, as gateways are spoken to."""
    async with HttpClients(at_once) as clients:

        async def send(url: str) -> int:
            return (await clients.send_free("GET", url, headers=HEADERS)).status

        yield send


@asynccontextmanager
async def plain_httpx(at_once: int) -> AsyncIterator[Send]:
    """httpx with its own pool."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(limits=limits, timeout=60, headers=HEADERS, trust_env=False) as client:

        async def send(url: str) -> int:
            return (await client.get(url)).status_code

        yield send


CLIENTS: dict[str, Callable[[int], AbstractAsyncContextManager[Send]]] = {
    "aiohttp": plain_aiohttp,
    "ours": ours,
    "httpx, its own pool": plain_httpx,
}


async def measure(client: AbstractAsyncContextManager[Send], url: str, at_once: int, seconds: float) -> str:
    """Requests/s and CPU per request (ms) of one client, as a cell."""
    done = 0

    async def keep_asking(send: Send, until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            assert await send(url) == 200
            done += 1

    async with client as send:
        await asyncio.gather(*(send(url) for _ in range(at_once)))  # the connections are made
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(keep_asking(send, began + seconds) for _ in range(at_once)))
        took, used = time.perf_counter() - began, time.process_time() - cpu
    return f"{done / took:,.0f} ({1000 * used / done:.2f})"


def main() -> None:
    """Measure every client at every width and print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.transport", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at-once", type=int, nargs="+", default=[16, 64, 200, 512], metavar="N")
    parser.add_argument("--seconds", type=float, default=2.0, help="per cell")
    options = parser.parse_args()
    with sandbox(1.0, 96) as stand_in:
        url = f"{stand_in.base}/v1/credits"
        lines = []
        for name, client in CLIENTS.items():
            cells = [asyncio.run(measure(client(width), url, width, options.seconds)) for width in options.at_once]
            lines.append(f"| {' | '.join([name, *cells])} |")
    print(f"```sh\n{' '.join(['python -m benchmarks.transport', *sys.argv[1:]])}\n```\n")
    print(
        f"{machine('aiohttp', 'httpx', 'httpx-aiohttp')}; requests/s by requests at once, in brackets CPU in ms a request:\n"
    )
    print(f"| | {' | '.join(map(str, options.at_once))} |\n{'|---' * (1 + len(options.at_once))}|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
