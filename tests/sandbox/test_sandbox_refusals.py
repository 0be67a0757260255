"""What the documents refuse is refused, with the documented status and body, and costs nothing."""

from typing import Any

import pytest
from gateway_calls import GATEWAYS, STATUS, SUBMIT, ask, data_uri, image, order, submit
from sandbox_process import Sandbox, start_sandbox

WIDE = data_uri(image(700, 100))
PNG = data_uri(image(60, 40, "PNG"), "image/png")
URLS = [f"https://example.com/{number}.jpg" for number in range(20)]

REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("evolink", {"model": ...}, 400, "model"),
    ("evolink", {"model": "doubao-seedream-9"}, 404, "model"),
    ("evolink", {"prompt": ...}, 400, "prompt"),
    ("evolink", {"prompt": "  "}, 400, "prompt"),
    ("evolink", {"prompt": "x" * 2001}, 400, "prompt"),
    ("evolink", {"n": 0}, 400, "n"),
    ("evolink", {"n": 16}, 400, "n"),
    ("evolink", {"n": "2"}, 400, "n"),
    ("evolink", {"n": True}, 400, "n"),
    ("evolink", {"size": "1K"}, 400, "size"),
    ("evolink", {"size": "9:21"}, 400, "size"),
    ("evolink", {"size": "1024x1024"}, 400, "size"),
    ("evolink", {"size": "8192x1024x1"}, 400, "size"),
    ("evolink", {"quality": "1K"}, 400, "quality"),
    ("evolink", {"prompt_priority": "fast"}, 400, "prompt_priority"),
    ("evolink", {"image_urls": URLS[:15]}, 400, "image_urls"),
    ("evolink", {"image_urls": URLS[:10], "n": 6}, 400, "n"),
    ("evolink", {"image_urls": "https://example.com/a.jpg"}, 400, "image_urls"),
    ("evolink", {"image_urls": [PNG]}, 400, "image_urls"),
    ("evolink", {"callback_url": "ftp://example.com/"}, 400, "callback_url"),
    ("evolink", {"callback_url": "https://example.com/" + "x" * 2048}, 400, "callback_url"),
    ("evolink", {"model": "doubao-seedream-4.0", "size": "16:9"}, 400, "size"),
    ("evolink", {"model": "doubao-seedream-4.0", "size": "1000x700"}, 400, "size"),
    ("evolink", {"model": "doubao-seedream-4.0", "size": "16000x960"}, 400, "size"),
    ("evolink", {"model": "doubao-seedream-4.0", "image_urls": URLS[:11]}, 400, "image_urls"),
    ("gccai", {"model": "seedream-4-5"}, 400, "model"),
    ("gccai", {"n": "1"}, 400, "n"),
    ("gccai", {"n": 2}, 400, "n"),
    (
        "gccai",
        {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}},
        400,
        "n",
    ),
    ("gccai", {"size": "auto"}, 400, "size"),
    ("gccai", {"size": "4:5"}, 400, "size"),
    ("gccai", {"resolution": "1K"}, 400, "resolution"),
    ("gccai", {"watermark": "false"}, 400, "watermark"),
    ("gccai", {"optimize_prompt_options": {"mode": "turbo"}}, 400, "optimize_prompt_options.mode"),
    ("gccai", {"image_urls": URLS[:11]}, 400, "image_urls"),
    ("gccai", {"image_urls": [PNG] * 10, "n": 6}, 400, "n"),
    ("gccai", {"image_urls": [WIDE]}, 400, "image_urls"),
    ("gccai", {"image_urls": [data_uri(image(14, 14))]}, 400, "image_urls"),
    ("gccai", {"image_urls": [data_uri(b"no image")]}, 400, "image_urls"),
    ("gccai", {"image_urls": ["data:image/jpeg;base64,%%%"]}, 400, "image_urls"),
    ("gccai", {"image_urls": [data_uri(image(60, 40, "WEBP"), "image/webp")]}, 400, "image_urls"),
    ("gccai", {"image_urls": [data_uri(image(60, 40, "WEBP"), "image/jpeg")]}, 400, "image_urls"),
    ("getimg", {"n": 1}, 400, "n"),
    ("getimg", {"model": "seedream-4-0"}, 400, "model"),
    ("getimg", {"prompt": ...}, 400, "prompt"),
    ("getimg", {"prompt": "x" * 4097}, 400, "prompt"),
    ("getimg", {"aspect_ratio": "auto"}, 400, "aspect_ratio"),
    ("getimg", {"resolution": "1K"}, 400, "resolution"),
    ("getimg", {"output_format": "gif"}, 400, "output_format"),
    ("getimg", {"images": [{"url": PNG}] * 11}, 400, "images"),
    ("getimg", {"images": [PNG]}, 400, "images"),
    ("getimg", {"images": [{"url": "http://example.com/a.jpg"}]}, 400, "images[0].url"),
    ("getimg", {"images": [{"url": data_uri(b"no image", "image/png")}]}, 400, "images[0].url"),
    ("getimg", {"images": [{"url": "http://127.0.0.1:9/closed.jpg"}]}, 400, "images[0].url"),
    ("apiin", {"model": "seedream/4.0"}, 400, "model"),
    ("apiin", {"prompt": ...}, 400, "prompt"),
    ("apiin", {"quality": "2K"}, 400, "quality"),
    ("apiin", {"aspect_ratio": "auto"}, 400, "aspect_ratio"),
    ("apiin", {"model": "seedream/4.5-edit"}, 400, "image_urls"),
    ("apiin", {"model": "seedream/4.5-edit", "image_urls": []}, 400, "image_urls"),
    ("apiin", {"model": "seedream/4.5-edit", "image_urls": [PNG]}, 400, "image_urls"),
]


