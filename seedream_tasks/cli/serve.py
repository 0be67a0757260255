"""`seedream serve`: the endpoint for callbacks and upload notices."""

import asyncio
import json
import signal
import socket

import click
from aiohttp import web

from ..config.environment import Environment
from ..config.pairing import open_pair
from ..config.settings import known_locations
from ..core.errors import SeedreamError
from ..server.endpoint import Service
from ..server.listening import listening
from ..uploads.announce import PrefectApi
from ..uploads.routes import UploadRoutes
from . import options

DEFAULT_PORT = 8788


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 picks one.")
@options.places
def serve(host: str, port: int, archive: str | None, ledger: str | None) -> int:
    """Take callbacks of gateways and notices of uploads; the first line on stdout is JSON with the address."""
    secret = Environment().upload_secret
    store = open_pair(known_locations(archive, ledger))
    service = Service(store)
    UploadRoutes(store, secret.get_secret_value() if secret else None, PrefectApi.from_environment()).add_to(
        service.app
    )
    try:
        asyncio.run(_serve(service, host, port))
    finally:
        store.close()
    return 0


async def _serve(service: Service, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # No access log: paths contain tokens.
    runner = web.AppRunner(service.app, access_log=None)
    await runner.setup()
    try:
        with _bound(host, port) as listener:
            async with listening(runner, service.connections, listener):
                address = listener.getsockname()
                shown = f"[{address[0]}]" if ":" in address[0] else address[0]
                print(json.dumps({"url": f"http://{shown}:{address[1]}"}), flush=True)
                await stop.wait()
    finally:
        await runner.cleanup()


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises SeedreamError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise SeedreamError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener
