"""Answers that no document describes: what has one reading is read, what has none is kept, and neither becomes the other."""

import json
from decimal import Decimal
from typing import Any

import pytest
from gateway_client import ASYNCHRONOUS, KEY, at_server, body_of, read, submit_to
from servers import Behaviour, message, saying, starting

from seedream_tasks.core.errors import GatewayFault
from seedream_tasks.core.outcomes import ErrorClass, Fate, Finished, TaskState
from seedream_tasks.gateways import client as client_module
from seedream_tasks.gateways.ids import ids_in_text, is_task_id
from seedream_tasks.gateways.reading import Unreadable, as_link, find_links

A = "https://images.example/a.jpg"
RUNNING = {"id": "t", "status": "processing", "data": {"status": "processing"}}
NO_TASK = {"error": {"code": 404, "message": "no such task", "type": "not_found_error"}}


@pytest.fixture(autouse=True)
def _asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a task is known is asked again without a pause."""
    monkeypatch.setattr(client_module, "KNOWN_AFTER_S", (0.0,))


def answering(submit: bytes, status: dict[str, Any], http: int = 200) -> Behaviour:
    """One answer to the paid request, another to every question about a task."""

    async def behave(request: Any, _: Any, writer: Any) -> None:
        writer.write(submit if request.method == "POST" else message(http, status))
        await writer.drain()

    return behave


# Acceptances


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize(
    ("http", "body"),
    [
        (200, {"id": 4711}),
        (200, {"data": {"id": "4711"}}),
        (200, {"data": {"id": 4711}}),
        (200, {"data": [{"task_id": "4711"}]}),
        (200, {"task": {"id": "4711"}}),
        (200, [{"task_id": "4711"}]),
        (202, {"code": 202, "data": {"task_id": "4711"}}),
        (202, {"code": "202", "id": "4711"}),
        (201, {"code": 0, "data": {"taskId": " 4711 "}}),
        (200, {"code": "success", "data": {"task_id": "4711"}}),
    ],
)
def test_an_acceptance_with_one_reading_is_read(gateway: str, http: int, body: Any) -> None:
    """Numbers, other places and codes that say all is well: the task id is clear, and nothing has to be asked."""
    outcome, server = submit_to(gateway, saying(message(http, body)))
    assert (outcome.fate, outcome.task_id) == (Fate.ACCEPTED, "4711")
    assert len(server.requests) == 1


CONTRADICTIONS: list[dict[str, Any]] = [
    {"code": 500, "data": {"task_id": "4711"}},
    {"code": 402, "message": "no money", "data": {"task_id": "4711"}},
    {"error": {"code": 400, "message": "no"}, "task_id": "4711"},
    {"code": "queued", "task_id": "4711"},
]


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize("body", CONTRADICTIONS)
def test_a_task_beside_an_error_counts_once_the_gateway_knows_it(gateway: str, body: dict[str, Any]) -> None:
    """The status request decides: it was accepted whatever the code says, or nobody knows, and the id is kept."""
    outcome, _ = submit_to(gateway, answering(message(200, body), RUNNING))
    assert (outcome.fate, outcome.task_id) == (Fate.ACCEPTED, "4711")
    outcome, _ = submit_to(gateway, answering(message(200, body), NO_TASK, 404))
    assert outcome.fate is Fate.UNKNOWN
    assert outcome.kept is not None
    assert outcome.kept.ids == ("4711",)


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize("body", [{"code": 402, "message": "no money"}, {"error": {"code": 402}, "id": "req-1"}])
def test_a_refusal_stays_one(gateway: str, body: dict[str, Any]) -> None:
    """An id of the request beside the gateway's own no does not make it doubtful."""
    outcome, _ = submit_to(gateway, answering(message(200, body), NO_TASK, 404))
    assert outcome.fate is Fate.REFUSED


