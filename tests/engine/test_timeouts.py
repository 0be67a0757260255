"""Gateways that never accept, never answer or stop reading: each is what can be proven of it, and costs at most that."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from balance import balance, listed
from runs import Ran, go, products, run, settings
from sandbox_process import Sandbox
from witness import RESERVED, submissions

from seedream_tasks.gateways.http import HttpClients


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here; no rule depends on how long."""
    monkeypatch.setattr("seedream_tasks.gateways.http.CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr("seedream_tasks.gateways.client.SUBMIT_TIMEOUT_S", 0.6)
    monkeypatch.setattr("seedream_tasks.gateways.client.SYNCHRONOUS_TIMEOUT_S", 0.6)
    monkeypatch.setattr("seedream_tasks.gateways.client.RECONNECT_S", 0.1)


@contextmanager
def never_accepting() -> Iterator[str]:
    """An address whose queue of connections is full, so that no more are made."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        try:
            for _ in range(4):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(server.getsockname())
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


@contextmanager
def never_reading() -> Iterator[str]:
    """An address that makes connections (the system does) and takes nothing from them: neither reads nor answers."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def submits_go_to(patch: pytest.MonkeyPatch, address: str, sandbox: Sandbox, padding: int = 0) -> None:
    """Paid requests, made larger by that many bytes of white space, go elsewhere; questions still reach the sandbox."""
    send = HttpClients.send_paid

    async def elsewhere(self: HttpClients, url: str, body: bytes, *rest: Any) -> Any:
        return await send(self, url.replace(sandbox.url, address), body + b" " * padding, *rest)

    patch.setattr(HttpClients, "send_paid", elsewhere)


def hung(catalog: Path, archive: Path, gateway: str) -> Ran:
    """A run that waits for its gateway a second only."""
    return asyncio.run(go(settings(catalog, archive, gateways=[gateway], wait_s=1.0), "hung"))


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
def test_a_gateway_that_accepts_no_connection_gets_nothing_and_is_asked_again(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """Without a connection nothing can have left: deferred, nothing at risk, and bought by the next run."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    with monkeypatch.context() as patch, never_accepting() as address:
        submits_go_to(patch, address, gateways)
        ran = hung(catalog, archive, gateway)
    assert ran.statuses() == {"deferred": 2}
    assert ran.summary.at_risk_usd == 0
    assert {each["state"] for each in listed(archive)} == {"not_sent"}
    assert run(catalog, archive, gateways=[gateway]).statuses() == {"archived": 2}
    assert balance(gateways.bill(), listed(archive)).lawful


@pytest.mark.parametrize("padding", [0, 16 * 1024 * 1024], ids=["no answer", "stops reading"])
@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
def test_a_gateway_that_never_answers_may_have_taken_the_job(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: str, padding: int
) -> None:
    """Read or not, the request has left: unknown, its price at risk, and no run sends it again by itself."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    with monkeypatch.context() as patch, never_reading() as address:
        submits_go_to(patch, address, gateways, padding)
        ran = hung(catalog, archive, gateway)
    assert ran.statuses() == {"unknown": 2}
    assert ran.summary.at_risk_usd == 2 * RESERVED[gateway]
    assert run(catalog, archive, gateways=[gateway]).statuses() == {"unknown": 2}
    assert submissions(gateways) == 0
    assert balance(gateways.bill(), listed(archive)).lawful
