"""The happy path of each gateway, over real HTTP."""

import json
import socket
from decimal import Decimal

import httpx
import pytest
from gateway_calls import (
    ASYNC_GATEWAYS,
    GATEWAYS,
    USD,
    ask,
    data_uri,
    finished,
    held_call,
    image,
    links,
    opened,
    order,
    state_of,
    submit,
)
from sandbox_process import Sandbox, start_sandbox
from waiting import until


@pytest.mark.parametrize("gateway", ASYNC_GATEWAYS)
def test_a_task_runs_until_its_time_and_then_has_links(sandbox: Sandbox, gateway: str) -> None:
    """An asynchronous task is running before its seconds have passed, and completed with an image after."""
    task = order(sandbox, gateway)
    assert state_of(gateway, ask(sandbox, gateway, task).json()).lower() in ("pending", "submitted", "in_progress")
    sandbox.advance(5)
    assert state_of(gateway, ask(sandbox, gateway, task).json()).lower() in ("processing", "in_progress")
    sandbox.advance(5)
    answer = ask(sandbox, gateway, task).json()
    assert state_of(gateway, answer).lower() == "completed"
    download = sandbox.http.get(links(gateway, answer)[0], headers={"Authorization": ""})
    assert opened(download.content).format == "JPEG"
    assert sandbox.bill()["usd"] == USD[gateway]


def test_getimg_holds_the_answer_until_the_image_is_done(sandbox: Sandbox) -> None:
    """The synchronous call is still open before its time, and carries link, sizes and exact cost after."""
    call = held_call(sandbox)
    assert not call.done()
    sandbox.advance(10)
    answer = call.result(timeout=10).json()
    assert answer["status"] == "completed"
    assert answer["usage"] == {"total_cost": 0.04, "billable_unit": "image", "unit_price": 0.04, "quantity": 1}
    image = opened(sandbox.http.get(answer["data"][0]["url"]).content)
    assert image.size == (answer["data"][0]["width"], answer["data"][0]["height"])


def test_getimg_bills_a_call_whose_client_hung_up(sandbox: Sandbox) -> None:
    """Whoever leaves before the answer pays all the same: the call completes."""
    body = json.dumps({"model": "seedream-4-5", "prompt": "left alone"})
    base = httpx.URL(sandbox.bases["getimg"])
    head = f"POST {base.path}/v2/images/generations HTTP/1.1\r\nHost: {base.host}\r\nAuthorization: Bearer k\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((base.host, base.port or 80)) as impatient:
        impatient.sendall((head + body).encode())
        until(lambda: sandbox.bill()["entries"], "the call is accepted")
    assert sandbox.bill()["entries"][0]["status"] == "running"
    sandbox.advance(10)
    entry = sandbox.bill()["entries"][0]
    assert (entry["status"], entry["images"], entry["usd"]) == ("completed", 1, "0.04")


@pytest.mark.parametrize("output_format", ["jpeg", "png", "webp"])
def test_getimg_gives_the_format_that_was_asked_for(sandbox: Sandbox, output_format: str) -> None:
    """`output_format` decides the file, its media type says so, and its stamp makes it unique."""
    answers = [finished(sandbox, "getimg", output_format=output_format) for _ in range(2)]
    files = [sandbox.http.get(answer["data"][0]["url"]) for answer in answers]
    assert [opened(file.content).format for file in files] == [output_format.upper()] * 2
    assert files[0].headers["Content-Type"] == answers[0]["data"][0]["mime_type"] == f"image/{output_format}"
    assert files[0].content != files[1].content


