"""Only regular files are read: opening a named pipe waits for somebody who writes, and a device never ends."""

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
    """What stands there cannot be read from beginning to end, and again."""


def is_special(store: Any, path: str) -> bool:
    """Whether a local path leads to a named pipe, a socket, a device or a folder; not where it leads to nothing."""
    try:
        check_regular(store, path)
    except NotRegularError:
        return True
    return False


def check_regular(store: Any, path: str) -> None:
    """Raises NotRegularError for a local path, through links too, that leads to something else than a regular file."""
    if not isinstance(store, LocalFileSystem):
        return
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - by its name as it is: references are many
    except OSError:
        return  # opening it says why
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise NotRegularError(f"{kind}, not a regular file: write what it gives to a file, and name that")
