"""What one writes by hand for this job, with asyncio and aiohttp: buy, look, fetch; and keep an image as carefully as ours does.

Imports nothing of the project, so that a process that runs it holds nothing else.
"""

import asyncio
import hashlib
import io
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

LOOK_EVERY_S = 1.0
# As many downloads at once as the engine makes, and as many threads.
AT_ONCE = 24
THREADS = (os.cpu_count() or 2) + 2
HEADERS = {"Authorization": "Bearer benchmark"}


def order(number: int) -> dict[str, Any]:
    """The body of a submit: what ours sends for the same row."""
    return {
        "model": "doubao-seedream-4.5",
        "prompt": f"Product number {number}",
        "n": 1,
        "prompt_priority": "standard",
        "size": "1:1",
        "quality": "2K",
    }


async def buy(http: aiohttp.ClientSession, base: str, number: int) -> str:
    """Submit one image and look every second until it is there; returns its link."""
    async with http.post(f"{base}/v1/images/generations", json=order(number), headers=HEADERS) as response:
        response.raise_for_status()
        task_id = (await response.json())["id"]
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        async with http.get(f"{base}/v1/tasks/{task_id}", headers=HEADERS) as response:
            response.raise_for_status()
            task = await response.json()
        if task["status"] == "completed":
            return str(task["results"][0])
        if task["status"] == "failed":
            raise RuntimeError(f"{task_id}: {task}")


async def fetch(http: aiohttp.ClientSession, link: str) -> bytes:
    """Download an image."""
    async with http.get(link) as response:
        response.raise_for_status()
        return await response.read()


class Keeper:
    """Keeps images in threads, beside the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(THREADS)

    async def keep(self, http: aiohttp.ClientSession, link: str, number: int) -> None:
        """Fetch an image, check it in full, keep it."""
        async with self._at_once:
            content = await fetch(http, link)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, keep, content, self._folder, number)


def keep(content: bytes, folder: Path, number: int) -> None:
    """Check an image in full, make its thumbnail, and put it under its name once it is on the disk.

    As thorough as ours, with the usual calls: only the thumbnail is made by a filter over all pixels, where ours averages first.
    """
    digest = hashlib.sha256(content).hexdigest()
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        share = min(1.0, 256 / max(image.size))
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0).convert("RGB")
    file = io.BytesIO()
    small.save(file, "JPEG", quality=75, optimize=True)
    target = folder / "images" / f"p{number}" / "image.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    _place(target, content)
    thumbnail = folder / "thumbnails" / digest[:2] / f"{digest}.jpg"
    thumbnail.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(thumbnail)
    temporary.write_bytes(file.getvalue())
    temporary.replace(thumbnail)


def _place(path: Path, content: bytes) -> None:
    """No half file under the name, and none that a crash takes back."""
    temporary = _beside(path)
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


def _beside(path: Path) -> Path:
    return path.parent / f".{secrets.token_hex(8)}.part"
