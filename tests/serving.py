"""`seedream serve` as a process of its own, and the calls that gateways make to it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from prefect_listener import PrefectListener
from sandbox_process import Sandbox

UPLOAD_SECRET = "a-long-secret"


class Serve:
    """A running endpoint. Leaving the `with` block stops it."""

    def __init__(self, archive: Path, *arguments: str) -> None:
        self._command = [sys.executable, "-m", "seedream_tasks", "serve", "--port", "0", "--archive", str(archive)]
        self._command += arguments
        self.said = ""  # on stderr, once it has ended

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.url: str = json.loads(line)["url"]
        self.http = httpx.Client(base_url=self.url, timeout=120, trust_env=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """End it in order; returns its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            self.said = self.process.communicate(timeout=120)[1]
            self.http.close()
        return int(self.process.returncode)

    def post(self, token: str, body: bytes | dict[str, Any]) -> httpx.Response:
        """One call with a token."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(f"/callbacks/{token}", content=content)

    def deliver(self, sandbox: Sandbox, entry: dict[str, Any]) -> httpx.Response:
        """What the gateway would post for an entry of its bill: the task's status, to the address that came with the order."""
        return self.post(token_of(entry), status_of(sandbox, entry))


def token_of(entry: dict[str, Any]) -> str:
    """The token in the address that a gateway was given."""
    base, _, token = str(entry["callback_url"]).rpartition("/")
    assert base.endswith("/callbacks")
    return token


def status_of(sandbox: Sandbox, entry: dict[str, Any]) -> dict[str, Any]:
    """The status answer for a task; looking it up is counted as a request of its own."""
    path = "/api/v1/tasks" if entry["gateway"] == "apiin" else "/v1/tasks"
    answer = sandbox.http.get(f"{sandbox.bases[entry['gateway']]}{path}/{entry['task_id']}")
    body: dict[str, Any] = answer.raise_for_status().json()
    return body


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectListener]:
    """Where `serve` finds Prefect, and the secret that uploads need."""
    monkeypatch.setenv("SEEDREAM_UPLOAD_SECRET", UPLOAD_SECRET)
    with PrefectListener() as listener:
        monkeypatch.setenv("PREFECT_API_URL", listener.url)
        yield listener
