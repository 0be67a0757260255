"""apiin: asynchronous, one image per call, and the thinnest documents: no status example, no balance, no uploads.

Where they say nothing the sandbox chose: the status envelope of the submit answer, links in `output.image_urls`, what
was used in `credits_used`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from seedream_tasks.sandbox.checks import Body, Reason, Refused, read_callback
from seedream_tasks.sandbox.image_sizes import EIGHT_RATIOS, pixels
from seedream_tasks.sandbox.orders import Order, Task
from seedream_tasks.sandbox.prices import UnitPrice
from seedream_tasks.sandbox.references import ReferenceRules, shortened
from seedream_tasks.sandbox.stand_in import AsyncStandIn
from seedream_tasks.sandbox.web import ServedRoute, number
from seedream_tasks.sandbox.world import token

_TEXT_MODELS = ("seedream/4.5-text-to-image", "seedream-4-5")
_EDIT_MODEL = "seedream/4.5-edit"
_TIER = {"basic": "2K", "high": "4K"}

# No limit is documented; a file that is not an image still fails.
_RULES = ReferenceRules(
    most=None,
    formats=frozenset({"JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"}),
    largest_bytes=None,
    smallest_px=None,
    most_px=None,
)


class ApiinStandIn(AsyncStandIn):
    """The stand-in of apiin."""

    name = "apiin"
    order = 40
    prices: ClassVar[Mapping[str, UnitPrice]] = {"seedream-4.5": UnitPrice(Decimal("0.024"), Decimal("12"))}
    link_life_s = 3600.0  # not stated; an hour is short enough to be taken seriously
    submit_path = "/apiin/api/v1/images/generations"
    errors: ClassVar[dict[Reason, tuple[int, str]]] = {
        "missing": (400, "invalid_request"),
        "invalid": (400, "invalid_request"),
        "model": (400, "invalid_request"),
        "content": (400, "invalid_request"),
        "task_id": (400, "invalid_request"),
        "key": (401, "authentication_error"),
        "balance": (402, "insufficient_credits"),
        "not_found": (404, "not_found"),
        "too_large": (413, "invalid_request"),
        "rate": (429, "rate_limit"),
        "server": (500, "server_error"),
        "unavailable": (503, "service_unavailable"),
    }

    async def read_order(self, body: Body) -> Order:
        """The body of a generation request. Text to image ignores `image_urls`, and charges all the same."""
        model = body.required_text("model")
        if model not in (*_TEXT_MODELS, _EDIT_MODEL):
            raise Refused("model", f"Invalid parameters: the model {model!r} does not exist", "model")
        prompt = body.required_text("prompt")
        tier = _TIER[body.choice("quality", tuple(_TIER), "basic")]
        ratio = body.choice("aspect_ratio", EIGHT_RATIOS, "1:1")
        urls = body.texts("image_urls", None)
        if model == _EDIT_MODEL and not urls:
            raise Refused("missing", "image_urls is required for editing", "image_urls")
        callback_url = read_callback(body, self.world.config.allow_local_callbacks)
        used = urls if model == _EDIT_MODEL else []
        return Order(
            gateway=self.name,
            model=model,
            priced_as="seedream-4.5",
            prompt=prompt,
            n=1,
            size=pixels(ratio, tier),
            tier=tier,
            references=await self.references(used, _RULES, "image_urls"),
            request=shortened(body.data),
            callback_url=callback_url,
        )

    def reference_rules(self, order: Order) -> ReferenceRules:
        """Any image."""
        return _RULES

    def new_id(self) -> str:
        """`n...._seed`, as in the documents' example."""
        return f"n30{token(16)}_seed"

    def accepted(self, task: Task, base: str) -> dict[str, Any]:
        """The task's id."""
        return _envelope({"task_id": task.task_id, "status": "IN_PROGRESS"})

    def status(self, task: Task, base: str) -> dict[str, Any]:
        """The task's current state."""
        data: dict[str, Any] = {"task_id": task.task_id, "model": task.model, "status": "IN_PROGRESS"}
        if task.status == "running":
            return _envelope({**data, "progress": self.progress(task)})
        data["credits_used"] = 0 if task.credits is None else number(task.credits)
        if task.status == "completed":
            return _envelope({**data, "status": "COMPLETED", "output": {"image_urls": self.links.urls(task, base)}})
        code = task.error_code or (500 if task.status == "failed" else "request_cancelled")
        error = {"code": code, "message": task.error_message}
        return _envelope({**data, "status": task.status.upper(), "error": error})

    def error_body(self, status: int, word: str, refused: Refused) -> dict[str, Any]:
        """`code` repeats the HTTP status; refused content is named by a word."""
        code: int | str = "content_policy_violation" if refused.reason == "content" else status
        return {"error": {"code": code, "message": refused.message, "type": word}}

    def routes(self) -> list[ServedRoute]:
        """Generation and status."""
        return [
            ServedRoute("POST", self.submit_path, self.submit),
            ServedRoute("GET", "/apiin/api/v1/tasks/{id}", self.ask_status),
        ]


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    return {"code": 200, "message": "success", "data": data}


STAND_IN = ApiinStandIn
