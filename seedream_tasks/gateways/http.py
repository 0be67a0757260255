"""The HTTP client that all gateways share: httpx's API on aiohttp's connection pool.

Whether a paid request may have reached the gateway decides whether it may be sent again, so this module does not guess it
from the kind of exception (the transport reports a connection that broke after sending as a connect timeout). A `SendWitness`
is notified by the pool itself when a connection is established; nothing can have been sent before.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from ..core.retry_after import retry_after
from ..core.storable import read_json
from .proxy import is_here

SANDBOX_HEADER = "Seedream-Sandbox"
MOST_ANSWER_BYTES = 16 * 1024 * 1024
# A paid request goes over a connection that is fresh or was idle for less than this: an older one may have been closed by
# the other side already, and finding that out after sending would leave the outcome of the payment unknown.
SUBMIT_IDLE_S = 2.0
CONNECT_TIMEOUT_S = 10.0
USER_AGENT = "seedream-tasks"
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


class SendWitness:
    """Whether a request got a connection, and how much of its answer arrived."""

    def __init__(self) -> None:
        self.connected = False
        self.status = 0  # 0: no answer began
        self.content = bytearray()


_witness: ContextVar[SendWitness | None] = ContextVar("seedream_send_witness", default=None)


async def _connection_stands(*_: Any) -> None:
    witness = _witness.get()
    if witness is not None:
        witness.connected = True


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read completely."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def simulated(self) -> bool:
        """Whether it came from the sandbox."""
        return SANDBOX_HEADER in self.headers

    def json(self) -> Any:
        """The body as JSON, every text in it storable. Raises ValueError."""
        return read_json(self.content)

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object; None for any other body."""
        try:
            body = self.json()
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    def retry_after_s(self) -> float | None:
        """Retry-After in seconds, given as a number or as a date; None when it has no usable value."""
        return retry_after(self.headers.get("Retry-After", ""), self.headers.get("Date", ""), datetime.now(UTC))


class AnswerTooLarge(httpx.TransportError):
    """The answer is larger than any gateway sends."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """Connections of one kind: direct ones to this machine, and those to other hosts, possibly through a proxy."""

    here: AiohttpTransport
    elsewhere: AiohttpTransport

    def of(self, request: httpx.Request) -> AiohttpTransport:
        return self.here if is_here(request.url.host) else self.elsewhere

    async def aclose(self) -> None:
        await self.here.aclose()  # both have one session


@dataclass
class HttpClients:
    """The connection pools of one process: `paid` for submits, `free` for everything that costs nothing.

    `connections` bounds open connections per pool; `proxy` is used for all but this machine. Use as an async context manager.
    """

    connections: int = 512
    proxy: httpx.Proxy | None = None
    _paid: "_Pool" = field(init=False)
    _free: "_Pool" = field(init=False)

    async def __aenter__(self) -> "HttpClients":
        ssl_context = httpx.create_ssl_context()

        def pool(idle_s: float) -> "_Pool":
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_connection_stands)
            trace.on_connection_reuseconn.append(_connection_stands)
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self.connections, keepalive_timeout=idle_s, ssl=ssl_context, enable_cleanup_closed=True
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
                trust_env=False,  # else ~/.netrc would send its passwords to image hosts
                auto_decompress=False,
            )
            direct = AiohttpTransport(verify=ssl_context, client=session)
            if self.proxy is None:
                return _Pool(direct, direct)
            return _Pool(direct, AiohttpTransport(verify=ssl_context, client=session, proxy=self.proxy))

        self._paid = pool(SUBMIT_IDLE_S)
        self._free = pool(15.0)
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._paid.aclose()
        await self._free.aclose()

    async def send_paid(self, url: str, body: bytes, headers: Mapping[str, str], witness: SendWitness) -> Answer:
        """POST a paid request once; no redirect is followed, nothing is repeated. Raises what went wrong, as it comes.

        The caller sets the timeout for the answer, see gateways/patience.py.
        """
        token = _witness.set(witness)
        try:
            return await _read(self._paid, "POST", url, None, headers, content=body)
        finally:
            _witness.reset(token)

    async def send_free(
        self, method: str, url: str, timeout_s: float = 30.0, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        """A free request. Raises httpx.HTTPError or OSError."""
        return await _read(self._free, method, url, timeout_s, headers or {}, **more)


def _request(
    method: str, url: str | httpx.URL, timeout_s: float | None, headers: Mapping[str, str] | None = None, **more: Any
) -> httpx.Request:
    timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=None)
    extensions = {"timeout": timeout.as_dict()}
    return httpx.Request(method, url, headers={**_HEADERS, **(headers or {})}, extensions=extensions, **more)


async def _read(
    pool: _Pool, method: str, url: str, timeout_s: float | None, headers: Mapping[str, str], **more: Any
) -> Answer:
    """One exchange with an API, on the transport itself: no redirect is followed and no cookie kept, whoever is asked.

    Accounts at one host share connections, never a session: only the key says who is billed.
    """
    request = _request(method, url, timeout_s, headers, **more)
    request.read()  # one body of known length, multipart included
    response = await pool.of(request).handle_async_request(request)
    witness = _witness.get()
    try:
        parts, size = [], 0
        if witness is not None:
            witness.status = response.status_code
        async for part in response.aiter_bytes():
            if witness is not None:
                witness.content += part
            size += len(part)
            if size > MOST_ANSWER_BYTES:
                raise AnswerTooLarge(f"an answer of more than {MOST_ANSWER_BYTES:,} bytes")
            parts.append(part)
    finally:
        await response.aclose()
    return Answer(response.status_code, response.headers, b"".join(parts))