def test_several_ids_are_asked_for_one_after_the_other() -> None:
    """Of several that may be meant, the one that the gateway knows counts."""

    async def behave(request: Any, _: Any, writer: Any) -> None:
        if request.method == "POST":
            writer.write(message(200, {"data": {"id": "order-1", "task_id": "task-2"}}))
        elif request.path.endswith("task-2"):
            writer.write(message(200, RUNNING))
        else:
            writer.write(message(404, NO_TASK))
        await writer.drain()

    outcome, _ = submit_to("evolink", behave)
    assert (outcome.fate, outcome.task_id) == (Fate.ACCEPTED, "task-2")


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize(
    "behaviour",
    [
        saying(message(200, b'{"request_id": "r-1", "id": "task-unified-1", "status": "pen')),
        saying(message(200, b'{"request_id": "r-1", "id": "task-unified-1", "status": "pen', Content_Length="500")),
        starting(message(200, b'{"request_id": "r-1", "id": "task-unified-1", "status": "pen', Content_Length="500")),
    ],
)
def test_what_can_be_read_of_an_answer_cut_short_is_kept(
    gateway: str, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The JSON ends too early, the connection closes or falls silent: an id that is there in full is kept, never half of one."""
    monkeypatch.setattr(client_module, "SUBMIT_TIMEOUT_S", 0.5)
    outcome, _ = submit_to(gateway, behaviour)
    assert outcome.fate is Fate.UNKNOWN
    assert outcome.kept is not None
    assert outcome.kept.ids == ("task-unified-1", "r-1")
    assert outcome.kept.text.endswith('"status": "pen')
    assert ids_in_text('{"id": "task-unif') == ()
    assert ids_in_text('{"id": 471') == ()


def test_what_is_kept_is_bounded_and_holds_no_key() -> None:
    """The first 4 kB, without the account's key should the answer repeat it; ids from all of it."""
    body = json.dumps({"key": KEY, "filler": "x" * 9000, "nested": [{"job_uuid": "u-1"}]})
    outcome, _ = submit_to("evolink", saying(message(200, body)))
    assert outcome.kept is not None
    assert KEY not in outcome.kept.text
    assert len(outcome.kept.text.encode()) <= 4096
    assert outcome.kept.ids == ("u-1",)


@pytest.mark.parametrize("id_", [{}, {"id": None}, {"id": ""}, {"id": 12}])
def test_getimg_without_an_id_gives_its_images_all_the_same(id_: dict[str, Any]) -> None:
    """Nobody ever asks for its id: what counts is the link."""
    body = {**id_, "status": "completed", "data": [{"url": A}], "usage": {"total_cost": 0.04}}
    outcome, _ = submit_to("getimg", saying(message(200, body)))
    assert outcome.fate is Fate.ACCEPTED
    assert outcome.finished is not None
    assert [link.url for link in outcome.finished.links] == [A]
    assert outcome.finished.usd == Decimal("0.04")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("task-unified-1757156493-imcg5zqt", True),
        ("cmpl_01:K8.x~y", True),
        ("../../etc", False),
        ("..", False),
        ("a b", False),
        ("a\nb", False),
        ("a%2Fb", False),
        ("a?b", False),
        ("é", False),
        ("", False),
        ("x" * 201, False),
    ],
)
def test_the_form_of_a_task_id(text: str, fits: bool) -> None:
    """It becomes part of an address, so it is printable, short, and no path."""
    assert is_task_id(text) is fits


# Where a task stands


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("cancelled", TaskState.CANCELLED),
        ("Canceled", TaskState.CANCELLED),
        ("SUCCEEDED", TaskState.FINISHED),
        (" success ", TaskState.FINISHED),
        ("Completed", TaskState.FINISHED),
        ("expired", TaskState.FAILED),
        ("error", TaskState.FAILED),
        ("In Progress", TaskState.RUNNING),
        ("in-queue", TaskState.RUNNING),
    ],
)
@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_words_that_mean_the_same_are_known_everywhere(gateway: str, word: str, state: TaskState) -> None:
    """Whatever a gateway's document calls it, in any case and with blanks around it, at the top or in `data`."""
    task: dict[str, Any] = {"id": "t", "status": word}
    if state is TaskState.FINISHED:
        task |= {"results": [A], "result": {"images": [{"url": [A]}]}}
    for body in (task, {"code": 200, "data": task}, {"code": 200, "data": [task]}):
        assert read(gateway, body).state is state


