"""A Prefect server with everything of prefect.yaml on it, on this machine: `python scripts/server.py up` and `down`.

`up` starts what is not running yet: the server, the work pool, a worker; then it registers the blocks and deploys. All of it
lives below one folder: Prefect's home (the one of `make demo`, so its runs are there too), logs, and a file for each process
that was started. `down` ends those processes and no others. Flows run in the folder this is started in.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from seedream_tasks.config.process import SERVER

POOL = "seedream"
USUAL_PORT = 4200
HOST = "127.0.0.1"
# Starting takes seconds, on a busy machine many.
_READY_WITHIN_S = 300.0
_GONE_WITHIN_S = 20.0


class CannotStart(Exception):
    """What was started did not come up; the message names its log."""


class LocalServer:
    """Server and worker of one folder."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self._files = self.home / "server"
        self._files.mkdir(parents=True, exist_ok=True)

    def up(self, port: int | None = None) -> str:
        """Bring up what is not running, deploy what is in prefect.yaml; returns the address of the UI. Raises CannotStart."""
        (self.home / "uploads").mkdir(exist_ok=True)  # what watch-uploads looks at in the example
        with self._one_at_a_time():
            port = self._port(port)
            url = f"http://{HOST}:{port}"
            if not self._running("server"):
                (self._files / "port").write_text(str(port))
                self._start("server", url, "server", "start", "--host", HOST, "--port", str(port))
            self._wait_for(url)
            self._tell(f"server     {url}")
            _make_pool(url)
            if not self._running("worker"):
                self._start("worker", url, "worker", "start", "--pool", POOL, "--type", "process", "--name", "local")
            self._tell(f"worker     of the work pool {POOL}; logs in {self._files}")
            self._prefect(url, "block", "register", "-m", "seedream_tasks")
            self._prefect(url, "--no-prompt", "deploy", "--all")
            self._tell(f"deployed   {url}/deployments")
            self._tell(f"commands   export PATH={Path(sys.executable).parent}:$PATH PREFECT_API_URL={url}/api")
            return url

    def down(self) -> None:
        """End what `up` has started, the worker first."""
        for name in ("worker", "server"):
            pid = self._running(name)
            if pid:
                _end(pid)
                self._tell(f"ended      {name} (process {pid})")
            (self._files / f"{name}.pid").unlink(missing_ok=True)

    def environment(self, url: str) -> dict[str, str]:
        """What every process of this server is started with."""
        return {
            # Not another server's address, database or key.
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": f"{url}/api",
            # On another port than 4200 the pages stay empty without it.
            "PREFECT_UI_API_URL": f"{url}/api",
            # How often the worker asks for runs: ten seconds by default, which is long when one sits before it.
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
            **SERVER,
        }

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        import fcntl

        with (self._files / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _port(self, wanted: int | None) -> int:
        """That of the running server, the one of last time, 4200, or any that is free."""
        kept = self._files / "port"
        last = int(kept.read_text()) if kept.exists() else None
        if self._running("server") and last:
            return last
        for port in (last, USUAL_PORT) if wanted is None else (wanted,):
            if port and _is_free(port):
                return port
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])

    def _start(self, name: str, url: str, *arguments: str) -> None:
        with (self._files / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
                [sys.executable, "-m", "prefect", *arguments],
                env=self.environment(url),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # it outlives this command and its terminal
            )
        (self._files / f"{name}.pid").write_text(json.dumps({"pid": process.pid, "began": _began(process.pid)}))

    def _running(self, name: str) -> int | None:
        """The process that was started under this name, if it still runs: another one may have its number by now."""
        try:
            kept = json.loads((self._files / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        began = _began(kept["pid"])
        return int(kept["pid"]) if began is not None and began == kept["began"] else None

    def _wait_for(self, url: str) -> None:
        until = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/api/health", timeout=5.0, trust_env=False).is_success:
                    return
            if not self._running("server"):
                break
            time.sleep(0.2)
        raise CannotStart(f"Prefect's server does not answer at {url}; see {self._files / 'server.log'}")

    def _prefect(self, url: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own interpreter, our own arguments
            [sys.executable, "-m", "prefect", *arguments],
            env={
                **self.environment(url),
                # Where prefect.yaml keeps archive and uploads: absolute, as the runs of a deployment need it.
                "SEEDREAM_ARCHIVE": str(self.home / "archive"),
                "SEEDREAM_UPLOADS": str(self.home / "uploads"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotStart(f"prefect {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")

    def _tell(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _make_pool(url: str) -> None:
    """The work pool of prefect.yaml; its first worker completes it."""
    until = time.monotonic() + _READY_WITHIN_S
    while True:
        answer = httpx.post(
            f"{url}/api/work_pools/", json={"name": POOL, "type": "process"}, timeout=_READY_WITHIN_S, trust_env=False
        )
        if answer.is_success or answer.status_code == httpx.codes.CONFLICT:
            return
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until:
            raise CannotStart(f"no work pool {POOL}: {answer.status_code} {answer.text[:200]}")
        time.sleep(0.2)  # the database is busy


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _began(pid: int) -> str | None:
    """When a process was started, as the system states it; None when there is none, or only its remains."""
    done = subprocess.run(  # noqa: S603
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "")},
    )
    state, _, began = done.stdout.strip().partition(" ")
    return began.strip() if state and not state.startswith("Z") else None


def _end(pid: int) -> None:
    """End a process and all it has started: first by asking, then by force."""
    family = _family(pid)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _GONE_WITHIN_S
        for each in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, sent)
        while time.monotonic() < until:
            family &= set(_parents())
            if not family:
                return
            time.sleep(0.1)


def _family(pid: int) -> set[int]:
    """A process and its descendants: a worker gives each flow run a process group of its own."""
    family = {pid}
    parents = _parents()
    while more := {each for each, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _parents() -> dict[int, int]:
    """Every process that runs, with its parent; remains that nobody has fetched yet do not count."""
    done = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    found = (line.split() for line in done.stdout.splitlines())
    return {int(pid): int(parent) for pid, parent, state in found if not state.startswith("Z")}


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument(
        "--home", type=Path, default=Path(".demo"), help="folder that keeps everything (default: .demo)"
    )
    parser.add_argument("--port", type=int, help=f"default: that of last time, {USUAL_PORT}, or a free one")
    chosen = parser.parse_args(arguments)
    server = LocalServer(chosen.home)
    if chosen.what == "down":
        server.down()
        return 0
    try:
        url = server.up(chosen.port)
    except CannotStart as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"\nPrefect is at {url}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
