"""Every fault does what the table of faults says: where it strikes, whether it is accepted, whether it is billed."""

import math
from typing import Any

import httpx
import pytest
from gateway_calls import ASYNC_GATEWAYS, GATEWAYS, SUBMIT, USD, ask, finished, held_call, links, opened, order, submit
from PIL import Image
from sandbox_process import Sandbox, start_sandbox
from waiting import until

REJECTIONS = {
    "reject_401": {"evolink": 401, "gccai": 401, "getimg": 401, "apiin": 401},
    "reject_402": {"evolink": 402, "gccai": 402, "getimg": 402, "apiin": 402},
    "reject_429": {"evolink": 429, "gccai": 429, "getimg": 429, "apiin": 429},
    "reject_model": {"evolink": 404, "gccai": 400, "getimg": 400, "apiin": 400},
    "reject_content": {"evolink": 400, "gccai": 400, "getimg": 422, "apiin": 400},
    "http_500": {"evolink": 500, "gccai": 500, "getimg": 500, "apiin": 500},
    "http_503": {"evolink": 503, "gccai": 503, "getimg": 503, "apiin": 503},
}


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("kind", list(REJECTIONS))
def test_rejections_cost_nothing(sandbox: Sandbox, kind: str, gateway: str) -> None:
    """A rejected submit has the gateway's own error body, leaves no task and no charge, but counts as submitted."""
    sandbox.faults([{"kind": kind}])
    answer = submit(sandbox, gateway)
    assert answer.status_code == REJECTIONS[kind][gateway]
    assert answer.json()["error"]["message"]
    assert "Retry-After" not in answer.headers
    bill = sandbox.bill()
    assert (bill["submissions"], bill["accepted"], bill["usd"]) == (1, 0, "0")


@pytest.mark.parametrize("kind", ["reject_429", "http_503"])
def test_retry_after_is_the_value(sandbox: Sandbox, kind: str) -> None:
    """The value of reject_429 and http_503 is what Retry-After says."""
    sandbox.faults([{"kind": kind, "value": 7}])
    assert submit(sandbox, "gccai").headers["Retry-After"] == "7"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_http_502_is_a_proxy_speaking(sandbox: Sandbox, gateway: str) -> None:
    """A 502 is HTML, so it proves nothing; here nothing was accepted."""
    sandbox.faults([{"kind": "http_502"}])
    answer = submit(sandbox, gateway)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert sandbox.bill()["accepted"] == 0


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_drop_request_leaves_no_task(sandbox: Sandbox, gateway: str) -> None:
    """The request is read, the connection is cut, nothing was accepted."""
    sandbox.faults([{"kind": "drop_request"}])
    with pytest.raises(httpx.TransportError):
        submit(sandbox, gateway)
    bill = sandbox.bill()
    assert (bill["submissions"], bill["accepted"]) == (1, 0)


@pytest.mark.parametrize("gateway", ASYNC_GATEWAYS)
@pytest.mark.parametrize("kind", ["http_502_accepted", "drop_response", "garbage_json"])
def test_lost_answers_are_billed(sandbox: Sandbox, kind: str, gateway: str) -> None:
    """A 502, a cut connection or half an answer behind an accepted task: it runs and is billed."""
    sandbox.faults([{"kind": kind}])
    if kind == "drop_response":
        with pytest.raises(httpx.TransportError):
            submit(sandbox, gateway)
    else:
        answer = submit(sandbox, gateway)
        assert answer.status_code == (502 if kind == "http_502_accepted" else 200)
        with pytest.raises(ValueError):
            answer.json()
    sandbox.advance(10)
    entry = sandbox.bill()["entries"][0]
    assert (entry["status"], entry["usd"]) == ("completed", USD[gateway])


@pytest.mark.parametrize("kind", ["http_502_accepted", "drop_response", "garbage_json"])
def test_lost_answers_of_a_synchronous_call_are_billed(sandbox: Sandbox, kind: str) -> None:
    """getimg's answer is lost at the end of the call, which is billed."""
    sandbox.faults([{"kind": kind}])
    call = held_call(sandbox)
    sandbox.advance(10)
    error = call.exception(timeout=10)
    assert isinstance(error, httpx.TransportError) if kind == "drop_response" else error is None
    assert sandbox.bill()["entries"][0]["usd"] == "0.04"


