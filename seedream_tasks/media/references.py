"""Reference images: found, read, hashed and looked at, once per run however many records share them.

A reference without a scheme is a path relative to the catalog's folder and stays below it: a catalog comes from elsewhere,
and must not be able to name any file of this machine.
"""

import base64
import binascii
import hashlib
import os
import posixpath
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode, urlsplit, urlunsplit

import fsspec
import httpx

from ..core.errors import ReferenceFault, UndecodableImage
from ..core.jobs import Reference
from ..core.preflight import shown
from .images import EXTENSIONS, inspect

MOST_BYTES = 60_000_000
_FETCH_TIMEOUT_S = 30.0
# References may be far larger than pictures made: what a gateway takes is checked against its own limit.
_MOST_PIXELS = 400_000_000
# Stores a catalog may name; others (local, zip, ...) would lead to files of this machine.
_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
_KEPT_BYTES = 64_000_000
_SIGNATURE_PREFIXES = ("x-amz-", "x-goog-")
_SIGNATURES = frozenset(
    "signature expires sig se sp sv sr st awsaccesskeyid key-pair-id policy token".split()  # noqa: SIM905 - a word list
)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an earlier run found under a URI."""

    etag: str
    reference: Reference


def without_signature(uri: str) -> str:
    """The URI as it identifies the file: a signed link's signature changes daily, the file does not."""
    if not uri.startswith(("http://", "https://")):
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:  # no link at all; reading it says so
        return uri
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _SIGNATURES and not name.lower().startswith(_SIGNATURE_PREFIXES)
    ]
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))


def is_readable_link(uri: str) -> bool:
    """False for what looks like a link and is none, such as `https://[half/a.jpg`."""
    try:
        urlsplit(uri)
    except ValueError:
        return False
    return True


