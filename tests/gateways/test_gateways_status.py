"""Reading what a gateway says of a task: every documented shape, and what is no answer."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from gateway_client import ASYNCHRONOUS, at_server, fetch, read, submit
from on_offer import DIALECTS
from sandbox_process import Sandbox
from servers import cutting, message, saying

from seedream_tasks.core.errors import GatewayFault
from seedream_tasks.core.outcomes import ErrorClass, Finished, Link, TaskState
from seedream_tasks.gateways.reading import Unreadable

A, B = "https://images.example/a.jpg", "https://images.example/b.jpg"
UNREADABLE: list[Any] = [
    {},
    {"status": None},
    {"status": "confused"},
    {"data": {"status": "confused"}},
    {"data": None},
    {"data": []},
]


def urls(finished: Finished | None) -> list[str]:
    """The links of a finished task."""
    assert finished is not None
    return [link.url for link in finished.links]


# EvoLink


@pytest.mark.parametrize("word", ["pending", "processing"])
def test_evolink_running(word: str) -> None:
    """Both of its words for a task that is not done."""
    assert read("evolink", {"status": word, "progress": 0}).state is TaskState.RUNNING


@pytest.mark.parametrize(
    "results",
    [
        {"results": [A, B]},
        {"results": [A, B], "result_data": [{"image_url": "https://images.example/other.jpg"}]},
        {"results": [], "result_data": [{"image_url": A}, {"image_url": B}]},
        {"result_data": [{"image_url": A}, {"image_url": B}]},
        {"results": None, "result_data": [{"url": A}, {"url": B}]},
    ],
)
def test_evolink_finished(results: dict[str, Any]) -> None:
    """Links stand in `results`, or in the `result_data` of its published client."""
    status = read("evolink", {"status": "completed", "model": "doubao-seedream-4.5", **results})
    assert status.state is TaskState.FINISHED
    assert urls(status.finished) == [A, B]
    assert status.finished.model == "doubao-seedream-4.5"


@pytest.mark.parametrize(
    ("gateway", "body"),
    [
        ("evolink", {"status": "completed", "results": []}),
        ("gccai", {"code": 200, "data": {"status": "completed", "result": {"images": []}}}),
        ("apiin", {"data": {"status": "completed", "output": {"image_urls": []}}}),
    ],
)
def test_finished_without_images(gateway: str, body: dict[str, Any]) -> None:
    """Completed with a list of results that is empty is finished, with nothing."""
    assert read(gateway, body).finished == Finished(())


@pytest.mark.parametrize(
    ("gateway", "body"),
    [
        ("evolink", {"status": "completed"}),
        ("evolink", {"status": "completed", "results": None}),
        ("gccai", {"code": 200, "data": {"status": "completed"}}),
        ("apiin", {"data": {"status": "completed", "fileUrl": "https://x/1.png"}}),
    ],
)
def test_finished_without_any_list_of_images_is_asked_again(gateway: str, body: dict[str, Any]) -> None:
    """An image that stands where nobody knows to look was paid for: the task is not taken for an empty one."""
    with pytest.raises(Unreadable, match="completed without"):
        read(gateway, body)


def test_a_time_that_is_none_does_not_cost_the_links() -> None:
    """Milliseconds are understood, nonsense is no expiry; the links stay in either case."""
    for expires_at in (1_763_174_708_000, 1e300, "soon", -1e300):
        task = {"status": "completed", "result": {"images": [{"url": ["https://x/1.png"], "expires_at": expires_at}]}}
        finished = read("gccai", {"code": 200, "data": task}).finished
        assert finished is not None
        assert [link.url for link in finished.links] == ["https://x/1.png"]


@pytest.mark.parametrize(
    ("usage", "charged"),
    [
        ({"credits_used": 2.25}, "2.25"),
        ({"credits_used": "2.25"}, "2.25"),
        ({"credits_used": 0}, "0"),
        ({"credits_used": 0.1}, "0.1"),
        ({"credits_reserved": 2.25}, None),
        ({"credits_reserved": 9, "credits_used": 2.25}, "2.25"),
        ({"credits_used": -1}, None),
        ({"credits_used": True}, None),
        ({}, None),
        (None, None),
    ],
)
def test_evolink_charge(usage: Any, charged: str | None) -> None:
    """Credits of the finished task are its charge, exactly; a reservation is never one."""
    status = read("evolink", {"status": "completed", "results": [A], "usage": usage})
    assert status.finished.credits == (None if charged is None else Decimal(charged))


@pytest.mark.parametrize(
    ("error", "state", "kind"),
    [
        ({"code": "content_policy_violation", "message": "no"}, TaskState.FAILED, ErrorClass.CONTENT),
        ({"code": "request_cancelled", "message": "gone"}, TaskState.CANCELLED, ErrorClass.CANCELLED),
        ({"code": "service_error", "message": "oops"}, TaskState.FAILED, ErrorClass.TRANSIENT),
        ({"code": "quota_exceeded", "message": "oops"}, TaskState.FAILED, ErrorClass.TRANSIENT),
        ({"code": "generation_timeout", "message": "oops"}, TaskState.FAILED, ErrorClass.TRANSIENT),
        ({"code": "invalid_parameters", "message": "no"}, TaskState.FAILED, ErrorClass.PARAMETERS),
        ({"code": "something_new", "message": "no"}, TaskState.FAILED, ErrorClass.PARAMETERS),
        ({"code": 503, "message": "later"}, TaskState.FAILED, ErrorClass.TRANSIENT),
        ({"code": 400, "message": "no"}, TaskState.FAILED, ErrorClass.PARAMETERS),
        ({"code": "400", "message": "no", "type": "invalid_request_error"}, TaskState.FAILED, ErrorClass.PARAMETERS),
        (None, TaskState.FAILED, ErrorClass.PARAMETERS),
    ],
)
def test_evolink_failed(error: Any, state: TaskState, kind: ErrorClass) -> None:
    """Its codes, as numbers and as words; `request_cancelled` is how it says cancelled."""
    status = read("evolink", {"status": "failed", "error": error})
    assert (status.state, status.error.kind, status.finished) == (state, kind, None)


def test_evolink_failed_and_charged() -> None:
    """A failed task that reports a charge is billed."""
    status = read("evolink", {"status": "failed", "error": {"code": "service_error"}, "usage": {"credits_used": 2.25}})
    assert status.finished == Finished((), credits=Decimal("2.25"))


# gccai


@pytest.mark.parametrize("word", ["submitted", "pending", "processing", "in_progress", "queued"])
def test_gccai_running(word: str) -> None:
    """Every word for a task that is not done, of the document and of its clients."""
    assert read("gccai", {"code": 200, "data": {"status": word, "progress": 5}}).state is TaskState.RUNNING


@pytest.mark.parametrize("word", ["completed", "success", "succeeded"])
@pytest.mark.parametrize(
    "images",
    [
        [{"url": [A, B], "expires_at": 1763174708}],
        [{"url": A, "expires_at": 1763174708}, {"url": B, "expires_at": 1763174708}],
        [{"url": [A], "expires_at": 1763174708}, {"url": [B], "expires_at": 1763174708}],
    ],
)
def test_gccai_finished(word: str, images: list[dict[str, Any]]) -> None:
    """`url` is a list in the current document and a string in the older one; each link has its end."""
    status = read("gccai", {"code": 200, "data": {"status": word, "result": {"images": images}}})
    ends = datetime.fromtimestamp(1763174708, UTC)
    assert status.finished == Finished((Link(A, ends), Link(B, ends)))


def test_gccai_costs_without_a_currency_are_no_bill() -> None:
    """`cost` has no stated unit: neither dollars nor credits, but a reason for doubt."""
    body = {
        "code": 200,
        "data": {"status": "completed", "cost": 0.05, "credits_cost": 3, "result": {"images": [{"url": [A]}]}},
    }
    finished = read("gccai", body).finished
    assert (finished.usd, finished.credits, finished.unitless) == (None, None, Decimal("0.05"))


@pytest.mark.parametrize(
    ("word", "error", "state", "kind"),
    [
        (
            "failed",
            {"code": "content_policy_violation", "message": "no", "type": "x"},
            TaskState.FAILED,
            ErrorClass.CONTENT,
        ),
        ("failure", {"code": 500, "message": "oops", "type": "server_error"}, TaskState.FAILED, ErrorClass.TRANSIENT),
        ("failed", {"code": "500", "message": "oops"}, TaskState.FAILED, ErrorClass.TRANSIENT),
        ("cancelled", None, TaskState.CANCELLED, None),
    ],
)
def test_gccai_failed(word: str, error: Any, state: TaskState, kind: ErrorClass | None) -> None:
    """A code as a number or as a word; cancelled is a status of its own."""
    status = read("gccai", {"code": 200, "data": {"status": word, "error": error}})
    assert status.state is state
    if kind is not None:
        assert status.error.kind is kind


def test_gccai_wraps_a_task_in_a_list_too() -> None:
    """`data` as a list of one, as in its answer to a submit."""
    assert read("gccai", {"code": 200, "data": [{"status": "pending"}]}).state is TaskState.RUNNING


# API in One: the status body is documented nowhere

RUNNING = ["pending", "queued", "waiting", "queuing", "in_progress", "processing", "generating"]
APIIN_WORDS = [
    *((word, TaskState.RUNNING) for word in RUNNING),
    *((word, TaskState.FINISHED) for word in ("completed", "success")),
    *((word, TaskState.FAILED) for word in ("failed", "fail", "error")),
    ("cancelled", TaskState.CANCELLED),
]


@pytest.mark.parametrize(("word", "state"), APIIN_WORDS)
def test_apiin_status_words(word: str, state: TaskState) -> None:
    """Every word known of it and of its upstream, in any case, at the top or in `data`, as `status` or `state`."""
    for written in (word, word.upper(), word.title()):
        for body in (
            {"status": written, "output": []},
            {"data": {"status": written, "output": []}},
            {"data": {"state": written, "output": []}},
            {"code": 200, "data": {"status": written, "output": []}},
        ):
            assert read("apiin", body).state is state, body


_HOLDERS: list[dict[str, Any]] = [
    {"output": {"image_urls": [A, B]}},
    {"output": {"images": [{"url": A}, {"url": B}]}},
    {"output": [A, B]},
    {"result": {"images": [{"url": [A]}, {"url": [B]}]}},
    {"result": [A, B]},
    {"results": [A, B]},
    {"images": [A, B]},
    {"images": [{"url": A}, {"image_url": B}]},
    {"image_urls": [A, B]},
    {"urls": [A, B]},
    {"url": [A, B]},
    {"resultUrls": [A, B]},
    {"resultJson": json.dumps({"resultUrls": [A, B]})},
    {"resultJson": {"resultUrls": [A, B]}},
]


@pytest.mark.parametrize("holder", _HOLDERS, ids=lambda holder: json.dumps(holder)[:60])
def test_apiin_links_are_found_in_a_task(holder: dict[str, Any]) -> None:
    """Wherever its clients and its upstream are known to put links, in `data` or at the top."""
    for body in (
        {"code": 200, "data": {"status": "completed", **holder}},
        {"id": "x", "status": "completed", **holder},
    ):
        assert urls(read("apiin", body).finished) == [A, B], body


@pytest.mark.parametrize(
    "data", [[A, B], {"images": [A, B]}, {"output": {"image_urls": [A, B]}}, {"image_urls": [A, B]}]
)
def test_apiin_status_at_the_top_and_links_in_data(data: Any) -> None:
    """Its clients read `status` beside `data` too: a finished task whose links stand in `data` is finished."""
    status = read("apiin", {"id": "task_abc123", "status": "completed", "data": data})
    assert status.state is TaskState.FINISHED
    assert urls(status.finished) == [A, B]


def test_apiin_one_link() -> None:
    """A single image under a singular name."""
    for holder in ({"image_url": A}, {"url": A}, {"output": A}, {"output": {"image_url": A}}, {"result": A}):
        assert urls(read("apiin", {"data": {"status": "SUCCESS", **holder}}).finished) == [A]


def test_apiin_failed_says_why() -> None:
    """The error as an object or as a text, in `data` or at the top."""
    for body in (
        {"data": {"status": "FAILED", "error": "it broke"}},
        {"data": {"status": "FAILED", "error": {"message": "it broke"}}},
        {"status": "failed", "error": {"code": 500, "message": "it broke"}},
    ):
        assert read("apiin", body).error.message == "it broke"


# All of them, over HTTP


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize(
    "body", [*UNREADABLE, "<html>", "", [1], {"code": 500, "message": "oops"}, {"error": {"code": 500}}]
)
def test_an_unreadable_status_is_a_fault(gateway: str, body: Any) -> None:
    """What cannot be read ends no attempt: it is asked again."""
    with pytest.raises(GatewayFault):
        at_server(gateway, saying(message(200, body)), lambda client: client.fetch("task-1"))


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize(
    ("status", "body", "own"),
    [
        (404, {"error": {"code": 404, "message": "gone"}}, True),
        (404, "<html>not here</html>", False),
        (404, {}, False),
        (401, {"error": {"code": 401, "message": "key"}}, True),
        (429, {"error": {"code": 429, "message": "slow"}}, True),
        (500, "oops", False),
        (503, {"error": {"code": 503, "message": "later"}}, True),
    ],
)
def test_a_refused_status_says_how_it_was_refused(gateway: str, status: int, body: Any, own: bool) -> None:
    """HTTP status, whether in the gateway's own words, and how long to wait stand with the fault."""
    answer = message(status, body, Retry_After="4")
    with pytest.raises(GatewayFault) as fault:
        at_server(gateway, saying(answer), lambda client: client.fetch("task-1"))
    assert fault.value.facts["status"] == status
    assert fault.value.facts["own_body"] is own
    assert fault.value.facts["retry_after_s"] == 4
    assert fault.value.facts["gateway"] == gateway


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_an_error_inside_a_status_200_counts_as_its_code(gateway: str) -> None:
    """`{"code": 404}` in a 200 is the gateway's own 404."""
    for body in ({"code": 404, "message": "no such task", "data": None}, {"error": {"code": 404, "message": "gone"}}):
        with pytest.raises(GatewayFault) as fault:
            at_server(gateway, saying(message(200, body)), lambda client: client.fetch("task-1"))
        assert (fault.value.facts["status"], fault.value.facts["own_body"]) == (404, True)


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_no_answer_to_a_status_is_a_fault(gateway: str) -> None:
    """A connection that breaks is asked again, like anything else that says nothing."""
    for behaviour in (cutting, saying(b"no HTTP\r\n\r\n")):
        with pytest.raises(GatewayFault) as fault:
            at_server(gateway, behaviour, lambda client: client.fetch("task-1"))
        assert fault.value.facts["status"] is None


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_a_status_is_asked_where_the_document_says(gateway: str) -> None:
    """Path, key and method of the status request."""
    body = {"status": "pending", "data": {"status": "pending"}}
    _, server = at_server(gateway, saying(message(200, body)), lambda client: client.fetch("task-1"))
    paths = {
        "evolink": "/v1/tasks/task-1",
        "gccai": "/v1/tasks/task-1?language=en",
        "apiin": "/api/v1/tasks/task-1",
    }
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", paths[gateway])
    assert request.headers["authorization"].startswith("Bearer ")


