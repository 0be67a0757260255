"""getimg: synchronous. The answer to the request carries the image's link and its exact price."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from seedream_tasks.sandbox.checks import Body, Reason, Refused
from seedream_tasks.sandbox.clock import iso
from seedream_tasks.sandbox.image_sizes import EIGHT_RATIOS, pixels
from seedream_tasks.sandbox.orders import Order, SentReference, Task
from seedream_tasks.sandbox.prices import UnitPrice, money, unit_price
from seedream_tasks.sandbox.references import BadImageError, ReferenceRules, shortened
from seedream_tasks.sandbox.stand_in import StandIn
from seedream_tasks.sandbox.web import ServedRoute, number, reply
from seedream_tasks.sandbox.world import token

_MODEL = "seedream-4-5"
_FORMATS = ("png", "jpeg", "webp")
_FIELDS = {"model", "prompt", "aspect_ratio", "resolution", "output_format", "images"}
_LONGEST_PROMPT = 4096
_LARGEST_BODY = 25 << 20
_START_USD = 1000
_LONGEST_RANGE = timedelta(days=180)

_RULES = ReferenceRules(
    most=10,
    formats=frozenset({"PNG", "JPEG", "WEBP"}),
    data_formats=("image/png", "image/jpeg", "image/webp"),
    schemes=("https",),
    largest_bytes=10 << 20,
    smallest_px=None,
    most_px=None,
)


class GetimgStandIn(StandIn):
    """The stand-in of getimg."""

    name = "getimg"
    order = 30
    prices: ClassVar[Mapping[str, UnitPrice]] = {"seedream-4.5": UnitPrice(Decimal("0.04"), None)}
    link_life_s = 3600.0  # not stated; an hour is short enough to be taken seriously
    downloads = "v2/downloads"
    signed_links = True
    submit_path = "/getimg/v2/images/generations"
    synchronous = True
    errors: ClassVar[dict[Reason, tuple[int, str]]] = {
        "missing": (400, "parameter_missing"),
        "invalid": (400, "invalid_parameter"),
        "model": (400, "invalid_parameter"),
        "task_id": (400, "invalid_parameter"),
        "key": (401, "invalid_api_key"),
        "balance": (402, "quota_exceeded"),
        "not_found": (404, "not_found"),
        "too_large": (413, "request_too_large"),
        "content": (422, "content_policy_violation"),
        "rate": (429, "rate_limit"),
        "server": (500, "internal_error"),
        "unavailable": (503, "service_unavailable"),
    }

    def parse(self, raw: bytes) -> Body:
        """The body; larger ones than the documents allow are refused."""
        if len(raw) > _LARGEST_BODY:
            raise Refused("too_large", f"the request has {len(raw)} bytes, at most {_LARGEST_BODY} are taken")
        return super().parse(raw)

    async def read_order(self, body: Body) -> Order:
        """The body of a generation request. Fields that are not in the schema are wrong, `n` above all."""
        unknown = sorted(set(body.data) - _FIELDS)
        if unknown:
            raise body.wrong(unknown[0], "is not a parameter of this endpoint")
        model = body.required_text("model")
        if model != _MODEL:
            raise Refused("model", f"the model {model!r} does not exist", "model")
        prompt = body.required_text("prompt", longest=_LONGEST_PROMPT)
        ratio = body.choice("aspect_ratio", EIGHT_RATIOS, "1:1")
        tier = body.choice("resolution", ("2K", "4K"), "2K")
        return Order(
            gateway=self.name,
            model=model,
            priced_as="seedream-4.5",
            prompt=prompt,
            n=1,
            size=pixels(ratio, tier),
            tier=tier,
            output_format=body.choice("output_format", _FORMATS, "jpeg"),
            references=await self._images(body),
            request=shortened(body.data),
        )

    def reference_rules(self, order: Order) -> ReferenceRules:
        """One set of limits."""
        return _RULES

    def new_id(self) -> str:
        """`req-` and 26 characters, as a ULID has them."""
        return "req-01" + token(24).upper()

    def accepted(self, task: Task, base: str) -> dict[str, Any]:
        """The finished generation."""
        price = unit_price(self.name, task.order.priced_as).usd
        # Billed without an image: the fault says so, and the quantity is what was charged for.
        quantity = task.images if task.status == "completed" else task.order.n
        width, height = self.links.size_of(task) if task.size is not None else (0, 0)
        dies = iso(self.links.dies_at(task))
        data = [
            {
                "url": url,
                "width": width,
                "height": height,
                "mime_type": f"image/{task.order.output_format}",
                "deletes_at": dies,
            }
            for url in self.links.urls(task, base)
        ]
        usage = {
            "total_cost": number(task.usd),
            "billable_unit": "image",
            "unit_price": number(task.usd / quantity if quantity else price),
            "quantity": quantity,
        }
        return {"id": task.task_id, "status": "completed", "model": task.model, "data": data, "usage": usage}

    def error_body(self, status: int, word: str, refused: Refused) -> dict[str, Any]:
        """`type` is always the same, `code` says what it is."""
        return {
            "error": {
                "message": refused.message,
                "type": "invalid_request_error",
                "param": refused.param,
                "code": word,
                "doc_url": "https://docs.getimg.ai/guides/errors",
            }
        }

    def routes(self) -> list[ServedRoute]:
        """Generation, models, balance, costs."""
        return [
            ServedRoute("POST", self.submit_path, self.submit),
            ServedRoute("GET", "/getimg/v2/models", self._models),
            ServedRoute("GET", "/getimg/v2/models/{id}", self._model),
            ServedRoute("GET", "/getimg/v2/billing/balance", self._balance),
            ServedRoute("GET", "/getimg/v2/billing/costs", self._costs),
        ]

    async def _images(self, body: Body) -> list[SentReference]:
        items = body.data.get("images")
        if items is None:
            return []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise body.wrong("images", "must be a list of objects with a url")
        assert _RULES.most is not None  # noqa: S101 - a constant above
        if len(items) > _RULES.most:
            raise body.wrong("images", f"takes at most {_RULES.most} images, got {len(items)}")
        references = []
        for index, item in enumerate(items):
            param = f"images[{index}].url"
            if not isinstance(item.get("url"), str):
                raise Refused("invalid", f"{param} must be a string", param)
            reference = await self.world.references.read(item["url"], _RULES, param)
            if reference.fetch:
                # The answer is final, so what cannot be fetched is found out before anything is billed.
                try:
                    await self.world.references.fetch(reference, _RULES)
                except BadImageError as error:
                    raise Refused("invalid", f"{param}: {error}", param) from error
                reference.fetch = False
            references.append(reference)
        return references

    async def _models(self, request: web.Request) -> web.Response:
        self.authorize(request)
        return reply([] if request.query.get("type") == "video" else [_describe()])

    async def _model(self, request: web.Request) -> web.Response:
        self.authorize(request)
        if request.match_info["id"] != _MODEL:
            raise Refused("not_found", "the model does not exist", "model")
        return reply(_describe())

    async def _balance(self, request: web.Request) -> web.Response:
        self.authorize(request)
        self.world.clock.run_due()
        return reply({"balance": money(_START_USD - self.world.usd[self.name]), "currency": "USD"})

    async def _costs(self, request: web.Request) -> web.Response:
        self.authorize(request)
        start, end = _moment(request, "start"), _moment(request, "end")
        if end <= start or end - start > _LONGEST_RANGE:
            raise Refused("invalid", "end must fall after start, at most 180 days later", "end")
        self.world.clock.run_due()
        days = (end.date() - start.date()).days
        costs: dict[date, Decimal] = {start.date() + timedelta(days=day): Decimal(0) for day in range(days + 1)}
        for task in self.world.tasks.values():
            if task.gateway == self.name and task.finished_at is not None:
                finished = datetime.fromtimestamp(task.finished_at, UTC)
                if start <= finished <= end:
                    costs[finished.date()] += task.usd
        return reply(
            {
                "currency": "USD",
                "start": start.isoformat().replace("+00:00", "Z"),
                "end": end.isoformat().replace("+00:00", "Z"),
                "total_cost": number(sum(costs.values(), Decimal(0))),
                "data": [{"date": day.isoformat(), "cost": number(cost)} for day, cost in costs.items()],
            }
        )


def _describe() -> dict[str, Any]:
    """The model as `GET /v2/models` lists it; the first of each list is the default."""
    price = money(unit_price("getimg", "seedream-4.5").usd)
    rates = [
        {"billable_unit": "image", "resolution": tier, "sound": "not_applicable", "unit_price": price}
        for tier in ("2K", "4K")
    ]
    return {
        "id": _MODEL,
        "name": "Seedream 4.5",
        "type": "image",
        "created_at": "2025-12-04T00:00:00Z",
        "supported_aspect_ratios": list(EIGHT_RATIOS),
        "supported_resolutions": ["2K", "4K"],
        "supported_references": {"reference_image": _RULES.most},
        "supported_durations": [],
        "supports_sound": False,
        "pricing": {"currency": "USD", "rates": rates},
    }


def _moment(request: web.Request, name: str) -> datetime:
    text = request.query.get(name)
    if not text:
        raise Refused("missing", f"{name} is required", name)
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise Refused("invalid", f"{name} must be an ISO 8601 timestamp", name) from None
    if moment.tzinfo is None:
        raise Refused("invalid", f"{name} must include a time zone", name)
    return moment.astimezone(UTC)


STAND_IN = GetimgStandIn
