"""The embedded sandbox: a separate process that ends with its last user, however that ends.

Runs on one archive share one sandbox, since there is one state. Each holds a shared lock on a file beside the state; the
sandbox exits when its starter has ended and nobody holds the lock. A killed process releases its lock.
"""

import fcntl
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from ..core.errors import ConfigurationError, SeedreamError
from ..core.market import market
from .settings import Locations

logger = logging.getLogger("seedream_tasks.engine")

_TRIES = 6
_END_WITHIN_S = 10.0


def sandbox_state(place: Locations) -> Path:
    """The state file of an archive's embedded sandbox: in the archive, or beside the ledger if the archive is remote."""
    if place.archive.is_local:
        return place.archive.local_path("sandbox.db")
    path = place.ledger_url.partition("sqlite:///")[2]
    return Path(path).with_name("sandbox.db") if path else Path.cwd() / "sandbox.db"


@contextmanager
def embedded_sandbox(state: Path) -> Iterator[dict[str, str]]:
    """The sandbox of a state file, started if it is not running; yields gateway -> base URL."""
    state = state.absolute()
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_suffix(".users").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        process, bases = _found_or_started(state)
        try:
            yield {name: bases[name] for name in market().gateways if name in bases}
        finally:
            last = _is_last(users)
            fcntl.flock(users, fcntl.LOCK_UN)
            if process is not None:
                _leave(process, last)


def bases_for(bases: Mapping[str, str], gateways: Sequence[str], asked_for: bool) -> dict[str, str]:
    """The base URLs of these gateways at the sandbox. Raises ConfigurationError if one requested by name has no stand-in
    there; the others are left out with a warning.
    """
    for name in gateways:
        if name not in bases:
            why = f"the sandbox has no stand-in for {name}"
            if asked_for:
                raise ConfigurationError(why, field="gateway", hint="`seedream sandbox` says what is wrong with it")
            logger.warning("%s: what is simulated goes without it", why)
    return {name: bases[name] for name in gateways if name in bases}


def _found_or_started(state: Path) -> tuple[subprocess.Popen[str] | None, dict[str, str]]:
    memory = state.with_suffix(".port")
    why = ""
    for _ in range(_TRIES):
        last = memory.read_text("ascii").strip() if memory.exists() else ""
        if last.isdigit() and (bases := _served(state, f"http://127.0.0.1:{last}")):
            return None, bases
        # Try its last port first, so that links it returned before a crash still work.
        for port in dict.fromkeys((last if last.isdigit() else "0", "0")):
            process, ready, why = _started(state, port)
            if ready:
                told = json.loads(ready)
                memory.write_text(str(urlsplit(told["url"]).port), "ascii")
                return process, told["gateways"]
        time.sleep(0.2)  # another run is starting the same sandbox right now
    raise SeedreamError(f"the embedded sandbox did not start: {why}")


def _served(state: Path, url: str) -> dict[str, str]:
    """Gateway -> base URL if this state's sandbox answers there, else empty."""
    try:
        answer = httpx.get(f"{url}/sandbox/health", timeout=5.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}
    if not isinstance(answer, dict) or answer.get("state") != str(state):
        return {}
    return {name: f"{url}/{name}" for name in answer["gateways"]}


def _started(state: Path, port: str) -> tuple[subprocess.Popen[str], str, str]:
    """Start it; if it did not come up, the ready line is empty and the last part says why."""
    command = [sys.executable, "-m", "seedream_tasks.sandbox", "--port", port, "--state", str(state)]
    command += ["--exit-with-stdin", "--users", str(state.with_suffix(".users"))]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C must reach only the run, which still needs the sandbox while it stops
        )
        ready = process.stdout.readline() if process.stdout else ""
        if ready:
            return process, ready, ""
        process.wait()
        errors.seek(0)
        why = errors.read().strip()
    _close(process)
    return process, "", why


def _is_last(users: BinaryIO) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leave(process: subprocess.Popen[str], last: bool) -> None:
    _close(process)  # closes its stdin; it keeps running while other runs use it
    if last:
        try:
            process.wait(_END_WITHIN_S)
            return
        except subprocess.TimeoutExpired:
            pass  # a new user arrived in between
    process.returncode = 0  # it now belongs to the other users and ends with the last of them


def _close(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
