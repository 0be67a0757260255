"""The application: all routes of all gateways on one server.

One wrapper stands around every handler. It counts the request, words errors as the gateway does, waits until the
state file knows what happened, and marks the answer as the sandbox's.
"""

import sys
import traceback
from collections.abc import Callable
from urllib.parse import unquote

from aiohttp import web

from seedream_tasks.sandbox.checks import Refused
from seedream_tasks.sandbox.control import Control
from seedream_tasks.sandbox.gallery import Gallery
from seedream_tasks.sandbox.links import Links
from seedream_tasks.sandbox.orders import Order
from seedream_tasks.sandbox.references import ReferenceRules
from seedream_tasks.sandbox.stand_in import AsyncStandIn, StandIn
from seedream_tasks.sandbox.stand_ins import stand_ins
from seedream_tasks.sandbox.web import Handler, Hangup, ServedRoute, reply
from seedream_tasks.sandbox.world import World

HEADER = "Seedream-Sandbox"
_LARGEST_BODY = 64 << 20
_LONGEST_LABEL = 200


class Sandbox:
    """The gateways and their world, as an aiohttp application."""

    def __init__(self, world: World, gallery: Gallery, close_door: Callable[[float], None]) -> None:
        self._world = world
        links = Links(world, gallery)
        self._stand_ins: dict[str, StandIn] = {
            name: kind(world, links, close_door) for name, kind in stand_ins().items()
        }
        self.app = web.Application(client_max_size=_LARGEST_BODY)
        for name, stand_in in self._stand_ins.items():
            for route in stand_in.routes():
                self._add(route, name)
        for route in links.routes():
            self._add(route, route.path.split("/")[1])
        for route in Control(world, gallery).routes():
            self._add(route, None)
        self.app.router.add_route("*", "/{tail:.*}", self._elsewhere)

    @property
    def callers_back(self) -> dict[str, AsyncStandIn]:
        """The gateways that have tasks."""
        return {name: stand_in for name, stand_in in self._stand_ins.items() if isinstance(stand_in, AsyncStandIn)}

    def rules_of(self, order: Order) -> ReferenceRules:
        """The limits on an order's references."""
        return self._stand_ins[order.gateway].reference_rules(order)

    def _add(self, route: ServedRoute, gateway: str | None) -> None:
        label = None if gateway is None else route.label or f"{route.method} {route.path}"
        self.app.router.add_route(route.method, route.path, self._wrap(route.handler, gateway, label))

    def _wrap(self, handler: Handler, gateway: str | None, label: str | None) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            if label is not None:
                self._count(label)
            response = await self._handled(handler, gateway, request)
            if response is None:
                if request.transport is not None:
                    request.transport.abort()
                response = web.Response()
            response.headers[HEADER] = "1"
            return response

        return answer

    async def _handled(self, handler: Handler, gateway: str | None, request: web.Request) -> web.Response | None:
        """The answer, once its content is in the state file; None: cut the connection."""
        response: web.Response | None
        try:
            try:
                response = await handler(request)
            except Refused as refused:
                response = self._refuse(gateway, refused)
            except Hangup:
                response = None
            await self._world.state.durable()
            return response
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(gateway, Refused("too_large", f"the request has more than {_LARGEST_BODY} bytes"))
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - a mistake in the sandbox must not look like a gateway's answer
            traceback.print_exc(file=sys.stderr)
            return reply({"error": {"code": "sandbox_error", "message": f"{type(error).__name__}: {error}"}}, 500)

    async def _elsewhere(self, request: web.Request) -> web.Response:
        """Any unknown path: the 404 of the gateway that it belongs to."""
        gateway = request.path.split("/")[1]
        known = gateway if gateway in self._stand_ins else None
        if gateway != "sandbox":
            self._count(f"{request.method} {unquote(request.path)[:_LONGEST_LABEL]}")
        response = self._refuse(known, Refused("not_found", f"there is no {request.method} {request.path}"))
        response.headers[HEADER] = "1"
        return response

    def _count(self, label: str) -> None:
        self._world.requests[label] += 1
        self._world.state.save_requests(label, self._world.requests[label])

    def _refuse(self, gateway: str | None, refused: Refused) -> web.Response:
        if gateway is not None:
            return self._stand_ins[gateway].refusal(refused)
        return reply({"error": {"code": "not_found", "message": refused.message}}, 404)
