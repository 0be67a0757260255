"""The sandbox as a process of its own, for tests: started, watched, killed, asked for its bill."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

AUTH = {"Authorization": "Bearer sk-test"}


class Sandbox:
    """A running sandbox. Leaving the `with` block stops it."""

    def __init__(self, *args: str, state: str | Path | None = None) -> None:
        command = [sys.executable, "-m", "seedream_tasks.sandbox", "--exit-with-stdin"]
        if "--port" not in args:
            command += ["--port", "0"]
        if state is not None:
            command += ["--state", str(state)]
        self.process = subprocess.Popen([*command, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        # The line comes when it is listening, and the end of the file when it could not.
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start: exit status {self.process.wait()}")
        ready = json.loads(line)
        self.url: str = ready["url"]
        self.bases: dict[str, str] = ready["gateways"]
        self.http = httpx.Client(timeout=120, headers=AUTH, trust_env=False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def bill(self) -> dict[str, Any]:
        """What it was really asked for."""
        answer: dict[str, Any] = self.http.get(f"{self.url}/sandbox/bill").raise_for_status().json()
        return answer

    def faults(self, entries: list[dict[str, Any]]) -> None:
        """Replace the fault list."""
        self.http.put(f"{self.url}/sandbox/faults", json=entries).raise_for_status()

    def advance(self, seconds: float) -> None:
        """Move the clock; everything that becomes due has happened when this returns."""
        self.http.post(f"{self.url}/sandbox/clock", json={"advance_s": seconds}).raise_for_status()

    def reset(self) -> None:
        """Forget everything."""
        self.http.post(f"{self.url}/sandbox/reset").raise_for_status()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self._ended()

    def stop(self) -> int:
        """End it in order; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        status = self.process.wait(timeout=120)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.http.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        else:
            self._ended()


def start_sandbox(*args: str, state: str | Path | None = None) -> Sandbox:
    """Start a sandbox on a free port; options as on its command line."""
    return Sandbox(*args, state=state)
