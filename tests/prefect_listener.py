"""A stand-in for Prefect's server, as far as it takes events: it keeps them, or refuses them on request."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from waiting import until


class PrefectListener:
    """Listens on a free port inside the `with` block. `taken`: the events it answered with 204."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked = 0
        self.refuses = False
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.asked += 1
                good = self.path == "/api/events" and not listener.refuses
                if good:
                    listener.taken += json.loads(body)
                self.send_response(204 if good else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api"

    def payloads(self) -> list[dict[str, Any]]:
        """What its events said, in the order they came."""
        return [each["payload"] for each in self.taken]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The payloads, once there are this many."""
        until(lambda: len(self.taken) >= count, f"{count} events")
        return self.payloads()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
