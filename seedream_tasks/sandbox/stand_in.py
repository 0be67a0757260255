"""The base of all stand-ins: the key check, a submit with its faults, the status route."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from seedream_tasks.sandbox.checks import Body, Reason, Refused
from seedream_tasks.sandbox.faults import Fault
from seedream_tasks.sandbox.links import Links
from seedream_tasks.sandbox.orders import Order, SentReference, Task
from seedream_tasks.sandbox.prices import UnitPrice, money
from seedream_tasks.sandbox.references import ReferenceRules
from seedream_tasks.sandbox.web import Hangup, ServedRoute, bad_gateway, base_of, half_a_reply, reply
from seedream_tasks.sandbox.world import World

_DOOR_CLOSED_S = 1.0

# Submit faults that answer with an error of the gateway's own.
_REJECTIONS: dict[str, tuple[Reason, str]] = {
    "reject_401": ("key", "the API key is not valid (a fault of the sandbox)"),
    "reject_402": ("balance", "the balance does not cover this request (a fault of the sandbox)"),
    "reject_429": ("rate", "too many requests (a fault of the sandbox)"),
    "http_503": ("unavailable", "the service is busy (a fault of the sandbox)"),
    "reject_model": ("model", "the model is not available (a fault of the sandbox)"),
    "reject_content": ("content", "content_policy_violation: the prompt was refused (a fault of the sandbox)"),
    "http_500": ("server", "internal error (a fault of the sandbox)"),
}
_ACCEPTED_ALL_THE_SAME = ("http_502_accepted", "drop_response", "garbage_json")


class StandIn(ABC):
    """One gateway, as its documents describe it."""

    name: ClassVar[str]
    submit_path: ClassVar[str]
    synchronous: ClassVar[bool] = False
    order: ClassVar[int] = 100
    """Where it stands in lists, among those that come with this package."""
    prices: ClassVar[Mapping[str, UnitPrice]]
    """Model, as `Order.priced_as` spells it -> what it charges for one image, in every tier."""
    link_life_s: ClassVar[float]
    """How long the links of a finished task live."""
    downloads: ClassVar[str] = "dl"
    """Path of those links, below the gateway."""
    signed_links: ClassVar[bool] = False
    """Whether they state when they die, and are signed."""
    errors: ClassVar[dict[Reason, tuple[int, str]]]
    """What is wrong -> HTTP status and the gateway's word for it."""

    def __init__(self, world: World, links: Links, close_door: Callable[[float], None]) -> None:
        self.world = world
        self.links = links
        self._close_door = close_door

    @abstractmethod
    async def read_order(self, body: Body) -> Order:
        """The order in a body; refuses what the gateway's documentation refuses."""

    @abstractmethod
    def reference_rules(self, order: Order) -> ReferenceRules:
        """The limits on this order's references."""

    @abstractmethod
    def new_id(self) -> str:
        """A task id of the gateway's form."""

    @abstractmethod
    def accepted(self, task: Task, base: str) -> dict[str, Any]:
        """The answer to an accepted order."""

    @abstractmethod
    def error_body(self, status: int, word: str, refused: Refused) -> dict[str, Any]:
        """The gateway's error body."""

    @abstractmethod
    def routes(self) -> list[ServedRoute]:
        """All routes of the gateway but the downloads."""

    def serve_upload(self, request: web.Request) -> web.Response:
        """The bytes of an uploaded file; expired and deleted ones are not found."""
        file = self.world.uploads.find(request.match_info["id"].partition(".")[0])
        if file is None or file.gateway != self.name:
            return web.Response(text="NoSuchKey: there is no such file\n", status=404)
        return web.Response(body=self.world.uploads.data(file), headers={"Content-Type": file.mime_type})

    def refusal(self, refused: Refused) -> web.Response:
        """The gateway's answer to a refused request."""
        status, word = self.errors[refused.reason]
        response = reply(self.error_body(status, word, refused), status)
        if refused.retry_after is not None:
            response.headers["Retry-After"] = money(Decimal(str(refused.retry_after)))
        return response

    def authorize(self, request: web.Request) -> None:
        """Refuse a request without a key, or with one that begins with `invalid`."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key or " " in key or key.startswith("invalid"):
            raise Refused("key", "Invalid API key")

    async def submit(self, request: web.Request) -> web.Response:
        """A generation request: check it, apply faults, create a task, answer."""
        raw = await request.read()
        self.world.count_submission(self.name)
        self.authorize(request)
        order = await self.read_order(self.parse(raw))
        fault = self.world.draw("submit", order)
        if fault is not None and fault.kind not in _ACCEPTED_ALL_THE_SAME:
            return self._reject(fault)
        trouble = self.world.draw("task", order)
        if self.synchronous and trouble is not None and trouble.kind in ("task_failed", "task_cancelled"):
            # There is no task that could fail later: the call itself is refused, and nothing is billed.
            raise Refused("content", "the generation failed (a fault of the sandbox)")
        task = self.world.accept(order, self.new_id(), trouble)
        if self.synchronous:
            await self.world.finished(task)
            if task.status == "running":
                raise Hangup  # the sandbox was reset meanwhile
        if fault is not None and fault.kind == "http_502_accepted":
            return bad_gateway()
        if fault is not None and fault.kind == "drop_response":
            raise Hangup
        answer = self.accepted(task, base_of(request))
        return half_a_reply(answer) if fault is not None else reply(answer)

    def parse(self, raw: bytes) -> Body:
        """The body as JSON."""
        return Body.parse(raw)

    async def references(self, urls: list[str], rules: ReferenceRules, param: str) -> list[SentReference]:
        """The references of a request, read now where possible."""
        return [await self.world.references.read(url, rules, param) for url in urls]

    def _reject(self, fault: Fault) -> web.Response:
        """Answer for a fault that leaves no task behind."""
        if fault.kind == "http_502":
            return bad_gateway()
        if fault.kind == "drop_request":
            raise Hangup
        if fault.kind == "refuse_connection":
            # A closed port would not have read this request either, so it does not count.
            self.world.count_submission(self.name, by=-1)
            self._close_door(_DOOR_CLOSED_S if fault.value is None else float(str(fault.value)))
            response = self.refusal(Refused("unavailable", "the service is restarting", retry_after=1.0))
            response.force_close()
            return response
        reason, message = _REJECTIONS[fault.kind]
        waits = fault.kind in ("reject_429", "http_503") and fault.value is not None
        raise Refused(reason, message, retry_after=float(str(fault.value)) if waits else None)


class AsyncStandIn(StandIn):
    """A gateway that answers a submit with a task id."""

    @abstractmethod
    def status(self, task: Task, base: str) -> dict[str, Any]:
        """The answer to a status request; callbacks carry the same."""

    def forged_status(self, task: Task, base: str) -> dict[str, Any]:
        """A forged success status: its links lead nowhere."""
        seen = Task.restore(task.seq, task.task_id, task.fixed(), task.changing())
        seen.status, seen.images, seen.finished_at = "completed", 1, task.accepted_at
        return self.status(seen, f"{base}/forged")

    def check_id(self, task_id: str) -> None:
        """Refuse a task id that cannot be one; most gateways take any text."""

    async def ask_status(self, request: web.Request) -> web.Response:
        """The status route."""
        self.authorize(request)
        task_id = request.match_info["id"]
        self.check_id(task_id)
        task = self.world.find(self.name, task_id)
        if task is None:
            raise Refused("not_found", "Task not found or expired", "task_id")
        fault = self.world.draw("status", task)
        if fault is not None and fault.kind == "status_500":
            raise Refused("server", "internal error (a fault of the sandbox)")
        if fault is not None and fault.kind == "status_429":
            wait = None if fault.value is None else float(str(fault.value))
            raise Refused("rate", "too many requests (a fault of the sandbox)", retry_after=wait)
        answer = self.status(task, base_of(request))
        if fault is not None and fault.kind == "surrogate":
            return reply(_with_half_a_pair(answer))
        return half_a_reply(answer) if fault is not None else reply(answer)

    def progress(self, task: Task) -> int:
        """How far a task is, in percent; 100 only once it has ended well."""
        if task.status != "running":
            return 100 if task.status == "completed" else 0
        whole = (task.due_at or float("inf")) - task.accepted_at
        passed = self.world.clock.now() - task.accepted_at
        return max(0, min(99, int(100 * passed / whole) if whole > 0 else 99))


def _with_half_a_pair(answer: dict[str, Any]) -> dict[str, Any]:
    """A status whose message, and that of its error, end in the first half of an emoji: JSON may say it, and no text holds it."""
    said = {**answer, "message": f"{answer.get('message', 'as you see')} \ud83d"}
    for holder in (said, said.get("data")):
        error = holder.get("error") if isinstance(holder, dict) else None
        if isinstance(error, dict):
            error["message"] = f"{error.get('message', '')} \ud83d"
    return said
