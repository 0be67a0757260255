"""Where an archive is: one name for one place, and no secret in it."""

import os
import re
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ..core.errors import ConfigurationError
from ..core.store_schemes import driver_hint

# `user:password@` in front of the rest; a password may hold slashes. `host:22/` is a port.
_PASSWORD = re.compile(r"[^/@]*:(?!\d+(/|$))[^@]*@")
# Two spellings of one store.
_ALIASES = {"s3a": "s3", "gcs": "gs"}


@dataclass(frozen=True)
class Root:
    """An archive's place."""

    name: str  # as in ledger, manifests and messages: an absolute path, or a URI without a trailing slash
    path: str  # as its file system calls it
    fs: Any  # fsspec file system, which keeps no listings
    is_local: bool


def find_root(given: str) -> Root:
    """Parse an archive's address. Raises ConfigurationError; a message never repeats a password."""
    scheme, mark, rest = given.partition("://")
    if mark:
        given = _normalised(scheme.lower(), rest)
        scheme = given.partition("://")[0]
    try:
        # Listings are never kept: another process may have written a moment ago.
        fs, path = fsspec.core.url_to_fs(given, use_listings_cache=False)
    except ImportError as error:
        hint = driver_hint(given, error)
        raise ConfigurationError(f"no archive at {given!r}: {error}", field="archive", hint=hint) from None
    except ValueError as error:
        raise ConfigurationError(f"no archive at {given!r}: {error}", field="archive") from None
    if isinstance(fs, LocalFileSystem):
        # One name, however the folder is reached.
        name = os.path.abspath(str(path))  # noqa: PTH100 - resolves no links, unlike pathlib
        return Root(name, name, fs, True)
    return Root(given, str(path).rstrip("/"), fs, False)


def _normalised(scheme: str, rest: str) -> str:
    if "::" in scheme or "::" in rest:
        raise ConfigurationError("an archive is one store, not a chain of them (`::`)", field="archive")
    if scheme == "file":
        return f"file://{rest}"
    if _PASSWORD.match(rest):
        raise ConfigurationError(
            f"the archive's address ({scheme}://...) holds a password or a key",
            field="archive",
            hint="leave it out: stores find credentials in the environment, a profile or a role (docs/storage.md)",
        )
    if "?" in rest:
        raise ConfigurationError(
            f"the archive's address ({scheme}://...) has a query, which may be a token: leave out what follows the `?`",
            field="archive",
            hint="stores find credentials in the environment, a profile or a role (docs/storage.md)",
        )
    lead = "/" if rest.startswith("/") and scheme != "memory" else ""
    parts: list[str] = []
    for part in rest.split("/"):
        if part == ".." and len(parts) < 2:
            raise ConfigurationError(f"the archive {scheme}://{rest} leads out of its own bucket", field="archive")
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return f"{_ALIASES.get(scheme, scheme)}://{lead}{'/'.join(parts)}"
