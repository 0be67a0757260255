"""Prefect tasks. None of them pays by itself: the ledger decides, so running any of them twice buys nothing twice.

Prefect's own result cache is off everywhere: it forgets a payment whenever a result cannot be written or read back.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from ..config.run_options import RunOptions
from ..core.jobs import Job
from ..core.states import RecordStatus
from ..planning.forecast import Forecast
from ..planning.freeze import freeze
from ..runs import manifest
from ..runs.manifest_parts import Range
from ..runs.publish import publish_concerned, publish_own
from ..runs.records import RunFacts
from ..runs.summary import Summary
from .artifacts import in_a_line, record_in_a_line
from .coroutines import awaited
from .retries import worth_retrying
from .session import session
from .shutdown import STOPPED
from .single_jobs import archive_images, own_run_id, settings_for, submit, wait

# Records that need attention; a deferred one only waits for the next run.
_RED = frozenset({RecordStatus.FAILED, RecordStatus.UNKNOWN, RecordStatus.EXPIRED, RecordStatus.LOST})


@awaited
@task(
    name="plan_jobs",
    task_run_name="plan",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_condition_fn=worth_retrying,
)
async def plan_jobs(run_id: str, options: RunOptions) -> Forecast:
    """Freeze the run's jobs into `runs/<run_id>/jobs.parquet` and forecast their cost; a frozen run stays as it is."""
    async with session(run_id, options) as run:
        await run.begin()
        return await asyncio.to_thread(
            freeze,
            options,
            run_id,
            run.around.archive,
            run.around.ledger,
            run.references,
            run.capabilities,
            run.around.prices,
            run.prices_text,
        )


@task(name="process_chunk", cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=worth_retrying)
async def process_chunk(run_id: str, options: RunOptions, start: int, stop: int) -> State[Any]:
    """Process the frozen records from `start` to before `stop`; the state's message says what it cost."""
    async with session(run_id, options) as run:
        runner = await run.runner()
        try:
            await runner.run(start, stop)
        except asyncio.CancelledError:
            # The flow knows that it is stopping; Prefect would report each of its tasks as crashed.
            return Cancelled(name=STOPPED, message="what is in flight stands in the ledger")
        told = await asyncio.to_thread(RunFacts.of, run.around.ledger, run.around.archive, run_id, run.around.simulated)
        summary, records = await asyncio.to_thread(
            manifest.summarize, run.around.ledger, runner.frozen, told, start, stop
        )
    if len(records) == 1:
        status = RecordStatus(records[0]["status"])
        name = status.value.replace("_", " ").capitalize()
        message = record_in_a_line(records[0])
        return Failed(name=name, message=message) if status in _RED else Completed(name=name, message=message)
    message = in_a_line(summary)
    return Completed(message=message) if summary.complete else Completed(name="Incomplete", message=message)


@awaited
@task(
    name="write_manifest",
    task_run_name="manifest",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_condition_fn=worth_retrying,
)
async def write_manifest(run_id: str, options: RunOptions, parts: Sequence[Range] = ()) -> Summary:
    """Join everything back to the catalog's rows and publish; other runs whose attempts ended here get theirs anew.

    `parts`: ranges of records whose part of the manifest a shard has written.
    """
    async with session(run_id, options) as run:
        ledger, archive = run.around.ledger, run.around.archive
        summary = await asyncio.to_thread(publish_own, ledger, archive, run_id, parts)
        others = (await run.engine()).follower.others
        await asyncio.to_thread(publish_concerned, ledger, archive, others, run_id)
        return summary


@awaited
@task(
    name="submit_job",
    task_run_name="submit {job.row_key} {job.shot}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_condition_fn=worth_retrying,
)
async def submit_job(
    job: Job,
    archive: str | None = None,
    ledger: str | None = None,
    gateways: list[str] | None = None,
    prices: str | None = None,
    max_usd: float | str | None = None,
) -> list[str]:
    """Buy what is missing of one job; returns the ids of its attempts that are live or hold its images.

    Ledger, gateways, caps and prices as for `catalog_images`. Raises OverCap, NoGateway, NoPrice, GatewayRefused or NotBought
    when nothing could be bought.
    """
    options = await settings_for(archive, ledger, gateways, prices, max_usd, 0.0)
    return await submit(job, own_run_id(), options)


@awaited
@task(
    name="wait_for_job",
    task_run_name="wait",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_condition_fn=worth_retrying,
)
async def wait_for_job(
    attempt_ids: list[str],
    archive: str | None = None,
    ledger: str | None = None,
    gateways: list[str] | None = None,
    wait_s: float = 1800.0,
) -> list[str]:
    """Follow attempts until the gateway is done with them; returns those that delivered. Raises NothingDelivered for none."""
    options = await settings_for(archive, ledger, gateways, None, None, wait_s)
    return await wait(attempt_ids, own_run_id(), options)


@awaited
@task(
    name="archive_job",
    task_run_name="archive",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_condition_fn=worth_retrying,
)
async def archive_job(
    attempt_ids: list[str],
    archive: str | None = None,
    ledger: str | None = None,
    gateways: list[str] | None = None,
) -> list[str]:
    """Copy and verify what these attempts delivered; returns the URIs of the archived images, or raises NothingArchived."""
    options = await settings_for(archive, ledger, gateways, None, None, 1800.0)
    return await archive_images(attempt_ids, own_run_id(), options)
