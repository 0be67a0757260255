"""Whoever holds connections open keeps nobody else out, and odd requests are refused, never a fault."""

import asyncio
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from prefect_listener import PrefectListener
from serving import UPLOAD_SECRET, Serve

from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.ledger.writer import Ledger
from seedream_tasks.server import listening as listening_module
from seedream_tasks.server.endpoint import Service
from seedream_tasks.server.listening import listening

HALF = b"POST /callbacks/x HTTP/1.1\r\nHost: a\r\nContent-Le"


@contextmanager
def half_sent(serve: Serve, count: int) -> Iterator[list[socket.socket]]:
    """Connections on which a request was begun and not ended."""
    host, _, port = serve.url.removeprefix("http://").rpartition(":")
    with ExitStack() as stack:
        held = []
        for _ in range(count):
            each = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            each.sendall(HALF)
            held.append(each)
        yield held


@contextmanager
def few_files(count: int) -> Iterator[None]:
    """Processes started within may have this many files open, and cannot raise it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("count", [300, 700])
def test_half_sent_requests_keep_nobody_out(archive: Path, count: int) -> None:
    """With 300 of them, and with more than there are places, /health and /callbacks are answered while they are held."""
    with few_files(256), Serve(archive) as serve, few_files(2048), half_sent(serve, count):
        for _ in range(20):
            assert serve.http.get("/health", headers={"Connection": "close"}).status_code == 200
            assert serve.post("x" * 43, b"{}").status_code == 404
    assert len(serve.said) < 2000, serve.said[:2000]


async def _answers(ledger: Ledger, *requests: bytes) -> list[bytes]:
    """What a service in this process answers to these unfinished requests, each on a connection of its own."""
    service = Service(ledger)
    runner = web.AppRunner(service.app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    try:
        async with listening(runner, service.connections, listener):
            opened = [await asyncio.open_connection(*listener.getsockname()) for _ in requests]
            for (_, writer), request in zip(opened, requests, strict=True):
                writer.write(request)
            answers = [await reader.read() for reader, _ in opened]
            for _, writer in opened:
                writer.close()
            return answers
    finally:
        await runner.cleanup()


def test_a_request_that_is_never_ended_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a header and nothing at all: closed without an answer; half a body: 408. Each after a bound time."""
    monkeypatch.setattr(listening_module, "IDLE_S", 0.1)
    monkeypatch.setattr(listening_module, "ANSWER_S", 0.1)
    monkeypatch.setattr(listening_module, "_LOOK_EVERY_S", 0.02)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", create=True)
    body = b"POST /callbacks/" + b"x" * 43 + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{"
    try:
        header, nothing, half = asyncio.run(_answers(ledger, HALF, b"", body))
    finally:
        ledger.close()
    assert (header, nothing) == (b"", b"")
    assert half.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"uri": "/a.csv", "size": 9223372036854775808}', "size"),
        (b'{"uri": "/a.csv", "name": "\\ud83d"}', "name"),
        (b'{"uri": "/a\\u0000.csv"}', "uri"),
        (b'{"uri": "file:///etc/a.csv"}', "uri"),
        (b'{"uri": "FILE:///etc/a.csv"}', "uri"),
        (b'{"uri": "local:///etc/a.csv"}', "uri"),
        (b'{"uri": "http://169.254.169.254/latest.csv"}', "uri"),
        (b'{"uri": "http://[fe80::1]/a.csv"}', "uri"),
        (b'{"uri": "http://127.0.0.1:8080/a.csv"}', "uri"),
        (b'{"uri": "simplecache::s3://shop/a.csv"}', "uri"),
        (b'{"uri": "https://user:secret@shop.example/a.csv"}', "uri"),
        (b'{"uri": "ftp://user:secret@shop.example/a.csv"}', "uri"),
    ],
)
def test_odd_notices_are_refused_by_field(prefect: PrefectListener, archive: Path, body: bytes, field: str) -> None:
    """400 with the field's name: what no database keeps, and addresses that a sender has no business with."""
    with Serve(archive) as serve:
        answer = serve.http.post("/uploads", content=body, headers={"Authorization": f"Bearer {UPLOAD_SECRET}"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
    assert "secret" not in answer.text
    assert prefect.payloads() == []


@pytest.mark.parametrize(
    ("key", "size"), [("a.csv", 2**63), ("\ud83d.csv", 3), ("x::file:///etc/a.csv", 3), ("\0.csv", 3)]
)
def test_odd_store_notices_are_refused(prefect: PrefectListener, archive: Path, key: str, size: int) -> None:
    """400, never 500: a store sends a notice that got 500 again for ever."""
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": size}}}
    with Serve(archive) as serve:
        answer = serve.http.post(
            "/uploads/s3",
            content=json.dumps({"Records": [record]}).encode(),
            headers={"Authorization": f"Bearer {UPLOAD_SECRET}"},
        )
    assert answer.status_code == 400
    assert prefect.payloads() == []


def test_a_header_that_is_not_text_is_refused(prefect: PrefectListener, archive: Path) -> None:
    """400, and the service goes on."""
    with Serve(archive) as serve:
        answer = serve.http.post("/uploads", json={"uri": "/a.csv"}, headers=[(b"Authorization", b"Bearer \xff")])
        assert answer.status_code == 400
        assert serve.http.get("/health").status_code == 200
    assert prefect.payloads() == []
