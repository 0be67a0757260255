"""Rejects archives that would not outlive a process, a worker's folder or a container."""

import os
import re
from pathlib import Path

from ..core.errors import ConfigurationError
from .environment import Environment
from .settings import DEFAULT_ARCHIVE, DEFAULT_SANDBOX_ARCHIVE

NOT_DURABLE = "archive_not_durable"
_IN_CONTAINERS = re.compile(r"docker|kubepods|containerd|libpod|lxc|crio|ecs/")
# File systems that are lost with the container or at power-off.
_PASSING = frozenset({"overlay", "aufs", "tmpfs", "ramfs"})


def check_it_lasts(archive: str | None, ledger: str | None, simulated: bool, of_deployment: bool = False) -> None:
    """Raises ConfigurationError (`archive_not_durable`) for an archive in memory, and in the run of a deployment for a relative
    path: its worker may create a new folder for each run, and each would buy the same again.
    """
    default = DEFAULT_SANDBOX_ARCHIVE if simulated else DEFAULT_ARCHIVE
    environment = Environment()
    place = archive or environment.archive or default
    url = ledger or environment.ledger or ""
    scheme, mark, rest = place.partition("://")
    if "memory" in re.split(r"::|://", place.lower())[:-1] or scheme.lower() == "memory":
        raise ConfigurationError(
            f"the archive {place} is this process's memory: every paid image would be lost at its end",
            field="archive",
            code=NOT_DURABLE,
            hint="give a folder or a bucket",
        )
    if "::" in place:
        raise ConfigurationError(
            f"the archive {place} is a chain of stores, and its first may keep what it is given to itself",
            field="archive",
            code=NOT_DURABLE,
            hint="name the store that keeps it",
        )
    if not of_deployment:
        return
    local = rest if mark and scheme in ("file", "local") else place if not mark else None
    if local is not None and not Path(local).expanduser().is_absolute():
        raise ConfigurationError(
            f"the archive {place} is a relative path, and this is the run of a deployment: its worker may make the folder"
            " anew for each run, which would then buy everything again",
            field="archive",
            code=NOT_DURABLE,
            hint="give an absolute path on a disk that stays, or a bucket with a ledger of its own (docs/prefect.md)",
        )
    path = url.partition("sqlite:///")[2].partition("?")[0]
    if path and not Path(path).is_absolute():
        raise ConfigurationError(
            f"the ledger {url} is a relative path, and this is the run of a deployment: its worker may make the folder anew"
            " for each run, which would then know nothing of what was bought",
            field="ledger",
            code=NOT_DURABLE,
            hint="give an absolute path on a disk that stays, or one in PostgreSQL",
        )


def outside_of_volumes(place: Path, machine: Path = Path("/")) -> bool:
    """Whether a local folder belongs to a container and so is lost with it. `machine`: the root of the file system."""
    mounts = _mounts(machine)
    root_kind = mounts.get("/", "")
    if not (_is_container(machine) or root_kind in ("overlay", "aufs")):
        return False
    path = Path(os.path.realpath(place))
    holder = next((each for each in (path, *path.parents) if str(each) in mounts), None)
    return holder is None or str(holder) == "/" or mounts[str(holder)] in _PASSING


def _is_container(machine: Path) -> bool:
    if any((machine / mark).exists() for mark in (".dockerenv", "run/.containerenv")):
        return True
    return bool(_IN_CONTAINERS.search(_text(machine / "proc/1/cgroup")))


def _mounts(machine: Path) -> dict[str, str]:
    """Mount point -> file system type; the last mount on a path counts."""
    found = {}
    for line in _text(machine / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 4 and after:
            place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            found[place] = after.split()[0]
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not Linux, or not readable
