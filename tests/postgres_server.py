"""A PostgreSQL server of our own on loopback, for tests: started, stopped, crashed, started again."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Postgres:
    """A running server."""

    def __init__(self, programs: Path, folder: Path, as_user: list[str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.url = f"postgresql://seedream@127.0.0.1:{port}/postgres"
        # A crash here is one of processes, never of the machine: what the system was given is there afterwards.
        quick = "-c fsync=off -c full_page_writes=off"
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} {quick}"
        self._options = ("-o", options, "-l", str(folder / "log"))
        self._programs = programs
        self._data = folder / "data"
        self._as_user = as_user
        self._run("initdb", "--no-sync", "-A", "trust", "-U", "seedream", "-E", "UTF8")
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        self._run("pg_ctl", *self._options, "-w", "start")

    def stop(self, mode: str) -> None:
        """`fast` ends its connections, `immediate` is a crash. One that is stopped stays so."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-m", mode, "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), "-D", str(self._data), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/")


def postgres_programs() -> Path | None:
    """The folder with PostgreSQL's programs; None where they are not installed."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found += [Path(where).parent for name in ("initdb",) if (where := shutil.which(name))]
    return next((folder for folder in found if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def start_postgres(programs: Path) -> Iterator[Postgres]:
    """A new, empty server; nothing of it is left afterwards."""
    # Not below pytest's own folder, which other sessions close to other users at their start.
    folder = Path(tempfile.mkdtemp(prefix="seedream-pg-"))
    folder.chmod(0o755)
    # PostgreSQL refuses to run as root, so root runs it as the account that its package made.
    as_user: list[str] = []
    if os.geteuid() == 0:
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    try:
        server = Postgres(programs, folder, as_user)
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
