"""A gateway in EvoLink's dialect (and getimg's), on loopback, that answers as a test says: hooks change one kind of answer.

It keeps count of what it accepted, so a test can say how much was bought.
"""

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

PRICE = Decimal("0.031")
CREDITS = {"success": True, "data": {"user": {"remaining_credits": 1000}, "token": {"used_credits": 0}}}
Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]  # status, body (JSON, text or bytes), headers


def image(number: int = 0) -> bytes:
    """A small JPEG of its own, not blank."""
    image = Image.new("RGB", (64, 64), (number * 37 % 256, number * 91 % 256, 90))
    image.paste("white", (0, 0, 20, 64))
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


@dataclass
class OddGateway:
    """Its answers, and what it was asked. Hooks get what would be answered, or the task's number and how often it was asked."""

    base: str = ""
    accepting: Callable[[int, dict[str, Any]], Reply] = lambda number, body: (200, body)
    telling: Callable[[int, dict[str, Any]], Reply] = lambda number, body: (200, body)
    giving: Callable[[int, int], Reply] = lambda number, times: (200, image(number))
    link_of: Callable[[int], str] | None = None
    accepted: int = 0
    asked: Counter[str] = field(default_factory=Counter)  # requests by path

    def link(self, number: int) -> str:
        """Where a task's image is."""
        return self.link_of(number) if self.link_of else f"{self.base}/images/{number}.jpg"

    def submit(self) -> Reply:
        """A paid request: it is accepted, whatever is answered."""
        self.accepted += 1
        number = self.accepted
        body = {"id": f"task-{number}", "object": "image.generation.task", "status": "pending", "model": "seedream"}
        return self.accepting(number, body)

    def draw(self) -> Reply:
        """A paid request in getimg's dialect, which is finished at once."""
        self.accepted += 1
        number = self.accepted
        body = {"id": f"req-{number}", "status": "completed", "data": [{"url": self.link(number)}]}
        return self.accepting(number, {**body, "usage": {"total_cost": 0.04}})

    def status(self, number: int) -> Reply:
        """A finished task."""
        body = {"id": f"task-{number}", "object": "image.generation.task", "status": "completed", "progress": 100}
        return self.telling(number, {**body, "results": [self.link(number)]})


@contextmanager
def odd_gateway() -> Iterator[OddGateway]:
    """One for the length of the block."""
    gateway, lock = OddGateway(), threading.Lock()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            with lock:
                gateway.asked[path] += 1
            name = path.rpartition("/")[2].removeprefix("task-").removesuffix(".jpg")
            number = int(name) if name.isdigit() else 0
            if path == "/v1/credits":
                self._answer(200, CREDITS)
            elif path == "/v2/billing/balance":
                self._answer(200, {"balance": "12.34", "currency": "USD"})
            elif path.startswith("/v1/tasks/") and 0 < number <= gateway.accepted:
                self._answer(*gateway.status(number))
            elif path.startswith("/images/"):
                self._answer(*gateway.giving(number, gateway.asked[path]))
            else:
                self._answer(404, {"error": {"code": 404, "message": "no such task", "type": "not_found_error"}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                reply = gateway.draw() if self.path.startswith("/v2/") else gateway.submit()
            self._answer(*reply)

        def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            content = (
                body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
            )
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                return  # the reader has seen enough

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # who leaves in the middle is part of the tests
    server.request_queue_size = 128
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    gateway.base = f"http://127.0.0.1:{server.server_port}"
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
