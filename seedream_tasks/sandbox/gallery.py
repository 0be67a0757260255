"""The gallery: the image behind every link. Drawn on first download, in threads; the last few are cached."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from seedream_tasks.sandbox.image_sizes import Size, fit
from seedream_tasks.sandbox.images.drawing import Brief, draw, draw_plain, hue_of
from seedream_tasks.sandbox.images.stamps import stamp
from seedream_tasks.sandbox.orders import SentReference, Task
from seedream_tasks.sandbox.state import State

_REMEMBERED_BYTES = 64 << 20
# A 4K image takes some 50 MB while it is drawn.
_THREADS = 2


class Gallery:
    """Images of finished tasks."""

    def __init__(self, state: State, image_px: int | None) -> None:
        self._state = state
        self._image_px = image_px
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="image")
        self._plain: dict[tuple[Size, int, str], bytes] = {}
        self._recent: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._recent_bytes = 0

    def size_of(self, task: Task) -> Size:
        """Width and height in px of a finished task's images as they are drawn."""
        assert task.size is not None  # noqa: S101 - set when the task completed
        return task.size if self._image_px is None else fit(task.size, self._image_px)

    async def image(self, task: Task, index: int) -> bytes:
        """The bytes of one image of a completed task."""
        order = task.order
        number = f"{task.task_id} image {index + 1} of {task.images}"
        comment = f"SANDBOX {order.gateway} {task.model} {number}: {order.prompt}"
        if self._image_px is not None:
            return stamp(await self._plain_image(task), order.output_format, comment)
        key = (task.task_id, index)
        data = self._recent.get(key)
        if data is None:
            brief = Brief(
                size=self.size_of(task),
                image_format=order.output_format,
                hue=hue_of(order.prompt),
                title=f"{order.gateway} · {task.model}",
                prompt=order.prompt,
                note=number,
                references=tuple(self._tile(reference) for reference in order.references),
            )
            drawn = await asyncio.get_running_loop().run_in_executor(self._threads, draw, brief)
            data = stamp(drawn, order.output_format, comment)
            self._remember(key, data)
        return data

    def reset(self) -> None:
        """Clear the cache."""
        self._recent.clear()
        self._recent_bytes = 0

    def close(self) -> None:
        """Stop drawing."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _plain_image(self, task: Task) -> bytes:
        key = (self.size_of(task), hue_of(task.order.prompt), task.order.output_format)
        data = self._plain.get(key)
        if data is None:
            data = await asyncio.get_running_loop().run_in_executor(self._threads, draw_plain, *key)
            self._plain[key] = data
        return data

    def _tile(self, reference: SentReference) -> bytes | str:
        data = None if reference.sha256 is None else self._state.thumbnail(reference.sha256)
        return data if data is not None else f"Not fetched by the sandbox: {reference.url}"

    def _remember(self, key: tuple[str, int], data: bytes) -> None:
        self._recent_bytes += len(data) - len(self._recent.get(key, b""))
        self._recent[key] = data
        while self._recent_bytes > _REMEMBERED_BYTES:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1])
