"""The flow that does the main job."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Literal
from uuid import UUID

from prefect.artifacts import (
    acreate_link_artifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    aupdate_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from ..config.durability import outside_of_volumes
from ..config.embedded_sandbox import bases_for, embedded_sandbox, sandbox_state
from ..config.run_options import RunOptions
from ..config.settings import amount, configured, retry_words
from ..core.errors import IncompleteRun
from ..core.states import COMPLETE, RecordStatus
from ..engine.balances import Funds, check_funds
from ..engine.progress import Progress
from ..engine.runner import Runner
from ..planning.canary import canary
from ..planning.forecast import Forecast
from ..planning.stages import enter
from ..runs.contact_sheet import sheet_path, short_sheet
from ..runs.manifest import manifest_path, summarize
from ..runs.records import RunFacts
from ..runs.summary import Summary
from ..storage.archive import Archive
from .approval import abide, approved, lift
from .artifacts import (
    as_link,
    contact_sheet_markdown,
    failures_in_a_line,
    failures_markdown,
    forecast_markdown,
    in_a_line,
    result_markdown,
)
from .chunks import chunk, run_chunks
from .events import tell_end, tell_shrunk
from .notifications import (
    for_show,
    name_run,
    show_stopped,
    show_unknown,
    tell_unreadable,
)
from .redacted_parameters import check_addresses, discreet_flow
from .retries import retried_if_it_may_help
from .run_settings import gateway_names, lasting_place_of, to_hand_on
from .session import Session, session
from .shards import check_shards, run_shards
from .shutdown import cancelled_by_a_person, in_order
from .tasks import plan_jobs, write_manifest

logger = logging.getLogger("seedream_tasks.orchestration")

_PROGRESS_EVERY_S = 2.0


def _name_of_run() -> str:
    """The run's name until its forecast is known, see `notifications.name_run`."""
    parameters = flow_run.parameters or {}
    return f"{_file_name(str(parameters.get('catalog', 'catalog')))} {datetime.now(UTC):%Y-%m-%d}"


def _file_name(catalog: str) -> str:
    return PurePosixPath(catalog.split("?", 1)[0]).name