@pytest.mark.parametrize("gateway", ["evolink", "gccai"])
def test_an_answers_own_status_is_not_the_tasks(gateway: str) -> None:
    """`error` around no task at all is a refusal to answer: it ends nothing."""
    with pytest.raises(Unreadable):
        read(gateway, {"status": "error", "message": "internal"})


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize(
    "body", [{"id": "t", "status": "Zustand 7"}, {"id": "t", "status": "completed", "at": A}, "<html>"]
)
def test_what_nobody_can_read_is_said_in_its_own_words(gateway: str, body: Any) -> None:
    """The fault holds what came, for whoever is to find out what it means."""
    with pytest.raises(GatewayFault) as fault:
        at_server(gateway, saying(message(200, body)), lambda client: client.fetch("t"))
    said = body if isinstance(body, str) else body["status"]
    unread = fault.value.facts["unreadable"]
    assert said in unread.kept.text
    assert isinstance(body, str) or repr(said) in unread.why or "without a link" in unread.why


@pytest.mark.parametrize("body", [NO_TASK, {"code": 500, "message": "oops"}])
def test_a_refusal_to_answer_is_not_unreadable(body: dict[str, Any]) -> None:
    """What says that it is an error says nothing of the task."""
    with pytest.raises(GatewayFault) as fault:
        at_server("evolink", saying(message(200, body)), lambda client: client.fetch("t"))
    assert "unreadable" not in fault.value.facts


@pytest.mark.parametrize(
    ("written", "link"),
    [
        ("HTTP://images.example/a.jpg", "http://images.example/a.jpg"),
        (f"  {A}\n", A),
        ("https://images.example/\na.jpg", A),
        ("//images.example/a.jpg", A),
        ("HttpS://Images.example/A.jpg", "https://Images.example/A.jpg"),
        ("ftp://images.example/a.jpg", None),
        ("https://", None),
        ("a.jpg", None),
        ("", None),
    ],
)
def test_links_are_read_as_browsers_read_them(written: str, link: str | None) -> None:
    """Case of the scheme, blanks, line breaks, no scheme at all."""
    assert as_link(written) == link


@pytest.mark.parametrize(
    "results",
    [
        [{"link": A}],
        [{"download": A, "thumbnail_url": "https://images.example/small.jpg"}],
        {"0": A},
        [[A]],
        json.dumps([A]),
        json.dumps({"images": [{"url": A}]}),
        {"images": [{"url": f" {A} "}]},
    ],
)
def test_shapes_with_one_reading(results: Any) -> None:
    """A result with a single link is that link, whatever it is called."""
    assert [
        link.url for link in read("evolink", {"id": "t", "status": "completed", "results": results}).finished.links
    ] == [A]


def test_two_unnamed_links_have_no_reading() -> None:
    """Which of them is the image, nobody knows."""
    assert find_links({"x": A, "y": f"{A}?2"}, named=True) == []


# Failed tasks

