"""The embedded sandbox: a process of its own that ends with ours, however ours ends."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import SeedreamError


@contextmanager
def embedded_sandbox(state: Path) -> Iterator[dict[str, str]]:
    """Start a sandbox on a free port with its state in a file; yields gateway -> base URL, and stops it on leaving."""
    state.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "seedream_tasks.sandbox",
        "--port",
        "0",
        "--state",
        str(state),
        "--exit-with-stdin",
    ]
    # It reads our end of this pipe: when we are gone, killed included, it reads the end and stops.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    try:
        ready = process.stdout.readline() if process.stdout else ""
        try:
            bases = json.loads(ready)["gateways"]
        except (ValueError, KeyError):
            raise SeedreamError(f"the embedded sandbox did not start: {ready.strip() or 'no word from it'}") from None
        yield bases
    finally:
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
