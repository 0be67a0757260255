"""What a process takes, as Linux tells in /proc. Imports next to nothing: the processes that are measured use it."""

import os
import threading
from pathlib import Path

_LOOK_EVERY_S = 0.5


def peak_mb(pid: int | str = "self") -> float:
    """The most memory a process has held since its program was started, in MB. (`ru_maxrss` begins with its parent's.)"""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def cpu_s(pid: int) -> float:
    """User and system time of a running process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Children:
    """The most memory that this process's children have held, in MB, each at its own peak: what ours starts counts as ours."""

    def __init__(self) -> None:
        self._peaks: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def peak_mb(self) -> float:
        """What they took until now; looks no more."""
        self._ended.set()
        self._thread.join()
        return sum(self._peaks.values())

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            for tasks in Path("/proc/self/task").glob("*/children"):
                for pid in tasks.read_text().split():
                    try:
                        self._peaks[int(pid)] = peak_mb(pid)
                    except (FileNotFoundError, ProcessLookupError, ValueError):
                        continue  # it has ended
