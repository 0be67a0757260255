"""EvoLink: Seedream 4.5 and 4.0 on one asynchronous endpoint, credits, a file service, callbacks."""

from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from seedream_tasks.sandbox.checks import Body, Reason, Refused, read_callback
from seedream_tasks.sandbox.dialects.base import AsyncDialect
from seedream_tasks.sandbox.dialects.evolink_files import EvolinkFiles
from seedream_tasks.sandbox.orders import Order, Task
from seedream_tasks.sandbox.prices import unit_price
from seedream_tasks.sandbox.references import ReferenceRules, shortened
from seedream_tasks.sandbox.sizes import Size, parse_pixels, pixels
from seedream_tasks.sandbox.web import Route, number, reply
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


class Evolink(AsyncDialect):
    """The dialect of EvoLink."""

    name = "evolink"
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
        """The task as it stands at its beginning, with what was reserved for it."""
        return {**self._task(task, "pending"), "progress": 0}

    def status(self, task: Task, base: str) -> dict[str, Any]:
        """The task as it stands now."""
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

    def routes(self) -> list[Route]:
        """Generation, status, credits, and the file service."""
        return [
            Route("POST", self.submit_path, self.submit),
            Route("GET", "/evolink/v1/tasks/{id}", self.ask_status),
            Route("GET", "/evolink/v1/credits", self._credits),
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