class References:
    """Reads references for one catalog. Safe for use from several threads."""

    def __init__(self, catalog_uri: str) -> None:
        self._folder = _folder_of(catalog_uri)
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._http = httpx.Client(timeout=_FETCH_TIMEOUT_S, follow_redirects=True, max_redirects=5, trust_env=False)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def is_remote(self, uri: str) -> bool:
        """Whether reading it would send a request."""
        return not uri.startswith("data:") and _scheme(uri) not in ("", "file")

    def look(self, uri: str, remembered: Remembered | None = None) -> tuple[Reference, str | None]:
        """Fingerprint and measures of a reference, with its ETag where it has one. Raises ReferenceFault.

        With what an earlier run remembers, an unchanged http reference is asked for but not fetched again.
        """
        if _scheme(uri) in ("http", "https"):
            content, etag = self._fetch(uri, remembered)
            if content is None and remembered is not None:
                return replace(remembered.reference, uri=uri), remembered.etag
        else:
            content, etag = self._read(uri), None
        if content is None:
            raise ReferenceFault(f"{shown(uri)}: unchanged since a state that nobody remembers", uri=uri)
        return self._described(uri, content), etag

    def _described(self, uri: str, content: bytes) -> Reference:
        try:
            picture = inspect(content, _MOST_PIXELS)
        except UndecodableImage as error:
            raise ReferenceFault(
                f"{shown(uri)} is {error.message}", uri=uri, error_code="reference_unreadable"
            ) from None
        digest = hashlib.sha256(content).hexdigest()
        self._keep(digest, content)
        return Reference(uri, digest, picture.format, picture.width, picture.height, len(content))

    def content(self, reference: Reference) -> bytes:
        """The bytes that were fingerprinted. Raises ReferenceFault when they are not there any more, or are others."""
        if reference.sha256 is not None:
            with self._lock:
                kept = self._kept.get(reference.sha256)
                if kept is not None:
                    self._kept.move_to_end(reference.sha256)
                    return kept
        uri = reference.uri
        content = self._fetch(uri, None)[0] if _scheme(uri) in ("http", "https") else self._read(uri)
        if content is None or hashlib.sha256(content).hexdigest() != reference.sha256:
            raise ReferenceFault(
                f"{shown(uri)} is another file than when the run began", uri=uri, error_code="reference_changed"
            )
        self._keep(reference.sha256, content)
        return content

    def _keep(self, digest: str, content: bytes) -> None:
        with self._lock:
            if digest not in self._kept and len(content) <= _KEPT_BYTES:
                self._kept[digest] = content
                self._kept_bytes += len(content)
                while self._kept_bytes > _KEPT_BYTES:
                    self._kept_bytes -= len(self._kept.popitem(last=False)[1])

    def _read(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            return _inline(uri)
        path = self._placed(uri)
        try:
            with fsspec.open(path, "rb") as file:
                content = bytes(file.read(MOST_BYTES + 1))
        except FileNotFoundError:
            raise ReferenceFault(f"{shown(uri)}: there is no such file", uri=uri) from None
        except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
            raise ReferenceFault(f"{shown(uri)} cannot be read: {type(error).__name__}: {error}", uri=uri) from None
        if len(content) > MOST_BYTES:
            raise ReferenceFault(f"{shown(uri)} has more than {MOST_BYTES:,} bytes", uri=uri)
        return content

    def _placed(self, uri: str) -> str:
        """Where a reference without a scheme, or a file URI, is: below the catalog's folder or nowhere."""
        scheme = _scheme(uri)
        if "::" in uri or scheme not in _STORES | {"", "file"}:
            raise ReferenceFault(
                f"{shown(uri)}: a reference is a http(s) link, a data URI, a path below the catalog's folder, or in one of"
                f" {', '.join(sorted(_STORES))}",
                uri=uri,
                error_code="reference_outside",
            )
        if scheme in _STORES:
            return uri
        if "\0" in uri:
            raise ReferenceFault(f"{shown(uri)!r} is no path", uri=uri)
        path = uri.removeprefix("file://")
        if _scheme(self._folder):
            if path.startswith("/"):
                raise ReferenceFault(
                    f"{shown(uri)} is outside the catalog's folder", uri=uri, error_code="reference_outside"
                )
            head, _, root = self._folder.partition("://")
            joined = posixpath.normpath(posixpath.join("/", root, path)).lstrip("/")
            if not joined.startswith(f"{root.strip('/')}/"):
                raise ReferenceFault(
                    f"{shown(uri)} is outside the catalog's folder", uri=uri, error_code="reference_outside"
                )
            return f"{head}://{joined}"
        # Links are resolved: one that points out of the folder leads out of it.
        folder = os.path.realpath(self._folder)
        joined = os.path.realpath(os.path.join(folder, path))  # noqa: PTH118 - normalises what pathlib keeps
        if os.path.commonpath([folder, joined]) != folder:
            raise ReferenceFault(
                f"{shown(uri)} is outside the catalog's folder", uri=uri, error_code="reference_outside"
            )
        return joined

    def _fetch(self, uri: str, remembered: Remembered | None) -> tuple[bytes | None, str | None]:
        headers = {"If-None-Match": remembered.etag} if remembered and remembered.etag else {}
        try:
            with self._http.stream("GET", uri, headers=headers) as response:
                if response.status_code == 304 and remembered:
                    return None, remembered.etag
                if response.status_code != 200:
                    raise ReferenceFault(
                        f"{shown(uri)} answers HTTP {response.status_code}", uri=uri, error_code="reference_unreachable"
                    )
                parts, size = [], 0
                for part in response.iter_bytes():
                    size += len(part)
                    if size > MOST_BYTES:
                        raise ReferenceFault(f"{shown(uri)} has more than {MOST_BYTES:,} bytes", uri=uri)
                    parts.append(part)
                return b"".join(parts), response.headers.get("ETag")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise ReferenceFault(
                f"{shown(uri)} cannot be fetched: {type(error).__name__}: {error}",
                uri=uri,
                error_code="reference_unreachable",
            ) from None


def file_name(reference: Reference) -> str:
    """A name for an upload: content decides it, so one content is one file."""
    return f"{(reference.sha256 or '')[:32]}.{EXTENSIONS.get(reference.format or '', 'bin')}"


def data_uri(content: bytes, mime_type: str) -> str:
    """Content as a data URI."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode('ascii')}"


def _inline(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise ReferenceFault(f"{shown(uri)} is no data URI", uri=uri)
    try:
        content = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise ReferenceFault(f"{shown(uri)}: {error}", uri=uri) from None
    if len(content) > MOST_BYTES:
        raise ReferenceFault(f"{shown(uri)} has more than {MOST_BYTES:,} bytes", uri=uri)
    return content


def _scheme(uri: str) -> str:
    head, separator, _ = uri.partition("://")
    return head.lower() if separator and head.isidentifier() else ""


def _folder_of(catalog_uri: str) -> str:
    if _scheme(catalog_uri) in ("", "file"):
        return os.path.dirname(os.path.abspath(catalog_uri.removeprefix("file://")))  # noqa: PTH100, PTH120
    scheme, _, path = catalog_uri.split("?", 1)[0].partition("://")
    return f"{scheme}://{path.rpartition('/')[0]}"
