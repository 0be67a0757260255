"""Orders and their outcomes: the values behind the bill, the status replies and the images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Literal

from seedream_tasks.sandbox.image_sizes import Size

Status = Literal["running", "completed", "failed", "cancelled"]


@dataclass(slots=True)
class SentReference:
    """An image that came with the request."""

    url: str
    """Where it comes from; shortened for data URIs."""
    sha256: str | None = None
    """Of its bytes; names its thumbnail. None: not read (yet)."""
    width: int = 0
    height: int = 0
    fetch: bool = False
    """Still to be fetched, while the task runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One accepted generation request."""

    gateway: str
    model: str
    """As the request spells it."""
    priced_as: str
    """The model, as the price list spells it."""
    prompt: str
    n: int
    size: Size | None
    """Width and height in px; None: `auto`, like the first reference."""
    tier: str
    """`1K`, `2K` or `4K`: how large `auto` is."""
    references: list[SentReference]
    request: dict[str, Any]
    """The request body, data URIs shortened."""
    output_format: str = "jpeg"
    callback_url: str | None = None


@dataclass(slots=True)
class Trouble:
    """A fault that was drawn for a task or an image."""

    kind: str
    value: Any = None


@dataclass(slots=True)
class ImageState:
    """What happened to one image's link."""

    generation: int = 0
    """The fault list that `drawn` is about."""
    drawn: list[int] = field(default_factory=list)
    """Fault entries that this image has drawn already: lasting damage is drawn once."""
    damage: Trouble | None = None
    served: bool = False
    """Its bytes have been handed out, so they never change again."""


@dataclass(slots=True)
class CallbackDelivery:
    """One callback that is still to be sent."""

    due: float
    attempt: int = 0
    forged: bool = False


@dataclass(slots=True, kw_only=True)
class Task:
    """One accepted order, from the first second to the last download. Times: seconds since the epoch."""

    seq: int
    task_id: str
    order: Order
    accepted_at: float
    due_at: float | None
    """When it ends; None: never."""
    estimate: int | None
    """What the gateway says it takes, in seconds."""
    model: str
    """The model that the gateway names."""
    usd: Decimal
    """Charged: in advance while it runs, then for what was made."""
    credits: Decimal | None
    trouble: Trouble | None = None
    callback_trouble: Trouble | None = None
    status: Status = "running"
    images: int = 0
    finished_at: float | None = None
    error_code: str | int | None = None
    error_message: str | None = None
    size: Size | None = None
    downloads: int = 0
    image_states: dict[int, ImageState] = field(default_factory=dict)
    deliveries: list[CallbackDelivery] = field(default_factory=list)

    @property
    def gateway(self) -> str:
        """The gateway of the task."""
        return self.order.gateway

    @property
    def fetching(self) -> bool:
        """Whether a reference is still being fetched."""
        return any(reference.fetch for reference in self.order.references)

    def fixed(self) -> dict[str, Any]:
        """The immutable part, as JSON."""
        body = {name: getattr(self.order, name) for name in _ORDER_FIELDS}
        return {
            "order": body,
            "accepted_at": self.accepted_at,
            "due_at": self.due_at,
            "estimate": self.estimate,
            "model": self.model,
            "trouble": _plain(self.trouble),
            "callback_trouble": _plain(self.callback_trouble),
        }

    def changing(self) -> dict[str, Any]:
        """The mutable part, as JSON."""
        return {
            "status": self.status,
            "images": self.images,
            "usd": str(self.usd),
            "credits": None if self.credits is None else str(self.credits),
            "finished_at": self.finished_at,
            "error_code": self.error_code,
            "error_message": self.error_message,
            "size": self.size,
            "downloads": self.downloads,
            "pictures": {str(index): asdict(state) for index, state in self.image_states.items()},
            "deliveries": [asdict(delivery) for delivery in self.deliveries],
            "references": [asdict(reference) for reference in self.order.references],
        }

    @classmethod
    def restore(cls, seq: int, task_id: str, fixed: Mapping[str, Any], changing: Mapping[str, Any]) -> "Task":
        """The task that `fixed` and `changing` described."""
        order = dict(fixed["order"])
        order["size"] = _size(order["size"])
        order["references"] = [SentReference(**reference) for reference in changing["references"]]
        return cls(
            seq=seq,
            task_id=task_id,
            order=Order(**order),
            accepted_at=fixed["accepted_at"],
            due_at=fixed["due_at"],
            estimate=fixed["estimate"],
            model=fixed["model"],
            trouble=_trouble(fixed["trouble"]),
            callback_trouble=_trouble(fixed["callback_trouble"]),
            status=changing["status"],
            images=changing["images"],
            usd=Decimal(changing["usd"]),
            credits=None if changing["credits"] is None else Decimal(changing["credits"]),
            finished_at=changing["finished_at"],
            error_code=changing["error_code"],
            error_message=changing["error_message"],
            size=_size(changing["size"]),
            downloads=changing["downloads"],
            image_states={int(index): _image(state) for index, state in changing["pictures"].items()},
            deliveries=[CallbackDelivery(**delivery) for delivery in changing["deliveries"]],
        )


_ORDER_FIELDS = (
    "gateway",
    "model",
    "priced_as",
    "prompt",
    "n",
    "size",
    "tier",
    "request",
    "output_format",
    "callback_url",
)


def _plain(trouble: Trouble | None) -> dict[str, Any] | None:
    return None if trouble is None else asdict(trouble)


def _trouble(plain: Mapping[str, Any] | None) -> Trouble | None:
    return None if plain is None else Trouble(**plain)


def _image(plain: Mapping[str, Any]) -> ImageState:
    return ImageState(plain["generation"], plain["drawn"], _trouble(plain["damage"]), plain["served"])


def _size(pair: list[int] | None) -> Size | None:
    return None if pair is None else (pair[0], pair[1])
