"""The four gateways' calls as tests make them: the shortest valid body, the task id, the status, the links."""

import base64
import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
from PIL import Image
from sandbox_process import Sandbox

GATEWAYS = ("evolink", "gccai", "getimg", "apiin")
ASYNC_GATEWAYS = ("evolink", "gccai", "apiin")
USD = {"evolink": "0.031", "gccai": "0.035", "getimg": "0.04", "apiin": "0.024"}

SUBMIT = {
    "evolink": "/v1/images/generations",
    "gccai": "/v1/images/generations",
    "getimg": "/v2/images/generations",
    "apiin": "/api/v1/images/generations",
}
STATUS = {"evolink": "/v1/tasks/", "gccai": "/v1/tasks/", "apiin": "/api/v1/tasks/"}
MODEL = {
    "evolink": "doubao-seedream-4.5",
    "gccai": "doubao-seedream-4-5",
    "getimg": "seedream-4-5",
    "apiin": "seedream/4.5-text-to-image",
}


def submit(sandbox: Sandbox, gateway: str, **fields: Any) -> httpx.Response:
    """A generation request; fields of value `...` are left out."""
    body = {"model": MODEL[gateway], "prompt": "a red shoe", **fields}
    body = {name: value for name, value in body.items() if value is not ...}
    return sandbox.http.post(sandbox.bases[gateway] + SUBMIT[gateway], json=body)


def order(sandbox: Sandbox, gateway: str, **fields: Any) -> str:
    """Submit to an asynchronous gateway; returns the task id."""
    answer = submit(sandbox, gateway, **fields)
    assert answer.status_code == 200, answer.text
    return task_id(gateway, answer.json())


def task_id(gateway: str, answer: dict[str, Any]) -> str:
    """The task id of a submit's answer."""
    if gateway == "gccai":
        return str(answer["data"][0]["task_id"])
    return str(answer["data"]["task_id"] if gateway == "apiin" else answer["id"])


def ask(sandbox: Sandbox, gateway: str, task: str) -> httpx.Response:
    """A status request."""
    return sandbox.http.get(sandbox.bases[gateway] + STATUS[gateway] + task)


def state_of(gateway: str, answer: dict[str, Any]) -> str:
    """The status word in a status answer."""
    return str(answer["status"] if gateway == "evolink" else answer["data"]["status"])


def links(gateway: str, answer: dict[str, Any]) -> list[str]:
    """The download links in a finished answer."""
    if gateway == "evolink":
        return list(answer["results"])
    if gateway == "gccai":
        return [image["url"][0] for image in answer["data"]["result"]["images"]]
    if gateway == "getimg":
        return [image["url"] for image in answer["data"]]
    return list(answer["data"]["output"]["image_urls"])


def held_call(sandbox: Sandbox, **fields: Any) -> Future[httpx.Response]:
    """A getimg call, which answers when it is done: sent from a thread. Returns once the sandbox has accepted it."""
    accepted = sandbox.bill()["by_gateway"]["getimg"]["accepted"]
    with_pool = ThreadPoolExecutor(1)
    future = with_pool.submit(submit, sandbox, "getimg", **fields)
    with_pool.shutdown(wait=False)
    pause = threading.Event()
    while sandbox.bill()["by_gateway"]["getimg"]["accepted"] == accepted and not future.done():
        pause.wait(0.005)
    return future


def finished(sandbox: Sandbox, gateway: str, **fields: Any) -> dict[str, Any]:
    """Order images and bring the clock to the end; returns the finished answer."""
    if gateway == "getimg":
        call = held_call(sandbox, **fields)
        sandbox.advance(10)
        answer = call.result(timeout=10)
    else:
        task = order(sandbox, gateway, **fields)
        sandbox.advance(10)
        answer = ask(sandbox, gateway, task)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def image(width: int = 60, height: int = 40, image_format: str = "JPEG", colour: str = "red") -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, image_format)
    return buffer.getvalue()


def data_uri(data: bytes, media_type: str = "image/jpeg") -> str:
    """Bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def opened(data: bytes) -> Image.Image:
    """A decoded image; raises when the bytes are none."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
