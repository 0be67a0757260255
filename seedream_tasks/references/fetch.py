"""Fetching references over http(s): bounded in time, size, redirects and tries, from checked addresses only."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore
import httpx

from ..core.errors import ReferenceFault
from ..core.preflight import shown
from ..core.retry_after import retry_after
from .address_guard import AddressRefused, AllowedHosts, GuardedTransport, is_public

MOST_BYTES = 60_000_000
WITHIN_S = 60.0  # one reference, redirects and tries included
_READ_TIMEOUT_S = 15.0
_MOST_REDIRECTS = 5
_WAITS_S = (0.5, 2.0)  # between tries, when the server states no delay
# After so many consecutive failures a host is asked once per reference, without retries: it is down, not busy.
_GIVES_UP_AFTER = 3
# No server, or not a link: a retry would not help.
_NOWHERE = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.UnsupportedProtocol)
_BROKEN_OFF = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
_UNUSABLE = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a link answered."""

    content: bytes | None  # None: unchanged since the validator
    validator: str | None  # its ETag, else its Last-Modified
    public: bool  # https all the way, at public addresses, without a password: a gateway can fetch it too


class _Passing(Exception):
    """A transient failure: a busy server, a broken connection."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Fetcher:
    """One pool of connections for the references of a catalog. Safe for use from several threads."""

    def __init__(self, allowed: AllowedHosts, within_s: float = WITHIN_S) -> None:
        self._within_s = within_s
        self._transport = GuardedTransport(allowed)
        self._http = httpx.Client(
            transport=self._transport,
            timeout=httpx.Timeout(_READ_TIMEOUT_S, pool=None),
            follow_redirects=False,
            trust_env=False,  # no proxy (see references.address_guard), and no passwords from ~/.netrc
            # No format preference, so that a gateway, which most likely states none, gets the same file. And no content
            # encoding: it could decompress to far more than was sent.
            headers={"User-Agent": "seedream-tasks", "Accept": "*/*", "Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._failures: dict[str, int] = {}  # consecutive, by host
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def fetch(self, uri: str, validator: str | None = None) -> Fetched:
        """The bytes behind a link, or that they are unchanged since `validator`. Raises ReferenceFault."""
        until = time.monotonic() + self._within_s
        host = uri.split("/", 3)[2] if uri.count("/") > 1 else uri
        waits = _WAITS_S if self._failures.get(host, 0) < _GIVES_UP_AFTER else ()
        for wait_s in (*waits, None):
            try:
                found = self._once(uri, validator, until)
            except _Passing as passing:
                pause_s = wait_s if passing.retry_after_s is None else passing.retry_after_s
                if wait_s is None or pause_s is None or time.monotonic() + pause_s >= until:
                    self._failed(host)
                    raise _unreachable(uri, str(passing)) from None
                time.sleep(pause_s)
            else:
                self._failures.pop(host, None)
                return found
        raise AssertionError("the last try returns or raises")

    def _failed(self, host: str) -> None:
        with self._lock:
            if len(self._failures) > 10_000:
                self._failures.clear()
            self._failures[host] = self._failures.get(host, 0) + 1

    def answers(self, link: str, size: int) -> bool:
        """Whether this link can be fetched by anybody now and has that many bytes. Asks once, reads only the headers."""
        try:
            with self._transport.within(time.monotonic() + _READ_TIMEOUT_S), self._http.stream("GET", link) as response:
                stated = response.headers.get("Content-Length")
                return response.status_code == 200 and _is_public(response) and stated in (None, str(size))
        except (*_NOWHERE, *_BROKEN_OFF, *_UNUSABLE, AddressRefused):
            return False

    def _once(self, uri: str, validator: str | None, until: float) -> Fetched:
        try:
            with self._transport.within(until):
                request = self._http.build_request("GET", uri, headers=_condition(validator))
                public = True
                for _ in range(_MOST_REDIRECTS + 1):
                    response = self._http.send(request, stream=True)
                    try:
                        public = public and _is_public(response)
                        if response.next_request is None:
                            return self._read(uri, response, validator, public)
                        request = response.next_request
                    finally:
                        response.close()
        except AddressRefused as refused:
            raise ReferenceFault(f"{shown(uri)}: {refused}", uri=uri, error_code="reference_private") from None
        except (*_NOWHERE, *_UNUSABLE) as error:
            raise _unreachable(uri, f"cannot be fetched: {type(error).__name__}: {error}") from None
        except _BROKEN_OFF as error:
            raise _Passing(f"cannot be fetched: {type(error).__name__}: {error}") from error
        raise _unreachable(uri, f"is redirected more than {_MOST_REDIRECTS} times")

    def _read(self, uri: str, response: httpx.Response, validator: str | None, public: bool) -> Fetched:
        status = response.status_code
        if status == 304 and validator:
            return Fetched(None, validator, public)
        if status == 429 or status >= 500:
            raise _Passing(f"answers HTTP {status}", _retry_after_s(response))
        if status != 200:
            raise _unreachable(uri, f"answers HTTP {status}")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise ReferenceFault(f"{shown(uri)} is sent with an unrequested encoding ({encoding})", uri=uri)
        stated = response.headers.get("Content-Length", "")
        if stated.isdigit() and int(stated) > MOST_BYTES:
            raise too_large(uri, int(stated))
        content = bytearray()
        for part in response.iter_raw():
            content += part
            if len(content) > MOST_BYTES:
                raise too_large(uri)
        return Fetched(bytes(content), response.headers.get("ETag") or response.headers.get("Last-Modified"), public)


def too_large(uri: str, size: int | None = None) -> ReferenceFault:
    """The error for a reference larger than any gateway accepts; it is not read further."""
    figure = "more than" if size is None else f"{size:,} bytes, more than"
    return ReferenceFault(f"{shown(uri)} has {figure} {MOST_BYTES:,} bytes", uri=uri, error_code="reference_bytes")


def _unreachable(uri: str, why: str) -> ReferenceFault:
    return ReferenceFault(f"{shown(uri)} {why}", uri=uri, error_code="reference_unreachable")


def _condition(validator: str | None) -> dict[str, str]:
    if not validator:
        return {}
    # A date is the only validator that ends so; ETags are quoted, or at least hold no blank.
    return {"If-Modified-Since" if validator.endswith(" GMT") else "If-None-Match": validator}


def _retry_after_s(response: httpx.Response) -> float | None:
    headers = response.headers
    return retry_after(headers.get("Retry-After", ""), headers.get("Date", ""), datetime.now(UTC))


def _is_public(response: httpx.Response) -> bool:
    peer = response.extensions["network_stream"].get_extra_info("server_addr")
    url = response.request.url
    return url.scheme == "https" and not url.userinfo and is_public(str(peer[0]))