@discreet_flow(name="catalog_images", flow_run_name=_name_of_run, persist_result=False, validate_parameters=True)
@cancelled_by_a_person
@retried_if_it_may_help
async def catalog_images(
    catalog: str,
    shots: str | None = None,
    preset: str | None = None,
    key: str | None = None,
    archive: str | None = None,
    ledger: str | None = None,
    gateways: list[str] | None = None,
    model: str | None = None,
    max_usd: float | str | None = None,
    max_premium: float | str | None = None,
    prices: str | None = None,
    only: list[str] | None = None,
    retry: list[str] | None = None,
    edition: str | None = None,
    wait_s: float = 1800.0,
    catalog_digest: str | None = None,
    granularity: Literal["auto", "row", "chunk"] = "auto",
    sandbox: bool = False,
    approve_above_usd: float | str | None = None,
    fail_on_incomplete: bool = False,
    shards: int = 1,
    limit: int | None = None,
) -> Any:
    """Turn a catalog into archived images and a costed manifest.

    Running it again buys only what is new or changed. It never falls back to the sandbox by itself.

    Args:
        catalog: The table: CSV, TSV, JSONL, Parquet, XLSX or a product feed in XML; a file, a folder of parts or a pattern;
            any fsspec URI.
        shots: The shot list (YAML); without one the catalog's own columns define the images of each row.
        preset: The export's format: shopify, woocommerce, merchant, amazon, magento, prestashop, wix, squarespace or
            bigcommerce; with ",all" also what is not for sale.
        key: The column that identifies a row; default: sku, id or handle.
        archive: Where the images go, any fsspec URI; default: ./seedream-out.
        ledger: SQLAlchemy URL of the ledger, without a password, or a block: seedream-ledger/NAME; default: ledger.db in a local
            archive.
        gateways: Buy only at these: names, with keys from the environment, or blocks: seedream-gateway/NAME; default: all that
            the environment configures.
        model: as in shot lists, where the shot does not say.
        max_usd: The most this run may spend, including reservations.
        max_premium: The most a gateway may cost above the cheapest, as a fraction.
        prices: A price file (YAML) above the built-in prices.
        only: Buy only for these row keys; all records are still written.
        retry: What to buy again: failed, expired, lost.
        edition: A word; changing it requests new images of unchanged rows.
        wait_s: How long to wait for an accepted job, in seconds.
        catalog_digest: sha256 of the catalog; another content is refused.
        granularity: Task runs by row or by chunk; auto decides by size.
        sandbox: Simulate with the embedded sandbox.
        approve_above_usd: Above this forecast a few records of each category are bought, then the run waits for approval.
        fail_on_incomplete: Raise IncompleteRun, which carries the result, when a record is neither archived nor skipped.
        limit: Buy only for the first so many products that still need images; the next run continues with the next ones.
        shards: Number of parts of the run, each a run of the deployment process-shard on any worker.
    """
    check_addresses(catalog=catalog, shots=shots, prices=prices)
    await check_shards(shards)
    names = await gateway_names(gateways or ())
    place = await lasting_place_of(archive, ledger, simulated=sandbox)
    options = RunOptions(
        catalog=catalog,
        shots=shots,
        preset=preset,
        key=key,
        model=model,
        edition=edition,
        only=tuple(only or ()),
        retry=retry_words(retry or ()),
        limit=limit,
        catalog_digest=catalog_digest,
        archive=place.archive.root,
        ledger=to_hand_on(ledger, place),
        gateways=tuple(gateways or configured((), sandbox).names),
        prices=prices,
        max_usd=amount(max_usd, "max_usd"),
        max_premium=amount(max_premium, "max_premium"),
        approve_above_usd=amount(approve_above_usd, "approve_above_usd"),
        wait_s=wait_s,
        sandbox=sandbox,
    )
    run_id = str(flow_run.id)
    try:
        async with AsyncExitStack() as stack:
            stack.enter_context(in_order())
            if sandbox:
                bases = await asyncio.to_thread(stack.enter_context, embedded_sandbox(sandbox_state(place)))
                chosen = configured(names, sandbox).names
                options = replace(options, bases=bases_for(bases, chosen, asked_for=bool(names)))
            run = await stack.enter_async_context(session(run_id, options))
            summary = await _run(run, options, granularity, shards)
    except asyncio.CancelledError:
        await show_stopped(place, run_id)  # now that open calls have their records
        raise
    return _state(summary, options, fail_on_incomplete)


async def _run(run: Session, options: RunOptions, granularity: str, shards: int) -> Summary:
    figures = await plan_jobs(run.run_id, options)
    enter("forecast", figures.in_words(run.around.simulated))
    await name_run(_file_name(options.catalog), figures)
    funds = await check_funds(run.around.lanes, figures, run.around.balances)
    await _show_forecast(run, figures, funds)
    runner = await run.runner()
    await _ask_for_approval(run, options, runner, figures)
    enter("buying" if figures.by_gateway else "following")
    showing = asyncio.create_task(_show_progress(runner.engine.progress))
    try:
        parts = await run_shards(run, options, shards) if shards > 1 else await run_chunks(run, options, granularity)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    if run.around.simulated:
        await asyncio.to_thread(run.keep_sandbox_bill)
    enter("writing")
    summary = await write_manifest(run.run_id, options, parts)
    await _show_result(run, summary)
    return summary


async def _ask_for_approval(run: Session, options: RunOptions, runner: Runner, figures: Forecast) -> None:
    """If the forecast is above the approval limit, buy a canary and ask, which ends this process for now."""
    limit = options.approve_above_usd
    if limit is None:
        return
    if figures.usd <= limit:
        await lift(run, options.max_usd, "not needed")
        return
    # Reservations count against the limit, and where sources disagree about a price they are above the forecast.
    most = limit * figures.usd / max(figures.usd, figures.reserved_usd)
    positions = await asyncio.to_thread(canary, runner.frozen, most)
    await asyncio.gather(
        *(
            chunk(run.run_id, options, position, position + 1, f"canary {row['row_key']} {row['shot']}")
            for position in positions
            for row in runner.frozen.rows(position, position + 1)
        )
    )
    told = await asyncio.to_thread(RunFacts.of, run.around.ledger, run.around.archive, run.run_id, run.around.simulated)
    rows: list[dict[str, Any]] = []
    for position in positions:
        _, found = await asyncio.to_thread(summarize, run.around.ledger, runner.frozen, told, position, position + 1)
        rows += found
    runner.engine.progress.done -= len(rows)  # they are counted when the whole run reaches them
    await abide(run, await approved(run, figures, limit, rows))


