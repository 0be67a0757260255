"""Sync code that calls a flow of ours as if it were not a coroutine: never a run that is Completed and has bought nothing."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from runs import products
from sandbox_process import Sandbox

from seedream_tasks import Job, catalog_images, collect_images, submit_job
from seedream_tasks.orchestration.coroutines import NotAwaited

MUG = Job(row_key="a", shot="image", operation="generate", model="seedream-4.5", prompt="A mug")


def _of(tmp_path: Path) -> dict[str, Any]:
    return {
        "catalog": str(products(tmp_path / "c.csv", 1)),
        "archive": str(tmp_path / "a"),
        "gateways": ["evolink"],
    }


def test_a_sync_flow_that_calls_it_fails(gateways: Sandbox, tmp_path: Path) -> None:
    """At the call, with what to write instead; so do its other options, other flows and single tasks."""
    parameters = _of(tmp_path)

    @flow
    def nightly() -> None:
        catalog_images(**parameters)

    @flow
    def by_options() -> None:
        catalog_images.with_options(retries=1)(**parameters)

    @flow
    def collecting() -> None:
        collect_images(archive=parameters["archive"])

    @flow
    def single() -> None:
        submit_job(MUG, archive=parameters["archive"])

    for wrong in (nightly, by_options, collecting, single):
        with pytest.raises(NotAwaited, match="await"):
            wrong()
        assert wrong(return_state=True).is_failed()
    assert gateways.bill()["submissions"] == 0


def test_a_sync_flow_that_returns_the_coroutine_fails(gateways: Sandbox, tmp_path: Path) -> None:
    """Returned and not awaited is not bought either."""
    parameters = _of(tmp_path)

    @flow
    def nightly() -> Any:
        return catalog_images(**parameters)

    assert nightly(return_state=True).is_failed()
    assert gateways.bill()["submissions"] == 0


def test_a_sync_task_that_calls_it_fails(gateways: Sandbox, tmp_path: Path) -> None:
    """Within a task of an async flow there is no loop either: tasks run in threads."""
    parameters = _of(tmp_path)

    @task
    def buy() -> None:
        catalog_images(**parameters)

    @flow
    async def nightly() -> None:
        buy.submit().result()

    with pytest.raises(NotAwaited):
        asyncio.run(nightly())
    assert gateways.bill()["submissions"] == 0


def test_a_script_that_drops_it_is_told(gateways: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Outside of runs the call itself is right, for `asyncio.run`; a coroutine that nobody awaits says what was not done."""
    with caplog.at_level(logging.ERROR, logger="seedream_tasks.orchestration"):
        catalog_images(**_of(tmp_path))
    assert "catalog_images(...) was called and never awaited: nothing was bought" in caplog.text
    assert gateways.bill()["submissions"] == 0


def test_sync_code_that_runs_a_loop_buys(gateways: Sandbox, tmp_path: Path) -> None:
    """What the error advises works: in a sync flow, and in a script as ever."""
    parameters = _of(tmp_path)

    @flow
    def nightly() -> Any:
        async def work() -> Any:
            return await catalog_images(**parameters)

        return asyncio.run(work())

    assert nightly()["images"] == 1
    assert asyncio.run(catalog_images(**parameters))["reused"] == 1
    assert gateways.bill()["accepted"] == 1
