"""Where references may be fetched from: public addresses, and what the operator allows with SEEDREAM_ALLOW_HOSTS.

A catalog comes from elsewhere, so its links must not reach this machine, its network, or a cloud's metadata service. The
address is checked at connection time, again for every redirect: a name that resolves differently a moment later does not
help an attacker, nor does an unusual spelling. Proxy variables are not read, because behind a proxy the address actually
connected to is not visible here.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from ..core.errors import ConfigurationError

ALLOW_HOSTS = "SEEDREAM_ALLOW_HOSTS"
_CONNECT_TIMEOUT_S = 10.0
_MOST_CONNECTIONS = 32
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Not in a private range (or not in every Python), but never a public web server: protocol assignments (Oracle's
# metadata service among them), old 6to4 relays, Azure's platform service.
_NOBODYS = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefused(Exception):
    """A refused connection: the host has an address that is not public."""


def is_public(address: str) -> bool:
    """Whether this address is reachable from the internet; one that wraps an IPv4 address counts as that address."""
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is None:
            return ip in _GLOBAL_V6 and ip.is_global and not ip.is_multicast
        ip = inner
    return ip.is_global and not (ip.is_multicast or ip.is_reserved) and not any(ip in each for each in _NOBODYS)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """What SEEDREAM_ALLOW_HOSTS opens: names and networks, each for one port or for all (None)."""

    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[Network, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AllowedHosts":
        """From a comma-separated list of `host`, `host:port`, addresses and CIDR networks. Raises ConfigurationError."""
        names: set[tuple[str, int | None]] = set()
        networks: list[tuple[Network, int | None]] = []
        for entry in filter(None, (each.strip() for each in text.split(","))):
            host, port = _split(entry)
            try:
                networks.append((ipaddress.ip_network(host), port))
            except ValueError:
                if not host or set(host) & set("/:[]@ *"):
                    raise ConfigurationError(
                        f"{ALLOW_HOSTS}: {entry!r} is no host, host:port, address or network such as 10.0.0.0/8",
                        field=ALLOW_HOSTS,
                    ) from None
                names.add((host.lower().rstrip("."), port))
        return cls(frozenset(names), tuple(networks))

    def holds(self, host: str, port: int, address: str) -> bool:
        """Whether this connection is allowed, by the requested name or by the resolved address."""
        name = host.lower().rstrip(".")
        if (name, None) in self.names or (name, port) in self.names:
            return True
        ip: Address = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip in network and only in (None, port) for network, only in self.networks)


def _split(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return (host, int(port)) if port.isdigit() and port.isascii() else (host if not port else "", None)


class GuardedTransport(httpx.BaseTransport):
    """httpx over a connection pool that connects to checked addresses only. Raises AddressRefused."""

    def __init__(self, allowed: AllowedHosts) -> None:
        self._backend = _Backend(allowed)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_CONNECTIONS,
            keepalive_expiry=10.0,
            network_backend=self._backend,
        )

    def within(self, until: float) -> Any:
        """A context in which this thread's requests end at `until` (time.monotonic), however slowly a server drips."""
        return self._backend.within(until)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("a synchronous request has a synchronous body")
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                url,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        if not isinstance(answer.stream, Iterable):
            raise TypeError("a synchronous answer has a synchronous body")
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer), extensions=dict(answer.extensions)
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Backend(httpcore.NetworkBackend):
    """Resolves a name, refuses it if any of its addresses is not allowed, and connects to the checked address."""

    def __init__(self, allowed: AllowedHosts) -> None:
        self._opened = allowed
        self._sockets = httpcore.SyncBackend()
        self._clock = _Clock()

    @contextmanager
    def within(self, until: float) -> Iterator[None]:
        self._clock.until = until
        try:
            yield
        finally:
            self._clock.until = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        for address in addresses:
            # One bad address among good ones is an attack, or a mistake that a refusal reveals.
            self._check(host, port, address)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = self._sockets.connect_tcp(
                    address, port, self._clock.left(_CONNECT_TIMEOUT_S), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            peer = stream.get_extra_info("server_addr")
            try:
                self._check(host, port, str(peer[0]))
            except AddressRefused:
                stream.close()
                raise
            return _Stream(stream, self._clock)
        raise failure

    def _check(self, host: str, port: int, address: str) -> None:
        if not is_public(address) and not self._opened.holds(host, port, address):
            shown = host if host == address else f"{host} ({address})"
            raise AddressRefused(f"{shown} is not a public address; {ALLOW_HOSTS} opens hosts of an intranet")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Clock(threading.local):
    """The deadline of this thread's request."""

    until: float | None = None

    def left(self, timeout: float | None) -> float | None:
        if self.until is None:
            return timeout
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for one reference is used up")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection whose every operation ends at the request's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._clock.left(timeout)), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
