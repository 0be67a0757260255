"""The last resort: an answer that the ledger refuses is written, fsynced, to a file beside it, or to a folder of this user.

The next start imports such files before anything else. A line counts only when signed with the ledger's own secret: anyone can
write to the folder for temporary files. It holds all rows of its attempt, in case the ledger does not know it.
"""

import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from sqlalchemy import Connection, select

from ..core.storable import storable
from ..gateways.ids import is_task_id
from .schema import meta
from .sql import upsert

logger = logging.getLogger("seedream_tasks.ledger")

_SECRET = "rescue_secret"  # noqa: S105 - the name of a row
# How long to wait for a process that is importing the file.
_LOCK_WITHIN_S = 30.0
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ADD = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Rescued:
    """A gateway's answer to one paid request, and its attempt's rows."""

    attempt_id: str
    task_id: str | None  # None: unknown whether it was accepted
    estimate_s: float | None = None
    model: str | None = None
    links: tuple[str, ...] | None = None  # of a synchronous gateway
    usd: str | None = None
    rows: dict[str, Any] | None = None  # see ledger/held_attempts.py; None: written before such lines held them


def identity(connection: Connection) -> tuple[str, bytes]:
    """The ledger's name and the secret that it signs rescued answers with, made at the first start that finds none."""
    query = select(meta.c.key, meta.c.value).where(meta.c.key.in_(["ledger_id", _SECRET]))
    found = {str(row.key): str(row.value) for row in connection.execute(query)}
    if _SECRET not in found:
        row = upsert(connection, meta).values(key=_SECRET, value=secrets.token_hex(32))
        connection.execute(row.on_conflict_do_nothing(index_elements=[meta.c.key]))
        return identity(connection)
    return found["ledger_id"], bytes.fromhex(found[_SECRET])


@dataclass(frozen=True, slots=True)
class Rescuer:
    """Writes the rescue files of one ledger."""

    folder: Path  # beside the ledger
    ledger_id: str
    secret: bytes

    def keep(self, run_id: str, answer: Rescued) -> str:
        """Keep an answer outside the ledger, on disk and on the terminal; returns where."""
        what = "ACCEPTED BUT" if answer.task_id else "SENT, PERHAPS ACCEPTED, AND"
        # To the terminal first: the disk may be full, which is why we are here. It may be a log on that same disk, though.
        try:
            print(f"{what} NOT IN THE LEDGER: {_shown(answer)}", file=sys.stderr, flush=True)  # noqa: T201 - the last resort
        except (OSError, ValueError) as error:
            logger.critical("the terminal takes nothing either: %s", error)
        name = rescue_path(self.folder, run_id).name
        for folder in (self.folder, None):
            try:
                path = (folder or private_folder()) / name
                rescue(path, self.signed(answer))
            except OSError as error:
                logger.critical("an answer cannot be kept there: %s", error)
            else:
                return f"it is kept in {path} and taken in at the next start"
        by_hand = f"seedream resolve {answer.attempt_id} --as paid --task-id {answer.task_id}"
        return f"nor to any file: it is known here only ({by_hand})"

    def signed(self, answer: Rescued) -> bytes:
        """An answer as one line."""
        values = {**asdict(answer), "ledger_id": self.ledger_id}
        return _canonical({**values, "signature": _signature(self.secret, values)}) + b"\n"


def _shown(answer: Rescued) -> str:
    parts = {name: value for name, value in asdict(answer).items() if name != "rows" and value is not None}
    return " ".join(f"{name}={value!r}" for name, value in parts.items())


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True).encode()


def _signature(secret: bytes, values: dict[str, Any]) -> str:
    return hmac.new(secret, _canonical(values), hashlib.sha256).hexdigest()


def rescue_path(folder: Path, run_id: str) -> Path:
    """The file of a run's rescued answers."""
    return folder / f"rescue-{run_id}.jsonl"


def _private_name() -> str:
    return f"seedream-rescue-{os.geteuid()}"


def private_folder() -> Path:
    """Where rescue files go when nothing can be written beside the ledger: a folder for this user alone, on most machines on
    another disk. Raises OSError.
    """
    usual = Path(tempfile.gettempdir(), _private_name())
    try:
        usual.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_private(usual):
            # Another user took the name: use a new, unpredictable one.
            return Path(tempfile.mkdtemp(prefix=f"{usual.name}-", dir=usual.parent))
    return usual


