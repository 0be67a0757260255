"""What the outcome of a paid request is taken for: every row of the submit table, over real connections."""

import asyncio
import gzip
from typing import Any

import httpx
import pytest
from gateway_client import GATEWAYS, KEY, body_of, job, submit, submit_to
from sandbox_process import Sandbox
from servers import (
    Request,
    Server,
    cut,
    cutting,
    dripping,
    hanging_up,
    message,
    saying,
    starting,
)
from web_server import closed_port

from seedream_tasks.core.outcomes import ErrorClass, Fate
from seedream_tasks.gateways import client as client_module
from seedream_tasks.gateways import http as http_module
from seedream_tasks.gateways.client import Account, GatewayClient
from seedream_tasks.gateways.http import HttpClients, SendWitness

OWN_ERROR = {"error": {"code": 400, "message": "no", "type": "invalid_request_error"}}
ACCEPTED: dict[str, dict[str, Any]] = {
    "evolink": {"id": "task-unified-1", "status": "pending", "task_info": {"estimated_time": 45}, "model": "a-model"},
    "gccai": {"code": 200, "data": [{"status": "submitted", "task_id": "task_1"}]},
    "getimg": {
        "id": "req-1",
        "status": "completed",
        "data": [{"url": "https://a.example/1"}],
        "usage": {"total_cost": 0.04},
    },
    "apiin": {"code": 200, "message": "success", "data": {"task_id": "n1_seed", "status": "IN_PROGRESS"}},
}

# What a fault of the sandbox at submit must be taken for, and whether the sandbox has accepted (and bills) the job.
FAULTS: dict[str, tuple[Fate, ErrorClass | None, bool]] = {
    "refuse_connection": (Fate.NOT_SENT, None, False),
    "reject_429": (Fate.NOT_SENT, ErrorClass.RATE, False),
    "http_503": (Fate.NOT_SENT, None, False),
    "reject_401": (Fate.REFUSED, ErrorClass.ACCOUNT, False),
    "reject_402": (Fate.REFUSED, ErrorClass.ACCOUNT, False),
    "reject_model": (Fate.REFUSED, ErrorClass.PARAMETERS, False),
    "reject_content": (Fate.REFUSED, ErrorClass.CONTENT, False),
    "http_500": (Fate.UNKNOWN, None, False),
    "http_502": (Fate.UNKNOWN, None, False),
    "drop_request": (Fate.UNKNOWN, None, False),
    "http_502_accepted": (Fate.UNKNOWN, None, True),
    "drop_response": (Fate.UNKNOWN, None, True),
    "garbage_json": (Fate.UNKNOWN, None, True),
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_each_fault_at_submit_has_its_fate(gateways: Sandbox, gateway: str, kind: str) -> None:
    """A job that the gateway has accepted is never taken for one that it has not, and is sent once."""
    fate, error_class, accepted = FAULTS[kind]
    value = 0 if kind == "refuse_connection" else None
    gateways.faults([{"gateway": gateway, "kind": kind, "match": None, "rate": 1, "count": 1, "value": value}])
    outcome = submit(gateways, gateway)
    assert outcome.fate is fate
    assert outcome.error is not None
    if error_class is not None:
        assert outcome.error.kind is error_class
    bill = gateways.bill()
    assert bill["accepted"] == (1 if accepted else 0)
    assert sum(count for request, count in bill["requests"].items() if "generations" in request) == 1


@pytest.mark.parametrize("kind", ["reject_429", "http_503"])
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_retry_after_of_the_gateway_is_honoured(gateways: Sandbox, gateway: str, kind: str) -> None:
    """The gateway's own Retry-After counts, to the second."""
    gateways.faults([{"gateway": gateway, "kind": kind, "match": None, "rate": 1, "count": 1, "value": 7}])
    assert submit(gateways, gateway).retry_after_s == 7


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_documented_acceptance_is_read(gateway: str) -> None:
    """Task id, estimate and finished images stand where the document says."""
    outcome, server = submit_to(gateway, saying(message(200, ACCEPTED[gateway])))
    assert outcome.fate is Fate.ACCEPTED
    assert outcome.task_id in {"task-unified-1", "task_1", "req-1", "n1_seed"}
    assert outcome.estimate_s == (45 if gateway == "evolink" else None)
    assert (outcome.finished is not None) is (gateway == "getimg")
    assert [each.headers["authorization"] for each in server.requests] == [f"Bearer {KEY}"]
    assert server.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        {"code": 200, "data": {"task_id": "x1", "status": "submitted"}},
        {"code": 200, "message": "success", "data": {"task_id": "x1"}},
        {"id": "x1", "status": "pending", "model": "kling-3", "created_at": "2026-02-24T12:00:00Z"},
        {"task_id": "x1"},
    ],
)
def test_both_documented_acceptances_of_apiin_are_read(body: dict[str, Any]) -> None:
    """API in One documents two shapes, and the task id may stand in either."""
    outcome, _ = submit_to("apiin", saying(message(200, body)))
    assert (outcome.fate, outcome.task_id) == (Fate.ACCEPTED, "x1")