@pytest.mark.parametrize(("gateway", "fields", "status", "param"), REFUSED)
def test_wrong_requests_are_refused(
    sandbox: Sandbox, gateway: str, fields: dict[str, Any], status: int, param: str
) -> None:
    """Each limit of the documents holds, names the field, and leaves no entry on the bill."""
    answer = submit(sandbox, gateway, **fields)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    if gateway in ("evolink", "getimg"):
        assert error["param"] == param
    assert param.partition("[")[0].rpartition(".")[2] in error["message"]
    bill = sandbox.bill()
    assert (bill["submissions"], bill["accepted"], bill["usd"]) == (1, 0, "0")


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer a b", "Basic abc", "Bearer invalid-key", "sk-test"])
def test_a_missing_or_wrong_key_is_refused(sandbox: Sandbox, gateway: str, header: str | None) -> None:
    """No key, no bearer, or a key that begins with `invalid`: 401 in the gateway's words, at every route."""
    import httpx

    headers = {} if header is None else {"Authorization": header}
    answer = httpx.post(sandbox.bases[gateway] + SUBMIT[gateway], json={"prompt": "x"}, headers=headers)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error.get("code") == ("invalid_api_key" if gateway == "getimg" else 401)
    assert error["type"] == ("invalid_request_error" if gateway == "getimg" else "authentication_error")
    path = "/v2/billing/balance" if gateway == "getimg" else STATUS[gateway] + "task-unified-1-x"
    assert httpx.get(sandbox.bases[gateway] + path, headers=headers).status_code == 401


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_refused(sandbox: Sandbox, gateway: str, body: bytes) -> None:
    """What cannot be read as a JSON object is a 400 with the gateway's own body, and counts as a submission."""
    answer = sandbox.http.post(sandbox.bases[gateway] + SUBMIT[gateway], content=body)
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert sandbox.bill()["by_gateway"][gateway]["submissions"] == 1


def test_error_bodies_have_the_documented_form(sandbox: Sandbox) -> None:
    """The four error bodies, field by field."""
    evolink = submit(sandbox, "evolink", n=99).json()["error"]
    assert (evolink["code"], evolink["type"], evolink["param"]) == (400, "invalid_request_error", "n")
    gccai = submit(sandbox, "gccai", n=99).json()["error"]
    assert (gccai["code"], gccai["type"]) == (400, "invalid_request_error")
    getimg = submit(sandbox, "getimg", resolution="8K").json()["error"]
    assert (getimg["code"], getimg["type"]) == ("invalid_parameter", "invalid_request_error")
    assert set(getimg) == {"message", "type", "param", "code", "doc_url"}
    assert submit(sandbox, "getimg", prompt=...).json()["error"]["code"] == "parameter_missing"
    apiin = submit(sandbox, "apiin", quality="best").json()["error"]
    assert (apiin["code"], apiin["type"]) == (400, "invalid_request")


def test_unknown_fields_are_ignored(sandbox: Sandbox) -> None:
    """Only getimg checks for fields that are not in its schema."""
    for gateway in ("evolink", "gccai", "apiin"):
        order(sandbox, gateway, unheard_of=1)


def test_apiin_ignores_references_of_text_to_image_and_charges(sandbox: Sandbox) -> None:
    """image_urls with the text-to-image model are accepted, ignored and paid for."""
    order(sandbox, "apiin", image_urls=URLS[:1])
    assert sandbox.bill()["usd"] == "0.024"


def test_unknown_tasks_are_not_found(sandbox: Sandbox) -> None:
    """An unknown id is a 404 in the gateway's words; EvoLink refuses one of another form with 400."""
    assert ask(sandbox, "evolink", "task-unified-1-none").json()["error"]["type"] == "not_found_error"
    assert ask(sandbox, "evolink", "nonsense").json()["error"]["code"] == "invalid_task_id"
    answers = [ask(sandbox, gateway, "task_none") for gateway in ("evolink", "gccai", "apiin")]
    assert [answer.status_code for answer in answers] == [400, 404, 404]
    assert all("error" in answer.json() for answer in answers)


@pytest.mark.parametrize("gateway", ["evolink", "apiin"])
def test_callbacks_must_be_public_https(quick_sandbox: Sandbox, gateway: str) -> None:
    """Without --allow-local-callbacks: https only, no loopback, private or nameless hosts."""
    wrong = ["http://example.com/", "https://127.0.0.1/x", "https://10.1.2.3/", "https://[::1]/", "https://localhost/"]
    wrong += ["https://169.254.169.254/", "https://shop.internal/", "not a url", ""]
    for url in wrong:
        assert submit(quick_sandbox, gateway, callback_url=url).status_code == 400, url


def test_a_large_body_is_taken_and_a_larger_one_is_not() -> None:
    """Inline images of many MB arrive; getimg stops at 25 MiB, with its own body."""
    with start_sandbox("--seconds", "0", "--image-px", "64") as sandbox:
        heavy = data_uri(image(3000, 1000, "BMP"), "image/png")
        answer = submit(sandbox, "getimg", images=[{"url": heavy}] * 2)
        assert answer.status_code == 400  # read completely, then: a BMP
        answer = submit(sandbox, "getimg", images=[{"url": heavy}] * 3)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
