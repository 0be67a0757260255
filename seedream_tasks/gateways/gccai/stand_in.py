"""gccai: an asynchronous gateway whose envelope has a `code` of its own; several images only with references."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from seedream_tasks.sandbox.checks import Body, Reason, Refused
from seedream_tasks.sandbox.image_sizes import EIGHT_RATIOS, pixels
from seedream_tasks.sandbox.multipart import read_form
from seedream_tasks.sandbox.orders import Order, Task
from seedream_tasks.sandbox.prices import UnitPrice
from seedream_tasks.sandbox.references import ReferenceRules, shortened
from seedream_tasks.sandbox.stand_in import AsyncStandIn
from seedream_tasks.sandbox.uploads import sniff
from seedream_tasks.sandbox.web import ServedRoute, base_of, number, reply
from seedream_tasks.sandbox.world import token

_MODELS = {
    "doubao-seedance-4-5": "seedream-4.5",
    "Doubao-Seedream-4.5": "seedream-4.5",
    "doubao-seedream-4.5": "seedream-4.5",
    "doubao-seedream-4-5": "seedream-4.5",
    "doubao-seedance-4-0": "seedream-4.0",
    "doubao-seedream-4-0": "seedream-4.0",
}
_SIZES = (*EIGHT_RATIOS, "9:21", "auto")
# Where its own document states a size, it differs from the first party's table.
_DOCUMENTED = {("16:9", "2K"): (2560, 1440), ("16:9", "4K"): (5404, 3040)}
_MOST_IMAGES = 15
_LARGEST_UPLOAD = 20_000_000
_START_USD, _START_CREDITS = 1000, 10_000

_RULES = ReferenceRules(
    most=10, formats=frozenset({"JPEG", "PNG"}), data_formats=("image/jpeg", "image/png"), widest=3.0
)


class GccaiStandIn(AsyncStandIn):
    """The stand-in of gccai."""

    name = "gccai"
    order = 20
    prices: ClassVar[Mapping[str, UnitPrice]] = {
        "seedream-4.5": UnitPrice(Decimal("0.035"), None),
        "seedream-4.0": UnitPrice(Decimal("0.035"), None),
    }
    link_life_s = 24 * 3600.0
    submit_path = "/gccai/v1/images/generations"
    errors: ClassVar[dict[Reason, tuple[int, str]]] = {
        "missing": (400, "invalid_request_error"),
        "invalid": (400, "invalid_request_error"),
        "model": (400, "invalid_request_error"),
        "content": (400, "invalid_request_error"),
        "task_id": (400, "invalid_request_error"),
        "key": (401, "authentication_error"),
        "balance": (402, "payment_required"),
        "not_found": (404, "invalid_request_error"),
        "too_large": (413, "invalid_request_error"),
        "rate": (429, "rate_limit_error"),
        "server": (500, "server_error"),
        "unavailable": (503, "server_error"),
    }

    async def read_order(self, body: Body) -> Order:
        """The body of a generation request."""
        model = body.required_text("model")
        if model not in _MODELS:
            raise Refused("model", f"the model {model!r} does not exist", "model")
        family = _MODELS[model]
        prompt = body.required_text("prompt")
        size = body.choice("size", _SIZES, "1:1")
        tier = body.choice("resolution", ("2K", "4K") if family == "seedream-4.5" else ("1K", "2K", "4K"), "2K")
        body.inner("optimize_prompt_options").choice("mode", ("standard", "fast"), "standard")
        body.flag("watermark")
        urls = body.texts("image_urls", _RULES.most)
        n = _images(body, bool(urls))
        if size == "auto" and not urls:
            raise body.wrong("size", "auto needs image_urls")
        if len(urls) + n > _MOST_IMAGES:
            raise body.wrong("n", f"plus the number of image_urls must be at most {_MOST_IMAGES}")
        return Order(
            gateway=self.name,
            model=model,
            priced_as=family,
            prompt=prompt,
            n=n,
            size=None if size == "auto" else _DOCUMENTED.get((size, tier)) or pixels(size, tier),
            tier=tier,
            references=await self.references(urls, _RULES, "image_urls"),
            request=shortened(body.data),
        )

    def reference_rules(self, order: Order) -> ReferenceRules:
        """The same for both models."""
        return _RULES

    def new_id(self) -> str:
        """`task_` and 26 characters, as a ULID has them."""
        return "task_01" + token(24).upper()

    def accepted(self, task: Task, base: str) -> dict[str, Any]:
        """A list with one task, whatever `n` is."""
        return {"code": 200, "data": [{"status": "submitted", "task_id": task.task_id}]}

    def status(self, task: Task, base: str) -> dict[str, Any]:
        """The task's current state."""
        progress = self.progress(task)
        data: dict[str, Any] = {
            "id": task.task_id,
            "status": task.status,
            "progress": progress,
            "created": int(task.accepted_at),
        }
        if task.estimate is not None:
            data["estimated_time"] = task.estimate
        if task.status == "running":
            return {"code": 200, "data": {**data, "status": "processing" if progress else "submitted"}}
        finished = task.finished_at or task.accepted_at
        data |= {
            "completed": int(finished),
            "actual_time": int(finished - task.accepted_at),
            "cost": number(task.usd),
        }
        if task.status == "completed":
            dies = int(self.links.dies_at(task))
            data["result"] = {"images": [{"url": [url], "expires_at": dies} for url in self.links.urls(task, base)]}
        else:
            code = task.error_code or (500 if task.status == "failed" else "request_cancelled")
            data["error"] = {"code": code, "message": task.error_message, "type": "server_error"}
        return {"code": 200, "data": data}

    def error_body(self, status: int, word: str, refused: Refused) -> dict[str, Any]:
        """`code` repeats the HTTP status; refused content is named by a word."""
        code: int | str = "content_policy_violation" if refused.reason == "content" else status
        return {"error": {"code": code, "message": refused.message, "type": word}}

    def routes(self) -> list[ServedRoute]:
        """Generation, status, both balances, and image uploads."""
        return [
            ServedRoute("POST", self.submit_path, self.submit),
            ServedRoute("GET", "/gccai/v1/tasks/{id}", self.ask_status),
            ServedRoute("GET", "/gccai/v1/balance", self._balance),
            ServedRoute("GET", "/gccai/v1/user/balance", self._user_balance),
            ServedRoute("POST", "/gccai/v1/uploads/images", self._upload),
            ServedRoute("GET", "/gccai/uploads/{id}", self._uploaded),
        ]

    def _account(self) -> dict[str, Any]:
        self.world.clock.run_due()
        used = self.world.usd[self.name]
        # Its credits have no stated unit; here ten of them are a dollar.
        return {
            "success": True,
            "message": "",
            "remain_balance": number(_START_USD - used),
            "remain_credits": number(_START_CREDITS - used * 10),
            "used_balance": number(used),
            "used_credits": number(used * 10),
        }

    async def _balance(self, request: web.Request) -> web.Response:
        self.authorize(request)
        return reply({**self._account(), "unlimited_quota": False})

    async def _user_balance(self, request: web.Request) -> web.Response:
        self.authorize(request)
        return reply(self._account())

    async def _upload(self, request: web.Request) -> web.Response:
        self.authorize(request)
        form = await read_form(request)
        if form.data is None:
            raise Refused("missing", "the field file is required", "file")
        if len(form.data) > _LARGEST_UPLOAD:
            raise Refused("too_large", f"the file has {len(form.data)} bytes, at most {_LARGEST_UPLOAD} are taken")
        mime_type = sniff(form.data)
        if mime_type is None:
            raise Refused("invalid", "only JPEG, PNG, WebP and GIF are taken", "file")
        name = form.filename or "image"
        file = self.world.uploads.add("up_" + token(20), self.name, form.data, mime_type, name)
        return reply(
            {
                "url": base_of(request) + file.path,
                "filename": file.name,
                "content_type": mime_type,
                "bytes": file.size,
                "created_at": int(file.uploaded_at),
            }
        )

    async def _uploaded(self, request: web.Request) -> web.Response:
        return self.serve_upload(request)


def _images(body: Body, has_references: bool) -> int:
    """How many images a body asks for; without references only one can be had."""
    n = body.whole("n", 1, _MOST_IMAGES, 1)
    mode = body.choice("sequential_image_generation", ("disabled", "auto"), "disabled")
    options = body.inner("sequential_image_generation_options")
    most = options.whole("max_images", 1, _MOST_IMAGES, 1)
    # n above 1 turns the sequential mode on by itself.
    images = n if n > 1 else most if mode == "auto" else 1
    if images > 1 and not has_references:
        raise body.wrong("n", "above 1 (or sequential images) needs image_urls: text alone gives one image")
    return images


STAND_IN = GccaiStandIn