async def _show_forecast(run: Session, figures: Forecast, funds: Mapping[str, Funds]) -> None:
    if figures.shrunk is not None:
        tell_shrunk(run.run_id, figures.shrunk)
    notes = _where_it_is_kept(run.around.archive)
    for note in notes:
        logger.warning("%s", note)
    text = forecast_markdown(figures, run.around.simulated, funds, notes)
    async with for_show():
        await acreate_markdown_artifact(text, key="seedream-forecast", description="What this run is going to buy")


def _where_it_is_kept(archive: Archive) -> list[str]:
    """Notes about the archive, shown before anything is bought."""
    if not (archive.is_local and outside_of_volumes(archive.local_path())):
        return []
    return [
        f"the archive {archive.root} is in this container and on no volume of it: what is bought ends with the container."
        " Mount a volume there, or give a bucket."
    ]


async def _show_progress(progress: Progress) -> None:
    artifact: UUID | None = None
    shown = 0.0
    try:
        while True:
            now = 100.0 * progress.done / max(progress.total, 1)
            async with for_show():
                if artifact is None:
                    artifact = await acreate_progress_artifact(now, key="seedream-progress", description="Jobs done")
                elif now != shown:
                    await aupdate_progress_artifact(artifact, now)
                shown = now
            await asyncio.sleep(_PROGRESS_EVERY_S)
    finally:
        await asyncio.shield(_show_last_progress(artifact, 100.0 * progress.done / max(progress.total, 1)))


async def _show_last_progress(artifact: UUID | None, now: float) -> None:
    async with for_show():
        if artifact is None:  # the run ended before the server answered
            await acreate_progress_artifact(now, key="seedream-progress", description="Jobs done")
        else:
            await aupdate_progress_artifact(artifact, now)


async def _show_result(run: Session, summary: Summary) -> None:
    uri = run.around.archive.uri(manifest_path(run.run_id))
    tiles = await asyncio.to_thread(short_sheet, run.around.archive, run.run_id)
    page = run.around.archive.uri(sheet_path(run.run_id))
    async with for_show():
        await acreate_markdown_artifact(
            result_markdown(summary, uri), key="seedream-result", description="What became of the run, and what it cost"
        )
        await acreate_markdown_artifact(
            contact_sheet_markdown(tiles, summary, page), key="seedream-contact-sheet", description="The first images"
        )
        if summary.failures:
            await acreate_markdown_artifact(
                failures_markdown(summary), key="seedream-failures", description=failures_in_a_line(summary)
            )
        await acreate_link_artifact(as_link(uri), "manifest.parquet", key="seedream-manifest", description=uri)
    await show_unknown(run.around.ledger, run.run_id)
    await tell_unreadable(run.around.ledger, run.run_id)
    await tell_end(run.around.ledger, summary, uri)


def _state(summary: Summary, options: RunOptions, fail_on_incomplete: bool) -> State[Any]:
    archive = options.archive
    result = {
        **summary.as_json(),
        "archive": archive,
        "manifest": f"{archive}/{manifest_path(summary.run_id)}",
        "contact_sheet": f"{archive}/{sheet_path(summary.run_id)}",
        "exit_status": 0 if summary.complete else 3,
    }
    message = in_a_line(summary)
    if summary.complete:
        return Completed(message=message, data=result)
    if fail_on_incomplete:
        only_invalid = all(
            status == RecordStatus.INVALID or RecordStatus(status) in COMPLETE for status in summary.by_status
        )
        raise IncompleteRun(message, result=result, only_invalid=only_invalid)
    return Completed(name="Incomplete", message=message, data=result)
