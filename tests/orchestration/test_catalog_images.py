"""The flow on a real Prefect server: states, names, messages, artifacts, and that running it again pays nothing."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, StateType, TaskRun
from prefect.runtime import flow_run
from runs import products, write_catalog
from sandbox_process import Sandbox

from seedream_tasks import Job, archive_job, catalog_images, submit_job, wait_for_job
from seedream_tasks.core.errors import IncompleteRun, InputError, KindMismatch


def _go(**parameters: Any) -> State[Any]:
    state: State[Any] = asyncio.run(catalog_images(**parameters, return_state=True))
    return state


async def _seen(run_id: str) -> tuple[list[TaskRun], dict[str, str]]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    async with get_client() as client, asyncio.timeout(300):
        tasks = await client.read_task_runs(flow_run_filter=of_run)
        while not any(each.name == "manifest" and each.state_type is StateType.COMPLETED for each in tasks):
            # The server writes task runs down some time after they ended; the manifest is the last of them.
            await asyncio.sleep(0.1)
            tasks = await client.read_task_runs(flow_run_filter=of_run)
        artifacts = await client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
    return tasks, {str(each.key): str(each.data) for each in artifacts}


def test_a_complete_run_is_completed_with_rows_as_task_runs_named_by_sku(gateways: Sandbox, tmp_path: Path) -> None:
    """Exit 0 is Completed; each row is a task run `SKU shot`, state Archived, its cost in the message; the bill agrees."""
    catalog = products(tmp_path / "goods.csv", 3, n=2)
    state = _go(catalog=str(catalog), archive=str(tmp_path / "archive"), gateways=["evolink"])
    result = asyncio.run(state.aresult())
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert result["exit_status"] == 0
    assert Decimal(result["billed_usd"]) == Decimal(gateways.bill()["usd"]) == Decimal("0.186")
    tasks, _ = asyncio.run(_seen(result["run_id"]))
    rows = {each.name: each.state for each in tasks if each.name.endswith(" image")}
    assert set(rows) == {"p0 image", "p1 image", "p2 image"}
    assert {(each.name, each.message) for each in rows.values() if each} == {("Archived", "2 images, $0.062")}


def test_forecast_progress_and_result_are_artifacts(gateways: Sandbox, tmp_path: Path) -> None:
    """The UI shows a forecast before, the progress during, and totals by status and gateway with the manifest after a run."""
    state = _go(catalog=str(products(tmp_path / "c.csv", 2)), archive=str(tmp_path / "a"), gateways=["getimg"])
    result = asyncio.run(state.aresult())
    _, artifacts = asyncio.run(_seen(result["run_id"]))
    shown = {"seedream-forecast", "seedream-manifest", "seedream-progress", "seedream-result", "seedream-contact-sheet"}
    assert set(artifacts) == shown
    assert "Forecast: $0.08" in artifacts["seedream-forecast"]
    assert float(artifacts["seedream-progress"]) == 100.0
    for word in ("| archived | 2 |", "| getimg | 2 | 2 | $0.08 | $0.08 |", result["manifest"]):
        assert word in artifacts["seedream-result"]


def test_the_first_images_are_an_artifact(gateways: Sandbox, tmp_path: Path) -> None:
    """The contact sheet in short: thumbnails as data URIs under 1 MB, failures first, text as text, the page named."""
    rows = [
        {"sku": f"p{n}", "prompt": "x" if n == 100 else f"Thing {n}", "title": f"T{n} ![](h|t)"} for n in range(101)
    ]
    catalog = write_catalog(tmp_path / "c.csv", *rows)
    gateways.faults([{"gateway": "*", "kind": "reject_content", "match": "x", "rate": 1}])
    state = _go(catalog=str(catalog), archive=str(tmp_path / "a"), gateways=["evolink"], granularity="chunk")
    result = asyncio.run(state.aresult())
    _, artifacts = asyncio.run(_seen(result["run_id"]))
    text = artifacts["seedream-contact-sheet"]
    assert len(text) < 1_000_000
    assert text.count('<img src="data:image/jpeg;base64,') == 99
    assert "![](" not in text
    assert result["contact_sheet"] in text
    assert Path(result["contact_sheet"]).exists()
    first = next(line for line in text.splitlines() if line.startswith("| ") and "<br>" in line)
    assert first.startswith("| **failed**<br>T100")


def test_an_incomplete_run_is_completed_as_incomplete(gateways: Sandbox, tmp_path: Path) -> None:
    """Exit 3 is Completed(name="Incomplete"), or IncompleteRun with fail_on_incomplete; the failed row's task run is Failed."""
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "a", "prompt": "x"}, {"sku": "b", "prompt": ""})
    gateways.faults([{"gateway": "*", "kind": "reject_content", "match": "x", "rate": 1}])
    state = _go(catalog=str(catalog), archive=str(tmp_path / "a"), gateways=["evolink"])
    assert (state.type.value, state.name) == ("COMPLETED", "Incomplete")
    assert asyncio.run(state.aresult())["exit_status"] == 3
    tasks, _ = asyncio.run(_seen(asyncio.run(state.aresult())["run_id"]))
    assert [each.state_type.value for each in tasks if each.name == "a image" and each.state_type] == ["FAILED"]
    again = _go(catalog=str(catalog), archive=str(tmp_path / "a"), gateways=["evolink"], fail_on_incomplete=True)
    assert again.is_failed()
    error = asyncio.run(again.aresult(raise_on_failure=False))
    assert isinstance(error, IncompleteRun)
    assert error.result["exit_status"] == 3


