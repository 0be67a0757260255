"""Checks a submitted body: fields, types, ranges, callback addresses. Errors are raised as `Refused`.

A reason says what is wrong; how a gateway words it (status, type, code) is its stand-in's business.
"""

import ipaddress
import json
from collections.abc import Collection
from typing import Any, Literal
from urllib.parse import urlsplit

Reason = Literal[
    "missing",
    "invalid",
    "model",
    "content",
    "key",
    "balance",
    "rate",
    "unavailable",
    "server",
    "not_found",
    "task_id",
    "too_large",
]

_LONGEST_CALLBACK = 2048


class Refused(Exception):
    """A request that this gateway does not take, and why."""

    def __init__(
        self, reason: Reason, message: str, param: str | None = None, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.param = param
        self.retry_after = retry_after


class Body:
    """A JSON object, read field by field. `null` counts as left out."""

    def __init__(self, data: dict[str, Any], path: str = "") -> None:
        self.data = data
        self._path = path

    @classmethod
    def parse(cls, raw: bytes) -> "Body":
        """The request body; refuses anything but a JSON object."""
        try:
            data = json.loads(raw)
        except ValueError:
            raise Refused("invalid", "the request body is not valid JSON") from None
        if not isinstance(data, dict):
            raise Refused("invalid", "the request body must be a JSON object")
        return cls(data)

    def has(self, name: str) -> bool:
        """Whether the field is present and not null."""
        return self.data.get(name) is not None

    def required_text(self, name: str, *, longest: int | None = None) -> str:
        """A required, non-empty text; at most `longest` characters."""
        value = self.data.get(name)
        if value is None:
            raise Refused("missing", f"{self._path}{name} is required", self._path + name)
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        if not value.strip():
            raise self.wrong(name, "must not be empty")
        if longest is not None and len(value) > longest:
            raise self.wrong(name, f"must have at most {longest} characters, has {len(value)}")
        return value

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        """One of the allowed words."""
        value = self.data.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or value not in allowed:
            raise self.wrong(name, f"must be one of {', '.join(allowed)}")
        return value

    def text(self, name: str) -> str | None:
        """A text, or None if absent."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        return value

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number in a range: a JSON number, so neither "2" nor true."""
        value = self.data.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "must be a whole number, without quotes")
        if not low <= value <= high:
            raise self.wrong(name, f"must be between {low} and {high}")
        return value

    def flag(self, name: str) -> bool:
        """true or false; default: false."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return bool(value)

    def texts(self, name: str, most: int | None) -> list[str]:
        """A list of at most `most` texts; default: empty."""
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.wrong(name, "must be a list of URLs")
        if most is not None and len(value) > most:
            raise self.wrong(name, f"takes at most {most} images, got {len(value)}")
        return value

    def inner(self, name: str) -> "Body":
        """A nested object; default: empty."""
        value = self.data.get(name)
        if value is None:
            return Body({}, f"{self._path}{name}.")
        if not isinstance(value, dict):
            raise self.wrong(name, "must be an object")
        return Body(value, f"{self._path}{name}.")

    def wrong(self, name: str, problem: str) -> Refused:
        """The refusal of one field."""
        return Refused("invalid", f"{self._path}{name} {problem}", self._path + name)


def read_callback(body: Body, allow_local: bool) -> str | None:
    """`callback_url`: https, at most 2048 characters, no internal address; with `allow_local` anything reachable."""
    url = body.text("callback_url")
    if url is None:
        return None
    if len(url) > _LONGEST_CALLBACK:
        raise body.wrong("callback_url", f"must have at most {_LONGEST_CALLBACK} characters")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise body.wrong("callback_url", "is not a URL") from None
    if not host:
        raise body.wrong("callback_url", "is not a URL")
    if parts.scheme != "https" and not (allow_local and parts.scheme == "http"):
        raise body.wrong("callback_url", "must use https")
    if is_internal(host) and not allow_local:
        raise body.wrong("callback_url", "must not name an internal address")
    return url


def is_internal(host: str) -> bool:
    """Whether a host name or address is not one of the public internet. Names are not looked up."""
    name = host.rstrip(".").lower()
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        pass  # not an address, so a name
    return "." not in name or name.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: the only one that the sandbox fetches images from."""
    name = host.rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
