"""Helpers shared by all routes: JSON answers, unusable answers, and the sandbox's address."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Hangup(Exception):
    """The connection is to be cut without an answer."""


@dataclass(frozen=True, slots=True)
class ServedRoute:
    """One route of the sandbox."""

    method: str
    path: str
    """aiohttp's template."""
    handler: Handler
    label: str | None = None
    """How the bill counts it; None: like the path."""


def reply(data: Any, status: int = 200) -> web.Response:
    """An answer as JSON."""
    text = json.dumps(data, separators=(",", ":"))
    return web.Response(body=text.encode(), status=status, content_type="application/json")


def half_a_reply(data: Any) -> web.Response:
    """An answer that begins as JSON and ends in the middle."""
    text = json.dumps(data, separators=(",", ":")).encode()
    return web.Response(body=text[: len(text) // 2], content_type="application/json")


def bad_gateway() -> web.Response:
    """What a proxy in front of a gateway says when the gateway does not answer in time."""
    page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
    return web.Response(text=page, status=502, content_type="text/html")


def base_of(request: web.Request) -> str:
    """The address that the client reaches the sandbox by: links must work for whoever asked."""
    return f"http://{request.host}"


def number(amount: Decimal) -> float | int:
    """An amount as a JSON number that reads back as the same decimal."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)
