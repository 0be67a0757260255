"""The archive: any fsspec location. Files appear under their final name complete or not at all, and are never overwritten."""

import errno
import hashlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..core.errors import ArchiveFault
from .location import Root, find_root
from .regular_files import check_regular

MARKER = "archive.json"
# Stores whose objects become visible only when complete. In any other store a file is visible while it is written.
_SHOW_WHOLE_OBJECTS = {"s3", "gs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory"}
# Errors of stores that are temporary, as opposed to a refusal: 503 and 409 are EBUSY, 500 is EREMOTEIO.
_PASSING = {errno.EBUSY, errno.EAGAIN, getattr(errno, "EREMOTEIO", errno.EIO)}
_PASSING_NAMES = ("TimeoutError", "ConnectionError", "ConnectionClosedError", "DisconnectedError", "PayloadError")
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
# Names that Windows and its network shares cannot hold.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}


def safe_key(row_key: str, first: bool = True) -> str:
    """A folder name for a row key: the key itself where every store can hold it, else a readable part and a hash.

    Two keys never share a name: a name with a hash holds `~`, which no key used as its own name does. Keys that differ only in
    case need one more fact to differ on every store: `first` is False for all of them but one.
    """
    plain = _SAFE.fullmatch(row_key) and not row_key.endswith(".") and row_key.split(".")[0].lower() not in _RESERVED
    if plain and first:
        return row_key
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", row_key).strip("-.")[:40].strip("-.")
    if readable.split(".")[0].lower() in _RESERVED:
        readable = f"_{readable}"
    return f"{readable or 'row'}~{hashlib.sha256(row_key.encode()).hexdigest()[:16]}"


