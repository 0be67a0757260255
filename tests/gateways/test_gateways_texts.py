"""Text that nothing can store, in any field of any answer: it is storable when it leaves the client, and spoils no more."""

import asyncio
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pytest
from gateway_client import ASYNCHRONOUS, GATEWAYS, body_of
from servers import Server, message, saying

from seedream_tasks.core.errors import GatewayFault
from seedream_tasks.core.outcomes import Fate
from seedream_tasks.gateways.client import Account, GatewayClient, Unread
from seedream_tasks.gateways.http import HttpClients

BAD = {
    "half a pair": "x \ud83d y",
    "NUL": "x \0 y",
    "half a pair in JSON in a text": '{"message": "x \\ud83d y", "code": "\\u0000"}',
    "long": "x" * 3_000_000,
    "a right-to-left override and a bell": "x \u202e\a y",
    "an object": {"message": ["\ud83d", {"\0": "\udfff"}]},
    "a number": 10**400,
}
DATES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 253402300800, -62135596801, 10**30, 0, "soon", [1]]


def assert_storable(value: Any) -> None:
    """Every text within can be kept by a database, and none is longer than anybody reads; every time can be read back."""
    if isinstance(value, Unread):
        assert_storable(asdict(value))
    elif isinstance(value, dict):
        for name, each in value.items():
            assert_storable(name)
            assert_storable(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            assert_storable(each)
    elif isinstance(value, str):
        assert value.encode()
        assert "\0" not in value
        assert len(value) <= 20_000
    elif isinstance(value, datetime):
        assert 2000 <= value.year < 2200


async def _answers_of(gateway: str, *bodies: Any, status: int = 200, **headers: str) -> list[Any]:
    """What the client makes of these bodies as answers to a submit and to a status request."""
    found: list[Any] = []
    async with HttpClients() as http:
        for body in bodies:
            async with Server(saying(message(status, body, **headers))) as server:
                client = GatewayClient(Account(gateway, server.url, "a-secret-key"), http)
                outcome = await client.submit(body_of(gateway))
                assert_storable(asdict(outcome))
                found.append(outcome)
                if gateway in ASYNCHRONOUS:
                    try:
                        found.append(await client.fetch("task-1"))
                    except GatewayFault as fault:
                        assert_storable([fault.message, *fault.facts.values()])
                    else:
                        assert_storable(asdict(found[-1]))
    return found


def _bodies(bad: Any) -> list[dict[str, Any]]:
    """The shapes that gateways use, with this value in every place where a text or a number is expected."""
    link = {"url": "https://a.example/1", "expires_at": bad, "deletes_at": bad}
    done = {"status": "completed", "model": bad, "results": [link], "usage": {"credits": bad, "total_cost": bad}}
    failed = {"status": "failed", "error": {"code": bad, "message": bad, "type": bad}, "error_message": bad}
    accepted = {"id": "task-1", "task_id": "task-1", "estimated_time": bad, "model": bad, "status": "pending"}
    plain = [
        {"error": {"code": bad, "message": bad, "type": bad}},
        {"error": bad, "code": bad, "message": bad, "msg": bad},
        {"id": bad, "task_id": bad, "taskId": bad, "status": "pending"},
        {**accepted, "data": [link], "usage": {"total_cost": bad}},
        {**accepted, "task_info": {"estimated_time": bad}},
        {**accepted, "status": bad, "state": bad},
        {**accepted, **done},
        {**accepted, **failed},
        {**accepted, "status": "completed", "results": [bad, {"url": f"https://a.example/{bad}"}]},
        {**accepted, "status": "success", "resultJson": json.dumps({"resultUrls": [bad]})},
    ]
    return [
        *plain,
        *({"code": 200, "data": each} for each in plain),
        *({"code": 200, "data": [each]} for each in plain),
    ]


def _answers(gateway: str, *bodies: Any, status: int = 200, **headers: str) -> list[Any]:
    return asyncio.run(_answers_of(gateway, *bodies, status=status, **headers))


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("what", BAD)
def test_nothing_unstorable_leaves_the_client(gateway: str, what: str) -> None:
    """Message, code, model, id, link, number, word: whatever the field, submit and status answer with what can be kept."""
    if what == "a number":
        text = json.dumps(_bodies(7)).replace("7", "9" * 400)
        bodies = [json.dumps(json.loads(text, parse_int=lambda digits: 0)).replace(": 0", f": {'9' * 5000}")]
    else:
        bodies = [json.dumps(each) for each in _bodies(BAD[what])]
    _answers(gateway, *bodies)
    _answers(gateway, *bodies[:4], status=400)


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
@pytest.mark.parametrize("date", DATES, ids=str)
def test_a_date_out_of_range_costs_no_image(gateway: str, date: Any) -> None:
    """What nothing can keep, or no link lives to, counts as not stated; the links beside it are there."""
    link = {"url": "https://a.example/1", "expires_at": date, "deletes_at": date}
    made = {"id": "task-1", "status": "completed", "expires_at": date, "data": [link], "results": [link], "usage": {}}
    outcome, *status = _answers(gateway, made)
    finished = status[0].finished if status else outcome.finished
    assert [each.url for each in finished.links] == ["https://a.example/1"]
    assert finished.links[0].expires_at is None


def test_odd_headers_and_bytes_are_no_exception() -> None:
    """A header of no charset, a body of no encoding, one that is cut off: unknown at most, and its words can be kept."""
    for body, headers in (
        (b"\xff\xfe\xfa\0 what \x80", {"Retry_After": "\xff"}),
        (b'{"error": "\xed\xa0\xbd"}', {"Retry_After": "nan"}),
        (b'{"error": ' + b"[" * 200_000, {"Retry_After": "9" * 5000}),
        (b"\0" * 100, {"X_Other": "a\x01b"}),
    ):
        for status in (200, 400, 429, 503, 500):
            (outcome, *_) = _answers("evolink", body, status=status, **headers)
            assert outcome.fate in (Fate.UNKNOWN, Fate.REFUSED, Fate.NOT_SENT)


def test_a_prompt_that_cannot_be_sent_is_refused_unsent() -> None:
    """Half of a pair in what is to be sent: a definite no before anything left."""

    async def go() -> None:
        async with HttpClients() as http, Server(saying(message(200, {}))) as server:
            client = GatewayClient(Account("evolink", server.url, "a-secret-key"), http)
            outcome = await client.submit({**body_of("evolink"), "prompt": "x \ud83d"})
            assert (outcome.fate, server.requests) == (Fate.REFUSED, [])

    asyncio.run(go())


def test_balances_and_uploads_are_read_alike() -> None:
    """What the free questions say is made storable too, and a fault in their answers is a fault of the gateway."""

    async def go() -> None:
        async with HttpClients() as http:
            for bad in BAD.values():
                if isinstance(bad, int):
                    continue
                body = {"data": {"file_url": bad, "file_id": bad, "user": {"remaining_credits": bad}}, "success": True}
                for status in (200, 400):
                    async with Server(saying(message(status, json.dumps(body)))) as server:
                        client = GatewayClient(Account("evolink", server.url, "a-secret-key"), http)
                        try:
                            uploaded = await client.upload(b"x", "x.png", "image/png")
                        except GatewayFault as fault:
                            assert_storable([fault.message, *fault.facts.values()])
                        else:
                            assert uploaded.url.encode()
                            assert "\0" not in uploaded.url
                        try:
                            await client.probe()
                        except GatewayFault as fault:
                            assert_storable([fault.message, *fault.facts.values()])

    asyncio.run(go())