def test_gccai_may_answer_with_an_object_instead_of_a_list() -> None:
    """`data` as an object instead of a list of one is read too."""
    outcome, _ = submit_to("gccai", saying(message(200, {"code": 200, "data": {"task_id": "x1"}})))
    assert (outcome.fate, outcome.task_id) == (Fate.ACCEPTED, "x1")


def test_what_getimg_made_and_charged_is_exact() -> None:
    """The synchronous answer holds links with their end, the exact cost and the model."""
    body = {
        "id": "req-1",
        "status": "completed",
        "model": "seedream-4-5",
        "data": [{"url": "https://a.example/1", "deletes_at": "2026-10-09T08:53:20Z", "width": None}],
        "usage": {"total_cost": 0.040000000000000001, "billable_unit": "image", "quantity": 1},
    }
    finished = submit_to("getimg", saying(message(200, body)))[0].finished
    assert finished is not None
    assert str(finished.usd) == "0.04"
    assert finished.model == "seedream-4-5"
    (link,) = finished.links
    assert link.expires_at is not None
    assert link.expires_at.isoformat() == "2026-10-09T08:53:20+00:00"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_port_where_nobody_listens_is_not_sent(gateway: str) -> None:
    """Without a connection nothing can have left: it may be sent again after a moment."""

    async def go() -> Any:
        async with HttpClients() as http:
            return await GatewayClient(Account(gateway, closed_port(), KEY), http).submit(body_of(gateway))

    outcome = asyncio.run(go())
    assert outcome.fate is Fate.NOT_SENT
    assert outcome.error.code == "no_connection"
    assert outcome.retry_after_s > 0


def test_a_name_that_cannot_be_resolved_is_not_sent() -> None:
    """DNS comes before the connection."""

    async def go() -> Any:
        async with HttpClients() as http:
            return await GatewayClient(Account("apiin", "http://no-such-host.invalid", KEY), http).submit({})

    assert asyncio.run(go()).fate is Fate.NOT_SENT


def test_a_server_that_does_not_speak_tls_is_not_sent() -> None:
    """A TLS handshake that fails is no connection: the request stays here."""

    async def go() -> tuple[Any, Server]:
        plain = Server(hanging_up, at_once=lambda writer: writer.write(message(400, "plain HTTP only")))
        async with plain as server, HttpClients() as http:
            url = server.url.replace("http://", "https://")
            return await GatewayClient(Account("apiin", url, KEY), http).submit({}), server

    outcome, server = asyncio.run(go())
    assert outcome.fate is Fate.NOT_SENT
    assert server.connections == 1
    assert server.requests == []


