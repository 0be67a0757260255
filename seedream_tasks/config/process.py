"""What processes are set up with beside the settings of this project: variables of Prefect, glibc's heaps, proxies.

A process of flows has the same whoever starts it: `seedream run` sets `FLOWS` for itself, the work pool of prefect.yaml sets them
for its workers' runs (a test holds the two together), and whoever writes deployments of their own sets them there
(docs/prefect.md). What only a terminal or only a server of Prefect needs stands apart. Nothing that is set already is changed.
"""

import ctypes
import os
import sys
from pathlib import Path

# Of every process that runs flows.
FLOWS = {
    # What the engine logs stands in the run's log in Prefect.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "seedream_tasks",
    # The engine also logs in threads that belong to no flow run: Prefect would warn of each such line.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # Prefect's client sends its maker what it is used for.
    "DO_NOT_TRACK": "1",
    # glibc makes a heap for each thread, up to eight a core, and what was freed in one is of no use to the others. Two are as
    # fast (docs/performance.md). Read when a process starts: `share_heaps` does the same for one that runs.
    "MALLOC_ARENA_MAX": "2",
}

# Of a server of Prefect that is started for runs. A worker is a client of one, and its server's operator sets these.
SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # The recorder writes one task run at a time by default and would lag far behind.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}

# Of a command on a terminal. A worker has a server and a log: there the lines of Prefect's that this silences are wanted.
_TERMINAL = {
    # Where blocks are named and no server is, Prefect starts one for them, on a busy machine in more than its 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    # Without its server Prefect would tell so in a page of text for each thing that it cannot report.
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}

_M_ARENA_MAX = -8  # malloc.h
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def prepare_command() -> None:
    """Set up a command that uses Prefect, which reads its variables when it is imported: call this before."""
    for name, value in (FLOWS | SERVER | _TERMINAL).items():
        os.environ.setdefault(name, value)
    direct_to_this_machine()
    home = os.environ.get("PREFECT_HOME")
    if home:
        # Prefect makes this folder but not its parents, and then starts its server again and again without a word.
        Path(home).expanduser().mkdir(parents=True, exist_ok=True)


def direct_to_this_machine() -> None:
    """A proxy (HTTP_PROXY and its like) never stands between this machine and itself: Prefect's temporary server and the
    embedded sandbox are processes of ours, here. For this process and those it starts.
    """
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    named = [each for each in (part.strip() for part in given.split(",")) if each]
    if "*" not in named:
        value = ",".join([*named, *(each for each in _LOOPBACK if each not in named)])
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = value


def share_heaps() -> None:
    """Do for this process what MALLOC_ARENA_MAX does for one that starts, unless that is set otherwise."""
    most = os.environ.get("MALLOC_ARENA_MAX", FLOWS["MALLOC_ARENA_MAX"])
    if sys.platform == "linux" and most.isdigit():
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, int(most))
