"""What each gateway is sent for a job, to the last field: read from the sandbox's bill, which kept the request as it came."""

import io
from typing import Any

import pytest
from drawn import image
from gateway_client import ASYNCHRONOUS, GATEWAYS, ask, body_of, fetch, job, submit
from on_offer import SEEDREAM_40
from PIL import Image
from sandbox_process import Sandbox

from seedream_tasks.core.outcomes import Fate, Finished, TaskState
from seedream_tasks.engine.result_links import ResultLinks
from seedream_tasks.gateways.client import GatewayClient
from seedream_tasks.gateways.http import HttpClients
from seedream_tasks.references.address_guard import AllowedHosts

CALLBACK = "http://127.0.0.1:9/callbacks/token"
ONE = "https://images.example/one.jpg"
TWO = "https://images.example/two.png"


def sent(sandbox: Sandbox, gateway: str, body: dict[str, Any]) -> dict[str, Any]:
    """Submit a body; returns the request as the sandbox accepted it."""
    outcome = submit(sandbox, gateway, body)
    assert outcome.fate is Fate.ACCEPTED, outcome
    request: dict[str, Any] = sandbox.bill()["entries"][-1]["request"]
    return request


def uploaded(sandbox: Sandbox, gateway: str) -> str:
    """The link of a reference in the gateway's own file service."""
    return ask(gateway, sandbox.bases[gateway], lambda client: client.upload(image(), "shoe.jpg", "image/jpeg")).url


EVOLINK = {"model": "doubao-seedream-4.5", "prompt": "A red shoe", "n": 1, "prompt_priority": "standard"}
GCCAI = {
    "model": "doubao-seedance-4-5",
    "prompt": "A red shoe",
    "size": "1:1",
    "resolution": "2K",
    "n": 1,
    "watermark": False,
    "sequential_image_generation": "disabled",
}
GETIMG = {"model": "seedream-4-5", "prompt": "A red shoe", "aspect_ratio": "1:1", "resolution": "2K"}
APIIN = {"model": "seedream/4.5-text-to-image", "prompt": "A red shoe", "aspect_ratio": "1:1", "quality": "basic"}


def evolink(**options: Any) -> dict[str, Any]:
    """gateway_options for EvoLink."""
    return {"gateway_options": {"evolink": options}}


def gccai(**options: Any) -> dict[str, Any]:
    """gateway_options for gccai."""
    return {"gateway_options": {"gccai": options}}


