"""`seedream` at a terminal: each command is a process of its own, with its own folder, environment, streams and exit status.

Importing Prefect takes a command seconds, and the tests type hundreds of commands. So one process imports everything once and
forks for each; what a command finds otherwise is what a new interpreter would find. Whatever is about the interpreter itself
(closed streams, imports, signals to a group) is tried with a real one, and so is another Prefect server than the usual one.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from seedream_tasks.cli.broken_output import leave_at_once

# What Prefect and the clients read when they are imported.
_READ_AT_IMPORT = ("PREFECT_", "SSL_CERT_FILE", "DO_NOT_TRACK")
_WITHIN_S = 300.0
_LENGTH = 4


def seedream(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None, together: bool = False
) -> subprocess.CompletedProcess[str]:
    """Type a command; `environment` instead of this process's, `together`: stderr goes where stdout goes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        streams = nothing.fileno(), out.fileno(), out.fileno() if together else err.fileno()
        status = begun(*arguments, cwd=cwd, streams=streams, environment=environment).wait()
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(["seedream", *arguments], status, *said)


def begun(
    *arguments: str, cwd: Path, streams: tuple[int, int, int], environment: Mapping[str, str] | None = None
) -> "Begun":
    """A command that runs, with these as stdin, stdout and stderr; its end must be waited for before the next begins."""
    given = dict(os.environ if environment is None else environment)
    if _forking is None or _forking.process.poll() is not None:
        _start(given)
    assert _forking is not None
    if _forking.imported_with != _at_import(given):
        command = [sys.executable, "-m", "seedream_tasks", *arguments]
        return Begun(
            subprocess.Popen(command, cwd=cwd, env=given, stdin=streams[0], stdout=streams[1], stderr=streams[2])
        )
    _forking.send({"arguments": arguments, "cwd": str(cwd), "environment": given}, streams)
    return Begun(None)


class Begun:
    """A command under way: in a process of its interpreter's, or in one that was forked."""

    def __init__(self, process: "subprocess.Popen[bytes] | None") -> None:
        self._process = process

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        if self._process is not None:
            return self._process.wait(_WITHIN_S)
        assert _forking is not None
        return _forking.status()


class _Forking:
    """The process that forks, seen from here."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.imported_with = _at_import(environment)
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(_WITHIN_S)
        self._answers = self._channel.makefile("rb")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def send(self, asked: dict[str, Any], streams: tuple[int, int, int]) -> None:
        content = json.dumps(asked).encode()
        socket.send_fds(self._channel, [len(content).to_bytes(_LENGTH, "big")], streams)
        self._channel.sendall(content)

    def status(self) -> int:
        """How the command ended, once it has."""
        answer = self._answers.read(_LENGTH)
        assert len(answer) == _LENGTH, "the process that forks is gone"
        return int.from_bytes(answer, "big", signed=True)

    def stop(self) -> None:
        """It ends with the channel."""
        self._answers.close()
        self._channel.close()
        self.process.wait(_WITHIN_S)


_forking: _Forking | None = None


def _start(environment: Mapping[str, str]) -> None:
    global _forking
    _forking = _Forking(environment)
    atexit.register(_forking.stop)


def _at_import(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_IMPORT)}


def _serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each order, in turn; returns the order in the process that is to carry it out, None at the end."""
    orders = channel.makefile("rb")
    while True:
        head, streams, *_ = socket.recv_fds(channel, _LENGTH, 3)
        if not head:
            return None
        content = orders.read(int.from_bytes(head, "big"))
        assert threading.active_count() == 1, "a fork would lose threads"
        pid = os.fork()
        if pid == 0:
            channel.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        if pid == 0:
            asked: dict[str, Any] = json.loads(content)
            return asked
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more
            channel.sendall(status.to_bytes(_LENGTH, "big", signed=True))


def _import_all() -> None:
    from seedream_tasks.cli.main import seedream

    for name in seedream.list_commands(click.Context(seedream)):
        seedream.get_command(click.Context(seedream), name)
    for module in ("seedream_tasks.cli.run", "seedream_tasks.orchestration.flows"):
        importlib.import_module(module)


def _run() -> int:
    from seedream_tasks.cli.main import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - said as an interpreter says it
        traceback.print_exc()
        return 1


def _leave(status: int) -> NoReturn:
    """End as an interpreter does: threads, then what is to be done at exit. Taking all modules apart is most of a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    leave_at_once(status)


if __name__ == "__main__":
    # Here the modules beside this one are no part of a command.
    sys.path.remove(str(Path(__file__).parent))
    with socket.socket(fileno=int(sys.argv[1])) as _channel:
        _before = dict(os.environ)
        _import_all()
        gc.freeze()  # else each collection in a child copies all of it
        _added = {name: value for name, value in os.environ.items() if _before.get(name) != value}
        _asked = _serve(_channel)
    if _asked is not None:
        os.chdir(_asked["cwd"])
        os.environ.clear()
        os.environ.update(_added | _asked["environment"])
        sys.argv = ["seedream", *_asked["arguments"]]
        _leave(_run())
