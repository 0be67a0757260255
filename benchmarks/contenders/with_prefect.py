"""The two ways to do this in plain Prefect. Neither knows what it has paid for once it is gone."""

import asyncio
import time
from pathlib import Path

import aiohttp
import httpx
from prefect import flow, task

from .. import by_hand

# A thread per task run would run into httpx's 100 connections and their timeout of 5 s.
_HTTP = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=None), headers=by_hand.HEADERS, trust_env=False)


@task
def submit(base: str, number: int) -> str:
    """Buy one image."""
    answer = _HTTP.post(f"{base}/v1/images/generations", json=by_hand.order(number))
    return str(answer.raise_for_status().json()["id"])


@task
def wait(base: str, task_id: str) -> str:
    """Look every second until it is there."""
    while True:
        time.sleep(by_hand.LOOK_EVERY_S)
        found = _HTTP.get(f"{base}/v1/tasks/{task_id}").raise_for_status().json()
        if found["status"] == "completed":
            return str(found["results"][0])
        if found["status"] == "failed":
            raise RuntimeError(f"{task_id}: {found}")


@task
def download(link: str, folder: Path, number: int) -> str:
    """Fetch it."""
    path = folder / f"p{number}.jpg"
    path.write_bytes(_HTTP.get(link).raise_for_status().content)
    return str(path)


@flow
def three_sync_tasks(base: str, rows: int, folder: Path) -> list[str]:
    """`.map` of three sync tasks."""
    numbers = list(range(rows))
    task_ids = submit.map(base, numbers)
    links = wait.map(base, task_ids)
    return download.map(links, folder, numbers).result()


@flow
async def a_task_per_row(base: str, rows: int, folder: Path) -> list[str]:
    """One async task per row, gathered."""
    async with aiohttp.ClientSession() as http:

        @task
        async def row(number: int) -> str:
            content = await by_hand.fetch(http, await by_hand.buy(http, base, number))
            path = folder / f"p{number}.jpg"
            await asyncio.to_thread(path.write_bytes, content)
            return str(path)

        return await asyncio.gather(*map(row, range(rows)))
