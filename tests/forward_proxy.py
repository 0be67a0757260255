"""A small forward proxy, as firms have them: absolute addresses for http, CONNECT for https. Names lead where a test says."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Forward:
    """What the proxy does and was asked."""

    names: dict[str, int] = field(default_factory=dict)  # host -> port on this machine that it stands for
    port: int = 0
    asked: list[str] = field(default_factory=list)  # first lines of requests
    passwords: list[str] = field(default_factory=list)  # Proxy-Authorization of each

    def url(self, user: str = "") -> str:
        """Its address."""
        return f"http://{user}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, address, _ = first.split(" ")
            self.asked.append(f"{method} {address}")
            self.passwords += [line for line in lines if line.lower().startswith("proxy-authorization:")]
            host = address.rpartition(":")[0] if method == "CONNECT" else str(urlsplit(address).hostname)
            if host not in self.names:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            there, out = await asyncio.open_connection("127.0.0.1", self.names[host])
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                parts = urlsplit(address)
                kept = [line for line in lines if line and not line.lower().startswith(("proxy-", "connection:"))]
                target = parts.path + (f"?{parts.query}" if parts.query else "")
                out.write(
                    "\r\n".join([f"{method} {target} HTTP/1.1", *kept, "Connection: close", "", ""]).encode("latin-1")
                )
            await asyncio.gather(_pour(reader, out), _pour(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side left
        finally:
            writer.close()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while part := await source.read(65536):
        target.write(part)
        await target.drain()
    target.close()


@contextmanager
def forward_proxy(**names: int) -> Iterator[Forward]:
    """A proxy for the length of the block; `names`: dots are written as underscores."""
    state = Forward({name.replace("_", "."): port for name, port in names.items()})
    loop = asyncio.new_event_loop()

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(state.serve, "127.0.0.1", 0)

    server = loop.run_until_complete(begin())
    state.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
