"""Runs in processes of their own, which die at a named moment or at any, or lose what they stand on: disk, folder, time.

One process imports everything once and then only forks: each run has a process to die in for a few milliseconds. It has no
threads and no event loop when it forks, and the children share nothing with it.

    python crashing.py [VARIABLE=VALUE...]    reads one JSON object per line, answers one line each; see `main`
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self


@dataclass(frozen=True)
class Moment:
    """The `number`-th call of a function, just before it begins or just after it has returned."""

    place: str  # a name of PLACES
    when: str  # "before" or "after"
    number: int = 1

    def __str__(self) -> str:
        return f"{self.when} {self.place} {self.number}"


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit status, negative for the signal that killed it, and what it said on stdout and stderr."""

    status: int
    said: str


# Everything between two statements of which money could fall: name -> module, class or None, function.
PLACES: dict[str, tuple[str, str | None, str]] = {
    "record": ("seedream_tasks.ledger.writer", "Ledger", "write"),  # claim, accepted, delivered, archived: each in turn
    "commit": ("seedream_tasks.ledger.writer", None, "_deliver"),  # on disk, and nobody has heard of it
    "send": ("seedream_tasks.engine.buyer", "Buyer", "_send"),  # what is claimed is on disk, and nothing has left
    "submit": ("seedream_tasks.gateways.client", "GatewayClient", "submit"),
    "status": ("seedream_tasks.gateways.client", "GatewayClient", "fetch"),
    "wait": ("seedream_tasks.engine.poller", "Poller", "done"),
    "download": ("seedream_tasks.engine.archiver", "Archiver", "_download"),
    "copy": ("seedream_tasks.engine.archiver", "Archiver", "_kept"),
    "store": ("seedream_tasks.storage.archive", "Archive", "store"),
    "publish": ("seedream_tasks.storage.archive", "Archive", "publish"),  # jobs.parquet, then the manifests
}
SYNCHRONOUS = ("record", "commit", "send", "submit", "download", "copy", "store", "publish")  # what getimg comes by


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _no_room(most_bytes: int) -> None:
    # Writing beyond it fails, to whatever file; Python ignores the signal that comes with it.
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _fill(folder: str) -> None:
    with Path(folder, "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def _read_only(folder: str) -> None:
    for path in [Path(folder), *Path(folder).rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def _vanish(folder: str) -> None:
    Path(folder).rename(f"{folder}.away")


_locks: list[sqlite3.Connection] = []  # held until the process ends


def _lock(database: str) -> None:
    _locks.append(sqlite3.connect(database, isolation_level=None, check_same_thread=False))
    _locks[-1].execute("BEGIN IMMEDIATE")


_OF_A_RUN = ("attempts", "slots", "pictures", "copies", "jobs", "runs", "budgets")


def _lag(ledger_url: str, *tables: str) -> None:
    """The ledger's server fails over to a replica that lacks these tables' last rows: all that a first run has written."""
    from sqlalchemy import create_engine, delete

    from seedream_tasks.ledger.schema import TABLES
    from seedream_tasks.ledger.urls import parse_url

    engine = create_engine(parse_url(ledger_url))
    with engine.begin() as connection:
        for name in tables or _OF_A_RUN:
            connection.execute(delete(TABLES.tables[name]))
    engine.dispose()


def _lag_behind(ledger_url: str) -> None:
    """The same to a replica that lacks only what followed the claims."""
    from sqlalchemy import create_engine, delete, update

    from seedream_tasks.ledger.schema import attempts, budgets, images
    from seedream_tasks.ledger.urls import parse_url

    engine = create_engine(parse_url(ledger_url))
    with engine.begin() as connection:
        connection.execute(delete(images))
        intent = {"state": "intent", "task_id": None, "submitted_at": None, "completed_at": None, "billed_usd": 0}
        connection.execute(update(attempts).values(**intent))
        connection.execute(update(budgets).values(settled_usd=0))
    engine.dispose()


def _replace(database: str, older: str = "empty") -> None:
    """A file that was restored elsewhere is moved over the ledger: the same ledger before this run, or no database at all."""
    copy = Path(f"{database}.restored")
    if older == "empty":
        copy.write_bytes(b"")
    else:
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            for name in _OF_A_RUN:
                target.execute(f"DELETE FROM {name}")  # noqa: S608 - names of ours
            target.commit()
            target.execute("PRAGMA journal_mode=DELETE")
    for name in (f"{database}-wal", f"{database}-shm"):
        Path(name).unlink(missing_ok=True)
    copy.replace(database)


def _into_log(path: str) -> None:
    with Path(path).open("ab") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())


# What may happen at a moment, in the process itself: name -> what it does with the arguments that the order names.
DEEDS: dict[str, Callable[..., None]] = {
    "die": _die,
    "sleep": _sleep,
    "no_room": _no_room,
    "fill": _fill,
    "read_only": _read_only,
    "vanish": _vanish,
    "lock": _lock,
    "lag": _lag,
    "lag_behind": _lag_behind,
    "replace": _replace,
    "into_log": _into_log,
}


def at(moment: Moment, deed: Callable[[], object]) -> None:
    """Let this process do that at that moment."""
    module_name, class_name, name = PLACES[moment.place]
    module = sys.modules[module_name]
    holder: Any = module if class_name is None else getattr(module, class_name)
    original: Callable[..., Any] = getattr(holder, name)
    lock = threading.Lock()
    seen = 0

    def reached() -> bool:
        nonlocal seen
        with lock:
            seen += 1
            return seen == moment.number

    if asyncio.iscoroutinefunction(original):

        async def wrapped(*args: Any, **more: Any) -> Any:
            here = reached()
            if here and moment.when == "before":
                deed()
            result = await original(*args, **more)
            if here and moment.when == "after":
                deed()
            return result
    else:

        def wrapped(*args: Any, **more: Any) -> Any:
            here = reached()
            if here and moment.when == "before":
                deed()
            result = original(*args, **more)
            if here and moment.when == "after":
                deed()
            return result

    setattr(holder, name, wrapped)


class Runs:
    """Starts runs in processes of their own. Leaving the `with` block ends it. `variables` are set before the imports."""

    def __init__(self, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *(f"{name}={value}" for name, value in variables.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        )

    def together(self, *orders: dict[str, Any]) -> list[int]:
        """Run these at the same time to their ends; their exit statuses, negative for the signal that killed one."""
        self.begin(*orders)
        ends = self.ends()
        for ended in ends:
            if ended.status > 0:
                print(ended.said, file=sys.stderr)  # noqa: T201 - pytest shows it with a test that fails
        return [ended.status for ended in ends]

    def one(self, catalog: Path, archive: Path, moment: Moment | None = None, **options: Any) -> int:
        """One run; its exit status. See `order`."""
        return self.together(order(catalog, archive, moment, **options))[0]

    def ended(self, wanted: dict[str, Any]) -> Ended:
        """One run, and what it said."""
        self.begin(wanted)
        return self.ends()[0]

    def begin(self, *orders: dict[str, Any]) -> None:
        """Start these at the same time. `ends` must follow."""
        assert self._process.stdin is not None
        environment = {name: os.environ[name] for name in os.environ if name.startswith(("SEEDREAM_", "TMPDIR"))}
        self._process.stdin.write(json.dumps({"environment": environment, "orders": orders}) + "\n")
        self._process.stdin.flush()

    def asleep(self) -> int:
        """Wait for one that has begun to put itself to sleep; its process id."""
        return int(self._answer()["asleep"])

    def ends(self) -> list[Ended]:
        """Wait for all that have begun."""
        return [Ended(status, said) for status, said in self._answer()["ended"]]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks is gone"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def order(catalog: Path, archive: Path, moment: Moment | None = None, **options: Any) -> dict[str, Any]:
    """What one process is to do: the run that `runs.settings` makes of these, with strings and lists as options. Besides:

    `run_id`; `deeds` for `moment`, names of DEEDS each with its arguments; `killed_after_s`; `lease_s`, `rate_lease_s`,
    `lock_wait_s` and `outage_s`, how long leases last, locks are waited for, and a server that is away;
    `cwd`: the folder to work in; `powerless`: file modes bind this process even as root.
    """
    at = None if moment is None else [moment.place, moment.when, moment.number]
    return {"catalog": str(catalog), "archive": str(archive), "moment": at, **options}


def command(*arguments: str, moment: Moment | None = None, **options: Any) -> dict[str, Any]:
    """The same for a whole `seedream` command, Prefect included; it needs a Prefect server in the variables of `Runs`."""
    at = None if moment is None else [moment.place, moment.when, moment.number]
    return {"arguments": arguments, "moment": at, **options}


def _child(wanted: dict[str, Any]) -> int:
    from seedream_tasks.ledger import connections, rates, writer

    if wanted.pop("powerless", False):
        _give_up_powers()
    moment, deeds = wanted.pop("moment", None), wanted.pop("deeds", [["die"]])
    if moment is not None:
        at(Moment(*moment), lambda: [DEEDS[name](*arguments) for name, *arguments in deeds])
    if "cwd" in wanted:
        os.chdir(wanted.pop("cwd"))
    if "lease_s" in wanted:
        writer.Ledger.lease_s = wanted.pop("lease_s")
    if "rate_lease_s" in wanted:
        rates.LEASE_S = wanted.pop("rate_lease_s")
    if "outage_s" in wanted:
        writer.OUTAGE_S = wanted.pop("outage_s")
    if "lock_wait_s" in wanted:
        connections.LOCK_WAIT_S = wanted.pop("lock_wait_s")
    if "arguments" in wanted:
        _command(wanted["arguments"])
    _library(wanted)
    return 0


def _library(wanted: dict[str, Any]) -> None:
    import conftest
    from runs import go, settings

    if "max_usd" in wanted:
        wanted["max_usd"] = Decimal(wanted["max_usd"])
    run_id = wanted.pop("run_id", None)
    assert conftest  # it has dropped whatever could buy
    asyncio.run(go(settings(Path(wanted.pop("catalog")), Path(wanted.pop("archive")), **wanted), run_id))


def _command(arguments: list[str]) -> NoReturn:
    from seedream_tasks.cli.main import main

    sys.argv = ["seedream", *arguments]
    main()


def _give_up_powers() -> None:
    """Let file modes bind root too, as they bind everybody else (Linux: an empty set of capabilities)."""
    if os.geteuid() == 0:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) != 0:
            raise OSError(ctypes.get_errno(), "capset")


def _fork(environment: dict[str, str], wanted: dict[str, Any]) -> tuple[int, int]:
    """Start one; its process id and the end of the pipe that it speaks into."""
    hears, speaks = os.pipe()
    pid = os.fork()
    if pid:
        os.close(speaks)
        return pid, hears
    status = 1
    try:
        for number in (1, 2):
            os.dup2(speaks, number)
        os.environ.update(environment)
        tempfile.tempdir = None  # as it is remembered here
        status = _child(wanted)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it was, this process is a child and must end here
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _await_all(children: dict[int, float | None], told: Callable[[dict[str, Any]], None]) -> dict[int, int]:
    """Wait for the ends of all, killing each when its time has come; exit statuses by process id."""
    began = time.monotonic()
    alive = set(children)
    found: dict[int, int] = {}

    def kill_due(*_: Any) -> None:
        now = time.monotonic() - began
        due = {pid: after for pid in alive if (after := children[pid]) is not None}
        for pid, after in due.items():
            if after <= now:
                with contextlib.suppress(ProcessLookupError):  # it has ended by itself at this very moment
                    os.kill(pid, signal.SIGKILL)
        signal.setitimer(signal.ITIMER_REAL, min((after - now for after in due.values() if after > now), default=0))

    signal.signal(signal.SIGALRM, kill_due)
    kill_due()
    while alive:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            told({"asleep": pid})
        else:
            alive.discard(pid)
            found[pid] = os.waitstatus_to_exitcode(status)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return found


def main(lines: Sequence[str] | Any = sys.stdin) -> None:
    """Per line `{"environment": {...}, "orders": [...]}`: fork a child per order, answer their exit statuses and words."""
    import conftest  # noqa: F401 - drops SEEDREAM_* before anything of the project is imported

    os.environ.update(variable.split("=", 1) for variable in sys.argv[1:])
    import runs  # noqa: F401 - imported once, for all children

    import seedream_tasks.cli.run
    from seedream_tasks.engine import poller

    assert seedream_tasks.cli.run
    poller.POLL_COST_S, poller.AFTER_FAULT_S = 0.0002, 0.05

    gc.freeze()  # else each collection in a child copies all that is here

    def tell(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer

    for line in lines:
        asked = json.loads(line)
        assert threading.active_count() == 1, "a fork would lose threads"
        after = [wanted.pop("killed_after_s", None) for wanted in asked["orders"]]
        children = [_fork(asked["environment"], wanted) for wanted in asked["orders"]]
        statuses = _await_all({pid: each for (pid, _), each in zip(children, after, strict=True)}, tell)
        ended = []
        for pid, hears in children:
            said = b""
            os.set_blocking(hears, False)  # what a run says fits a pipe
            with contextlib.suppress(BlockingIOError):
                said = os.read(hears, 1024 * 1024)
            os.close(hears)
            ended.append((statuses[pid], said.decode(errors="replace")))
        tell({"ended": ended})


if __name__ == "__main__":
    main()