def _is_private(folder: Path) -> bool:
    """Whether a folder is this user's, and writable by nobody else."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _private_folders() -> Iterator[Path]:
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{_private_name()}*")):
        try:
            if _is_private(folder):
                yield folder
            elif folder.name == _private_name():
                logger.warning("%s is not this user's alone: nothing is taken in from it", folder)
        except OSError as error:
            logger.warning("%s cannot be looked into: %s", folder, error)


def rescue(path: Path, line: bytes) -> None:
    """Append one line, durably. Raises OSError."""
    with _held(path, _ADD, "ab+") as file:
        found = os.fstat(file.fileno())
        if found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise OSError(f"{path} is somebody else's, or stands elsewhere too")
        # On its own line even after one that a full disk truncated.
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path, flags: int, mode: str) -> BinaryIO:
    number = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(f"{path} is not a file")
    return cast(BinaryIO, os.fdopen(number, mode))


@contextmanager
def _held(path: Path, flags: int, mode: str) -> Iterator[BinaryIO]:
    """The regular file under this name, locked; reopened when the name was moved to another file while we waited.

    Raises OSError.
    """
    until = time.monotonic() + _LOCK_WITHIN_S
    while True:
        with _opened(path, flags, mode) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise OSError(f"{path} has been locked by somebody for {_LOCK_WITHIN_S:.0f} s") from None
                    time.sleep(0.02)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                yield file
                return


@dataclass(frozen=True, slots=True)
class FoundRescues:
    """A rescue file and its contents."""

    path: Path
    ours: list[Rescued]  # signed by this ledger, or from before lines were signed and out of anybody else's reach
    others: int  # lines of other ledgers
    bad: list[str]  # what is wrong with the others


def rescued(ledger_folder: Path, ledger_id: str, secret: bytes) -> Iterator[FoundRescues]:
    """Every rescue file beside the ledger and in this user's own folder, each locked while the caller has it.

    A file that cannot be read is skipped with a warning.
    """
    for folder in (ledger_folder, *_private_folders()):
        for path in sorted(folder.glob("rescue-*.jsonl")):
            try:
                with _held(path, _READ, "rb") as file:
                    beside = folder == ledger_folder and _is_out_of_reach(file, ledger_folder)
                    yield _sorted(path, file.read(), ledger_id, secret, beside)
            except FileNotFoundError:
                continue  # another process was first
            except OSError as error:
                logger.warning("the rescue file %s is left alone: %s", path, error)


def _is_out_of_reach(file: BinaryIO, folder: Path) -> bool:
    """Whether only users who can also write the ledger beside it can have written a file."""
    found, owner = os.fstat(file.fileno()), folder.stat().st_uid
    return found.st_uid in (os.geteuid(), owner) and not found.st_mode & 0o022


def _sorted(path: Path, content: bytes, ledger_id: str, secret: bytes, beside: bool) -> FoundRescues:
    ours: list[Rescued] = []
    bad: list[str] = []
    others = 0
    for number, line in enumerate(content.splitlines(), 1):
        try:
            values = json.loads(line)
            signature = str(values.pop("signature", ""))
            if signature and values.get("ledger_id") != ledger_id:
                others += 1
                continue
            signed = bool(signature) and hmac.compare_digest(signature, _signature(secret, values))
            # Whoever can write beside the ledger can write the ledger. Lines there may be from before lines were signed, or
            # from before the ledger was lost and rebuilt, with another secret.
            if signed or beside:
                ours.append(_read(values, has_rows=bool(signature)))
            else:
                bad.append(f"line {number}: it is not signed by this ledger")
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            bad.append(f"line {number}: {error}")
    return FoundRescues(path, ours, others, bad)


def _read(values: dict[str, Any], has_rows: bool) -> Rescued:
    links, task_id = values["links"], values["task_id"]
    if task_id is not None:
        task_id = storable(task_id)
        if not is_task_id(task_id):
            raise ValueError("it names no task that could be asked for")
    if task_id is None and not has_rows:
        raise ValueError("it names no task")
    return Rescued(
        str(values["attempt_id"]),
        task_id,
        None if values["estimate_s"] is None else float(values["estimate_s"]),
        None if values["model"] is None else storable(values["model"]),
        None if links is None else tuple(map(storable, links)),
        None if values["usd"] is None else str(values["usd"]),
        values.get("rows") if has_rows else None,
    )
