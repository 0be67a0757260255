"""One sandbox process: the listening socket, the ready line, signals, the end.

`refuse_connection` is special: a closed port knows neither path nor prompt. When it fires on a fitting submit, that
request is answered with the gateway's own 503 and `Retry-After: 1` (certainly not accepted, not counted as a
submission), and the listening socket is closed for `value` seconds (1 by default, real ones), so that new connections
are refused. Then it listens again on the same port. Connections that are already open go on.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import threading

from aiohttp import web

from seedream_tasks.sandbox.app import Sandbox
from seedream_tasks.sandbox.callback_sender import Callbacks
from seedream_tasks.sandbox.config import SandboxConfig
from seedream_tasks.sandbox.faults import FaultError, parse_faults
from seedream_tasks.sandbox.gallery import Gallery
from seedream_tasks.sandbox.prices import gateways
from seedream_tasks.sandbox.stand_ins import unusable
from seedream_tasks.sandbox.state import State, StateError
from seedream_tasks.sandbox.world import World

_BACKLOG = 1024
# Calls that a synchronous gateway still holds open at the end are not waited for.
_SHUTDOWN_S = 0.3
_REOPEN_EVERY_S = 0.05


class Door:
    """The listening socket; it can be closed for a while."""

    def __init__(self, server: web.Server, host: str, port: int) -> None:
        self._server = server
        listener = _listen(host, port)
        self._host, self._port = listener.getsockname()[:2]
        self._first: socket.socket | None = listener
        self._listener = listener
        self._welcomed: set[asyncio.Task[object]] = set()
        self._open: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._until = 0.0

    @property
    def url(self) -> str:
        """Its base URL."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http://{host}:{self._port}"

    async def open(self) -> None:
        """Take connections."""
        listener, self._first = self._first or _listen(self._host, self._port), None
        self._listener = listener
        loop = asyncio.get_running_loop()
        self._open = await loop.create_server(self._server, sock=listener, backlog=_BACKLOG)

    def close(self) -> None:
        """Take no more connections."""
        if self._reopening is not None:
            self._reopening.cancel()
        if self._open is not None:
            self._open.close()
            self._open = None

    def close_for(self, seconds: float) -> None:
        """Refuse connections for a while."""
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen())
        if self._open is not None:
            self._welcome()
            self._open.close()
            self._open = None

    def _welcome(self) -> None:
        """Accept pending connections first: closing would reset them instead of refusing them."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setblocking(False)
            task: asyncio.Task[object] = loop.create_task(loop.connect_accepted_socket(self._server, connection))
            self._welcomed.add(task)
            task.add_done_callback(self._welcomed.discard)

    async def _reopen(self) -> None:
        await asyncio.sleep(self._until - asyncio.get_running_loop().time())
        while True:
            try:
                await self.open()
                return
            except OSError:
                # The port is in use for the moment, by an outgoing connection for example.
                await asyncio.sleep(_REOPEN_EVERY_S)


def serve(config: SandboxConfig) -> int:
    """Serve until the end; returns the exit status. See `run_sandbox`."""
    for number in (0, 1, 2):
        # What is closed would be the number of the next file that is opened: the state file, with our first line in it.
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    try:
        parse_faults(config.faults)
    except FaultError as error:
        return _complain(str(error), 2)
    try:
        return asyncio.run(_serve(config))
    except StateError as error:
        return _complain(str(error), 1)


async def _serve(config: SandboxConfig) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if config.exit_with_stdin:
        _watch_stdin(loop, ended, config.users)
    state = State(config.state)
    world = World(config, state)
    gallery = Gallery(state, config.image_px)
    sandbox = Sandbox(world, gallery, lambda seconds: door.close_for(seconds))
    world.rules_of = sandbox.rules_of
    runner = web.AppRunner(sandbox.app, access_log=None, shutdown_timeout=_SHUTDOWN_S, handle_signals=False)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - set up by the line above
    try:
        door = Door(runner.server, config.host, config.port)
    except OSError as error:
        await runner.cleanup()
        state.close()
        return _complain(f"cannot listen on {config.host} port {config.port}: {error.strerror or error}", 1)
    callbacks = Callbacks(world, sandbox.callers_back, door.url)
    world.announce = callbacks.announce
    world.start()
    await door.open()
    for line in unusable():
        _complain(line, 0)
    bases = {name: f"{door.url}/{name}" for name in gateways()}
    try:
        os.write(1, json.dumps({"url": door.url, "gateways": bases}).encode() + b"\n")
    except OSError as error:
        # A full disk, or a reader that has exited: stdin or a signal still ends the process.
        _complain(f"stdout takes no first line ({error.strerror}); it serves at {door.url}", 0)
    await ended.wait()
    door.close()
    await world.close()
    await callbacks.close()
    await runner.cleanup()
    gallery.close()
    state.close()
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, users: str | None) -> None:
    """End when stdin does and nobody uses it any more. A thread, because stdin may be a file, which no event loop watches."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        if users is not None:
            # Every run that uses this sandbox holds a shared lock; the system releases those of dead processes.
            with open(users, "ab") as file:  # noqa: PTH123 - a lock needs the file itself
                fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, name="stdin", daemon=True).start()


def _complain(message: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(f"seedream sandbox: {message}", file=sys.stderr, flush=True)  # noqa: T201 - this is a command
    return status
