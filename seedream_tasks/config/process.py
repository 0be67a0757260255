"""Process setup beyond this project's settings: Prefect's variables, glibc's heaps, proxies.

A process that runs flows has the same variables whoever starts it: `seedream run` sets `FLOWS` for itself, the work pool of
prefect.yaml sets them for its workers' runs (a test keeps the two equal), and custom deployments set them themselves
(docs/prefect.md). What only a terminal or only a Prefect server needs is separate. Variables that are already set are kept.
"""

import ctypes
import os
import sys
from pathlib import Path

# For every process that runs flows.
FLOWS = {
    # Send the engine's log to the run's log in Prefect.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "seedream_tasks",
    # The engine also logs from threads outside any flow run: Prefect would warn about each such line.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # Turns off the telemetry of Prefect's client.
    "DO_NOT_TRACK": "1",
    # glibc makes a heap per thread, up to eight per core, and memory freed in one cannot be used by the others. Two are as
    # fast (docs/performance.md). Read when a process starts: `share_heaps` does the same for a running one.
    "MALLOC_ARENA_MAX": "2",
}

# For a Prefect server started for runs. A worker is only a client; its server's operator sets these.
SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # The recorder writes one task run at a time by default and would lag far behind.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}

# For a command in a terminal. A worker has a server and a log, where the Prefect lines silenced here are wanted.
_TERMINAL = {
    # If blocks are named and there is no server, Prefect starts one, which takes longer than its 20 s on a busy machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    # Without its server Prefect would log a page of text for each thing that it cannot report.
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}

_M_ARENA_MAX = -8  # malloc.h
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def prepare_command() -> None:
    """Set up a command that uses Prefect. Call before importing Prefect, which reads its variables on import."""
    for name, value in (FLOWS | SERVER | _TERMINAL).items():
        os.environ.setdefault(name, value)
    direct_to_this_machine()
    home = os.environ.get("PREFECT_HOME")
    if home:
        # Prefect creates this folder but not its parents, and would then restart its server endlessly and silently.
        Path(home).expanduser().mkdir(parents=True, exist_ok=True)


def direct_to_this_machine() -> None:
    """Bypass proxies (HTTP_PROXY etc.) for this machine itself: Prefect's temporary server and the embedded sandbox run
    here. Applies to this process and those it starts.
    """
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    named = [each for each in (part.strip() for part in given.split(",")) if each]
    if "*" not in named:
        value = ",".join([*named, *(each for each in _LOOPBACK if each not in named)])
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = value


def share_heaps() -> None:
    """Do for this running process what MALLOC_ARENA_MAX does at process start, unless that is set otherwise."""
    most = os.environ.get("MALLOC_ARENA_MAX", FLOWS["MALLOC_ARENA_MAX"])
    if sys.platform == "linux" and most.isdigit():
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries lack it
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, int(most))