def test_wrong_input_is_a_failed_flow_run_and_nothing_is_sent(gateways: Sandbox, tmp_path: Path) -> None:
    """Exit 2 is Failed with the reason, before any paid request."""
    state = _go(catalog=str(tmp_path / "nothing.csv"), archive=str(tmp_path / "a"))
    error = asyncio.run(state.aresult(raise_on_failure=False))
    assert state.is_failed()
    assert isinstance(error, InputError)
    assert gateways.bill()["submissions"] == 0


def test_running_the_flow_again_pays_nothing_and_reuses_everything(gateways: Sandbox, tmp_path: Path) -> None:
    """An unchanged catalog sends no request to a gateway; the cost of the images is kept."""
    parameters = {
        "catalog": str(products(tmp_path / "c.csv", 4)),
        "archive": str(tmp_path / "a"),
        "gateways": ["gccai"],
    }
    first = asyncio.run(_go(**parameters).aresult())
    before = gateways.bill()["requests"]
    second = asyncio.run(_go(**parameters).aresult())
    assert gateways.bill()["requests"] == before
    assert (second["billed_usd"], second["cost_usd"], second["reused"]) == ("0", first["billed_usd"], 4)


def test_a_retried_flow_run_goes_on_under_the_same_run_and_cap(gateways: Sandbox, tmp_path: Path) -> None:
    """A retry of a flow run is the same run: 0.10 buys three images of 0.031 in all, however often it is tried."""
    catalog = products(tmp_path / "c.csv", 10)
    archive = tmp_path / "a"
    tries: list[str] = []

    @flow(retries=1)
    async def nightly() -> None:
        tries.append(str(flow_run.id))
        await catalog_images.fn(str(catalog), archive=str(archive), gateways=["evolink"], max_usd="0.10")
        if len(tries) == 1:
            raise RuntimeError("the first try fails after it has bought")

    asyncio.run(nightly())
    assert len(tries) == 2
    assert len(set(tries)) == 1
    assert gateways.bill()["images"] == 3
    assert [each.name for each in (archive / "runs").iterdir()] == tries[:1]


def test_a_catalog_with_another_digest_than_announced_is_refused(gateways: Sandbox, tmp_path: Path) -> None:
    """`catalog_digest` binds a triggered run to the content that was announced."""
    state = _go(catalog=str(products(tmp_path / "c.csv", 1)), archive=str(tmp_path / "a"), catalog_digest="0" * 64)
    error = asyncio.run(state.aresult(raise_on_failure=False))
    assert isinstance(error, InputError)
    assert error.as_json()["code"] == "catalog_changed"
    assert gateways.bill()["submissions"] == 0


def test_chunks_are_task_runs_named_by_their_records(gateways: Sandbox, tmp_path: Path) -> None:
    """With granularity chunk, records are taken in ranges, the first of them small."""
    catalog = products(tmp_path / "c.csv", 120)
    state = _go(catalog=str(catalog), archive=str(tmp_path / "a"), gateways=["evolink"], granularity="chunk")
    result = asyncio.run(state.aresult())
    tasks, _ = asyncio.run(_seen(result["run_id"]))
    assert {each.name for each in tasks} == {"plan", "records 1 to 100", "records 101 to 120", "manifest"}
    assert result["by_status"] == {"archived": 120}
    assert Decimal(result["billed_usd"]) == Decimal(gateways.bill()["usd"])


