"""Answers that arrive while a process is stopped are read when it wakes; the time in which it was stopped is not waiting."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest
from gateway_client import body_of
from servers import message
from web_server import raw

from seedream_tasks.core.outcomes import Fate
from seedream_tasks.gateways import client as of_client
from seedream_tasks.gateways.client import Account, GatewayClient
from seedream_tasks.gateways.http import HttpClients
from seedream_tasks.gateways.patience import within

ACCEPTED = message(200, {"id": "task-1", "status": "pending", "model": "m", "created": 1})
STOPPED_S = 1.2


def stops_while_waiting(asked: threading.Event, answered: threading.Event) -> Callable[[], None]:
    """What a stop is for an event loop: nothing runs, timers run down, and sockets fill."""

    def stop() -> None:
        assert asked.wait(20)
        until = time.monotonic() + STOPPED_S
        assert answered.wait(20)
        time.sleep(max(0.0, until - time.monotonic()))

    return stop


@pytest.mark.parametrize("parts", [1, 3])
def test_an_answer_that_came_during_a_stop_is_read_before_the_timeout_counts(
    monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """Stopped for longer than it waits for an answer, with the answer in its socket, in one piece or in several: accepted."""
    monkeypatch.setattr(of_client, "SUBMIT_TIMEOUT_S", 0.4)
    asked, answered = threading.Event(), threading.Event()

    def answer(connection: socket.socket) -> None:
        asked.set()
        size = -(-len(ACCEPTED) // parts)
        for begin in range(0, len(ACCEPTED), size):
            connection.sendall(ACCEPTED[begin : begin + size])
            time.sleep(0.01)
        answered.set()
        connection.recv(1)

    async def go(base: str) -> Fate:
        loop = asyncio.get_running_loop()
        async with HttpClients() as http:
            account = Account("evolink", base, "a-secret-key")
            call = loop.create_task(GatewayClient(account, http).submit(body_of("evolink")))
            await asyncio.to_thread(asked.wait, 20)
            loop.call_soon(stops_while_waiting(asked, answered))
            return (await call).fate

    with raw(answer) as base:
        assert asyncio.run(go(base)) is Fate.ACCEPTED


def test_an_answer_that_comes_after_a_stop_is_still_waited_for() -> None:
    """A stop of many times the timeout uses up next to nothing of it."""

    async def go() -> str:
        async def work() -> str:
            await asyncio.sleep(STOPPED_S + 0.3)
            return "here"

        asyncio.get_running_loop().call_later(0.01, time.sleep, STOPPED_S)
        return await within(0.9, work())

    assert asyncio.run(go()) == "here"


def test_what_never_answers_ends() -> None:
    """A timeout is one, and what was waited for is ended."""
    ended = []

    async def go() -> None:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        with pytest.raises(TimeoutError):
            await within(0.05, work())

    asyncio.run(go())
    assert ended == [True]