@pytest.mark.parametrize(
    ("gateway", "fields", "size"),
    [
        ("evolink", {"size": "16:9", "quality": "2K"}, (2848, 1600)),
        ("evolink", {"size": "4:5"}, (1792, 2240)),
        ("evolink", {"size": "2048x2048"}, (2048, 2048)),
        ("evolink", {}, (2048, 2048)),
        ("evolink", {"model": "doubao-seedream-4.0", "size": "1K"}, (1024, 1024)),
        ("evolink", {"model": "doubao-seedream-4.0", "size": "1280x720"}, (1280, 720)),
        ("gccai", {"size": "9:21", "resolution": "2K"}, (1344, 3136)),
        ("gccai", {"size": "16:9", "resolution": "2K"}, (2560, 1440)),
        ("gccai", {"size": "16:9", "resolution": "4K"}, (5404, 3040)),
        ("gccai", {"size": "auto", "image_urls": [data_uri(image(60, 30))]}, (2896, 1456)),
        ("getimg", {"aspect_ratio": "3:2", "resolution": "2K"}, (2496, 1664)),
        ("apiin", {"aspect_ratio": "3:4", "quality": "basic"}, (1728, 2304)),
        ("apiin", {"quality": "high"}, (4096, 4096)),
    ],
)
def test_images_have_the_size_that_was_asked_for(
    quick_sandbox: Sandbox, gateway: str, fields: dict[str, object], size: tuple[int, int]
) -> None:
    """Ratio, tier and pixels come out as the published table says, in a real image."""
    answer = submit(quick_sandbox, gateway, **fields).json()
    if gateway != "getimg":
        from gateway_calls import task_id

        answer = ask(quick_sandbox, gateway, task_id(gateway, answer)).json()
    data = quick_sandbox.http.get(links(gateway, answer)[0]).content
    assert opened(data).size == size
    assert b"SANDBOX" in data


def test_several_images_are_made_and_charged(sandbox: Sandbox) -> None:
    """n images of one task are n links with different bytes and n times the price."""
    answer = finished(sandbox, "evolink", n=3)
    files = {sandbox.http.get(url).content for url in links("evolink", answer)}
    assert len(files) == 3
    entry = sandbox.bill()["entries"][0]
    assert (entry["images"], entry["usd"], entry["credits"]) == (3, "0.093", "6.75")
    assert answer["usage"]["credits_used"] == 6.75
    assert entry["downloads"] == 3


def test_the_same_link_gives_the_same_bytes(quick_sandbox: Sandbox) -> None:
    """An image is drawn from its entry alone, so a second download is the same file."""
    url = links("evolink", ask(quick_sandbox, "evolink", order(quick_sandbox, "evolink", prompt="тест 茶壶")).json())[0]
    first = quick_sandbox.http.get(url).content
    assert quick_sandbox.http.get(url).content == first


def test_an_edit_shows_its_references(quick_sandbox: Sandbox) -> None:
    """The references of an edit are pasted into the image."""
    task = order(quick_sandbox, "gccai", size="1:1", image_urls=[data_uri(image(200, 200, colour="#00ff00"))])
    data = quick_sandbox.http.get(links("gccai", ask(quick_sandbox, "gccai", task).json())[0]).content
    colours = opened(data).resize((64, 64)).convert("RGB").tobytes()
    green = [at for at in range(0, len(colours), 3) if colours[at + 1] > 230 and colours[at] < 40]
    assert len(green) > 50


def test_a_foreign_reference_is_not_fetched(sandbox: Sandbox) -> None:
    """A URL on the internet is accepted and completes; the sandbox stays off the internet."""
    finished(sandbox, "apiin", model="seedream/4.5-edit", image_urls=["https://example.com/a.jpg"])
    assert sandbox.bill()["entries"][0]["status"] == "completed"


def test_estimates_are_near_the_truth_and_can_be_left_out(sandbox: Sandbox) -> None:
    """EvoLink says at submit, gccai in its status, how many whole seconds a task takes, wrong by at most the estimate error."""
    estimate = submit(sandbox, "evolink").json()["task_info"]["estimated_time"]
    assert 8 <= estimate <= 12
    task = order(sandbox, "gccai")
    asked = ask(sandbox, "gccai", task).json()["data"]["estimated_time"]
    assert 8 <= asked <= 12
    assert (type(estimate), type(asked)) == (int, int)


def test_the_submit_answers_have_the_documented_form(sandbox: Sandbox) -> None:
    """The answer to a submit is the document's example with other values."""
    evolink = submit(sandbox, "evolink", n=2).json()
    assert evolink["id"].startswith("task-unified-")
    assert (evolink["object"], evolink["type"], evolink["status"]) == ("image.generation.task", "image", "pending")
    assert evolink["usage"]["credits_reserved"] == 4.5
    gccai = submit(sandbox, "gccai").json()
    assert gccai["code"] == 200
    assert gccai["data"][0]["status"] == "submitted"
    apiin = submit(sandbox, "apiin").json()
    assert (apiin["code"], apiin["message"], apiin["data"]["status"]) == (200, "success", "IN_PROGRESS")