@pytest.mark.parametrize(
    ("fields", "images", "expected"),
    [
        ({}, 1, {"size": "1:1", "quality": "2K"}),
        ({"ratio": "21:9", "tier": "4K"}, 1, {"size": "21:9", "quality": "4K"}),
        ({"ratio": "4:5"}, 1, {"size": "4:5", "quality": "2K"}),
        ({"ratio": "auto"}, 1, {"size": "auto", "quality": "2K"}),
        ({"ratio": "16:9", **evolink(size_form="pixels")}, 1, {"size": "2848x1600"}),
        ({"ratio": "9:16", "tier": "4K", **evolink(size_form="pixels")}, 1, {"size": "3040x5504"}),
        ({"ratio": "16:9", **evolink(size_form="ratio")}, 1, {"size": "16:9", "quality": "2K"}),
        ({"ratio": "auto", "tier": "4K", **evolink(size_form="pixels")}, 1, {"size": "4K"}),
        ({"ratio": None, "tier": None, "pixels": "2560x1440"}, 1, {"size": "2560x1440"}),
        (
            {"n": 3},
            3,
            {"n": 3, "size": "1:1", "quality": "2K", "prompt": "A red shoe Generate 3 different images."},
        ),
        ({"n": 3}, 1, {"size": "1:1", "quality": "2K"}),
        ({"n": 2, **evolink(prompt_hint=False)}, 2, {"n": 2, "size": "1:1", "quality": "2K"}),
    ],
)
def test_evolink_seedream_45(gateways: Sandbox, fields: dict[str, Any], images: int, expected: dict[str, Any]) -> None:
    """Both document forms of the size, the words that ask for several images, and nothing else."""
    assert sent(gateways, "evolink", body_of("evolink", job(**fields), images)) == EVOLINK | expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"size": "2048x2048"}),
        ({"ratio": "16:9"}, {"size": "2848x1600"}),
        ({"ratio": "16:9", "tier": "1K"}, {"size": "1280x720"}),
        ({"ratio": "21:9", "tier": "4K"}, {"size": "6240x2656"}),
        ({"ratio": "auto", "tier": "1K"}, {"size": "1K"}),
        ({"ratio": None, "tier": None, "pixels": "1280x720"}, {"size": "1280x720"}),
        ({"speed": "fast"}, {"size": "2048x2048", "prompt_priority": "fast"}),
        (evolink(prompt_hint=True), {"size": "2048x2048"}),
    ],
)
def test_evolink_seedream_40(gateways: Sandbox, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """A ratio goes as pixels, `auto` as the tier alone, and `fast` is offered."""
    request = sent(gateways, "evolink", body_of("evolink", job(model=SEEDREAM_40, **fields)))
    assert request == EVOLINK | {"model": "doubao-seedream-4.0"} | expected


def test_evolink_references_and_callback(gateways: Sandbox) -> None:
    """References go as links in their order, the callback as it is."""
    link = uploaded(gateways, "evolink")
    request = sent(gateways, "evolink", body_of("evolink", job(), 1, (link, ONE), CALLBACK))
    assert request == EVOLINK | {
        "size": "1:1",
        "quality": "2K",
        "image_urls": [link, ONE],
        "callback_url": CALLBACK,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"ratio": "9:21", "tier": "4K"}, {"size": "9:21", "resolution": "4K"}),
        ({"watermark": True}, {"watermark": True}),
        ({"speed": "fast"}, {"optimize_prompt_options": {"mode": "fast"}}),
        (gccai(sequential_image_generation="disabled"), {}),
        (
            gccai(sequential_image_generation="auto"),
            {
                "sequential_image_generation": "auto",
                "sequential_image_generation_options": {"max_images": 1},
            },
        ),
    ],
)
def test_gccai_from_text(gateways: Sandbox, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """One image a call from text; `watermark` is always said, because the model's own default is to add one."""
    assert sent(gateways, "gccai", body_of("gccai", job(**fields))) == GCCAI | expected


@pytest.mark.parametrize(
    "spelling", ["doubao-seedance-4-5", "Doubao-Seedream-4.5", "doubao-seedream-4.5", "doubao-seedream-4-5"]
)
def test_gccai_spells_its_model_in_four_ways(gateways: Sandbox, spelling: str) -> None:
    """Any spelling of its document can be chosen, and is taken."""
    body = body_of("gccai", job(**gccai(model_name=spelling)))
    assert sent(gateways, "gccai", body) == GCCAI | {"model": spelling}


@pytest.mark.parametrize(
    ("fields", "images", "expected"),
    [
        ({}, 1, {}),
        (
            {"n": 3},
            3,
            {
                "n": 3,
                "sequential_image_generation": "auto",
                "sequential_image_generation_options": {"max_images": 3},
            },
        ),
        ({"ratio": "auto"}, 1, {"size": "auto"}),
    ],
)
def test_gccai_with_references(
    gateways: Sandbox, fields: dict[str, Any], images: int, expected: dict[str, Any]
) -> None:
    """Several images in one call turn on the sequence, never for more than the slots of this call; `auto` needs a reference."""
    link = uploaded(gateways, "gccai")
    request = sent(gateways, "gccai", body_of("gccai", job(**fields), images, (link, ONE)))
    assert request == GCCAI | expected | {"image_urls": [link, ONE]}
    assert type(request["n"]) is int


@pytest.mark.parametrize("gateway", ["gccai", "getimg"])
def test_a_data_uri_is_taken_where_it_is_offered(gateways: Sandbox, gateway: str) -> None:
    """A reference can stand in the request itself."""
    from seedream_tasks.references.reader import data_uri

    inline = data_uri(image(), "image/jpeg")
    request = sent(gateways, gateway, body_of(gateway, job(), 1, (inline,)))
    (given,) = request["image_urls"] if gateway == "gccai" else [each["url"] for each in request["images"]]
    assert given.startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("fields", "references", "expected"),
    [
        ({}, (), {}),
        ({"ratio": "3:2", "tier": "4K"}, (), {"aspect_ratio": "3:2", "resolution": "4K"}),
        ({"output_format": "png"}, (), {"output_format": "png"}),
        ({"operation": "edit"}, (ONE, TWO), {"images": [{"url": ONE}, {"url": TWO}]}),
    ],
)
def test_getimg(
    gateways: Sandbox, fields: dict[str, Any], references: tuple[str, ...], expected: dict[str, Any]
) -> None:
    """Its own field names; references as objects; no count, for one call makes one image."""
    assert sent(gateways, "getimg", body_of("getimg", job(**fields), 1, references)) == GETIMG | expected