BREAKS = {
    "reset after reading": cutting,
    "closed without an answer": hanging_up,
    "reset in the answer": starting(b""),
    "answer that is no HTTP": saying(b"good day\r\n\r\n"),
    "answer longer than said": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{{{"),
    "broken chunks": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
    "broken compression": saying(message(200, b"no gzip at all", Content_Encoding="gzip")),
}


@pytest.mark.parametrize("how", BREAKS)
def test_whatever_breaks_after_the_connection_stands_is_unknown(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first byte on there is no proof any more, and nothing is sent a second time."""
    monkeypatch.setattr(client_module, "SUBMIT_TIMEOUT_S", 1.0)
    outcome, server = submit_to("evolink", BREAKS[how])
    assert outcome.fate is Fate.UNKNOWN
    assert len(server.requests) == 1


def test_a_reset_before_anything_is_read_is_unknown() -> None:
    """The connection stood, so the request may have left: how far it came cannot be known."""
    outcome, server = submit_to("evolink", saying(b""), at_once=cut)
    assert outcome.fate is Fate.UNKNOWN
    assert server.connections == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(starting(b""), id="silence"),
        pytest.param(starting(message(200, ACCEPTED["evolink"])[:-5]), id="stops before the end"),
        pytest.param(dripping(message(200, ACCEPTED["evolink"]), 0.02), id="byte by byte"),
    ],
)
def test_an_answer_that_takes_too_long_is_unknown(behaviour: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole call has one end, however the answer is spread over it."""
    monkeypatch.setattr(client_module, "SUBMIT_TIMEOUT_S", 0.25)
    outcome, server = submit_to("evolink", behaviour)
    assert outcome.fate is Fate.UNKNOWN
    assert len(server.requests) == 1


def test_a_synchronous_gateway_has_its_own_long_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """getimg draws before it answers, so its calls stay open as long as its own SDK leaves them."""
    monkeypatch.setattr(client_module, "SUBMIT_TIMEOUT_S", 0.0)
    outcome, _ = submit_to("getimg", dripping(message(200, ACCEPTED["getimg"]), 0.0))
    assert outcome.fate is Fate.ACCEPTED
    assert client_module.SYNCHRONOUS_TIMEOUT_S == 300


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_unknown_and_not_followed(status: int) -> None:
    """A paid request goes to one address only."""

    async def go() -> tuple[Any, Server, Server]:
        async with Server(saying(message(200, ACCEPTED["evolink"]))) as target, HttpClients() as http:
            away = saying(message(status, OWN_ERROR, Location=f"{target.url}/v1/images/generations"))
            async with Server(away) as server:
                client = GatewayClient(Account("evolink", server.url, KEY), http)
                return await client.submit(body_of("evolink")), server, target

    outcome, server, target = asyncio.run(go())
    assert outcome.fate is Fate.UNKNOWN
    assert (len(server.requests), target.connections) == (1, 0)


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    "body",
    [
        "<html>Welcome</html>",
        "",
        "[]",
        '"ok"',
        "null",
        "{}",
        '{"status": "ok"}',
        '{"data": null}',
        '{"id": ""}',
        '{"data": [{}]}',
    ],
)
def test_a_success_that_cannot_be_read_is_unknown(gateway: str, body: str) -> None:
    """A 2xx says that something was taken; without a task id nobody knows what."""
    outcome, _ = submit_to(gateway, saying(message(200, body)))
    assert outcome.fate is Fate.UNKNOWN


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("body", "fate", "kind", "wait_s"),
    [
        ({"code": 429, "message": "slow down", "data": None}, Fate.NOT_SENT, ErrorClass.RATE, 60),
        ({"code": "429", "message": "slow down"}, Fate.NOT_SENT, ErrorClass.RATE, 60),
        ({"code": 503, "message": "later"}, Fate.NOT_SENT, ErrorClass.TRANSIENT, 30),
        ({"code": 401, "message": "key"}, Fate.REFUSED, ErrorClass.ACCOUNT, None),
        ({"code": 402, "message": "money"}, Fate.REFUSED, ErrorClass.ACCOUNT, None),
        ({"code": 422, "message": "size"}, Fate.REFUSED, ErrorClass.PARAMETERS, None),
        ({"error": {"code": 400, "message": "no"}}, Fate.REFUSED, ErrorClass.PARAMETERS, None),
        ({"error": {"code": "weird"}}, Fate.UNKNOWN, None, None),
        ({"error": "something"}, Fate.UNKNOWN, None, None),
        ({"error": {"message": "no code"}}, Fate.UNKNOWN, None, None),
        ({"code": 500, "message": "oops"}, Fate.UNKNOWN, None, None),
        ({"code": 455, "message": "maintenance"}, Fate.UNKNOWN, None, None),
        ({"code": 201, "message": "other"}, Fate.UNKNOWN, None, None),
        ({"code": "success_or_not", "data": {"task_id": "x"}, "id": "x"}, Fate.UNKNOWN, None, None),
    ],
)
def test_an_error_inside_a_success_counts_as_its_code(
    gateway: str, body: dict[str, Any], fate: Fate, kind: ErrorClass | None, wait_s: float | None
) -> None:
    """HTTP 200 with an error in it is the status that its code names; a code that names none proves nothing."""
    outcome, _ = submit_to(gateway, saying(message(200, body)))
    assert outcome.fate is fate
    assert outcome.retry_after_s == wait_s
    if kind is not None:
        assert outcome.error is not None
        assert outcome.error.kind is kind


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {}, 60),
        (503, {}, 30),
        (429, {"Retry_After": "5"}, 5),
        (503, {"Retry_After": "2.5"}, 2.5),
        (429, {"Retry_After": "0"}, 0),
        (429, {"Retry_After": "Wed, 21 Oct 2026 07:28:09 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 9),
        (503, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:09 GMT"}, 0),
        (429, {"Retry_After": "Wed, 21 Oct 2099 07:28:00 GMT"}, 60),
        (503, {"Retry_After": "soon"}, 30),
        (429, {"Retry_After": "-3"}, 60),
        (429, {"Retry_After": "nan"}, 60),
        (429, {"Retry_After": "1e9"}, 60),
    ],
)
def test_how_long_to_wait_after_429_and_503(status: int, headers: dict[str, str], wait_s: float) -> None:
    """Retry-After where it can be read, else a minute after 429 and half a minute after 503."""
    outcome, _ = submit_to("evolink", saying(message(status, OWN_ERROR, **headers)))
    assert (outcome.fate, outcome.retry_after_s) == (Fate.NOT_SENT, wait_s)


OWN_BODIES = [
    {"error": {"code": 0, "message": "no", "type": "some_type"}},
    {"error": {"code": "some_code", "message": "no"}},
    {"error": "no"},
    {"code": 400, "message": "no"},
    {"code": "E1234", "msg": "no"},
]
CLASSES = {
    400: ErrorClass.PARAMETERS,
    401: ErrorClass.ACCOUNT,
    402: ErrorClass.ACCOUNT,
    403: ErrorClass.ACCOUNT,
    404: ErrorClass.PARAMETERS,
    413: ErrorClass.PARAMETERS,
    422: ErrorClass.PARAMETERS,
}


@pytest.mark.parametrize("status", CLASSES)
def test_a_refusal_in_the_gateways_own_words_is_unbilled(status: int) -> None:
    """These statuses with an error body of the gateway's own are a definite no, of a kind."""
    for body in OWN_BODIES:
        outcome, _ = submit_to("evolink", saying(message(status, body)))
        assert outcome.fate is Fate.REFUSED, body
        assert outcome.status == status
        assert outcome.error is not None
        assert outcome.error.kind is CLASSES[status], body


@pytest.mark.parametrize("status", [*CLASSES, 429, 503])
def test_the_same_status_in_other_words_is_unknown(status: int) -> None:
    """A proxy may answer with that status after the gateway has taken the job: without its own words there is no proof."""
    for body in ("<html>no</html>", "", "{}", {"message": "no"}, {"error": None}, {"code": 200}, [{"error": "no"}]):
        outcome, _ = submit_to("evolink", saying(message(status, body, Retry_After="5")))
        assert outcome.fate is Fate.UNKNOWN, body


@pytest.mark.parametrize("status", [408, 409, 418, 425, 500, 501, 502, 504, 520, 524])
def test_any_other_status_is_unknown(status: int) -> None:
    """Own words or not: the gateway may have taken the job before something went wrong."""
    for body in (OWN_ERROR, "<html>no</html>"):
        outcome, _ = submit_to("evolink", saying(message(status, body)))
        assert outcome.fate is Fate.UNKNOWN


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("content_policy_violation", ErrorClass.CONTENT),
        ("invalid_parameter", ErrorClass.PARAMETERS),
        ("service_unavailable", ErrorClass.TRANSIENT),
    ],
)
def test_the_gateways_code_says_more_than_the_status(code: str, kind: ErrorClass) -> None:
    """Content, parameters and passing trouble share HTTP 400; the code tells them apart."""
    body = {"error": {"code": code, "message": "no", "type": "invalid_request_error"}}
    outcome, _ = submit_to("getimg", saying(message(400, body)))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.kind) == (code, kind)