WORDS: list[dict[str, Any]] = [
    {"error": "upstream said no"},
    {"error": {"message": "upstream said no"}},
    {"error": {"reason": "upstream said no"}},
    {"error": {"error": {"message": "upstream said no"}}},
    {"error": ["upstream said no"]},
    {"error": [{"msg": "upstream said no"}]},
    {"errors": [{"message": "upstream said no"}]},
    {"error": '{"message": "upstream said no"}'},
    {"message": "upstream said no"},
    {"fail_reason": "upstream said no"},
    {"failMsg": "upstream said no"},
    {"detail": [{"loc": ["prompt"], "msg": "upstream said no"}]},
    {"error": {}, "error_message": "upstream said no"},
]


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize("said", WORDS, ids=json.dumps)
def test_a_failed_task_keeps_the_gateways_words(gateway: str, said: dict[str, Any]) -> None:
    """Wherever they stand, with a code or without: the status word stands for it then."""
    task = {"id": "t", "status": "failed", **said}
    error = read(gateway, {"code": 200, "data": task} if gateway == "gccai" else task).error
    assert (error.code, error.message) == ("failed", "upstream said no")
    assert error.kind is ErrorClass.PARAMETERS


def test_an_error_that_is_only_an_object_is_not_thrown_away() -> None:
    """Its own fields are all the words there are."""
    assert "shard 7" in read("evolink", {"status": "failed", "error": {"where": "shard 7"}}).error.message


FREE = Finished((), usd=Decimal(0))
CHARGES: list[tuple[dict[str, Any], Finished | None, bool]] = [
    ({"charge_status": "released"}, FREE, False),
    ({"charge_status": "Refunded"}, FREE, False),
    ({"billing": {"charge_status": "released", "reserved_credits": 2.25, "charged_credits": 0}}, FREE, False),
    ({"billing": {"refund_status": "refunded"}}, FREE, False),
    ({"cost": 0}, FREE, False),
    ({"usage": {"cost": {"usd": 0}}, "credits_cost": 0}, FREE, False),
    ({}, None, False),
    ({"cost": 0.04}, None, True),
    ({"charge_status": "charged"}, None, True),
    ({"charge_status": "pending"}, None, False),
]


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
@pytest.mark.parametrize(("said", "charge", "in_doubt"), CHARGES, ids=lambda value: str(value)[:40])
def test_what_a_failed_task_says_of_its_charge(
    gateway: str, said: dict[str, Any], charge: Finished | None, in_doubt: bool
) -> None:
    """Released, refunded or zero: it cost nothing. Charged without a figure: nobody knows, whatever the document says."""
    status = read(gateway, {"code": 200, "data": {"id": "t", "status": "failed", "error": "no", **said}})
    assert (status.finished, status.in_doubt) == (charge, in_doubt)


def test_an_expired_task_is_in_doubt_and_one_with_links_is_finished() -> None:
    """The word may mean the task or what it made: what was made is fetched, and the rest may have been billed."""
    assert read("evolink", {"id": "t", "status": "expired"}).in_doubt
    assert read("evolink", {"id": "t", "status": "expired", "results": [A]}).finished.links[0].url == A


# The check of an account


@pytest.mark.parametrize("gateway", [*ASYNCHRONOUS, "getimg"])
@pytest.mark.parametrize(
    ("http", "body", "refused"),
    [
        (403, "<html><title>Attention Required!</title></html>", False),
        (401, "", False),
        (403, {"error": {"code": 403, "message": "no", "type": "permission_error"}}, True),
        (401, {"error": "Invalid API key"}, True),
        (401, {"success": False, "message": "invalid token"}, True),
    ],
)
def test_only_the_gateway_can_refuse_a_key(gateway: str, http: int, body: Any, refused: bool) -> None:
    """A page of a CDN or a firewall has not looked at it."""
    with pytest.raises(GatewayFault) as fault:
        at_server(gateway, saying(message(http, body)), lambda client: client.probe())
    assert fault.value.facts["key_refused"] is refused
    assert refused or "not in the gateway's own words" in fault.value.message


def test_a_submit_that_is_odd_is_sent_once() -> None:
    """Whatever is asked about it afterwards, nothing is paid for twice."""
    _, server = submit_to("evolink", answering(message(200, {"code": 500, "id": "t"}), NO_TASK, 404))
    assert [each.method for each in server.requests].count("POST") == 1
    assert json.loads(server.requests[0].body) == body_of("evolink")
