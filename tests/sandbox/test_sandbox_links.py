"""Links die, and what was uploaded does."""

import base64
from typing import Any

import pytest
from gateway_calls import GATEWAYS, ask, finished, image, links, order
from sandbox_process import Sandbox
from waiting import until

LIFE = {"evolink": 24 * 3600, "gccai": 24 * 3600, "getimg": 3600, "apiin": 3600}
FILES = "/files/api/v1/files"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_links_die(sandbox: Sandbox, gateway: str) -> None:
    """A link works until its life is over: a day at EvoLink and gccai, an hour at getimg and apiin."""
    url = links(gateway, finished(sandbox, gateway))[0]
    sandbox.advance(LIFE[gateway] - 5)
    assert sandbox.http.get(url).status_code == 200
    sandbox.advance(10)
    assert sandbox.http.get(url).status_code == 410


def test_the_end_of_a_link_is_announced_where_documented(sandbox: Sandbox) -> None:
    """gccai says `expires_at`, getimg `deletes_at`."""
    data = finished(sandbox, "gccai")["data"]
    assert data["result"]["images"][0]["expires_at"] - data["completed"] == 24 * 3600
    assert finished(sandbox, "getimg")["data"][0]["deletes_at"].endswith("Z")


def test_signed_links_cannot_be_altered(sandbox: Sandbox) -> None:
    """A getimg link with another time or signature is refused."""
    url = links("getimg", finished(sandbox, "getimg"))[0]
    for wrong in (url + "0", url.replace("exp=", "exp=9"), url.partition("?")[0]):
        assert sandbox.http.get(wrong).status_code == 403


def test_there_is_no_link_before_the_end_nor_beyond_n(sandbox: Sandbox) -> None:
    """An image that was not made is not found."""
    task = order(sandbox, "evolink")
    url = f"{sandbox.bases['evolink']}/dl/{task}/"
    assert sandbox.http.get(url + "0.jpeg").status_code == 404
    sandbox.advance(10)
    assert [sandbox.http.get(url + name).status_code for name in ("0.jpeg", "1.jpeg", "x.jpeg")] == [200, 404, 404]


def upload(sandbox: Sandbox, way: str, name: str, data: bytes) -> dict[str, object]:
    base = sandbox.bases["evolink"] + FILES + "/upload/"
    if way == "stream":
        files = {"file": (name, data)}
        answer = sandbox.http.post(base + way, files=files, data={"uploadPath": "p", "fileName": name})
    elif way == "base64":
        body = {"base64_data": base64.b64encode(data).decode(), "upload_path": "p", "file_name": name}
        answer = sandbox.http.post(base + way, json=body)
    else:
        first = upload(sandbox, "stream", "source-" + name, data)["data"]
        assert isinstance(first, dict)
        answer = sandbox.http.post(base + way, json={"file_url": first["file_url"], "file_name": name})
    result: dict[str, object] = answer.json()
    return result


@pytest.mark.parametrize("way", ["stream", "base64", "url"])
def test_evolink_takes_files_three_ways(sandbox: Sandbox, way: str) -> None:
    """A file gets a URL that serves its bytes, without a key, for 72 hours."""
    data = image()
    answer = upload(sandbox, way, "a.jpg", data)
    assert (answer["success"], answer["code"]) == (True, 200)
    facts = answer["data"]
    assert isinstance(facts, dict)
    assert (facts["file_name"], facts["file_size"], facts["mime_type"]) == ("a.jpg", len(data), "image/jpeg")
    assert sandbox.http.get(facts["file_url"], headers={"Authorization": ""}).content == data
    sandbox.advance(72 * 3600)
    assert sandbox.http.get(facts["file_url"]).status_code == 404


def test_evolink_lists_counts_and_deletes_files(sandbox: Sandbox) -> None:
    """List and quota count living files; the same name overwrites; a deleted file is gone."""
    get, base = sandbox.http.get, sandbox.bases["evolink"] + FILES
    upload(sandbox, "stream", "a.jpg", image())
    facts = upload(sandbox, "stream", "a.jpg", image(colour="blue"))["data"]
    assert isinstance(facts, dict)
    upload(sandbox, "base64", "b.jpg", image())
    assert get(base + "/list?page=1&pageSize=1").json()["data"]["total"] == 2
    assert len(get(base + "/list?page=2&pageSize=1").json()["data"]["files"]) == 1
    assert get(base + "/quota").json()["data"]["used_files"] == 2
    assert sandbox.http.delete(f"{base}/{facts['file_id']}").json()["success"]
    assert sandbox.http.delete(f"{base}/{facts['file_id']}").status_code == 404
    assert get(facts["file_url"]).status_code == 404


