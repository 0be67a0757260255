"""Only regular files are read: opening a named pipe waits for a writer, and a device never ends."""

import os
import stat
from typing import Any

from fsspec.implementations.local import LocalFileSystem

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NotRegularError(OSError):
    """The path is not a regular file, which could be read to its end and reread."""


def is_special(store: Any, path: str) -> bool:
    """Whether a local path is a named pipe, a socket, a device or a folder; False when it does not exist."""
    try:
        check_regular(store, path)
    except NotRegularError:
        return True
    return False


def check_regular(store: Any, path: str) -> None:
    """Raises NotRegularError for a local path that is not a regular file; links are followed."""
    if not isinstance(store, LocalFileSystem):
        return
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - by its name as it is: references are many
    except OSError:
        return  # opening it gives the error
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise NotRegularError(f"{kind}, not a regular file: write what it gives to a file, and name that")
