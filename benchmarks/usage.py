"""What a process takes, as Linux tells in /proc. Imports next to nothing: the processes that are measured use it."""

import os
from pathlib import Path


def peak_mb(pid: int | str = "self") -> float:
    """The most memory a process has held since its program was started, in MB. (`ru_maxrss` begins with its parent's.)"""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def cpu_s(pid: int) -> float:
    """User and system time of a running process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
