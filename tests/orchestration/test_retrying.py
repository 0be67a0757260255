"""Prefect's retries on our flows: what is incomplete is tried again, what is wrong in itself is not."""

import asyncio
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from runs import products, write_catalog
from sandbox_process import Sandbox

from seedream_tasks import (
    Job,
    catalog_images,
    collect_images,
    submit_job,
    watch_uploads,
)
from seedream_tasks.core.errors import IncompleteRun, InputError


def _end(work: Any, **parameters: Any) -> State[Any]:
    state: State[Any] = asyncio.run(work(**parameters, return_state=True))
    return state


def test_an_incomplete_run_is_tried_again_and_goes_on_under_its_own_id(gateways: Sandbox, tmp_path: Path) -> None:
    """An account without money at first: the second try of the same flow run buys what is missing, once."""
    gateways.faults([{"gateway": "*", "kind": "reject_402", "rate": 1, "count": 1}])
    wanted = {"catalog": str(products(tmp_path / "c.csv", 2)), "archive": str(tmp_path / "a"), "gateways": ["evolink"]}
    state = _end(catalog_images.with_options(retries=1), **wanted, fail_on_incomplete=True)
    result = asyncio.run(state.aresult())
    assert state.is_completed()
    assert result["by_status"] == {"archived": 2}
    assert result["run_id"] == str(state.state_details.flow_run_id)
    bill = gateways.bill()
    assert (bill["accepted"], Decimal(bill["usd"])) == (2, Decimal(result["billed_usd"]))


def test_a_run_that_stays_incomplete_fails_and_its_hooks_and_parents_hear_of_it(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Failed, not AwaitingRetry: the hook runs once, the parent gets the exception, and it carries the result."""
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "a", "prompt": "x"}, {"sku": "b", "prompt": "good"})
    gateways.faults([{"gateway": "*", "kind": "reject_content", "match": "x", "rate": 1}])
    heard: list[str] = []
    hooked = catalog_images.with_options(
        retries=1, retry_delay_seconds=0, on_failure=[lambda flow, run, state: heard.append(state.type.value)]
    )

    @flow
    async def parent() -> dict[str, Any]:
        try:
            await hooked(str(catalog), archive=str(tmp_path / "a"), gateways=["evolink"], fail_on_incomplete=True)
        except IncompleteRun as error:
            return error.result
        raise AssertionError("it is incomplete")

    result = asyncio.run(parent())
    assert result["by_status"] == {"archived": 1, "failed": 1}
    assert result["exit_status"] == 3
    assert heard == ["FAILED"]
    assert gateways.bill()["accepted"] == 1


@pytest.mark.parametrize("wrong", ["catalog", "rows", "collect", "watch"])
def test_what_a_retry_cannot_mend_is_not_retried(gateways: Sandbox, tmp_path: Path, wrong: str) -> None:
    """An hour's delay before the only retry would hold the test: the run fails at once, with the error itself."""
    options: dict[str, Any] = {"retries": 1, "retry_delay_seconds": 3600}
    archive = str(tmp_path / "a")
    match wrong:
        case "catalog":
            state = _end(catalog_images.with_options(**options), catalog=str(tmp_path / "none.csv"), archive=archive)
        case "rows":
            catalog = write_catalog(tmp_path / "c.csv", {"sku": "a", "prompt": "good"}, {"sku": "b", "prompt": ""})
            state = _end(
                catalog_images.with_options(**options), catalog=str(catalog), archive=archive, fail_on_incomplete=True
            )
        case "collect":
            state = _end(collect_images.with_options(**options), archive=archive, ledger="mysql://host/x")
        case _:
            state = _end(watch_uploads.with_options(**options), prefix=str(tmp_path), ledger="mysql://host/x")
    error = asyncio.run(state.aresult(raise_on_failure=False))
    assert state.is_failed()
    assert isinstance(error, InputError | IncompleteRun)


def test_a_task_is_not_retried_for_what_is_wrong_in_itself(gateways: Sandbox, tmp_path: Path) -> None:
    """The same rule for tasks in anyone's flow: an unknown gateway stays unknown."""
    job = Job(row_key="a", shot="image", operation="generate", model="seedream-4.5", prompt="A mug")

    @flow
    async def mine() -> State[Any]:
        work = submit_job.with_options(retries=1, retry_delay_seconds=3600)
        state: State[Any] = await work(job, archive=str(tmp_path / "a"), gateways=["nobody"], return_state=True)
        return state

    state = asyncio.run(mine(return_state=True))
    assert state.is_failed()
    assert gateways.bill()["submissions"] == 0


def test_an_incomplete_run_survives_the_way_to_another_process() -> None:
    """Prefect hands exceptions on pickled."""
    error = pickle.loads(  # noqa: S301 - our own
        pickle.dumps(IncompleteRun("1 failed", result={"rows": 1}, only_invalid=False))
    )
    assert (str(error), error.result, error.may_be_mended_by_a_retry) == ("1 failed", {"rows": 1}, True)