def test_evolink_refuses_files_with_its_own_codes(sandbox: Sandbox) -> None:
    """40002: no image of a kind it takes; 40003: more than 100 files; 40004: a URL that it cannot load."""
    assert upload(sandbox, "stream", "a.txt", b"text")["code"] == 40002
    assert upload(sandbox, "base64", "a.bmp", image(image_format="BMP"))["code"] == 40002
    url = sandbox.bases["evolink"] + FILES + "/upload/url"
    assert sandbox.http.post(url, json={"file_url": "https://example.com/a.jpg"}).json()["code"] == 40004
    codes = [upload(sandbox, "stream", f"{number}.jpg", image())["code"] for number in range(101)]
    assert codes == [200] * 100 + [40003]
    quota = sandbox.http.get(sandbox.bases["evolink"] + FILES + "/quota").json()["data"]
    assert quota == {"used_files": 100, "max_files": 100, "remain_files": 0, "user_group": "default"}


def test_evolinks_file_service_refuses_in_a_shape_of_its_own(sandbox: Sandbox) -> None:
    """`success`, `code` and `msg`, and nothing else: for a bad key, a body that is not JSON, an unknown file."""
    base = sandbox.bases["evolink"] + FILES
    answers = [
        sandbox.http.get(base + "/quota", headers={"Authorization": "Bearer invalid"}),
        sandbox.http.post(base + "/upload/base64", content=b"{"),
        sandbox.http.delete(base + "/file_nowhere"),
        sandbox.http.post(base + "/upload/stream", files={"file": ("a.txt", b"text")}),
    ]
    assert [each.status_code for each in answers] == [401, 400, 404, 400]
    assert [each.json()["code"] for each in answers] == [401, 400, 404, 40002]
    assert all(set(each.json()) == {"success", "code", "msg"} and each.json()["success"] is False for each in answers)


def test_gccai_takes_uploads(sandbox: Sandbox) -> None:
    """An upload answers with a URL that can be a reference, and serves the bytes."""
    data = image(64, 64, "PNG")
    post = sandbox.http.post
    answer = post(sandbox.bases["gccai"] + "/v1/uploads/images", files={"file": ("a.png", data)}).json()
    assert (answer["filename"], answer["content_type"], answer["bytes"]) == ("a.png", "image/png", len(data))
    assert sandbox.http.get(answer["url"]).content == data
    assert finished(sandbox, "gccai", image_urls=[answer["url"]], n=2)["data"]["status"] == "completed"
    wrong = post(sandbox.bases["gccai"] + "/v1/uploads/images", files={"file": ("a.txt", b"text")})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "invalid_request_error")
    assert post(sandbox.bases["gccai"] + "/v1/uploads/images", json={}).status_code == 400


def test_an_uploaded_file_is_checked_as_a_reference(sandbox: Sandbox) -> None:
    """A file that is outside the limits of the generation is refused there, not at the upload."""
    facts = upload(sandbox, "stream", "wide.png", image(700, 20, "PNG"))["data"]
    assert isinstance(facts, dict)
    answer = sandbox.http.post(
        sandbox.bases["evolink"] + "/v1/images/generations",
        json={"model": "doubao-seedream-4.5", "prompt": "x", "image_urls": [facts["file_url"]]},
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image_urls")


def test_references_on_this_machine_are_fetched(sandbox: Sandbox) -> None:
    """A loopback URL is fetched while the task runs: what cannot be used fails the task, unbilled."""
    good = upload(sandbox, "stream", "a.jpg", image())["data"]
    assert isinstance(good, dict)
    own_output = links("evolink", finished(sandbox, "evolink"))[0]
    task = order(sandbox, "evolink", image_urls=[own_output])
    wait_fetched(sandbox)
    sandbox.advance(10)
    assert ended(sandbox, task)["status"] == "completed"
    task = order(sandbox, "evolink", image_urls=[sandbox.url + "/nothing.jpg"])
    wait_fetched(sandbox)
    sandbox.advance(10)
    answer = ended(sandbox, task)
    assert (answer["status"], answer["error"]["code"]) == ("failed", "image_processing_error")
    assert sandbox.bill()["entries"][-1]["usd"] == "0"


def ended(sandbox: Sandbox, task: str) -> dict[str, Any]:
    """The task once it runs no more: what was fetched is still to be looked at when the bill counts the request."""
    until(lambda: ask(sandbox, "evolink", task).json()["status"] != "processing", "the end of the task")
    answer: dict[str, Any] = ask(sandbox, "evolink", task).json()
    return answer


def wait_fetched(sandbox: Sandbox) -> None:
    """The sandbox fetches from itself: it has answered that request once its bill counts it."""
    fetches = ("GET /evolink/dl/{id}", "GET /nothing.jpg")
    before = sum(sandbox.bill()["requests"].get(name, 0) for name in fetches)
    while before == 0:
        before = sum(sandbox.bill()["requests"].get(name, 0) for name in fetches)
