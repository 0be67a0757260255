"""Where a reference may be: the web, a listed store, or below the catalog's folder."""

import os
import posixpath
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..core.errors import ConfigurationError, ReferenceFault
from ..core.preflight import shown

ROOTS = "SEEDREAM_REFERENCE_ROOTS"
# Stores a catalog may name; others (local, zip, ...) would reach files of this machine.
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
_WEB = ("http", "https")
_SIGNATURE_PREFIXES = ("x-amz-", "x-goog-")
_SIGNATURES = frozenset(
    "signature expires sig se sp sv sr st awsaccesskeyid key-pair-id policy token".split()  # noqa: SIM905 - a word list
)


# `scheme://user:password@`; a password may hold slashes.
_PASSWORD = re.compile(r"(?<=[a-z0-9])://[^/@:]*:[^@]*@")


def without_signature(uri: str) -> str:
    """The URI as it identifies the file, and as it may be shown: without the signature of a signed link, which changes daily,
    and without a name and password.
    """
    if not uri.startswith(("http://", "https://")):
        return _PASSWORD.sub("://", uri, count=1)
    try:
        parts = urlsplit(uri)
    except ValueError:  # not a link; reading it reports that
        return uri
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _SIGNATURES and not name.lower().startswith(_SIGNATURE_PREFIXES)
    ]
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=place, query=urlencode(kept), fragment=""))


def is_readable_link(uri: str) -> bool:
    """False for an invalid link, such as `https://[half/a.jpg`."""
    try:
        urlsplit(uri)
    except ValueError:
        return False
    return True


def scheme(uri: str) -> str:
    """The scheme in lower case; empty for a path and for a data URI."""
    head, separator, _ = uri.partition("://")
    return head.lower() if separator and head.isidentifier() else ""


def is_web(uri: str) -> bool:
    """Whether it is fetched over http(s)."""
    return scheme(uri) in _WEB


def parse_roots(text: str) -> tuple[str, ...]:
    """The folders that SEEDREAM_REFERENCE_ROOTS opens, separated as in PATH. Raises ConfigurationError."""
    roots = tuple(filter(None, (each.strip() for each in text.split(os.pathsep))))
    for root in roots:
        if not os.path.isabs(root) or not os.path.isdir(root):  # noqa: PTH112, PTH117
            raise ConfigurationError(f"{ROOTS}: {root!r} is not an absolute path of a folder", field=ROOTS)
    return tuple(os.path.realpath(root) for root in roots)


class Places:
    """Locates a catalog's references, and refuses forbidden locations."""

    def __init__(self, catalog_uri: str, roots: Sequence[str] = ()) -> None:
        self._folder = _folder_of(catalog_uri)
        self._roots = tuple(roots)

    def address(self, uri: str) -> str:
        """The location: a data URI or link unchanged, else a store's URI or an absolute path. Raises ReferenceFault."""
        if uri.startswith("data:"):
            return uri
        found = scheme(uri)
        if ("::" in uri and found not in _WEB) or found not in STORES | {"", "file", *_WEB}:
            raise ReferenceFault(
                f"{shown(uri)}: a reference is a http(s) link, a data URI, a path below the catalog's folder, or in one of"
                f" {', '.join(sorted(STORES))}",
                uri=uri,
                error_code="reference_outside",
            )
        if found in STORES or found in _WEB:
            return uri
        if "\0" in uri:
            raise ReferenceFault(f"{shown(uri)!r} is not a path", uri=uri)
        path = uri.removeprefix("file://")
        if self._roots and os.path.isabs(path):  # noqa: PTH117
            real = os.path.realpath(path)
            if any(os.path.commonpath([root, real]) == root for root in self._roots):
                return real
        return self._remote(uri, path) if scheme(self._folder) else self._local(uri, path)

    def _remote(self, uri: str, path: str) -> str:
        head, _, root = self._folder.partition("://")
        joined = posixpath.normpath(posixpath.join("/", root, path)).lstrip("/")
        if path.startswith("/") or not joined.startswith(f"{root.strip('/')}/"):
            raise _outside(uri)
        return f"{head}://{joined}"

    def _local(self, uri: str, path: str) -> str:
        # Symbolic links are resolved: one that points outside the folder counts as outside.
        folder = os.path.realpath(self._folder)
        joined = os.path.realpath(os.path.join(folder, path))  # noqa: PTH118 - normalises what pathlib keeps
        if os.path.commonpath([folder, joined]) != folder:
            raise _outside(uri)
        return joined


def _outside(uri: str) -> ReferenceFault:
    return ReferenceFault(
        f"{shown(uri)} is outside the catalog's folder; {ROOTS} opens further folders",
        uri=uri,
        error_code="reference_outside",
    )


def _folder_of(catalog_uri: str) -> str:
    if scheme(catalog_uri) in ("", "file"):
        return os.path.dirname(os.path.abspath(catalog_uri.removeprefix("file://")))  # noqa: PTH100, PTH120
    head, _, path = catalog_uri.split("?", 1)[0].partition("://")
    return f"{head}://{path.rpartition('/')[0]}"