def test_refuse_connection_closes_the_port_for_a_while() -> None:
    """The request gets the gateway's 503 and is not counted, new connections are refused, then the port is back."""
    with start_sandbox("--seconds", "0", "--image-px", "64") as sandbox:
        refused = 0

        def is_back() -> bool:
            nonlocal refused
            try:
                httpx.get(f"{sandbox.url}/sandbox/health").raise_for_status()
            except httpx.ConnectError:
                refused += 1
                return False
            return True

        order(sandbox, "evolink", prompt="a hat")
        for closed_s in (0.5, 4.0, 32.0):  # longer where this machine was too slow to see it closed
            sandbox.faults([{"kind": "refuse_connection", "count": 1, "value": closed_s, "match": "shoe"}])
            answer = submit(sandbox, "evolink")
            assert (answer.status_code, answer.headers["Connection"]) == (503, "close")
            assert answer.headers["Retry-After"] == str(math.ceil(closed_s))
            assert answer.json()["error"]["type"] == "service_unavailable_error"
            until(is_back, "the port is open again")
            if refused:
                break
        assert refused > 0
        order(sandbox, "evolink")
        bill = sandbox.bill()
        assert (bill["submissions"], bill["accepted"]) == (2, 2)


@pytest.mark.parametrize("gateway", ASYNC_GATEWAYS)
def test_status_faults_end_nothing(sandbox: Sandbox, gateway: str) -> None:
    """A status answer of 500, 429 or half a body strikes one request; the next one is answered."""
    task = order(sandbox, gateway)
    for kind, status in (("status_500", 500), ("status_429", 429), ("status_garbage", 200)):
        sandbox.faults([{"kind": kind, "count": 1, "match": "shoe"}])
        answer = ask(sandbox, gateway, task)
        assert answer.status_code == status
        if kind == "status_garbage":
            with pytest.raises(ValueError):
                answer.json()
        else:
            assert "error" in answer.json()
        assert ask(sandbox, gateway, task).status_code == 200


def test_slow_and_stuck_tasks(sandbox: Sandbox) -> None:
    """slow takes its value or ten times as long; stuck never ends and stays pre-charged."""
    sandbox.faults([{"kind": "slow", "match": "a"}, {"kind": "slow", "match": "b", "value": 30}, {"kind": "stuck"}])
    for prompt in ("a", "b", "c"):
        order(sandbox, "evolink", prompt=prompt)
    seen = []
    for _ in range(3):
        sandbox.advance(29.9)
        seen.append([entry["status"] for entry in sandbox.bill()["entries"]])
        sandbox.advance(10.1)
    sandbox.advance(1e6)
    seen.append([entry["status"] for entry in sandbox.bill()["entries"]])
    assert seen == [
        ["running", "running", "running"],
        ["running", "completed", "running"],
        ["completed", "completed", "running"],
        ["completed", "completed", "running"],
    ]
    assert sandbox.bill()["entries"][2]["usd"] == "0.031"


@pytest.mark.parametrize(("gateway", "code"), [("evolink", "service_error"), ("gccai", 500), ("apiin", 500)])
@pytest.mark.parametrize("kind", ["task_failed", "task_failed_billed", "task_cancelled"])
def test_failed_and_cancelled_tasks(sandbox: Sandbox, kind: str, gateway: str, code: object) -> None:
    """A failed task names a transient code unless told another, and is billed only by the fault that says so."""
    sandbox.faults([{"kind": kind, "count": 1}, {"kind": kind, "value": "resource_exhausted"}])
    errors = []
    for _ in range(2):
        answer = finished(sandbox, gateway)
        holder = answer if gateway == "evolink" else answer["data"]
        words = {"failed", "FAILED"} if kind != "task_cancelled" or gateway == "evolink" else {"cancelled", "CANCELLED"}
        assert holder["status"] in words
        errors.append(holder["error"]["code"])
    assert errors == ["request_cancelled" if kind == "task_cancelled" else code, "resource_exhausted"]
    entry = sandbox.bill()["entries"][0]
    assert entry["status"] == ("cancelled" if kind == "task_cancelled" else "failed")
    assert entry["usd"] == (USD[gateway] if kind == "task_failed_billed" else "0")
    assert entry["images"] == 0