def test_a_very_large_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond any gateway's size is given up, and what it answered stays unknown."""
    monkeypatch.setattr(http_module, "MOST_ANSWER_BYTES", 1000)
    outcome, _ = submit_to("evolink", saying(message(200, "x" * 5000)))
    assert outcome.fate is Fate.UNKNOWN


def test_cancelling_a_submit_is_a_cancellation() -> None:
    """The only exception out of a submit: whoever cancels must record that its fate is unknown."""

    async def go() -> None:
        arrived = asyncio.Event()

        async def keep_waiting(_: Request, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
            arrived.set()
            await reader.read()

        async with Server(keep_waiting) as server, HttpClients() as http:
            client = GatewayClient(Account("evolink", server.url, KEY), http)
            task = asyncio.create_task(client.submit(body_of("evolink")))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(go())


def _two_submits(between_s: float | None) -> Server:
    """Two submits over one pool, with a pause between them or none."""

    async def go() -> Server:
        async with Server(saying(message(200, ACCEPTED["evolink"]))) as server, HttpClients() as http:
            client = GatewayClient(Account("evolink", server.url, KEY), http)
            for number in range(2):
                if number and between_s is not None:
                    await asyncio.sleep(between_s)
                assert (await client.submit(body_of("evolink"))).fate is Fate.ACCEPTED
            return server

    return asyncio.run(go())


def test_a_connection_that_was_just_used_is_used_again() -> None:
    """Within the idle time a submit goes over the connection that stands."""
    assert _two_submits(None).connections == 1
    assert http_module.SUBMIT_IDLE_S == 2.0


def test_a_connection_that_was_idle_too_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side may have closed it: a fresh one is made instead."""
    monkeypatch.setattr(http_module, "SUBMIT_IDLE_S", 0.05)
    assert _two_submits(0.2).connections == 2


def test_a_reused_connection_that_breaks_is_unknown_and_not_repeated() -> None:
    """A second submit over a standing connection that the other side ends is not sent again behind our back."""

    async def go() -> tuple[list[Any], Server]:
        answers = [message(200, ACCEPTED["evolink"])]

        async def once(_: Any, __: Any, writer: Any) -> None:
            if answers:
                writer.write(answers.pop())
            else:
                cut(writer)

        async with Server(once) as server, HttpClients() as http:
            client = GatewayClient(Account("evolink", server.url, KEY), http)
            return [await client.submit(body_of("evolink")) for _ in range(2)], server

    outcomes, server = asyncio.run(go())
    assert [each.fate for each in outcomes] == [Fate.ACCEPTED, Fate.UNKNOWN]
    assert len(server.requests) == 2
    assert server.connections == 1


def test_the_witness_sees_fresh_and_reused_connections() -> None:
    """It is told when a connection stands, be it new or used before, and each submit has its own."""

    async def go() -> list[bool]:
        async with Server(saying(message(200, {}))) as server, HttpClients() as http:
            witnesses = [SendWitness(), SendWitness(), SendWitness()]
            for witness in witnesses[:2]:
                await http.send_paid(server.url, b"{}", {}, witness)
            with pytest.raises(httpx.HTTPError):
                await http.send_paid(closed_port(), b"{}", {}, witnesses[2])
            return [each.connected for each in witnesses]

    assert asyncio.run(go()) == [True, True, False]


def test_a_compressed_answer_is_read_and_no_cookie_is_kept() -> None:
    """Answers may come packed, as the request allows; what one sets as a cookie is not sent with the next."""

    async def go() -> tuple[list[Any], Server]:
        packed = message(200, gzip.compress(b'{"data": 1}'), Content_Encoding="gzip", Set_Cookie="who=me")
        async with Server(saying(packed)) as server, HttpClients() as http:
            paid = await http.send_paid(server.url, b"{}", {}, SendWitness())
            return [paid.json(), (await http.send_free("GET", server.url)).json()], server

    answers, server = asyncio.run(go())
    assert answers == [{"data": 1}, {"data": 1}]
    for request in server.requests:
        assert "gzip" in request.headers["accept-encoding"]
        assert request.headers["user-agent"] == "seedream-tasks"
        assert "cookie" not in request.headers


def test_a_submit_is_one_json_object_in_utf8() -> None:
    """Text goes as it is, not escaped, and its length is said."""

    async def go() -> tuple[Any, Server]:
        async with Server(saying(message(200, ACCEPTED["gccai"]))) as running, HttpClients() as http:
            client = GatewayClient(Account("gccai", running.url, KEY), http)
            return await client.submit(body_of("gccai", job(prompt="绿茶 – thé vert"))), running

    outcome, server = asyncio.run(go())
    assert outcome.fate is Fate.ACCEPTED
    assert "绿茶 – thé vert".encode() in server.requests[0].body
    assert b'"n": 1,' in server.requests[0].body
    assert "content-length" in server.requests[0].headers
