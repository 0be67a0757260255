"""A small HTTP server on loopback that does to its clients what a test says, and remembers what they sent."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """A request, read completely."""

    connection: int
    """Counts the connections of the server, from 1."""
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


Behaviour = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Serves while it is entered; `behave` is called for every request."""

    behave: Behaviour
    at_once: Callable[[asyncio.StreamWriter], None] | None = None
    """Called when a connection is made, before anything is read; the connection ends then."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            if self.at_once is not None:
                self.at_once(writer)
                return
            while request := await _read(number, reader):
                self.requests.append(request)
                await self.behave(request, reader, writer)
                if writer.is_closing():
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()


async def _read(number: int, reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(number, method, path, headers, body)


def message(status: int, body: bytes | str | dict[str, Any] | list[Any], **headers: str) -> bytes:
    """An HTTP answer; `Retry_After` stands for `Retry-After`."""
    kind = "text/html"
    if isinstance(body, dict | list):
        body, kind = json.dumps(body), "application/json"
    content = body.encode() if isinstance(body, str) else body
    named = {"Content-Type": kind, "Content-Length": str(len(content))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content


def saying(*answers: bytes) -> Behaviour:
    """Answer with each of these in turn, the last one again and again."""
    left = list(answers)

    async def behave(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return behave


def cut(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def cutting(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request, then reset."""
    cut(writer)


async def hanging_up(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request, then close in order, without an answer."""
    writer.close()


def starting(begun: bytes) -> Behaviour:
    """Send the beginning of an answer, then nothing until the client has gone."""

    async def behave(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        await reader.read()
        writer.close()

    return behave


def dripping(answer: bytes, every_s: float) -> Behaviour:
    """Send an answer byte by byte: no single read ever waits long."""

    async def behave(_: Request, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in answer:
            writer.write(bytes([each]))
            await writer.drain()
            await asyncio.sleep(every_s)

    return behave
