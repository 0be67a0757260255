"""Download links: built when answering, expired (410) after their lifetime, and subject to the download faults.

Damage is drawn once per image and kept with the task, so that the same link gives the same bytes again.
"""

import hashlib
import hmac
from typing import TYPE_CHECKING

from aiohttp import web

from seedream_tasks.sandbox.gallery import Gallery
from seedream_tasks.sandbox.image_sizes import Size
from seedream_tasks.sandbox.images.damage import damaged
from seedream_tasks.sandbox.orders import ImageState, Task, Trouble
from seedream_tasks.sandbox.stand_ins import stand_ins
from seedream_tasks.sandbox.web import ServedRoute
from seedream_tasks.sandbox.world import World

if TYPE_CHECKING:
    from seedream_tasks.sandbox.stand_in import StandIn

_SIGNING_KEY = b"the sandbox signs like a gateway, it guards nothing"


class Links:
    """The links of all gateways."""

    def __init__(self, world: World, gallery: Gallery) -> None:
        self._world = world
        self._gallery = gallery

    def urls(self, task: Task, base: str) -> list[str]:
        """The links to a finished task's images, below `base`."""
        return [self._url(task, index, base) for index in range(task.images)]

    def size_of(self, task: Task) -> Size:
        """Width and height in px of the images behind a completed task's links."""
        return self._gallery.size_of(task)

    def dies_at(self, task: Task) -> float:
        """When a finished task's links expire, in seconds since the epoch."""
        return (task.finished_at or task.accepted_at) + stand_ins()[task.gateway].link_life_s

    def routes(self) -> list[ServedRoute]:
        """Downloads need no key: the link is enough."""
        return [self._route(name, kind) for name, kind in stand_ins().items()]

    def _route(self, gateway: str, kind: "type[StandIn]") -> ServedRoute:
        async def download(request: web.Request) -> web.Response:
            index = request.match_info["index"]
            if not kind.signed_links:
                return await self._download(request, gateway, index.partition(".")[0])
            signature = _signature(request.match_info["id"], index, request.query.get("exp", ""))
            if not hmac.compare_digest(signature.encode(), request.query.get("sig", "").encode(errors="replace")):
                return _gone(403)
            return await self._download(request, gateway, index)

        path = f"/{gateway}/{kind.downloads}/{{id}}"
        return ServedRoute("GET", f"{path}/{{index}}", download, f"GET {path}")

    async def _download(self, request: web.Request, gateway: str, index_text: str) -> web.Response:
        task = self._world.find(gateway, request.match_info["id"])
        index = int(index_text) if index_text.isascii() and index_text.isdigit() else -1
        if task is None or not 0 <= index < task.images:
            return _gone(404)
        if self._world.clock.now() >= self.dies_at(task):
            return _gone(410)
        trouble = self._draw(task, index)
        if trouble is not None and trouble.kind == "expired_link":
            return _gone(410)
        if trouble is not None and trouble.kind == "download_500":
            return web.Response(text="Internal Server Error\n", status=500)
        self._note_served(task, index)
        data, mime_type = await self._gallery.image(task, index), f"image/{task.order.output_format}"
        if trouble is not None:
            data, mime_type = damaged(trouble, data, mime_type)
        task.downloads += 1
        self._world.state.save_task(task)
        return web.Response(body=data, headers={"Content-Type": mime_type})

    def _draw(self, task: Task, index: int) -> Trouble | None:
        """What strikes this request. Only `download_500` is drawn again for an image that has drawn before."""
        state = task.image_states.get(index)
        if state is not None and state.damage is not None:
            return state.damage
        faults = self._world.faults
        if not faults:
            return None
        if state is None:
            state = task.image_states[index] = ImageState(faults.generation)
        elif state.generation != faults.generation:
            state.generation, state.drawn = faults.generation, []
        # Bytes that were handed out once stay as they were; a link can die at any time.
        spared = set(state.drawn) | (faults.positions(_BYTES) if state.served else set())
        fault, drew = faults.draw("download", task.gateway, task.order.prompt, without=spared)
        self._world.save_faults()
        state.drawn += sorted(set(drew) - faults.positions({"download_500"}))
        trouble = None if fault is None else Trouble(fault.kind, fault.value)
        if trouble is not None and trouble.kind != "download_500":
            state.damage = trouble
        self._world.state.save_task(task)
        return trouble

    def _note_served(self, task: Task, index: int) -> None:
        state = task.image_states.get(index)
        if state is None:
            state = task.image_states[index] = ImageState(self._world.faults.generation)
        state.served = True

    def _url(self, task: Task, index: int, base: str) -> str:
        kind = stand_ins()[task.gateway]
        place = f"{base}/{task.gateway}/{kind.downloads}/{task.task_id}/{index}"
        if not kind.signed_links:
            return f"{place}.{task.order.output_format}"
        expires = str(int(self.dies_at(task)))
        return f"{place}?exp={expires}&sig={_signature(task.task_id, str(index), expires)}"


_BYTES = {"corrupt_image", "wrong_type", "huge_image"}


def _signature(task_id: str, index: str, expires: str) -> str:
    return hmac.new(_SIGNING_KEY, f"{task_id}/{index}/{expires}".encode(), hashlib.sha256).hexdigest()[:32]


def _gone(status: int) -> web.Response:
    texts = {403: "AccessDenied: the link is not signed so\n", 404: "NoSuchKey: there is no such file\n"}
    return web.Response(text=texts.get(status, "Gone: the link has expired\n"), status=status)
