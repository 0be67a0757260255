"""Single jobs: what cannot be bought, delivered or archived raises, and what it raises says why."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prefect import flow
from sandbox_process import Sandbox

from seedream_tasks import (
    GatewayRefused,
    Job,
    NoGateway,
    NothingArchived,
    NothingDelivered,
    OverCap,
    SeedreamGateway,
    archive_job,
    submit_job,
    wait_for_job,
)

MUG: dict[str, Any] = {
    "row_key": "mug",
    "shot": "hero",
    "model": "seedream-4.5",
    "operation": "generate",
    "prompt": "A mug",
}


@flow
async def _submitted(job: Job, **more: Any) -> Any:
    return await submit_job(job, **more)


@flow
async def _waited(attempt_ids: list[str], **more: Any) -> Any:
    return await wait_for_job(attempt_ids, **more)


@flow
async def _archived(attempt_ids: list[str], **more: Any) -> Any:
    return await archive_job(attempt_ids, **more)


@pytest.fixture
def place(sandbox: Sandbox, tmp_path: Path) -> dict[str, Any]:
    """Where single jobs are bought: at EvoLink's stand-in."""
    block = SeedreamGateway(gateway="evolink", api_key="k", base_url=sandbox.bases["evolink"])
    asyncio.run(block.asave("single", overwrite=True))
    return {"archive": str(tmp_path / "a"), "gateways": ["seedream-gateway/single"]}


def test_what_cannot_be_bought_raises(sandbox: Sandbox, place: dict[str, Any]) -> None:
    """A cap, a limit of the run's own gateways, a refusal: each is an error of its own, and nothing is bought."""
    with pytest.raises(OverCap, match="raise the cap"):
        asyncio.run(_submitted(Job(**MUG), max_usd="0.01", **place))
    with pytest.raises(NoGateway, match="at most 2000"):
        asyncio.run(_submitted(Job(**{**MUG, "prompt": "x" * 2001}), **place))
    with pytest.raises(NoGateway, match="9:21"):
        asyncio.run(_submitted(Job(**MUG, ratio="9:21"), **place))
    sandbox.faults([{"gateway": "*", "kind": "reject_content", "rate": 1}])
    with pytest.raises(GatewayRefused, match="Change the prompt"):
        asyncio.run(_submitted(Job(**MUG), **place))
    assert sandbox.bill()["images"] == 0


def test_what_gives_no_image_raises(sandbox: Sandbox, place: dict[str, Any]) -> None:
    """Waiting for what fails, archiving what is not there, and doing either with nothing."""
    sandbox.faults([{"gateway": "*", "kind": "task_failed", "rate": 1}])
    attempt_ids = asyncio.run(_submitted(Job(**MUG), **place))
    with pytest.raises(NothingDelivered, match="failed"):
        asyncio.run(_waited(attempt_ids, **place))
    with pytest.raises(NothingArchived, match="failed"):
        asyncio.run(_archived(attempt_ids, **place))
    for nothing in (_waited, _archived):
        with pytest.raises((NothingDelivered, NothingArchived), match="there are none"):
            asyncio.run(nothing([], **place))
    assert sandbox.bill()["usd"] == "0"


def test_references_are_looked_at_when_they_are_bought(
    sandbox: Sandbox, place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path below the working folder, an absolute one and the same bytes are one photo, bought once."""
    monkeypatch.chdir(tmp_path)
    photo = tmp_path / "mug.png"
    Image.new("RGB", (320, 320), "tan").save(photo)
    edit = {**MUG, "operation": "edit", "prompt": "On a table"}
    bought = [
        asyncio.run(_submitted(Job(**edit, references=[reference]), **place))  # type: ignore[arg-type]
        for reference in ("mug.png", photo, photo.read_bytes())
    ]
    assert bought[0] == bought[1] == bought[2]
    assert sandbox.bill()["accepted"] == 1