def test_failed_synchronous_calls(sandbox: Sandbox) -> None:
    """getimg refuses a failed call with 422, unbilled; failed and billed is a 200 without an image."""
    sandbox.faults([{"kind": "task_failed"}])
    answer = submit(sandbox, "getimg")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "content_policy_violation")
    assert sandbox.bill()["accepted"] == 0
    sandbox.faults([{"kind": "task_failed_billed"}])
    body = finished(sandbox, "getimg")
    assert (body["data"], body["usage"]["total_cost"], body["usage"]["quantity"]) == ([], 0.04, 1)
    assert sandbox.bill()["usd"] == "0.04"


@pytest.mark.parametrize(("value", "images"), [(None, 2), (1, 1), (0, 0), (9, 3)])
def test_fewer_images_are_charged_as_made(sandbox: Sandbox, value: int | None, images: int) -> None:
    """fewer_images makes n - 1 or its value, never more than n, and only what was made is charged."""
    sandbox.faults([{"kind": "fewer_images", "value": value}])
    answer = finished(sandbox, "evolink", n=3)
    entry = sandbox.bill()["entries"][0]
    assert len(answer["results"]) == entry["images"] == images
    assert float(entry["usd"]) == pytest.approx(0.031 * images)
    assert answer["usage"]["credits_used"] == 2.25 * images


def test_fewer_images_of_one_is_one(sandbox: Sandbox) -> None:
    """Unless 0 is asked for, one image is made."""
    sandbox.faults([{"kind": "fewer_images"}])
    assert len(finished(sandbox, "apiin")["data"]["output"]["image_urls"]) == 1


def test_other_prices_are_charged_and_reported(sandbox: Sandbox) -> None:
    """other_price doubles the price or sets it per image; reservation and pre-charge are as before."""
    sandbox.faults([{"kind": "other_price", "count": 1}, {"kind": "other_price", "value": 0.05}])
    answer = finished(sandbox, "evolink", n=2)
    assert (answer["usage"]["credits_reserved"], answer["usage"]["credits_used"]) == (4.5, 9)
    body = finished(sandbox, "getimg")
    assert (body["usage"]["total_cost"], body["usage"]["unit_price"]) == (0.05, 0.05)
    assert [entry["usd"] for entry in sandbox.bill()["entries"]] == ["0.124", "0.05"]


def test_other_models_are_named(sandbox: Sandbox) -> None:
    """other_model stands in the replies and on the bill, the price stays that of the model asked for."""
    sandbox.faults([{"kind": "other_model", "gateway": "evolink"}, {"kind": "other_model", "value": "flux"}])
    assert submit(sandbox, "evolink").json()["model"] == "doubao-seedream-4.0"
    assert finished(sandbox, "getimg")["model"] == "flux"
    assert [entry["model"] for entry in sandbox.bill()["entries"]] == ["doubao-seedream-4.0", "flux"]
    assert sandbox.bill()["usd"] == "0.071"


def download(sandbox: Sandbox, gateway: str, answer: dict[str, Any]) -> httpx.Response:
    return sandbox.http.get(links(gateway, answer)[0])


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_download_faults(sandbox: Sandbox, gateway: str) -> None:
    """A failing download can be tried again; a dead link stays dead."""
    answer = finished(sandbox, gateway)
    sandbox.faults([{"kind": "download_500", "count": 1}])
    assert [download(sandbox, gateway, answer).status_code for _ in range(2)] == [500, 200]
    sandbox.faults([{"kind": "expired_link", "count": 1}])
    assert [download(sandbox, gateway, answer).status_code for _ in range(2)] == [410, 410]
    assert sandbox.bill()["entries"][0]["downloads"] == 1


@pytest.mark.parametrize("kind", ["corrupt_image", "wrong_type", "huge_image"])
def test_damaged_images_stay_damaged(sandbox: Sandbox, kind: str) -> None:
    """Damage is drawn once per image: the same link gives the same bytes, also after the list has changed."""
    sandbox.faults([{"kind": kind, "count": 1}])
    answer = finished(sandbox, "evolink", n=2)
    damaged, whole = links("evolink", answer)
    first = sandbox.http.get(damaged)
    assert first.status_code == 200
    assert opened(sandbox.http.get(whole).content).format == "JPEG"
    sandbox.faults([])
    assert sandbox.http.get(damaged).content == first.content
    with pytest.raises((OSError, Image.DecompressionBombError)):
        opened(first.content)
    if kind == "wrong_type":
        assert first.content.startswith(b"%PDF")
    if kind == "huge_image":
        assert len(first.content) < 1_000_000


