"""Callbacks: the status answer, after settling, with retries; and the faults that strike them."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from gateway_calls import ask, order, submit
from sandbox_process import Sandbox, start_sandbox
from waiting import until


class Receiver:
    """Takes callbacks on this machine; answers with the statuses it is told to, then 200."""

    def __init__(self) -> None:
        self.bodies: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: list[int] = []
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.came_at: list[datetime] = []  # by that clock, before the answer
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.came_at.append(receiver.clock())
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.bodies.put(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self) -> dict[str, Any]:
        return self.bodies.get(timeout=120)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.mark.parametrize("gateway", ["evolink", "apiin"])
@pytest.mark.parametrize("kind", [None, "task_failed", "task_cancelled"])
def test_the_callback_is_the_status_answer(
    sandbox: Sandbox, receiver: Receiver, gateway: str, kind: str | None
) -> None:
    """On completion, failure and cancellation the body is what the status route answers."""
    sandbox.faults([] if kind is None else [{"kind": kind}])
    task = order(sandbox, gateway, callback_url=receiver.url)
    sandbox.advance(10)
    assert receiver.next() == ask(sandbox, gateway, task).json()
    assert sandbox.bill()["entries"][0]["callback_url"] == receiver.url


def test_refused_callbacks_are_sent_again(sandbox: Sandbox, receiver: Receiver) -> None:
    """Three retries, not before 1, 2 and 4 s have passed; after the last nothing comes."""
    receiver.answers = [500, 302, 404, 503]
    receiver.clock = lambda: time_of(sandbox)
    task = order(sandbox, "evolink", callback_url=receiver.url)
    sandbox.advance(10)
    # A retry is planned once the sandbox has read the refusal; the clock goes on until it comes.
    until(lambda: receiver.bodies.qsize() == 4 or sandbox.advance(0.25), "three retries")
    assert [receiver.next()["id"] for _ in range(4)] == [task] * 4
    waited = [later - earlier for earlier, later in pairwise(receiver.came_at)]
    assert all(each >= timedelta(seconds=wait, milliseconds=-10) for each, wait in zip(waited, (1, 2, 4), strict=True))
    for _ in range(3):
        second = order(sandbox, "evolink", callback_url=receiver.url)
        sandbox.advance(10)
        assert receiver.next()["id"] == second


def time_of(sandbox: Sandbox) -> datetime:
    """What the sandbox's clock says."""
    return datetime.fromisoformat(sandbox.http.get(f"{sandbox.url}/sandbox/health").json()["now"])


def test_callback_faults(sandbox: Sandbox, receiver: Receiver) -> None:
    """None, twice, late."""
    sandbox.faults(
        [
            {"kind": "no_callback", "match": "none"},
            {"kind": "duplicate_callback", "match": "twice"},
            {"kind": "late_callback", "match": "late", "value": 100},
        ]
    )
    tasks = {prompt: order(sandbox, "apiin", prompt=prompt, callback_url=receiver.url) for prompt in ("none", "late")}
    sandbox.advance(10)
    tasks["twice"] = order(sandbox, "apiin", prompt="twice", callback_url=receiver.url)
    sandbox.advance(10)
    assert [receiver.next()["data"]["task_id"] for _ in range(2)] == [tasks["twice"]] * 2
    sandbox.advance(90)
    assert receiver.next()["data"]["task_id"] == tasks["late"]
    assert receiver.bodies.empty()


def test_a_forged_callback_lies_before_the_truth(sandbox: Sandbox, receiver: Receiver) -> None:
    """While the task still runs a callback says that it is done, with a link that leads nowhere."""
    sandbox.faults([{"kind": "forged_callback"}, {"kind": "slow", "value": 3600}])
    task = order(sandbox, "evolink", callback_url=receiver.url)
    sandbox.advance(1800)
    forged = receiver.next()
    assert (forged["id"], forged["status"]) == (task, "completed")
    assert sandbox.http.get(forged["results"][0]).status_code == 404
    assert ask(sandbox, "evolink", task).json()["status"] == "processing"
    sandbox.advance(1800)
    real = receiver.next()
    assert real == ask(sandbox, "evolink", task).json()
    assert sandbox.http.get(real["results"][0]).status_code == 200


def test_other_gateways_have_no_callbacks(sandbox: Sandbox, receiver: Receiver) -> None:
    """gccai ignores the field like any other it does not know."""
    assert submit(sandbox, "gccai", callback_url=receiver.url).status_code == 200
    assert sandbox.bill()["entries"][0]["callback_url"] is None


def test_callbacks_survive_a_kill(receiver: Receiver, tmp_path: Path) -> None:
    """A callback that was still to be sent when the process was killed is sent by the next one."""
    arguments = ("--seconds", "1000", "--image-px", "64", "--allow-local-callbacks")
    with start_sandbox(*arguments, state=tmp_path / "sandbox.db") as sandbox:
        sandbox.faults([{"kind": "late_callback", "value": 1000, "match": "late"}])
        late = order(sandbox, "evolink", prompt="late", callback_url=receiver.url)
        sandbox.advance(1000)
        running = order(sandbox, "evolink", callback_url=receiver.url)
        sandbox.kill()
    assert receiver.bodies.empty()
    with start_sandbox(*arguments, state=tmp_path / "sandbox.db") as sandbox:
        sandbox.advance(1000)
        bodies = [receiver.next(), receiver.next()]
        assert {body["id"] for body in bodies} == {late, running}
        assert all(body["results"][0].startswith(sandbox.url) for body in bodies)
