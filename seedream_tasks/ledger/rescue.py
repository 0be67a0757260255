"""The last resort: an acceptance that the ledger refuses to take is written, fsynced, to a file beside it.

The next start takes such files in before it does anything else.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import Connection

from ..core.errors import AttemptMoved
from ..core.money import reported
from ..core.outcomes import Finished, Link
from . import records


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a gateway answered to one paid request."""

    attempt_id: str
    task_id: str
    estimate_s: float | None
    model: str | None
    links: tuple[str, ...] | None  # of a synchronous gateway
    usd: str | None = None


def rescue_path(folder: Path, run_id: str) -> Path:
    """Where a run's rescued acceptances stand."""
    return folder / f"rescue-{run_id}.jsonl"


def other_folder() -> Path:
    """Where rescue files go when nothing can be written beside the ledger; this user's, on most machines another disk."""
    return Path(tempfile.gettempdir(), f"seedream-rescue-{os.geteuid()}")


def rescue(path: Path, answer: Rescued) -> None:
    """Append one acceptance; on return it is on the disk. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path, "ab+") as file:
        # On a line of its own even after one that a full disk cut off.
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write((json.dumps(asdict(answer)) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def rescued(folder: Path) -> Iterator[tuple[Path, list[Rescued]]]:
    """Every rescue file in a folder with what it holds. A last line cut off by a crash is no acceptance that anyone acted on."""
    for path in sorted(folder.glob("rescue-*.jsonl")):
        try:
            # Until the caller is done with it, nobody adds to it and no other start takes it in.
            with _held(path, "rb") as file:
                yield path, _answers(file.read().decode("utf-8", "replace"))
        except FileNotFoundError:
            continue  # another start was first


def _answers(text: str) -> list[Rescued]:
    answers = []
    for line in text.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        values["links"] = None if values["links"] is None else tuple(values["links"])
        answers.append(Rescued(**values))
    return answers


@contextmanager
def _held(path: Path, mode: str) -> Iterator[BinaryIO]:
    """The file under this name, locked; a name that went to another file while we waited is opened again."""
    while True:
        with cast(BinaryIO, path.open(mode)) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return


def take_in(connection: Connection, answers: list[Rescued]) -> int:
    """Record rescued acceptances; those already known change nothing. Returns how many belong to this ledger."""
    ours = 0
    for answer in answers:
        try:
            _take_in(connection, answer)
            ours += 1
        except AttemptMoved as moved:
            if moved.facts["state"] is not None:
                ours += 1
                detail = f"task {answer.task_id} came too late: {moved.message}"
                records.note(connection, "rescue_refused", detail, answer.attempt_id)
    return ours


def _take_in(connection: Connection, answer: Rescued) -> None:
    if answer.links is None:
        records.accepted(connection, answer.attempt_id, answer.task_id, answer.estimate_s, answer.model)
    else:
        finished = Finished(tuple(map(Link, answer.links)), usd=reported(answer.usd), model=answer.model)
        records.delivered(connection, answer.attempt_id, finished, None, answer.task_id)
