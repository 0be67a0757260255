"""Reference images: located, read, hashed and measured, once per run even when many records share them.

A reference without a scheme is a path relative to the catalog's folder and stays below it (references.places); a link is fetched
from public addresses only (references.address_guard).
"""

import base64
import binascii
import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_to_bytes

import fsspec
import httpx

from ..core.errors import ReferenceFault, UndecodableImage
from ..core.jobs import Reference
from ..core.preflight import shown
from ..core.reference_transport import Fits
from ..images.decode import EXTENSIONS, examine
from ..storage.regular_files import NotRegularError, check_regular
from .address_guard import AllowedHosts
from .convert import Converted, convert
from .fetch import MOST_BYTES, Fetcher, too_large
from .places import STORES, Places, is_web, scheme

_KEPT_BYTES = 64_000_000
# A link into a store must outlive the queue before the task, and the task.
_SIGNED_FOR_S = 12 * 3600
# Fields in which stores state a file's version.
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "generation")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was found earlier under a URI."""

    validator: str  # ETag or date of a link, version and size of a file in a store; empty: none
    reference: Reference


class References:
    """Reads references for one catalog. Safe for use from several threads."""

    def __init__(self, catalog_uri: str, allowed: AllowedHosts | None = None, roots: Sequence[str] = ()) -> None:
        """`allowed`: non-public hosts that may be fetched from; `roots`: folders allowed besides the catalog's."""
        self._places = Places(catalog_uri, roots)
        self._fetcher = Fetcher(allowed or AllowedHosts())
        self._kept: OrderedDict[str, Converted] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()

    def address(self, uri: str) -> str:
        """A reference's location, independent of the catalog. Raises ReferenceFault."""
        return self._places.address(uri)

    def is_remote(self, uri: str) -> bool:
        """Whether reading it would send a request. Raises ReferenceFault."""
        return scheme(self.address(uri)) not in ("", "file")

    def look(self, uri: str, remembered: Remembered | None = None) -> tuple[Reference, str | None]:
        """Fingerprint and measures of a reference, decoded in full, and its version's validator.

        An unchanged remembered one is requested but not read again. Raises ReferenceFault.
        """
        address = self.address(uri)
        known = remembered.validator if remembered else None
        if is_web(address):
            fetched = self._fetcher.fetch(address, known)
            content, validator, public = fetched.content, fetched.validator, fetched.public
        elif scheme(address) in STORES:
            content, validator = self._from_store(uri, address, known)
            size = len(content) if content is not None else (remembered.reference.bytes or 0 if remembered else 0)
            public = self._is_signed_for_all(address, size)
        else:
            content, validator, public = self._read(uri, address), None, False
        if content is None:
            if remembered is None:
                raise ReferenceFault(
                    f"{shown(uri)}: the server answers unchanged, but no earlier version is known", uri=uri
                )
            return replace(remembered.reference, uri=uri, public=public), remembered.validator
        return replace(self._described(uri, content), public=public), validator

    def _described(self, uri: str, content: bytes) -> Reference:
        try:
            image, flaw = examine(content)
        except UndecodableImage as error:
            raise ReferenceFault(
                f"{shown(uri)} is {error.message}", uri=uri, error_code="reference_unreadable"
            ) from None
        digest = hashlib.sha256(content).hexdigest()
        self._keep(digest, Converted(content, image.format))
        return Reference(uri, digest, image.format, image.width, image.height, len(content), flaw)

    def checked(self, reference: Reference) -> Reference:
        """A reference resolved elsewhere, measured here. Raises ReferenceFault, also when it is another file."""
        found, _ = self.look(reference.uri)
        if reference.sha256 not in (None, found.sha256):
            raise _changed(reference.uri)
        return found

    def content(self, reference: Reference) -> bytes:
        """The bytes that were fingerprinted. Raises ReferenceFault when they are missing or have changed."""
        digest = reference.sha256 or ""
        kept = self._from_kept(digest)
        if kept is not None:
            return kept.content
        uri = reference.uri
        address = self.address(uri)
        content = self._fetcher.fetch(address).content if is_web(address) else self._read(uri, address)
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            raise _changed(uri)
        self._keep(digest, Converted(content, reference.format or ""))
        return content

    def converted(self, reference: Reference, fits: Fits) -> Converted:
        """A converted copy within a gateway's limits. Raises ReferenceFault."""
        name = copy_name(reference, fits)
        kept = self._from_kept(name)
        if kept is not None:
            return kept
        try:
            copy = convert(self.content(reference), fits)
        except UndecodableImage as error:
            raise ReferenceFault(f"{shown(reference.uri)} {error.message}", uri=reference.uri) from None
        self._keep(name, copy)
        return copy

    def link(self, reference: Reference) -> str | None:
        """A link under which a gateway can fetch it: its own, or one that its store signs; None when there is none."""
        address = self.address(reference.uri)
        if is_web(address):
            # As it was fetched: with blanks and letters of other scripts escaped, without a fragment.
            return str(httpx.URL(address).copy_with(fragment=None))
        return _signed(address) if scheme(address) in STORES else None

    def _is_signed_for_all(self, address: str, size: int) -> bool:
        link = _signed(address)
        return link is not None and self._fetcher.answers(link, size)

    def _from_kept(self, name: str) -> Converted | None:
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None:
                self._kept.move_to_end(name)
            return kept

    def _keep(self, name: str, found: Converted) -> None:
        with self._lock:
            if name not in self._kept and len(found.content) <= _KEPT_BYTES:
                self._kept[name] = found
                self._kept_bytes += len(found.content)
                while self._kept_bytes > _KEPT_BYTES:
                    self._kept_bytes -= len(self._kept.popitem(last=False)[1].content)

    def _from_store(self, uri: str, address: str, known: str | None) -> tuple[bytes | None, str | None]:
        """The bytes of a file in a store, or None when it is still the version `known`."""
        with _Faults(uri):
            fs, path = fsspec.core.url_to_fs(address)
            fs.invalidate_cache()
            info = fs.info(path)
            version = next((str(info[name]) for name in _VERSIONS if info.get(name)), None) or str(fs.ukey(path))
        size = info.get("size")
        if isinstance(size, int) and size > MOST_BYTES:
            raise too_large(uri, size)
        validator = f"{version} {size}"
        return (None, known) if known == validator else (self._read(uri, address), validator)

    def _read(self, uri: str, address: str) -> bytes:
        if address.startswith("data:"):
            return _inline(address)
        with _Faults(uri, scheme(address) in STORES):
            check_regular(*fsspec.core.url_to_fs(address))
            with fsspec.open(address, "rb") as file:
                content = bytes(file.read(MOST_BYTES + 1))
        if len(content) > MOST_BYTES:
            raise too_large(uri)
        return content