def test_every_answer_is_marked(sandbox: Sandbox) -> None:
    """The header Seedream-Sandbox stands on successes, errors, unknown paths, downloads and control routes."""
    url = links("evolink", finished(sandbox, "evolink"))[0]
    get = sandbox.http.get
    answers = [
        get(url),
        get(url + "x"),
        get(sandbox.url + "/nothing"),
        get(sandbox.bases["apiin"] + "/nothing"),
        get(sandbox.url + "/sandbox/bill"),
        get(sandbox.url + "/sandbox/nothing"),
        sandbox.http.put(sandbox.url + "/sandbox/faults", json=3),
        sandbox.http.delete(sandbox.bases["evolink"] + "/v1/credits"),
        submit(sandbox, "gccai", prompt=...),
    ]
    assert [answer.headers.get("Seedream-Sandbox") for answer in answers] == ["1"] * len(answers)


def test_balances_go_down_by_what_was_charged(sandbox: Sandbox) -> None:
    """Balances are pre-charged by n and follow the bill once tasks have ended."""
    sandbox.faults([{"kind": "fewer_images", "value": 1, "gateway": "evolink"}])
    get = sandbox.http.get
    order(sandbox, "evolink", n=2)
    order(sandbox, "gccai")
    credit = get(sandbox.bases["evolink"] + "/v1/credits").json()["data"]["user"]
    assert credit == {"remaining_credits": 9995.5, "used_credits": 4.5}
    sandbox.advance(10)
    credit = get(sandbox.bases["evolink"] + "/v1/credits").json()["data"]["token"]
    assert credit == {"remaining_credits": 9997.75, "used_credits": 2.25, "unlimited_credits": False}
    balance = get(sandbox.bases["gccai"] + "/v1/balance").json()
    assert (balance["remain_balance"], balance["used_balance"], balance["unlimited_quota"]) == (999.965, 0.035, False)
    assert "unlimited_quota" not in get(sandbox.bases["gccai"] + "/v1/user/balance").json()


def test_gateways_are_kept_apart(sandbox: Sandbox) -> None:
    """The bill lists all four gateways, and a task is known at its own one only."""
    task = order(sandbox, "gccai")
    bill = sandbox.bill()
    assert set(bill["by_gateway"]) == set(GATEWAYS)
    assert ask(sandbox, "apiin", task).status_code == 404
    assert sum(Decimal(row["usd"]) for row in bill["by_gateway"].values()) == Decimal(bill["usd"])


@pytest.mark.parametrize("size", ["16384x1024", "1024x16384"])
@pytest.mark.parametrize(
    "prompt", ["\\ud800 lone", "x" * 2000, "\\u0000\\n\\t \\u202e\\u200f", "مرحبا שלום 茶壶 👟 नमस्ते"]
)
def test_any_text_and_any_shape_can_be_drawn(quick_sandbox: Sandbox, prompt: str, size: str) -> None:
    """Half characters, control characters, other scripts, one endless word: on the widest and the tallest image."""
    body = f'{{"model": "doubao-seedream-4.5", "size": "{size}", "prompt": "{prompt}"}}'.encode()
    answer = quick_sandbox.http.post(quick_sandbox.bases["evolink"] + "/v1/images/generations", content=body).json()
    done = ask(quick_sandbox, "evolink", answer["id"]).json()
    image = opened(quick_sandbox.http.get(done["results"][0]).content)
    assert f"{image.width}x{image.height}" == size
    assert quick_sandbox.bill()["entries"][-1]["task_id"] == answer["id"]


@pytest.mark.parametrize(("size", "small"), [("16384x1024", (64, 4)), ("1024x16384", (4, 64))])
def test_the_smallest_images_keep_the_widest_shape(size: str, small: tuple[int, int]) -> None:
    """`--image-px 64` renders every ratio that a gateway takes, true to its shape."""
    with start_sandbox("--seconds", "0", "--image-px", "64") as sandbox:
        answer = submit(sandbox, "evolink", size=size).json()
        done = ask(sandbox, "evolink", answer["id"]).json()
        assert opened(sandbox.http.get(done["results"][0]).content).size == small
