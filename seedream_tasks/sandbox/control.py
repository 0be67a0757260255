"""The control routes below `/sandbox`: bill, prices, faults, clock, reset. Not part of any gateway, and not counted."""

import json
import math
from typing import Any

from aiohttp import web

from seedream_tasks.sandbox.bill import bill
from seedream_tasks.sandbox.clock import iso
from seedream_tasks.sandbox.faults import FaultError
from seedream_tasks.sandbox.gallery import Gallery
from seedream_tasks.sandbox.prices import gateways, price_list
from seedream_tasks.sandbox.web import ServedRoute, reply
from seedream_tasks.sandbox.world import World


class Control:
    """What tests and operators use."""

    def __init__(self, world: World, gallery: Gallery) -> None:
        self._world = world
        self._gallery = gallery

    def routes(self) -> list[ServedRoute]:
        """All control routes."""
        return [
            ServedRoute("GET", "/sandbox/health", self._health),
            ServedRoute("GET", "/sandbox/bill", self._bill),
            ServedRoute("GET", "/sandbox/prices", self._prices),
            ServedRoute("GET", "/sandbox/faults", self._faults),
            ServedRoute("PUT", "/sandbox/faults", self._set_faults),
            ServedRoute("POST", "/sandbox/reset", self._reset),
            ServedRoute("POST", "/sandbox/clock", self._advance),
        ]

    async def _health(self, request: web.Request) -> web.Response:
        state = self._world.config.state
        return reply(
            {"status": "ok", "now": iso(self._world.clock.now()), "gateways": list(gateways()), "state": state}
        )

    async def _bill(self, request: web.Request) -> web.Response:
        return reply(bill(self._world))

    async def _prices(self, request: web.Request) -> web.Response:
        return reply(price_list())

    async def _faults(self, request: web.Request) -> web.Response:
        return reply(self._world.faults.as_given())

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            self._world.set_faults(await _json(request))
        except (FaultError, ValueError) as error:
            return _wrong(str(error))
        return reply(self._world.faults.as_given())

    async def _reset(self, request: web.Request) -> web.Response:
        self._world.reset()
        self._gallery.reset()
        return reply({"status": "ok", "now": iso(self._world.clock.now())})

    async def _advance(self, request: web.Request) -> web.Response:
        try:
            body = await _json(request)
        except ValueError as error:
            return _wrong(str(error))
        seconds = body.get("advance_s") if isinstance(body, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return _wrong("advance_s must be a number of seconds")
        if not math.isfinite(seconds) or seconds < 0:
            return _wrong("advance_s must be at least 0: the clock does not go back")
        self._world.advance(float(seconds))
        return reply({"now": iso(self._world.clock.now())})


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        raise ValueError("the request body is not valid JSON") from None


def _wrong(message: str) -> web.Response:
    return reply({"error": {"code": "invalid", "message": message}}, 400)