def test_bytes_that_were_handed_out_never_change(sandbox: Sandbox) -> None:
    """An image that was downloaded well once is not damaged later."""
    answer = finished(sandbox, "evolink")
    first = download(sandbox, "evolink", answer).content
    sandbox.faults([{"kind": "corrupt_image"}])
    assert download(sandbox, "evolink", answer).content == first


def test_damage_is_drawn_once_per_image(sandbox: Sandbox) -> None:
    """With a rate of a half, every image is either always whole or always damaged."""
    sandbox.faults([{"kind": "corrupt_image", "rate": 0.5}, {"kind": "download_500", "rate": 0.3}])
    urls = links("evolink", finished(sandbox, "evolink", n=15))
    rounds = [[sandbox.http.get(url) for url in urls] for _ in range(6)]
    kinds = {
        len({answer.content for answer in column if answer.status_code == 200}) for column in zip(*rounds, strict=True)
    }
    assert kinds == {1}


def test_the_first_entry_that_wins_fires(sandbox: Sandbox) -> None:
    """Entries are tried in order: gateway, text in the prompt, rate and count decide."""
    sandbox.faults(
        [
            {"kind": "reject_401", "rate": 0},
            {"kind": "reject_402", "gateway": "gccai"},
            {"kind": "reject_429", "match": "boot"},
            {"kind": "http_503", "count": 1},
            {"kind": "http_500"},
        ]
    )
    answers = [
        submit(sandbox, "gccai"),
        submit(sandbox, "evolink", prompt="a boot"),
        submit(sandbox, "evolink"),
        submit(sandbox, "evolink"),
    ]
    assert [answer.status_code for answer in answers] == [402, 429, 503, 500]


def test_draws_can_be_repeated() -> None:
    """The same seed and the same requests give the same faults; the rate is kept."""
    drawn = []
    for seed in ("1", "1", "2"):
        with start_sandbox("--seconds", "0", "--seed", seed) as sandbox:
            sandbox.faults([{"kind": "http_500", "rate": 0.3}])
            drawn.append([submit(sandbox, "apiin").status_code for _ in range(60)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert 6 <= drawn[0].count(500) <= 32


@pytest.mark.parametrize(
    "entries",
    [
        {},
        ["http_500"],
        [{}],
        [{"kind": "nothing"}],
        [{"kind": "http_500", "gateway": "ark"}],
        [{"kind": "http_500", "rate": 2}],
        [{"kind": "http_500", "rate": True}],
        [{"kind": "http_500", "count": 1.5}],
        [{"kind": "http_500", "match": 3}],
        [{"kind": "http_500", "often": 3}],
        [{"kind": "slow", "value": "long"}],
        [{"kind": "reject_429", "value": -1}],
        [{"kind": "fewer_images", "value": -1}],
        [{"kind": "other_price", "value": "cheap"}],
        [{"kind": "other_model", "value": 3}],
    ],
)
def test_wrong_fault_lists_change_nothing(sandbox: Sandbox, entries: object) -> None:
    """A list with a mistake is refused with a message, and the old one stays."""
    sandbox.faults([{"kind": "http_500"}])
    before = sandbox.http.get(f"{sandbox.url}/sandbox/faults").json()
    answer = sandbox.http.put(f"{sandbox.url}/sandbox/faults", json=entries)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (400, True)
    assert sandbox.http.get(f"{sandbox.url}/sandbox/faults").json() == before


def test_refusals_come_before_faults(sandbox: Sandbox) -> None:
    """A wrong request is refused as such and draws no fault."""
    sandbox.faults([{"kind": "http_500", "count": 1}])
    assert sandbox.http.post(sandbox.bases["apiin"] + SUBMIT["apiin"], json={}).status_code == 400
    assert [submit(sandbox, "apiin").status_code for _ in range(2)] == [500, 200]
