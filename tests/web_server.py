"""Real servers on loopback for references: one that answers HTTP from a table, one that writes raw bytes as it likes."""

import hashlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Page:
    """What one path answers."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    first: list[int] = field(default_factory=list)  # statuses of the first requests, before it answers


@dataclass
class Web:
    """A web server: what it has, and what it was asked."""

    base: str = ""
    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path, headers in lower case
    etags: bool = True

    def serve(self, path: str, content: bytes, **more: object) -> str:
        """Put a page there; its address."""
        self.pages[path] = Page(content, **more)  # type: ignore[arg-type]
        return self.base + path


@contextmanager
def serving(ssl_context: ssl.SSLContext | None = None) -> Iterator[Web]:
    """A server for the length of the block."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((self.path, headers))
            page = state.pages.get(self.path.split("?")[0], Page(status=404))
            etag = f'"{hashlib.sha256(page.content).hexdigest()[:16]}"'
            status = page.first.pop(0) if page.first else page.status
            if status == 200 and state.etags and headers.get("if-none-match") == etag:
                status = 304
            if status == 200 and page.headers.get("Last-Modified", "-") == headers.get("if-modified-since"):
                status = 304
            self.send_response(status)
            if state.etags:
                self.send_header("ETag", etag)
            for name, value in page.headers.items():
                self.send_header(name, value)
            body = page.content if status == 200 else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return  # the reader has seen enough

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # broken handshakes are part of the tests
    scheme = "http"
    if ssl_context is not None:
        server.socket = ssl_context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.port = server.server_port
    state.base = f"{scheme}://127.0.0.1:{state.port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def raw(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers each connection as told; its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        ended = threading.Event()

        def one(connection: socket.socket) -> None:
            with connection:
                connection.recv(65536)
                try:
                    answer(connection)
                except OSError:
                    return  # the other side has gone

        def run() -> None:
            while not ended.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(None)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def drip(head: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Some bytes, and then one drop after the other without an end."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    return answer


def trusted_certificate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for 127.0.0.1 and shop.example, trusted for the length of a test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("shop.example")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def closed_port() -> str:
    """An address where nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def named(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Names that lead to this machine for the length of a test."""
    system = socket.getaddrinfo

    def resolve(host: Any, port: Any, *more: Any, **details: Any) -> Any:
        return system("127.0.0.1" if host in hosts else host, port, *more, **details)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