def _changed(uri: str) -> ReferenceFault:
    return ReferenceFault(
        f"{shown(uri)} is another file than when the run began", uri=uri, error_code="reference_changed"
    )


class _Faults:
    """Convert the errors of each store's library to ReferenceFaults."""

    def __init__(self, uri: str, remote: bool = True) -> None:
        self._uri = uri
        self._code = "reference_unreachable" if remote else "reference_unreadable"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        uri, facts = self._uri, {"uri": self._uri, "error_code": self._code}
        if isinstance(error, FileNotFoundError):
            raise ReferenceFault(f"{shown(uri)}: there is no such file", **facts) from None
        if isinstance(error, NotRegularError):
            raise ReferenceFault(f"{shown(uri)} is {error}", **facts) from None
        if isinstance(error, Exception):
            raise ReferenceFault(f"{shown(uri)} cannot be read: {type(error).__name__}: {error}", **facts) from None


def _signed(address: str) -> str | None:
    """A link signed by the store; None when it cannot sign (unsupported, or no credentials)."""
    try:
        fs, path = fsspec.core.url_to_fs(address)
        link = str(fs.sign(path, expiration=_SIGNED_FOR_S))
    except Exception:  # noqa: BLE001 - each store's library reports this differently
        return None
    return link if link.startswith("https://") else None


def copy_name(reference: Reference, fits: Fits) -> str:
    """Identifies a converted copy: its source and recipe."""
    return f"{reference.sha256}:{fits.recipe}"


def file_name(kind: str) -> str:
    """A unique upload name: where equal names overwrite, a file that another request links to would be lost."""
    return f"{uuid.uuid4().hex}.{EXTENSIONS.get(kind, 'bin')}"


def data_uri(content: bytes, mime_type: str) -> str:
    """Content as a data URI."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode('ascii')}"


def _inline(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise ReferenceFault(f"{shown(uri)} is not a data URI", uri=uri)
    try:
        content = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise ReferenceFault(f"{shown(uri)}: {error}", uri=uri) from None
    if len(content) > MOST_BYTES:
        raise too_large(uri)
    return content
