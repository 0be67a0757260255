"""Runs in processes of their own, which kill themselves at a named moment.

One process imports everything once and then only forks: each run has a process to die in for a few milliseconds. It has no
threads and no event loop when it forks, and the children share nothing with it.

    python crashing.py    reads one JSON object per line, answers one line each; see `main`
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Moment:
    """The `number`-th call of a function, just before it begins or just after it has returned."""

    place: str  # a name of PLACES
    when: str  # "before" or "after"
    number: int = 1

    def __str__(self) -> str:
        return f"{self.when} {self.place} {self.number}"


# Everything between two statements of which money could fall: name -> module, class or None, function.
PLACES: dict[str, tuple[str, str | None, str]] = {
    "record": ("seedream_tasks.ledger.store", "Ledger", "write"),  # claim, accepted, delivered, archived: each in turn
    "commit": ("seedream_tasks.ledger.store", None, "_deliver"),  # on disk, and nobody has heard of it
    "submit": ("seedream_tasks.gateways.client", "GatewayClient", "submit"),
    "status": ("seedream_tasks.gateways.client", "GatewayClient", "fetch"),
    "wait": ("seedream_tasks.engine.polling", "Poller", "done"),
    "download": ("seedream_tasks.engine.archiving", "Archiver", "_download"),
    "copy": ("seedream_tasks.engine.archiving", "Archiver", "_store"),
    "store": ("seedream_tasks.media.archive", "Archive", "store"),
    "publish": ("seedream_tasks.media.archive", "Archive", "publish"),  # jobs.parquet, then the manifests
}


def die_at(moment: Moment) -> None:
    """Let this process kill itself at that moment."""
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

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if asyncio.iscoroutinefunction(original):

        async def wrapped(*args: Any, **more: Any) -> Any:
            here = reached()
            if here and moment.when == "before":
                die()
            result = await original(*args, **more)
            if here:
                die()
            return result
    else:

        def wrapped(*args: Any, **more: Any) -> Any:
            here = reached()
            if here and moment.when == "before":
                die()
            result = original(*args, **more)
            if here:
                die()
            return result

    setattr(holder, name, wrapped)


class Runs:
    """Starts runs in processes of their own. Leaving the `with` block ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        )

    def together(self, *orders: dict[str, Any]) -> list[int]:
        """Run these at the same time to their ends; their exit statuses, negative for the signal that killed one.

        An order: catalog, archive, and options as `runs.settings` takes them (strings and lists); `run_id`; `moment`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        environment = {name: value for name, value in os.environ.items() if name.startswith("SEEDREAM_")}
        self._process.stdin.write(json.dumps({"environment": environment, "orders": orders}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks is gone"
        found: list[int] = json.loads(line)
        return found

    def one(self, catalog: Path, archive: Path, moment: Moment | None = None, **options: Any) -> int:
        """One run; see `together`."""
        return self.together(order(catalog, archive, moment, **options))[0]

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
    """What one process is to do."""
    at = None if moment is None else [moment.place, moment.when, moment.number]
    return {"catalog": str(catalog), "archive": str(archive), "moment": at, **options}


def _child(wanted: dict[str, Any]) -> int:
    import conftest
    from runs import go, settings

    moment = wanted.pop("moment", None)
    if moment is not None:
        die_at(Moment(*moment))
    if "max_usd" in wanted:
        wanted["max_usd"] = Decimal(wanted["max_usd"])
    run_id = wanted.pop("run_id", None)
    assert conftest  # it has dropped whatever could buy
    asyncio.run(go(settings(Path(wanted.pop("catalog")), Path(wanted.pop("archive")), **wanted), run_id))
    return 0


def _fork(environment: dict[str, str], wanted: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.environ.update(environment)
        status = _child(wanted)
    except BaseException:  # noqa: BLE001 - whatever it was, this process is a child and must end here
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(status)


def main(lines: Sequence[str] | Any = sys.stdin) -> None:
    """Per line `{"environment": {...}, "orders": [...]}`: fork a child per order, answer their exit statuses."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    import conftest  # noqa: F401 - drops SEEDREAM_* before anything of the project is imported
    import runs  # noqa: F401 - imported once, for all children

    from seedream_tasks.engine import polling

    polling.FIRST_LOOK_S = polling.SHORTEST_SPACING_S = 0.05
    for line in lines:
        asked = json.loads(line)
        assert threading.active_count() == 1, "a fork would lose threads"
        children = [_fork(asked["environment"], wanted) for wanted in asked["orders"]]
        answers = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        print(json.dumps(answers), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
