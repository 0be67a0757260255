"""The process behind `own_server`: Prefect's server on a socket that its starter has bound, until stdin ends."""

import os
import socket
import sys
import threading
from contextlib import suppress

import uvicorn

from .own_server import READY

# Connections that are still open are not waited for: what their owners had to say, they have said.
_LEAVES_WITHIN_S = 2


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so to whoever started us."""
        await super().startup(sockets)
        if self.started:
            with suppress(OSError):  # nobody is there any more; then stdin ends too
                os.write(1, READY)


def main() -> None:
    """Serve on the socket whose number is the argument."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = _Server(
        uvicorn.Config(
            "prefect.server.api.server:create_app",
            factory=True,
            log_level="error",
            lifespan="on",
            timeout_graceful_shutdown=_LEAVES_WITHIN_S,
        )
    )

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        server.should_exit = True
        timer = threading.Timer(_LEAVES_WITHIN_S + 1, os._exit, (0,))
        timer.daemon = True
        timer.start()

    threading.Thread(target=watch, name="stdin", daemon=True).start()
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
