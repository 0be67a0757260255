"""Accepts connections so that a client holding many of them open cannot lock others out.

Sending a request and answering it have time limits, and when the maximum of connections is reached the one idle longest is
closed. aiohttp limits none of these, and asyncio's own accept loop logs endlessly when the process has no file descriptor left.
"""

import asyncio
import contextlib
import logging
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

logger = logging.getLogger("seedream_tasks.server")

# Max time a connection may be open without a request being handled, even with half-sent headers.
IDLE_S = 15.0
# Max time for a request, including its body.
ANSWER_S = 20.0
MOST_CONNECTIONS = 512
# File descriptors reserved for everything else: the ledger, its readers, uploads read for announcing.
_KEPT_FREE = 64
_LOOK_EVERY_S = 1.0
_TELL_EVERY_S = 60.0


class Connections:
    """A server's open connections, and since when each has been idle."""

    def __init__(self) -> None:
        self._idle_since: dict[asyncio.BaseProtocol, float] = {}
        self._busy: set[asyncio.BaseProtocol] = set()

    @web.middleware
    async def bounded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request within its time limit; meanwhile its connection is not idle."""
        self._busy.add(request.protocol)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await handler(request)
        except TimeoutError:
            return web.json_response({"error": {"code": "408", "message": "the request took too long"}}, status=408)
        finally:
            self._busy.discard(request.protocol)
            self._idle_since[request.protocol] = time.monotonic()

    def opened(self, protocol: asyncio.BaseProtocol) -> None:
        """A connection was accepted."""
        self._idle_since[protocol] = time.monotonic()

    def close_idle(self, connections: list[RequestHandler]) -> None:
        """Close connections that have been idle for too long."""
        self._idle_since = {each: self._idle_since.get(each, time.monotonic()) for each in connections}
        for each in connections:
            if each not in self._busy and time.monotonic() - self._idle_since[each] > IDLE_S:
                each.force_close()

    def make_room(self, connections: list[RequestHandler]) -> bool:
        """Close the connection idle longest; False if all of them are being answered."""
        idle = [each for each in connections if each not in self._busy]
        if idle:
            min(idle, key=lambda each: self._idle_since.get(each, 0.0)).force_close()
        return bool(idle)


@asynccontextmanager
async def listening(runner: web.AppRunner, connections: Connections, listener: socket.socket) -> AsyncIterator[None]:
    """Serve on a listening socket within the context."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_accept(runner, connections, listener, _most_connections())),
                group.create_task(_look_after(runner, connections)),
            ]
            yield
            for task in tasks:
                task.cancel()
    finally:
        listener.close()


async def _accept(runner: web.AppRunner, connections: Connections, listener: socket.socket, most: int) -> None:
    loop, server = asyncio.get_running_loop(), runner.server
    assert server is not None  # noqa: S101 - the runner is set up
    told = -_TELL_EVERY_S
    while True:
        if len(server.connections) >= most:
            made = connections.make_room(server.connections)
            await asyncio.sleep(0 if made else _LOOK_EVERY_S)  # it leaves the list in the loop's next turn
            continue
        try:
            accepted, _ = await loop.sock_accept(listener)
            _, protocol = await loop.connect_accepted_socket(server, accepted)
        except OSError as error:
            if time.monotonic() - told >= _TELL_EVERY_S:
                told = time.monotonic()
                logger.warning("a connection could not be accepted: %s", error.strerror or error)
            connections.make_room(server.connections)
            await asyncio.sleep(_LOOK_EVERY_S)
        else:
            connections.opened(protocol)


async def _look_after(runner: web.AppRunner, connections: Connections) -> None:
    server = runner.server
    assert server is not None  # noqa: S101 - the runner is set up
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        connections.close_idle(server.connections)


def _most_connections() -> int:
    """The process's limit of open files, raised if possible, minus a reserve."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, MOST_CONNECTIONS + _KEPT_FREE)
    wanted = min(hard, MOST_CONNECTIONS + _KEPT_FREE)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # not allowed: then it stays what it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            soft = wanted
    return max(8, min(MOST_CONNECTIONS, soft - _KEPT_FREE))
