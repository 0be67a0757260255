"""Where a gateway's links may lead: to public addresses, to the gateway's own host, and to what SEEDREAM_ALLOW_HOSTS opens.

A link comes from outside, like a reference, so it must not reach this machine, its network, or a cloud's metadata service.
The address is checked on connecting, again for every redirect (see references.address_guard). A gateway inside an intranet, or
a sandbox on this machine, returns links to itself: its own host and port are allowed, and so are hosts below its host. Each
account has its own connections, so that none is used with another's permission.
"""

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import AddressFamily
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ..gateways.proxy import is_here
from ..references.address_guard import ALLOW_HOSTS, AddressRefused, AllowedHosts, is_public

_MOST_REDIRECTS = 20
_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 60.0
_PORTS = {"http": 80, "https": 443}
_HEADERS = {"User-Agent": "seedream-tasks", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


@dataclass(frozen=True, slots=True)
class Origin:
    """A gateway's own host and port."""

    host: str
    port: int

    @classmethod
    def of(cls, base_url: str) -> "Origin | None":
        """From a base URL; None if the text is not one."""
        try:
            parts = urlsplit(base_url)
            port = parts.port or _PORTS[parts.scheme.lower()]
        except (ValueError, KeyError):
            return None
        return cls(parts.hostname.rstrip("."), port) if parts.hostname else None

    def owns(self, host: str, port: int) -> bool:
        """Whether a link to there leads to the gateway itself."""
        name = host.lower().rstrip(".")
        if name == self.host:
            return port == self.port
        return name.endswith(f".{self.host}") and port in (self.port, *_PORTS.values()) and not _is_address(self.host)


class ResultLinks:
    """Downloads without sending any key. Use as an async context manager, inside one event loop."""

    def __init__(self, allowed: AllowedHosts, proxy: httpx.Proxy | None = None) -> None:
        self._allowed = allowed
        self._proxy = proxy
        self._system = aiohttp.ThreadedResolver()
        self._sessions: dict[Origin | None, aiohttp.ClientSession] = {}
        self._ssl: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    @asynccontextmanager
    async def stream(self, url: str, own: Origin | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a download; redirects are followed. `own`: the host and port of the gateway that returned the link.

        Image stores cannot correlate downloads: no cookie is kept. Raises AddressRefused, aiohttp.ClientError,
        httpx.InvalidURL, OSError, ValueError.
        """
        session = self._session(own)
        at = httpx.URL(url)
        for _ in range(_MOST_REDIRECTS):
            self._check_literal(at, own)
            proxy = None if self._proxy is None or is_here(at.host) else self._proxy
            if proxy is not None:
                await self._check_name(at, own)
            # Exactly as written: a signature covers every byte of it.
            link = URL(str(at), encoded=True)
            async with session.get(link, allow_redirects=False, **_through(proxy)) as response:
                location = response.headers.get("Location")
                if response.status not in (301, 302, 303, 307, 308) or location is None:
                    yield response
                    return
                at = at.join(location)
        raise ValueError(f"more than {_MOST_REDIRECTS} redirects")

    async def _check_name(self, at: httpx.URL, own: Origin | None) -> None:
        """Check a name behind a proxy: the address the proxy connects to is unknown here, so this machine's resolver decides."""
        port = at.port or _PORTS[at.scheme]
        try:
            found = await self._system.resolve(at.host, port)
        except OSError:
            return  # a name that only the proxy knows: the proxy decides where it may lead
        for each in found:
            check(self._allowed, own, at.host, port, each["host"])

    def _session(self, own: Origin | None) -> aiohttp.ClientSession:
        session = self._sessions.get(own)
        if session is None:
            self._ssl = self._ssl or httpx.create_ssl_context()
            resolver = _Resolver(self._allowed, own, None if self._proxy is None else self._proxy.url.host)
            connector = aiohttp.TCPConnector(resolver=resolver, ssl=self._ssl, limit=0)
            session = self._sessions[own] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # no proxy but SEEDREAM_PROXY (see gateways.proxy), and no passwords from ~/.netrc
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S),
            )
        return session

    def _check_literal(self, at: httpx.URL, own: Origin | None) -> None:
        """Check an address literal in the link: it is never resolved, unlike a name, which is checked on resolving."""
        host = at.raw_host.decode("ascii").strip("[]")
        if at.scheme not in _PORTS or not host:
            raise ValueError(f"{str(at)[:80]!r} is not an http or https link")
        if _is_address(host):
            check(self._allowed, own, host, at.port or _PORTS[at.scheme], host)


def check(allowed: AllowedHosts, own: Origin | None, host: str, port: int, address: str) -> None:
    """Raises AddressRefused where a link must not lead."""
    if is_public(address) or (own is not None and own.owns(host, port)) or allowed.holds(host, port, address):
        return
    shown = host if host == address else f"{host} ({address})"
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    raise AddressRefused(
        f"its link leads to {shown}, which is not a public address, so it is not fetched; {ALLOW_HOSTS}={named} opens it"
    )


def _through(proxy: httpx.Proxy | None) -> dict[str, Any]:
    """A proxy as request arguments."""
    if proxy is None:
        return {}
    auth = None if proxy.auth is None else aiohttp.BasicAuth(*proxy.auth)
    return {"proxy": str(proxy.url), "proxy_auth": auth}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class _Resolver(AbstractResolver):
    """The system's resolver with every answer checked: one bad address among good ones is a trick."""

    def __init__(self, allowed: AllowedHosts, own: Origin | None, proxy: str | None = None) -> None:
        self._allowed = allowed
        self._own = own
        self._proxy = proxy  # its host, which the user chose
        self._system = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = AddressFamily.AF_INET) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        for each in found if host != self._proxy else ():
            check(self._allowed, self._own, host, port, each["host"])
        return found

    async def close(self) -> None:
        await self._system.close()
