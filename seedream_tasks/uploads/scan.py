"""Catalog files in a store: list them, tell whether one is complete, read its digest."""

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ..catalog.tables.sources import is_catalog
from ..core.errors import InputError
from ..core.secrets import holds_secret, without_secrets
from ..core.store_schemes import driver_hint
from ..storage.regular_files import check_regular, is_special

_LOCAL = ("file://", "local://")
# Stores' names for the value that changes whenever an object's content does.
_ETAGS = ("ETag", "etag", "e_tag")
_MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


def settled_uri(uri: str) -> str:
    """The canonical URI of a file; for a local one its absolute path.

    Raises InputError for an empty or relative path, and for an address that holds a secret.
    """
    if "://" in uri and holds_secret(uri):
        raise InputError(
            f"{without_secrets(uri)!r}: was given with a password or a signature, and announcements are kept in plain text",
            field="uri",
        )
    path = next((uri.removeprefix(scheme) for scheme in _LOCAL if uri.startswith(scheme)), uri)
    if "://" in path and not path.startswith("/"):
        return path
    if not path.startswith("/"):
        raise InputError(f"{uri!r}: neither an absolute path nor an address", field="uri")
    return posixpath.normpath(path)


def file_name(uri: str) -> str:
    """The name of the file behind a URI."""
    return PurePosixPath(uri.partition("?")[0].rstrip("/")).name or uri


def slug(name: str) -> str:
    """A file's name as part of a resource id: lower case, letters and digits of any script, dashes."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-") or "catalog"


@dataclass(frozen=True, slots=True)
class FoundCatalog:
    """A catalog file as its store lists it."""

    uri: str
    name: str
    stamp: str  # changes when the file does: size and modification, or ETag
    etag: str | None
    size: int | None  # bytes

    @property
    def whole(self) -> bool:
        """Whether it is complete: an object appears only when complete, a file may still be being written."""
        return self.etag is not None


def find_files(prefix: str, pattern: str) -> list[FoundCatalog]:
    """Every catalog file below a prefix whose relative path matches the pattern, by name; empty if there is none.

    Hidden files and those without a catalog's extension are skipped. Raises InputError.
    """
    try:
        store, path = url_to_fs(prefix)
        store.invalidate_cache()
        listed: Mapping[str, Mapping[str, Any]] = store.find(path, detail=True)
    except FileNotFoundError:
        return []
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        hint = driver_hint(prefix, error)
        raise InputError(
            f"{prefix}: cannot be listed: {type(error).__name__}: {error}", field="prefix", hint=hint
        ) from None
    root = str(path).rstrip("/")
    found = []
    for name, info in sorted(listed.items()):
        below = name.removeprefix(root).lstrip("/") or file_name(name)
        if is_special(store, name):
            continue
        hidden = any(part.startswith((".", "_")) for part in PurePosixPath(below).parts)
        if not hidden and is_catalog(below) and fnmatchcase(below, pattern):
            found.append(_found(store, name, info))
    return found


def look_again(uri: str) -> FoundCatalog:
    """A file's current state. Raises whatever its store raises if it no longer exists."""
    store, path = url_to_fs(uri)
    store.invalidate_cache()
    return _found(store, str(path), store.info(path))


def _found(store: Any, path: str, info: Mapping[str, Any]) -> FoundCatalog:
    etag = next((str(info[name]).strip('"') for name in _ETAGS if info.get(name)), None)
    modified = next((str(info[name]) for name in _MODIFIED if info.get(name)), "")
    size = info.get("size")
    uri = settled_uri(path) if isinstance(store, LocalFileSystem) else str(store.unstrip_protocol(path))
    return FoundCatalog(uri, file_name(path), f"{size}:{etag or modified}", etag, None if size is None else int(size))


def read_digest(uri: str) -> tuple[str, int]:
    """sha256 (hex) and size (bytes) of a stored file. Raises whatever its store raises."""
    store, path = url_to_fs(uri)
    digest, size = hashlib.sha256(), 0
    check_regular(store, path)
    with store.open(path, "rb") as file:
        while block := file.read(1024 * 1024):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
