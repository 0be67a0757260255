"""Approval: a large purchase waits for a person's word, and goes on where it stopped without paying anything again."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_async
from prefect.flow_runs import aresume_flow_run
from prefect.states import Running
from runs import products
from sandbox_process import Sandbox

from seedream_tasks import catalog_images
from seedream_tasks.orchestration.approval import Approval
from seedream_tasks.orchestration.chunks import MOST_ROW_TASKS

COUNT = 8  # at 0.031 each: 0.248 in all
LIMIT = "0.10"
CANARY = 2  # without a category all rows are one


async def begun(catalog: Path, archive: Path, **options: Any) -> FlowRun:
    """A flow run of a deployment, as a worker finds it."""
    deployment = await catalog_images.ato_deployment(f"approval-{archive.name}")
    async with get_client() as client:
        deployment_id = await deployment.apply()
        return await client.create_flow_run_from_deployment(
            deployment_id,
            parameters={
                "catalog": str(catalog),
                "archive": str(archive),
                "gateways": ["evolink"],
                "approve_above_usd": LIMIT,
                **options,
            },
        )


async def worked(flow_run: FlowRun) -> State[Any]:
    """What a worker's process does with it: run it from the top."""
    async with get_client() as client:
        now = await client.read_flow_run(flow_run.id)
    try:
        state: State[Any] = await run_flow_async(
            catalog_images, flow_run=now, return_type="state", parameters=now.parameters
        )
    except Pause as pause:
        return pause.state
    return state


async def answered(flow_run: FlowRun, **answer: Any) -> State[Any]:
    """Resume it with an answer, as the UI does, and let a worker take it up."""
    await aresume_flow_run(flow_run.id, run_input=answer)
    return await worked(flow_run)


async def shown() -> str:
    """The newest artifact that asks for approval."""
    async with get_client() as client:
        found = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["seedream-approval"])),
            sort=ArtifactSort.UPDATED_DESC,
            limit=1,
        )
    return str(found[0].data)


def bill(gateways: Sandbox) -> tuple[int, Decimal]:
    """Images and USD."""
    told = gateways.bill()
    return told["images"], Decimal(told["usd"])


def test_it_suspends_with_a_canary_and_goes_on_when_approved(gateways: Sandbox, tmp_path: Path) -> None:
    """Only the canary is bought before the answer; after it the rest, and the canary is not bought again."""
    catalog = products(tmp_path / "c.csv", COUNT)

    async def story() -> tuple[State[Any], tuple[int, Decimal], State[Any]]:
        flow_run = await begun(catalog, tmp_path / "a")
        suspended = await worked(flow_run)
        so_far = bill(gateways)
        return suspended, so_far, await answered(flow_run, decision="approve")

    suspended, so_far, ended = asyncio.run(story())
    assert suspended.is_paused()
    assert asyncio.run(shown()).count('<img src="data:image/jpeg') == CANARY
    assert so_far == (CANARY, CANARY * Decimal("0.031"))
    assert ended.is_completed()
    assert bill(gateways) == (COUNT, COUNT * Decimal("0.031"))
    assert gateways.bill()["submissions"] == COUNT


def test_an_approved_run_that_dies_goes_on_without_another_question(gateways: Sandbox, tmp_path: Path) -> None:
    """Taken up a third time, by another worker, the run finds everything bought and ends."""
    catalog = products(tmp_path / "c.csv", COUNT)

    async def story() -> State[Any]:
        flow_run = await begun(catalog, tmp_path / "a")
        await worked(flow_run)
        await answered(flow_run, decision="approve")
        async with get_client() as client:
            await client.set_flow_run_state(flow_run.id, Running(), force=True)
        return await worked(flow_run)

    assert asyncio.run(story()).is_completed()
    assert gateways.bill()["submissions"] == COUNT


@pytest.mark.parametrize(
    ("answer", "images"), [({"decision": "reduce", "max_usd": 0.16}, 5), ({"decision": "reject", "note": "not yet"}, CANARY)]
)  # fmt: skip
def test_less_than_was_asked_for_is_bought_when_the_answer_says_so(
    gateways: Sandbox, tmp_path: Path, answer: dict[str, Any], images: int
) -> None:
    """A lower cap holds for the whole run, the canary included; a rejected run keeps what it has and buys nothing more."""
    catalog = products(tmp_path / "c.csv", COUNT)

    async def story() -> State[Any]:
        flow_run = await begun(catalog, tmp_path / "a")
        await worked(flow_run)
        return await answered(flow_run, **answer)

    ended = asyncio.run(story())
    assert (ended.type.value, ended.name) == ("COMPLETED", "Incomplete")
    assert ended.message is not None
    assert ended.message.startswith(f"{COUNT - images} deferred (")
    assert f"{images} archived; {images} images bought" in ended.message
    assert bill(gateways) == (images, images * Decimal("0.031"))


def test_a_cheap_run_asks_nobody(gateways: Sandbox, tmp_path: Path) -> None:
    """Up to the limit the run goes through, under its own cap if it has one."""
    catalog = products(tmp_path / "c.csv", 3)
    state = asyncio.run(
        catalog_images(
            str(catalog),
            archive=str(tmp_path / "a"),
            gateways=["evolink"],
            approve_above_usd=LIMIT,
            max_usd="0.07",
            return_state=True,
        )
    )
    assert state.name == "Incomplete"
    assert bill(gateways)[0] == 2


def test_without_a_deployment_it_waits_in_its_own_process(gateways: Sandbox, tmp_path: Path) -> None:
    """Nobody could start it again, so it pauses; the answer lets it go on."""
    catalog = products(tmp_path / "c.csv", COUNT)

    async def story() -> State[Any]:
        running = asyncio.create_task(
            catalog_images(
                str(catalog),
                archive=str(tmp_path / "a"),
                gateways=["evolink"],
                approve_above_usd=LIMIT,
                return_state=True,
            )
        )
        async with get_client() as client, asyncio.timeout(300):
            while True:
                await asyncio.sleep(0.1)
                found = [each for each in await client.read_flow_runs() if each.state and each.state.is_paused()]
                if found:
                    break
            await aresume_flow_run(found[0].id, run_input={"decision": "approve"})
        return await running

    assert asyncio.run(story()).is_completed()
    assert gateways.bill()["submissions"] == COUNT


def test_the_form_says_what_can_be_answered() -> None:
    """The fields of the answer have descriptions: the UI shows them as a form."""
    assert all(field.description for field in Approval.model_fields.values() if field.annotation is not None)
    assert COUNT < MOST_ROW_TASKS