@pytest.mark.parametrize("operation", ["generate", "edit"])
@pytest.mark.parametrize(
    ("references", "expected"), [((), {}), ((ONE, TWO), {"model": "seedream/4.5-edit", "image_urls": [ONE, TWO]})]
)
def test_apiin_takes_its_model_from_the_references(
    gateways: Sandbox, operation: str, references: tuple[str, ...], expected: dict[str, Any]
) -> None:
    """Text-to-image would ignore references and charge all the same: with references it is always the edit model."""
    body = body_of("apiin", job(operation=operation), 1, references)
    assert sent(gateways, "apiin", body) == APIIN | expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tier": "2K"}, {"quality": "basic"}),
        ({"tier": "4K", "ratio": "2:3"}, {"quality": "high", "aspect_ratio": "2:3"}),
    ],
)
def test_apiin_calls_tiers_quality(gateways: Sandbox, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """2K is basic, 4K is high."""
    assert sent(gateways, "apiin", body_of("apiin", job(**fields))) == APIIN | expected


def test_apiin_callback(gateways: Sandbox) -> None:
    """The callback goes as it is."""
    body = body_of("apiin", job(), 1, (), CALLBACK)
    assert sent(gateways, "apiin", body) == APIIN | {"callback_url": CALLBACK}


@pytest.mark.parametrize("gateway", ["gccai", "getimg"])
def test_a_gateway_without_callbacks_is_sent_none(gateway: str) -> None:
    """Where the document has no such field, none is made up."""
    assert CALLBACK not in str(body_of(gateway, job(), 1, (), CALLBACK))


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_from_submit_to_images(gateways: Sandbox, gateway: str) -> None:
    """Submitted, running, finished: the links lead to images, the charge is what the bill says."""
    outcome = submit(gateways, gateway)
    task_id = str(outcome.task_id)
    gateways.advance(60)
    status = fetch(gateways, gateway, task_id)
    assert status.state is TaskState.FINISHED
    assert status.finished is not None
    assert _opened(status.finished) == [(96, 96)]
    entry = gateways.bill()["entries"][0]
    assert (entry["task_id"], entry["status"], entry["downloads"]) == (task_id, "completed", 1)
    if status.finished.credits is not None:
        assert status.finished.credits == pytest.approx(float(entry["credits"]))


def test_from_submit_to_images_at_once(gateways: Sandbox) -> None:
    """The synchronous gateway answers with the image's link and its exact cost."""
    outcome = submit(gateways, "getimg")
    assert outcome.finished is not None
    assert _opened(outcome.finished) == [(96, 96)]
    entry = gateways.bill()["entries"][0]
    assert (entry["task_id"], entry["usd"]) == (outcome.task_id, str(outcome.finished.usd))


def test_several_images_come_in_one_task(gateways: Sandbox) -> None:
    """A call for three gives three links."""
    outcome = submit(gateways, "evolink", body_of("evolink", job(n=3), 3))
    gateways.advance(60)
    finished = fetch(gateways, "evolink", str(outcome.task_id)).finished
    assert finished is not None
    assert len(_opened(finished)) == 3


def _opened(finished: Finished) -> list[tuple[int, int]]:
    import asyncio

    async def go() -> list[tuple[int, int]]:
        links, sizes = ResultLinks(AllowedHosts.parse("127.0.0.1")), []
        for link in finished.links:
            async with links.stream(link.url, None) as response:
                assert response.status == 200
                with Image.open(io.BytesIO(await response.read())) as image:
                    image.load()
                    sizes.append(image.size)
        await links.close()
        return sizes

    return asyncio.run(go())


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_an_account_is_named_without_its_key(gateway: str) -> None:
    """Gateway, base URL and eight digits of the key's hash: in no text form of the account stands the key."""
    from seedream_tasks.gateways.client import Account

    account = Account(gateway, "https://a.example", "sk-very-secret")
    assert account.name.startswith(f"{gateway}@https://a.example#")
    assert len(account.name.rsplit("#", 1)[1]) == 8
    assert "very-secret" not in f"{account!r} {account} {account.name} {GatewayClient(account, HttpClients())!r}"
    assert Account(gateway, "https://a.example", "other").name != account.name
