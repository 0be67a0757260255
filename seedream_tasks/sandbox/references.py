"""References: the images that come with a request. Read, checked against the gateway's limits, kept as thumbnails.

A data URI and a file that was uploaded here are read at once, so what is wrong with them is refused. A URL of this
machine is fetched while the task runs. Any other URL is not fetched: the sandbox stays off the internet, and a tile
in the image says so.
"""

import asyncio
import base64
import binascii
import hashlib
import io
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from PIL import Image

from seedream_tasks.sandbox.checks import Refused, is_loopback
from seedream_tasks.sandbox.orders import SentReference
from seedream_tasks.sandbox.state import State

_THUMBNAIL_PX = 512
_FETCH_TIMEOUT_S = 10.0
_REMEMBERED = 512
_DATA_URI = re.compile(r"data:(image/[a-z0-9.+-]+);base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRules:
    """What one gateway takes as a reference; None: its documents state no limit."""

    most: int | None
    """Images per request."""
    formats: frozenset[str]
    """Pillow's names of the file formats."""
    data_formats: tuple[str, ...] = ()
    """Media types of data URIs that are taken; none: data URIs are refused."""
    schemes: tuple[str, ...] = ("http", "https")
    largest_bytes: int | None = 10_000_000
    widest: float | None = None
    """Largest width / height, and its inverse the smallest."""
    smallest_px: int | None = 15
    """Shortest width and height."""
    most_px: int | None = 36_000_000


class BadImageError(Exception):
    """Bytes that are no image, or one outside the limits."""


@dataclass(frozen=True, slots=True)
class _Image:
    sha256: str
    width: int
    height: int
    thumbnail: bytes


class ReferenceIntake:
    """Reads references. `own_file` finds the bytes behind a URL of this sandbox's uploads; None where it is not one."""

    def __init__(self, state: State, own_file: Callable[[str], bytes | None]) -> None:
        self._state = state
        self._own_file = own_file
        self._session: aiohttp.ClientSession | None = None
        # The same product photo comes with every shot of it: decoding it once is enough.
        self._known: OrderedDict[tuple[str, ReferenceRules], _Image] = OrderedDict()

    async def read(self, url: str, rules: ReferenceRules, param: str) -> SentReference:
        """A reference from the request; refuses an unusable one."""
        try:
            data = _decode(url, rules) if url[:5].lower() == "data:" else self._own_file(url)
            if data is not None:
                return self._reference(shortened(url), await self._check(data, rules))
            return SentReference(url, fetch=is_loopback(_host(url, rules)))
        except BadImageError as error:
            raise Refused("invalid", f"{param}: {error}", param) from error

    async def fetch(self, reference: SentReference, rules: ReferenceRules) -> None:
        """Fetch a reference of this machine; raises BadImageError."""
        data = await self.download(reference.url, rules.largest_bytes)
        found = self._reference(reference.url, await self._check(data, rules))
        reference.sha256, reference.width, reference.height = found.sha256, found.width, found.height

    async def download(self, url: str, largest: int | None) -> bytes:
        """The bytes behind a URL of this machine; raises BadImageError."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise BadImageError(f"could not be fetched: HTTP {response.status}")
                data = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    data += chunk
                    if largest is not None and len(data) > largest:
                        raise BadImageError(f"has more than {largest} bytes")
                return bytes(data)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise BadImageError(f"could not be fetched: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _reference(self, url: str, image: _Image) -> SentReference:
        self._state.save_thumbnail(image.sha256, image.thumbnail)
        return SentReference(url, image.sha256, image.width, image.height)

    async def _check(self, data: bytes, rules: ReferenceRules) -> _Image:
        key = (hashlib.sha256(data).hexdigest(), rules)
        image = self._known.get(key)
        if image is None:
            image = await asyncio.to_thread(_inspect, data, key[0], rules)
            self._known[key] = image
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return image


def shortened(value: Any) -> Any:
    """A JSON value whose data URIs are cut down to their prefix, the number of bytes and their sha256."""
    if isinstance(value, str):
        if value[:5].lower() != "data:":
            return value
        prefix, _, payload = value.partition(",")
        try:
            data = base64.b64decode(payload)
        except (binascii.Error, ValueError):
            data = payload.encode(errors="replace")
        return f"{prefix},<{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}>"
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    return value


def _decode(url: str, rules: ReferenceRules) -> bytes:
    if not rules.data_formats:
        raise BadImageError("data URIs are not supported, a URL is required")
    match = _DATA_URI.match(url)
    if match is None or match[1].lower() not in rules.data_formats:
        raise BadImageError(f"a data URI must start with data:({'|'.join(rules.data_formats)});base64,")
    try:
        return base64.b64decode(url[match.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImageError("the data URI is not valid base64") from error


def _host(url: str, rules: ReferenceRules) -> str:
    """The host of a URL that the gateway takes. This machine may be named with any scheme, so that tests can serve."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or (parts.scheme not in rules.schemes and not (is_loopback(host) and parts.scheme == "http")):
        raise BadImageError(f"must be a URL with {' or '.join(rules.schemes)}")
    return host


def _inspect(data: bytes, sha256: str, rules: ReferenceRules) -> _Image:
    """Check one image and draw its thumbnail. Runs in a thread: decoding takes a while and lets others run."""
    if rules.largest_bytes is not None and len(data) > rules.largest_bytes:
        raise BadImageError(f"has {len(data)} bytes, at most {rules.largest_bytes} are taken")
    try:
        with Image.open(io.BytesIO(data)) as image:
            # A camera's MPO is a JPEG with more images behind the first.
            kind = "JPEG" if image.format == "MPO" else image.format
            if kind not in rules.formats:
                raise BadImageError(f"is {kind}, taken are {', '.join(sorted(rules.formats))}")
            width, height = image.size
            _check_size(width, height, rules)
            image.draft("RGB", (_THUMBNAIL_PX, _THUMBNAIL_PX))
            image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
            thumbnail = _on_white(image)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BadImageError(f"cannot be decoded as an image: {error}") from error
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=88)
    return _Image(sha256, width, height, buffer.getvalue())


def _check_size(width: int, height: int, rules: ReferenceRules) -> None:
    if rules.smallest_px is not None and min(width, height) < rules.smallest_px:
        raise BadImageError(f"is {width}x{height} px, both sides must have at least {rules.smallest_px}")
    if rules.most_px is not None and width * height > rules.most_px:
        raise BadImageError(f"is {width}x{height} px, at most {rules.most_px} pixels are taken")
    if rules.widest is not None and not 1 / rules.widest <= width / height <= rules.widest:
        raise BadImageError(f"is {width}x{height} px, width / height must be in [1/{rules.widest:g}, {rules.widest:g}]")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
