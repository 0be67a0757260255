"""A Prefect server for one command, if no other is configured: it ends with the command, and never before it.

Prefect's own temporary server is in the terminal's process group: Ctrl-C ends it together with the run, which then calls a
stopped server, and a killed command leaves it running forever. Ours has its own session, out of the terminal's reach, and holds
the other end of a pipe: when the command ends in any way, the pipe closes and the server exits. Its socket is bound before it
starts, so that no other process can take its address and early clients wait.
"""

import asyncio
import atexit
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import IO

from ..core.errors import SeedreamError
from ..core.market import market

READY = b"ready\n"
_READY_WITHIN_S = 90.0  # it may have a database to make, on a busy machine
_END_WITHIN_S = 4.0
# How much of its errors is shown when it does not start, in characters.
_SHOWN = 600
# It needs no gateway's key and no ledger.
_KEPT_FROM_IT = ("SEEDREAM_",)


class ServerDidNotStart(SeedreamError):
    """Prefect's server for this command did not start; nothing was spent."""

    code = "prefect_did_not_start"


class OwnServer:
    """A Prefect server that is starting. `stop` is called at the end of the process by itself."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            self.api_url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
            self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
                [sys.executable, "-P", "-m", "seedream_tasks.orchestration.own_server_process", str(listener.fileno())],
                env=_environment(),
                pass_fds=(listener.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
            )
        # Before Prefect registers its exit handlers, which send the last data: handlers registered first run last.
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it serves. Raises ServerDidNotStart."""
        output = self._process.stdout
        if output is None:
            raise ServerDidNotStart("it has no pipe")
        loop, said = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(output.fileno(), said.set)
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                await said.wait()
        except TimeoutError:
            raise ServerDidNotStart(f"Prefect's server did not start within {_READY_WITHIN_S:.0f} s") from None
        finally:
            loop.remove_reader(output.fileno())
        if os.read(output.fileno(), len(READY)) != READY:
            self._errors.seek(0)
            why = self._errors.read().decode(errors="replace").strip()[-_SHOWN:]
            raise ServerDidNotStart(f"Prefect's server did not start: {why or 'it said nothing'}")

    def stop(self) -> None:
        """Stop it by closing the pipe; after some seconds, kill it."""
        atexit.unregister(self.stop)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def own_server() -> OwnServer | None:
    """Start one and make Prefect use it in this process; None if a server is configured, or none may be started."""
    import prefect.context
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        return None
    server = OwnServer()
    os.environ["PREFECT_API_URL"] = server.api_url
    prefect.context.refresh_global_settings_context()
    return server


def _environment() -> dict[str, str]:
    from prefect.settings import get_current_settings

    kept = (*_KEPT_FROM_IT, *(start for each in market().offers for start in each.foreign_variables))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(kept)},
        # Profile settings apply to the server too.
        **get_current_settings().to_environment_variables(exclude_unset=True),
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