def test_the_flow_never_falls_back_to_the_sandbox_by_itself(tmp_path: Path) -> None:
    """Without a configured gateway the flow fails; only the command line, and only with a word, simulates."""
    state = _go(catalog=str(products(tmp_path / "c.csv", 1)), archive=str(tmp_path / "a"))
    error = asyncio.run(state.aresult(raise_on_failure=False))
    assert isinstance(error, InputError)
    assert "no gateway is configured" in error.message


def test_single_jobs_in_anyones_flow_are_money_safe(gateways: Sandbox, tmp_path: Path) -> None:
    """submit, wait and archive as tasks of somebody's flow; submitting the same job twice buys it once."""
    place: dict[str, Any] = {"archive": str(tmp_path / "a"), "gateways": ["evolink"]}
    job = Job(row_key="mug", shot="hero", model="seedream-4.5", operation="generate", prompt="A mug", n=2)

    @flow
    async def mine() -> list[str]:
        first = await submit_job(job, **place)
        second = await submit_job(job, **place)
        assert first == second
        await wait_for_job(first, **place)
        images: list[str] = await archive_job(first, **place)
        return images

    images = asyncio.run(mine())
    assert len(images) == 2
    assert all(Path(each).stat().st_size > 0 for each in images)
    assert gateways.bill()["images"] == 2


def test_simulated_images_are_not_reused_where_the_ledger_says_real(gateways: Sandbox, tmp_path: Path) -> None:
    """An archive of one kind is refused by a run of the other: the kinds are in archive.json and found from the gateway."""
    catalog = products(tmp_path / "c.csv", 1)
    asyncio.run(_go(catalog=str(catalog), archive=str(tmp_path / "a")).aresult())
    marker = tmp_path / "a" / "archive.json"
    marker.write_text(marker.read_text().replace("simulated", "real"))
    bought = gateways.bill()["submissions"]
    error = asyncio.run(_go(catalog=str(catalog), archive=str(tmp_path / "a")).aresult(raise_on_failure=False))
    assert isinstance(error, KindMismatch)
    assert gateways.bill()["submissions"] == bought


def test_what_is_in_flight_is_followed_beside_new_work(gateways: Sandbox, tmp_path: Path) -> None:
    """An unchanged record may still be running at the gateway: the next run archives it, whatever else it has to do."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    parameters: dict[str, Any] = {"archive": str(tmp_path / "a"), "gateways": ["evolink"]}
    first = asyncio.run(_go(catalog=str(products(tmp_path / "c.csv", 2)), wait_s=0.2, **parameters).aresult())
    assert first["by_status"] == {"in_flight": 2}
    gateways.faults([])
    gateways.advance(4000)
    second = asyncio.run(_go(catalog=str(products(tmp_path / "c.csv", 4)), **parameters).aresult())
    assert second["by_status"] == {"archived": 4}
    assert gateways.bill()["accepted"] == 4
    tasks, _ = asyncio.run(_seen(second["run_id"]))
    assert {each.name for each in tasks} == {"plan", "unchanged records 1 to 2", "p2 image", "p3 image", "manifest"}


def test_what_stands_unchanged_needs_no_task_run(gateways: Sandbox, tmp_path: Path) -> None:
    """A rerun is as many task runs as there is to do: none for images that stand, one for a new product among them."""
    parameters: dict[str, Any] = {"archive": str(tmp_path / "a"), "gateways": ["evolink"]}
    asyncio.run(_go(catalog=str(products(tmp_path / "c.csv", 3)), **parameters).aresult())
    again = asyncio.run(_go(catalog=str(tmp_path / "c.csv"), **parameters).aresult())
    assert (again["by_status"], again["reused"]) == ({"archived": 3}, 3)
    tasks, _ = asyncio.run(_seen(again["run_id"]))
    assert {each.name for each in tasks} == {"plan", "manifest"}
    more = asyncio.run(_go(catalog=str(products(tmp_path / "c.csv", 4)), **parameters).aresult())
    assert more["by_status"] == {"archived": 4}
    tasks, _ = asyncio.run(_seen(more["run_id"]))
    assert {each.name for each in tasks} == {"plan", "p3 image", "manifest"}
    assert gateways.bill()["submissions"] == 4