@pytest.mark.parametrize("kind", ["status_500", "status_garbage", "status_429"])
@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_each_fault_of_the_sandbox_at_status_is_asked_again(gateways: Sandbox, gateway: str, kind: str) -> None:
    """A status that goes wrong is a fault, and the next one is the answer."""
    task_id = str(submit(gateways, gateway).task_id)
    gateways.advance(60)
    gateways.faults([{"gateway": gateway, "kind": kind, "match": None, "rate": 1, "count": 1, "value": None}])
    with pytest.raises(GatewayFault):
        fetch(gateways, gateway, task_id)
    assert fetch(gateways, gateway, task_id).state is TaskState.FINISHED


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("task_failed", TaskState.FAILED),
        ("task_cancelled", TaskState.CANCELLED),
        ("task_failed_billed", TaskState.FAILED),
    ],
)
@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_each_end_of_a_task_is_read(gateways: Sandbox, gateway: str, kind: str, state: TaskState) -> None:
    """Failed and cancelled tasks of the sandbox say so; one that reports its charge is billed as the bill has it."""
    gateways.faults([{"gateway": gateway, "kind": kind, "match": None, "rate": 1, "count": 1, "value": None}])
    task_id = str(submit(gateways, gateway).task_id)
    gateways.advance(60)
    status = fetch(gateways, gateway, task_id)
    assert status.error is not None
    if gateway == "apiin" and kind == "task_cancelled":
        assert status.state in (TaskState.FAILED, TaskState.CANCELLED)  # no document has such a status
    else:
        assert status.state is state
    (entry,) = gateways.bill()["entries"]
    if status.finished is not None and status.finished.credits is not None:
        assert status.finished.credits == Decimal(entry["credits"])


def test_a_task_of_nobody_is_an_own_404(gateways: Sandbox) -> None:
    """The sandbox does not know the task: the gateway's own words, a 404 or what its document has for it."""
    for gateway in ASYNCHRONOUS:
        with pytest.raises(GatewayFault) as fault:
            fetch(gateways, gateway, "task-unified-1-nobody")
        assert fault.value.facts["own_body"]
        assert fault.value.facts["status"] in (400, 404)


def test_getimg_keeps_no_tasks() -> None:
    """There is no status to ask for at the synchronous gateway."""
    for question in (lambda: DIALECTS["getimg"].status_path("x"), lambda: DIALECTS["getimg"].read_status({})):
        with pytest.raises(Unreadable):
            question()
