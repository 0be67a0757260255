"""EvoLink: Seedream 4.5 and 4.0 on one asynchronous endpoint, credits, a file service, callbacks."""

import base64
import binascii
import mimetypes
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from aiohttp import web

from seedream_tasks.sandbox.checks import Body, Reason, Refused, is_loopback, read_callback
from seedream_tasks.sandbox.clock import iso
from seedream_tasks.sandbox.image_sizes import Size, parse_pixels, pixels
from seedream_tasks.sandbox.multipart import read_form
from seedream_tasks.sandbox.orders import Order, Task
from seedream_tasks.sandbox.prices import UnitPrice, unit_price
from seedream_tasks.sandbox.references import BadImageError, ReferenceRules, shortened
from seedream_tasks.sandbox.stand_in import AsyncStandIn, StandIn
from seedream_tasks.sandbox.uploads import QuotaError, Upload, sniff
from seedream_tasks.sandbox.web import Handler, ServedRoute, base_of, number, reply
from seedream_tasks.sandbox.world import token

_MODELS = {"doubao-seedream-4.5": "seedream-4.5", "doubao-seedream-4.0": "seedream-4.0"}
_RATIOS_45 = ("auto", "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_LONGEST_PROMPT = 2000
_MOST_IMAGES = 15
_START_CREDITS = 10_000

# Total pixels of a size given as WxH; 4096x4096 is the most for both.
_FEWEST_PX = {"seedream-4.5": 2560 * 1440, "seedream-4.0": 1280 * 720}
_MOST_PX = 4096 * 4096

_RULES = {
    "seedream-4.5": ReferenceRules(
        most=14, formats=frozenset({"JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"}), widest=16.0
    ),
    # Its document has no smallest side.
    "seedream-4.0": ReferenceRules(most=10, formats=frozenset({"JPEG", "PNG"}), widest=3.0, smallest_px=None),
}

_TASK_PREFIX = "task-unified-"


class EvolinkStandIn(AsyncStandIn):
    """The stand-in of EvoLink."""

    name = "evolink"
    order = 10
    prices: ClassVar[Mapping[str, UnitPrice]] = {
        "seedream-4.5": UnitPrice(Decimal("0.031"), Decimal("2.25")),
        "seedream-4.0": UnitPrice(Decimal("0.0248"), Decimal("1.8")),
    }
    link_life_s = 24 * 3600.0
    submit_path = "/evolink/v1/images/generations"
    errors: ClassVar[dict[Reason, tuple[int, str]]] = {
        "missing": (400, "invalid_request_error"),
        "invalid": (400, "invalid_request_error"),
        "content": (400, "invalid_request_error"),
        "task_id": (400, "invalid_request_error"),
        "key": (401, "authentication_error"),
        "balance": (402, "insufficient_quota_error"),
        "model": (404, "not_found_error"),
        "not_found": (404, "not_found_error"),
        "too_large": (413, "request_too_large_error"),
        "rate": (429, "rate_limit_error"),
        "server": (500, "internal_server_error"),
        "unavailable": (503, "service_unavailable_error"),
    }

    async def read_order(self, body: Body) -> Order:
        """The body of a generation request, for both models."""
        model = body.required_text("model")
        if model not in _MODELS:
            raise Refused("model", f"the model {model!r} does not exist", "model")
        family = _MODELS[model]
        prompt = body.required_text("prompt", longest=_LONGEST_PROMPT)
        n = body.whole("n", 1, _MOST_IMAGES, 1)
        size, tier = _size_45(body) if family == "seedream-4.5" else _size_40(body)
        body.choice("prompt_priority", ("standard",) if family == "seedream-4.5" else ("standard", "fast"), "standard")
        rules = _RULES[family]
        urls = body.texts("image_urls", rules.most)
        if len(urls) + n > _MOST_IMAGES:
            raise body.wrong("n", f"plus the number of image_urls must be at most {_MOST_IMAGES}")
        callback_url = read_callback(body, self.world.config.allow_local_callbacks)
        return Order(
            gateway=self.name,
            model=model,
            priced_as=family,
            prompt=prompt,
            n=n,
            size=size,
            tier=tier,
            references=await self.references(urls, rules, "image_urls"),
            request=shortened(body.data),
            callback_url=callback_url,
        )

    def reference_rules(self, order: Order) -> ReferenceRules:
        """By model: 4.0 takes fewer and plainer ones."""
        return _RULES[order.priced_as]

    def new_id(self) -> str:
        """`task-unified-<epoch>-<random>`."""
        return f"{_TASK_PREFIX}{int(self.world.clock.now())}-{token(10)}"

    def check_id(self, task_id: str) -> None:
        """Every id begins the same."""
        if not task_id.startswith(_TASK_PREFIX):
            raise Refused("task_id", f"invalid task id: must begin with {_TASK_PREFIX}", "task_id")

    def accepted(self, task: Task, base: str) -> dict[str, Any]:
        """The task's initial state, with its reservation."""
        return {**self._task(task, "pending"), "progress": 0}

    def status(self, task: Task, base: str) -> dict[str, Any]:
        """The task's current state."""
        if task.status == "running":
            progress = self.progress(task)
            return {**self._task(task, "processing" if progress else "pending"), "progress": progress}
        answer = self._task(task, "completed" if task.status == "completed" else "failed")
        answer["usage"]["credits_used"] = number(task.credits or Decimal(0))
        if task.status == "completed":
            return {**answer, "results": self.links.urls(task, base)}
        # There is no status "cancelled": it is a failure with a code of its own.
        code = task.error_code or ("request_cancelled" if task.status == "cancelled" else "service_error")
        return {**answer, "error": {"code": code, "message": task.error_message, "type": "task_error"}}

    def error_body(self, status: int, word: str, refused: Refused) -> dict[str, Any]:
        """`code` is a number, and a word where a newer reading of the documents shows one."""
        words: dict[Reason, str] = {"task_id": "invalid_task_id", "content": "content_policy_violation"}
        error: dict[str, Any] = {"code": words.get(refused.reason, status), "message": refused.message, "type": word}
        if refused.param is not None:
            error["param"] = refused.param
        hints = {413: "use files under 4MB", 429: "retry after 60 seconds", 503: "retry after 30 seconds"}
        if status in hints:
            error["fallback_suggestion"] = hints[status]
        return {"error": error}

    def routes(self) -> list[ServedRoute]:
        """Generation, status, credits, and the file service."""
        return [
            ServedRoute("POST", self.submit_path, self.submit),
            ServedRoute("GET", "/evolink/v1/tasks/{id}", self.ask_status),
            ServedRoute("GET", "/evolink/v1/credits", self._credits),
            *EvolinkFiles(self).routes(),
        ]

    async def _credits(self, request: web.Request) -> web.Response:
        self.authorize(request)
        self.world.clock.run_due()
        used = self.world.credits[self.name]
        left, gone = number(_START_CREDITS - used), number(used)
        account = {"remaining_credits": left, "used_credits": gone}
        data = {"token": {**account, "unlimited_credits": False}, "user": account}
        return reply({"success": True, "message": "", "data": data})

    def _task(self, task: Task, status: str) -> dict[str, Any]:
        price = unit_price(self.name, task.order.priced_as)
        assert price.credits is not None  # noqa: S101 - every EvoLink price has credits
        info: dict[str, Any] = {"can_cancel": task.status == "running"}
        if task.status == "running" and task.estimate is not None:
            info["estimated_time"] = task.estimate
        return {
            "created": int(task.accepted_at),
            "id": task.task_id,
            "model": task.model,
            "object": "image.generation.task",
            "progress": self.progress(task),
            "status": status,
            "task_info": info,
            "type": "image",
            "usage": {
                "billing_rule": "per_call",
                "credits_reserved": number(price.credits * task.order.n),
                "user_group": "default",
            },
        }


def _size_45(body: Body) -> tuple[Size | None, str]:
    """4.5 has two generations of documents: ratio with `quality`, or a tier or WxH in `size` alone."""
    tier = body.choice("quality", ("2K", "4K"), "2K")
    size = body.text("size") or "auto"
    if size == "auto":
        return None, tier
    if size in _RATIOS_45:
        return pixels(size, tier), tier
    if size in ("2K", "4K"):
        return pixels("1:1", size), size
    return _wxh(body, size, "seedream-4.5", ", ".join((*_RATIOS_45, "2K", "4K"))), tier


def _size_40(body: Body) -> tuple[Size | None, str]:
    """4.0 takes a tier or WxH; a tier alone leaves the ratio to the prompt, here: square."""
    size = body.text("size") or "2048x2048"
    if size in ("1K", "2K", "4K"):
        return pixels("1:1", size), size
    return _wxh(body, size, "seedream-4.0", "1K, 2K, 4K"), "2K"


def _wxh(body: Body, text: str, family: str, words: str) -> Size:
    size = parse_pixels(text)
    if size is None:
        raise body.wrong("size", f"must be one of {words} or WIDTHxHEIGHT")
    if not _FEWEST_PX[family] <= size[0] * size[1] <= _MOST_PX:
        raise body.wrong("size", f"must have from {_FEWEST_PX[family]} to {_MOST_PX} pixels in total")
    if not 1 / 16 <= size[0] / size[1] <= 16:
        raise body.wrong("size", "must have a ratio in [1/16, 16]")
    return size


# The file service: references get the URL that the generation endpoint asks for.

_LARGEST_FILE = 100_000_000
_FILES_QUOTA = 100
_LONGEST_PAGE = 100
_TOO_LARGE, _WRONG_TYPE, _QUOTA, _NOT_LOADED = 40001, 40002, 40003, 40004


class EvolinkFiles:
    """The routes below `/evolink/files/api/v1`."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._world = stand_in.world

    def routes(self) -> list[ServedRoute]:
        """Three ways in, the list, the quota, and the way out; the files themselves need no key."""
        files = "/evolink/files/api/v1/files"
        routes = [
            ServedRoute("POST", f"{files}/upload/base64", self._from_base64),
            ServedRoute("POST", f"{files}/upload/stream", self._from_form),
            ServedRoute("POST", f"{files}/upload/url", self._from_url),
            ServedRoute("GET", f"{files}/list", self._list),
            ServedRoute("GET", f"{files}/quota", self._quota),
            ServedRoute("DELETE", f"{files}/{{id}}", self._delete),
        ]
        own = [replace(route, handler=self._in_own_words(route.handler)) for route in routes]
        return [*own, ServedRoute("GET", "/evolink/uploads/{id}", self._download)]

    def _in_own_words(self, handler: Handler) -> Handler:
        """Refusals in the file service's shape, which is not that of the generation API."""

        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except Refused as refused:
                status, _ = self._stand_in.errors[refused.reason]
                return _failed(status, refused.message, status)

        return answer

    async def _from_base64(self, request: web.Request) -> web.Response:
        self._stand_in.authorize(request)
        body = Body.parse(await request.read())
        text = body.required_text("base64_data")
        if text[:5].lower() == "data:":
            text = text.partition(",")[2]
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return _failed(_WRONG_TYPE, "base64_data is not valid base64")
        return self._store(request, data, _name(body), _folder(body))

    async def _from_form(self, request: web.Request) -> web.Response:
        self._stand_in.authorize(request)
        form = await read_form(request)
        if form.data is None:
            return _failed(_WRONG_TYPE, "the field file is missing")
        name = form.fields.get("fileName") or form.filename
        return self._store(request, form.data, name, form.fields.get("uploadPath", ""))

    async def _from_url(self, request: web.Request) -> web.Response:
        self._stand_in.authorize(request)
        body = Body.parse(await request.read())
        url = body.required_text("file_url")
        parts = urlsplit(url)
        data = self._world.uploads.bytes_at(url)
        if data is None:
            if parts.hostname is None or not is_loopback(parts.hostname):
                return _failed(_NOT_LOADED, "the file could not be downloaded: the sandbox stays off the internet")
            try:
                data = await self._world.references.download(url, _LARGEST_FILE)
            except BadImageError as error:
                return _failed(_NOT_LOADED, f"the file could not be downloaded: {error}")
        return self._store(request, data, _name(body) or unquote(parts.path.rpartition("/")[2]), _folder(body))

    async def _list(self, request: web.Request) -> web.Response:
        self._stand_in.authorize(request)
        page, length = _whole(request, "page", 1), min(_whole(request, "pageSize", 20), _LONGEST_PAGE)
        files = list(self._world.uploads.living(self._stand_in.name))
        shown = [_facts(file, base_of(request)) for file in files[(page - 1) * length : page * length]]
        return _done({"files": shown, "total": len(files), "page": page, "pageSize": length}, "success")

    async def _quota(self, request: web.Request) -> web.Response:
        self._stand_in.authorize(request)
        used = sum(1 for _ in self._world.uploads.living(self._stand_in.name))
        left = _FILES_QUOTA - used
        data = {"used_files": used, "max_files": _FILES_QUOTA, "remain_files": left, "user_group": "default"}
        return _done(data, "success")

    async def _delete(self, request: web.Request) -> web.Response:
        self._stand_in.authorize(request)
        file = self._world.uploads.find(request.match_info["id"])
        if file is None or file.gateway != self._stand_in.name:
            return _failed(404, "file not found", 404)
        self._world.uploads.remove([file.upload_id])
        return _done(None, "File deleted successfully")

    async def _download(self, request: web.Request) -> web.Response:
        return self._stand_in.serve_upload(request)

    def _store(self, request: web.Request, data: bytes, name: str, folder: str) -> web.Response:
        if len(data) > _LARGEST_FILE:
            return _failed(_TOO_LARGE, f"the file has {len(data)} bytes, at most {_LARGEST_FILE} are taken")
        mime_type = sniff(data)
        if mime_type is None:
            return _failed(_WRONG_TYPE, "only JPEG, PNG, GIF and WebP are taken")
        upload_id = "file_" + token(20)
        name = name or upload_id + (mimetypes.guess_extension(mime_type) or "")
        try:
            file = self._world.uploads.add(upload_id, self._stand_in.name, data, mime_type, name, folder, _FILES_QUOTA)
        except QuotaError as error:
            return _failed(_QUOTA, str(error))
        return _done(_facts(file, base_of(request)), "File uploaded successfully")


def _facts(file: Upload, base: str) -> dict[str, Any]:
    return {
        "file_id": file.upload_id,
        "file_name": file.name,
        "original_name": file.original_name,
        "file_size": file.size,
        "mime_type": file.mime_type,
        "upload_path": file.folder,
        "file_url": base + file.path,
        "download_url": base + file.path,
        "upload_time": iso(file.uploaded_at),
        "expires_at": iso(file.expires_at),
    }


def _done(data: Any, message: str) -> web.Response:
    return reply({"success": True, "code": 200, "msg": message, "data": data})


def _failed(code: int, message: str, status: int = 400) -> web.Response:
    return reply({"success": False, "code": code, "msg": message}, status)


def _name(body: Body) -> str:
    return body.text("file_name") or body.text("fileName") or ""


def _folder(body: Body) -> str:
    return body.text("upload_path") or body.text("uploadPath") or ""


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return max(int(text), 1) if text.isascii() and text.isdigit() else default


STAND_IN = EvolinkStandIn
