"""The embedded sandbox: a process of its own that ends with ours, however ours ends."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ..core.errors import SeedreamError


@contextmanager
def embedded_sandbox(state: Path) -> Iterator[dict[str, str]]:
    """Start a sandbox with its state in a file; yields gateway -> base URL, and stops it on leaving.

    It takes the port it had last time, so that links it gave out before a crash still work; a free one where that is taken.
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    memory = state.with_suffix(".port")
    last = memory.read_text("ascii").strip() if memory.exists() else ""
    process, ready = _started(state, last) if last.isdigit() else (None, "")
    if process is None or not ready:
        if process is not None:
            _stop(process)
        process, ready = _started(state, "0")
    try:
        try:
            answer = json.loads(ready)
            bases, port = answer["gateways"], urlsplit(answer["url"]).port
        except (ValueError, KeyError):
            raise SeedreamError(
                f"the embedded sandbox did not start: {ready.strip() or 'see its message above'}"
            ) from None
        memory.write_text(str(port), "ascii")
        yield bases
    finally:
        _stop(process)


def _started(state: Path, port: str) -> tuple[subprocess.Popen[str], str]:
    command = [
        sys.executable,
        "-m",
        "seedream_tasks.sandbox",
        "--port",
        port,
        "--state",
        str(state),
        "--exit-with-stdin",
    ]
    # It reads our end of this pipe: when we are gone, killed included, it reads the end and stops.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    return process, process.stdout.readline() if process.stdout else ""


def _stop(process: subprocess.Popen[str]) -> None:
    if process.stdin:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