def archive_id(name: str) -> str:
    """How an archive.json identifies an archive of its ledger without its name, which is a location."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


class Archive:
    """One root, local or remote. Methods block; the engine calls them in threads. Paths are below the root, with slashes.

    `root` is where it is; `name` is what the ledger calls it, wherever it is: the root that it had first. A pickled one is the
    same archive, with the same credentials, in another process.
    """

    def __init__(self, root: str) -> None:
        self._locate(find_root(root))

    def __getstate__(self) -> tuple[Root, tuple[int, int] | None, str]:
        return Root(self.root, self._path, self.fs, self.is_local), self._proven, self.name

    def __setstate__(self, state: tuple[Root, tuple[int, int] | None, str]) -> None:
        self._locate(*state)

    def _locate(self, found: Root, proven: tuple[int, int] | None = None, name: str | None = None) -> None:
        self.root = found.name
        self.name = name or found.name
        self.fs = found.fs
        self.is_local = found.is_local
        self._path = found.path
        self._shows_whole = found.name.partition("://")[0] in _SHOW_WHOLE_OBJECTS
        self._one_at_a_time = threading.Lock()  # for stores without a create-only write
        self._proven = proven  # the folder's identity when a local root was proven writable

    @property
    def is_shared(self) -> bool:
        """Whether other processes on this machine see the same files."""
        return not self.root.startswith("memory://")

    def uri(self, path: str) -> str:
        """The full address of a file."""
        return f"{self.root}/{path}"

    def local_path(self, path: str = "") -> Path:
        """The path of a file in a local archive."""
        return Path(self._full(path)) if path else Path(self._path)

    def _full(self, path: str) -> str:
        # Paths also come from manifests and ledgers that others may have written.
        if any(part in ("", ".", "..") for part in path.split("/")) or "\\" in path or "\0" in path:
            raise ArchiveFault(f"{path!r} is not a path below {self.root}", path=path)
        return f"{self._path}/{path}"

    def exists(self, path: str) -> bool:
        """Whether the file is there. Raises ArchiveFault."""
        with _faults(self.uri(path)):
            return bool(self.fs.exists(self._full(path)))

    def size(self, path: str) -> int | None:
        """The file's size in bytes; None when it is not there. Raises ArchiveFault."""
        with _faults(self.uri(path)):
            try:
                full = self._full(path)
                # As a string: a Path costs more than the stat call, and a rerun checks every image.
                return os.stat(full).st_size if self.is_local else int(self.fs.size(full))  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, path: str) -> bytes:
        """The file's bytes. Raises ArchiveFault."""
        with _faults(self.uri(path)):
            return self._content(path)

    def read_if_there(self, path: str) -> bytes | None:
        """The file's bytes; None when it is not there. Raises ArchiveFault."""
        with _faults(self.uri(path)):
            try:
                return self._content(path)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _content(self, path: str) -> bytes:
        check_regular(self.fs, self._full(path))
        return bytes(self.fs.cat_file(self._full(path)))

    def open(self, path: str) -> BinaryIO:
        """The file for reading in pieces. Raises FileNotFoundError, or whatever the store's library raises."""
        check_regular(self.fs, self._full(path))
        return cast(BinaryIO, self.fs.open(self._full(path), "rb"))

    def list_runs(self) -> list[str]:
        """The ids of the runs that left files here."""
        with _faults(self.root):
            folder = self._full("runs")
            if not self.fs.exists(folder):
                return []
            return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in self.fs.ls(folder, detail=False))

    def list_files(self, folder: str) -> Iterator[tuple[str, int]]:
        """Every file below a folder with its size in bytes, by one listing of the store. Raises ArchiveFault."""
        full = self._full(folder)
        with _faults(self.uri(folder)):
            for path, size in self._listed(full):
                yield path.removeprefix(self._path).lstrip("/"), size

    def names_in(self, folder: str) -> list[str]:
        """The names of the files in a folder, by one listing; none when it does not exist. Raises ArchiveFault."""
        full = self._full(folder)
        with _faults(self.uri(folder)):
            try:
                if self.is_local:
                    return os.listdir(full)  # noqa: PTH208 - no Path for each of them
                return [str(path).rstrip("/").rpartition("/")[2] for path in self.fs.ls(full, detail=False)]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def _listed(self, full: str) -> Iterator[tuple[str, int]]:
        if hasattr(self.fs, "call_s3"):
            # Page by page: s3fs's own `find` holds a dict of a kilobyte per object, of which there may be a million.
            bucket, _, prefix = full.partition("/")
            wanted = {"Bucket": bucket, "Prefix": f"{prefix}/"}
            while True:
                page = self.fs.call_s3("list_objects_v2", **wanted)
                for each in page.get("Contents", ()):
                    yield f"{bucket}/{each['Key']}", each["Size"]
                if not page.get("IsTruncated"):
                    return
                wanted["ContinuationToken"] = page["NextContinuationToken"]
        else:
            for path, facts in self.fs.find(full, detail=True).items():
                yield str(path), int(facts["size"])

    def move(self, path: str, to: str) -> None:
        """Rename a file to a name that is free. Raises ArchiveFault."""
        with _faults(self.uri(path)):
            if self.is_local:
                target = Path(self._full(to))
                target.parent.mkdir(parents=True, exist_ok=True)
                Path(self._full(path)).replace(target)
                _to_disk(target.parent)
                _remove_empty(Path(self._full(path)).parent)
            else:
                self.fs.mv(self._full(path), self._full(to))

    def delete(self, path: str) -> None:
        """Remove a file; a missing one counts as removed. Raises ArchiveFault."""
        with _faults(self.uri(path)):
            try:
                self.fs.rm_file(self._full(path))
            except FileNotFoundError:
                return
            if self.is_local:
                _remove_empty(Path(self._full(path)).parent)

    def store(self, path: str, content: bytes) -> str:
        """Store a file that must never be lost; returns the path it has.

        An existing file with the same bytes is that file. One with other bytes is kept, and the new one gets the first
        digits of its own sha256 in its name. Raises ArchiveFault.
        """
        with _faults(self.uri(path)):
            if self._place(path, content) or self._content(path) == content:
                return path
            stem, dot, extension = path.rpartition(".")
            other = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}{dot}{extension}"
            if self._place(other, content) or self._content(other) == content:
                return other
        raise ArchiveFault(f"{self.uri(path)} is taken by other files", path=path)

    def _place(self, path: str, content: bytes) -> bool:
        """Write under a name that is free; False when it is not."""
        full = self._full(path)
        if self.is_local:
            return self._link(Path(full), content)
        if self.fs.exists(full):  # some stores have no create-only write
            return False
        if not self._shows_whole:
            with self._one_at_a_time:
                return not self.fs.exists(full) and self._rename(full, lambda part: self.fs.pipe_file(part, content))
        try:
            self.fs.pipe_file(full, content, mode="create")  # S3: If-None-Match, so two writers cannot both succeed
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            self.fs.pipe_file(full, content)
        return True

    def _link(self, target: Path, content: bytes) -> bool:
        if target.exists():
            return False
        with self._beside(target) as temporary:
            temporary.write_bytes(content)
            _to_disk(temporary)
            try:
                os.link(temporary, target)  # fails when the name is taken, unlike a rename
            except FileExistsError:
                return False
            except OSError:
                if target.exists():  # a file system without hard links
                    return False
                temporary.rename(target)
            _to_disk(target.parent)
        return True

    def _rename(self, full: str, write: Callable[[str], None]) -> bool:
        """Where a file is visible while it is written (SFTP, SMB, HDFS), write it under a temporary name."""
        folder = full.rpartition("/")[0]
        part = f"{folder}/.{secrets.token_hex(8)}.part"
        self.fs.makedirs(folder, exist_ok=True)
        try:
            write(part)
            self.fs.mv(part, full)
        except BaseException:
            if self.fs.exists(part):
                self.fs.rm_file(part)
            raise
        return True

    def put(self, path: str, content: bytes) -> None:
        """Write a small file that can be recreated: atomic, but not flushed to disk. Raises ArchiveFault."""
        with _faults(self.uri(path)):
            full = self._full(path)
            if not self.is_local:
                self._replace(full, lambda name: self.fs.pipe_file(name, content))
                return
            target = Path(full)
            with self._beside(target) as temporary:
                temporary.write_bytes(content)
                temporary.replace(target)

    def publish(self, path: str, source: Path) -> None:
        """Atomically replace a file that may be open for reading with a finished local file."""
        with _faults(self.uri(path)):
            full = self._full(path)
            if not self.is_local:
                self._replace(full, lambda name: self.fs.put_file(str(source), name))
                return
            target = Path(full)
            with self._beside(target) as temporary:
                with source.open("rb") as incoming, temporary.open("wb") as outgoing:
                    while block := incoming.read(1024 * 1024):
                        outgoing.write(block)
                _to_disk(temporary)
                temporary.replace(target)
                _to_disk(target.parent)

    def publish_json(self, path: str, value: Any) -> None:
        """`publish` for a small JSON document."""
        self.publish_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def publish_bytes(self, path: str, content: bytes) -> None:
        """`publish` for content in memory."""
        with _faults(self.uri(path)):
            if not self.is_local:
                self._replace(self._full(path), lambda name: self.fs.pipe_file(name, content))
                return
            target = Path(self._full(path))
            with self._beside(target) as temporary:
                temporary.write_bytes(content)
                _to_disk(temporary)
                temporary.replace(target)
                _to_disk(target.parent)

    def _replace(self, full: str, write: Callable[[str], None]) -> None:
        if self._shows_whole:
            write(full)
        else:
            self._rename(full, write)

    @contextmanager
    def _beside(self, target: Path) -> Iterator[Path]:
        if self._proven is not None and self._proven != _identity(Path(self._path)):
            # A disk was unmounted during a run: files written now would be hidden when it is mounted again.
            raise ArchiveFault(
                f"{self.root} is not the folder any more that it was when this run began", path=str(target)
            )
        root = Path(self._path)
        if self._proven is None:
            root.mkdir(parents=True, exist_ok=True)
        # Never create the root itself from here on: it may disappear after the check above.
        for folder in reversed([target.parent, *target.parent.parents]):
            if folder.is_relative_to(root) and folder != root:
                folder.mkdir(exist_ok=True)
        temporary = target.parent / f".{secrets.token_hex(8)}.part"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def marker(self) -> dict[str, Any] | None:
        """The content of archive.json; None when the archive is new. Raises ArchiveFault."""
        if not self.exists(MARKER):
            return None
        try:
            value = json.loads(self.read(MARKER))
        except ValueError as error:
            raise ArchiveFault(f"{self.uri(MARKER)} is damaged: {error}", damaged=True) from None
        if not isinstance(value, dict) or "ledger_id" not in value:
            raise ArchiveFault(f"{self.uri(MARKER)} is damaged: it names no ledger", damaged=True)
        return value

    def prove_writable(self) -> None:
        """Write and remove a file: money must not be spent on images that cannot be kept. Raises ArchiveFault."""
        name = f".probe-{secrets.token_hex(6)}"
        with _faults(self.root):
            if self.is_local:
                Path(self._path).mkdir(parents=True, exist_ok=True)
            self.fs.pipe_file(self._full(name), b"seedream_tasks can write here\n")
            self.fs.rm_file(self._full(name))
            self._proven = _identity(Path(self._path)) if self.is_local else None


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _faults(what: str) -> Iterator[None]:
    try:
        yield
    except ArchiveFault:
        raise
    except Exception as error:  # each store's library has its own errors; all of them mean the same here
        raise ArchiveFault(f"{what}: {type(error).__name__}: {error}", passing=_passes(error)) from error


def _passes(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    return type(error).__name__.endswith(_PASSING_NAMES)
