"""A machine that goes away: a process and everything below it, all at once."""

import contextlib
import os
import signal
import subprocess


def kill_family(head: int) -> int:
    """Kill a process and all that descend from it; returns how many there were."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(each): int(parent) for each, parent in (line.split() for line in listed.splitlines())}
    family = {head}
    while more := {each for each, parent in parents.items() if parent in family} - family:
        family |= more
    for each in family:
        with contextlib.suppress(ProcessLookupError):  # it ended since the list was made
            os.kill(each, signal.SIGKILL)
    return len(family)
