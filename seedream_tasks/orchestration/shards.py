"""A run in shards: runs of the deployment process-shard, on whichever workers take them, followed until each is done.

A shard is a range of the frozen records. It writes its part of the manifest, which the parent joins. A shard lost with its
worker is restarted elsewhere; shards that no worker takes or can do are done by the parent. Two workers on one shard buy
nothing twice: the ledger's claims decide.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Completed, Crashed
from pydantic import TypeAdapter

from ..config.run_options import RunOptions
from ..core.errors import ConfigurationError, LedgerFault
from ..core.secrets import holds_secret, without_secrets
from ..ledger import shards
from ..ledger.shards import ShardView
from ..ledger.store import exists
from ..ledger.urls import shown_url
from ..ledger.writer import Ledger
from ..runs.frozen import ROWS_PER_GROUP
from ..runs.manifest import write_part
from ..runs.manifest_parts import Range
from .artifacts import in_a_line
from .chunks import run_chunks
from .redacted_parameters import discreet_flow
from .retries import retried_if_it_may_help
from .session import Session, place_for, session
from .shutdown import cancelled_by_a_person, in_order

logger = logging.getLogger("seedream_tasks.orchestration")

DEPLOYMENT = "process_shard/process-shard"
# Max starts of one shard, and max wait for a worker (s), before the parent does it.
MOST_STARTS = 3
NOBODY_CAME_S = 600.0
# Max time between heartbeats of a running shard (s).
_BEGINS_WITHIN_S = 180.0
_LOOK_EVERY_S = 2.0
_CANCEL_WITHIN_S = 8.0
# How long the parent waits for Prefect's server; the shards continue without it.
_SERVER_AWAY_S = 300.0
_KEYS = 100  # idempotency keys to try: a rerun parent finds those of its earlier runs


async def check_shards(count: int) -> None:
    """Raises ConfigurationError for an invalid number of shards, or a server without a deployment for them."""
    if count < 1:
        raise ConfigurationError(f"a run has at least one shard, not {count}", field="shards")
    if count == 1:
        return
    async with get_client() as client:
        try:
            await client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            raise ConfigurationError(
                f"this Prefect server has no deployment {DEPLOYMENT}, which shards are runs of",
                field="shards",
                hint="prefect deploy --name process-shard, and a worker on its pool; without them, shards=1",
            ) from None


def ranges_of(records: int, count: int) -> list[Range]:
    """So many parts of about equal size; large ones are whole row groups of the frozen file, so that each reads its own."""
    size = max(1, -(-records // count))
    if size > ROWS_PER_GROUP:
        size = -(-size // ROWS_PER_GROUP) * ROWS_PER_GROUP
    return [(start, min(start + size, records)) for start in range(0, records, size)]


@discreet_flow(name="process_shard", flow_run_name="records from {start} to {stop}", persist_result=False)
@cancelled_by_a_person
@retried_if_it_may_help
async def process_shard(run_id: str, options: RunOptions, start: int, stop: int) -> Any:
    """Process a range of a run's frozen records, and write their part of the manifest.

    Started by `catalog_images` with `shards`, not by users. Running it twice, even concurrently, buys nothing twice.

    Args:
        run_id: The run, frozen already.
        options: What the run was started with: places, names of gateways and blocks, never a key.
        start: The first record, from 0.
        stop: The record after the last.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(in_order())
        await _reach_all(options)
        run = await stack.enter_async_context(session(run_id, options))
        runner = await run.runner()
        ledger = run.around.ledger
        await stack.enter_async_context(_at_work(ledger, run_id, (start, stop), lambda: runner.engine.progress.done))
        await run_chunks(run, options, "auto", start, stop)
        summary = await asyncio.to_thread(write_part, ledger, run.around.archive, run_id, start, stop)
    message = in_a_line(summary)
    return Completed(message=message) if summary.complete else Completed(name="Incomplete", message=message)


async def _reach_all(options: RunOptions) -> None:
    """Raises ConfigurationError if this worker cannot reach the run's ledger or its sandbox."""
    place = await place_for(options)
    if not await asyncio.to_thread(exists, place.ledger_url):
        raise ConfigurationError(
            f"the ledger of this run is not at {shown_url(place.ledger_url)} for this worker",
            field="ledger",
            hint="an SQLite ledger is for one machine; workers on several need one in PostgreSQL",
        )
    for base in sorted(options.bases.values())[:1]:
        url = base.rpartition("/")[0]
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
                (await client.get(f"{url}/sandbox/health")).raise_for_status()
        except httpx.HTTPError as error:
            raise ConfigurationError(
                f"the sandbox of this run at {url} is not reached from this worker: {error or type(error).__name__}",
                field="sandbox",
                hint="the embedded sandbox serves one machine; for more, `seedream sandbox --host` and base URLs",
            ) from None


@asynccontextmanager
async def _at_work(ledger: Ledger, run_id: str, of: Range, done: Callable[[], int]) -> AsyncIterator[None]:
    """Within the context, send heartbeats and progress of a shard to the ledger, four per lifetime of a heartbeat."""

    async def tell() -> None:
        try:
            await ledger.write(lambda connection: shards.at_work(connection, run_id, *of, done()))
        except LedgerFault as fault:
            logger.warning("the ledger could not be told of this shard: %s", fault)

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(shards.ALIVE_FOR_S / 4)
            await tell()

    await tell()
    telling = asyncio.create_task(keep_telling())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await tell()


class _Next(Enum):
    WAIT = auto()
    DONE = auto()  # it wrote its part
    LEFT = auto()  # cancelled by a user: not to be continued
    AGAIN = auto()  # lost: to be restarted on another worker
    OURS = auto()  # to be done by the parent


@dataclass
class _Shard:
    """A shard as its parent follows it."""

    of: Range
    flow_run_id: UUID
    since: float  # when it was begun, by the loop's clock
    starts: int = 1


def _next(state: State[Any] | None, view: ShardView | None, starts: int, waited_s: float) -> _Next:
    """What to do about a shard in this state, started `waited_s` seconds ago."""
    kind = state.type if state else StateType.SCHEDULED
    lost = _Next.AGAIN if starts < MOST_STARTS else _Next.OURS
    match kind:
        case StateType.COMPLETED:
            return _Next.DONE
        case StateType.CANCELLED:
            return _Next.LEFT
        case StateType.FAILED:
            return _Next.OURS  # it would fail again there: what it lacks, this process may have
        case StateType.CRASHED:
            return lost
        case StateType.SCHEDULED:
            return _Next.OURS if waited_s > NOBODY_CAME_S else _Next.WAIT
    if view is None:
        return lost if waited_s > NOBODY_CAME_S + _BEGINS_WITHIN_S else _Next.WAIT
    return _Next.WAIT if view.alive else lost


async def run_shards(run: Session, options: RunOptions, count: int) -> list[Range]:
    """Process all records of a run in `count` shards; returns the ranges that wrote their part of the manifest.

    Raises whatever stopped the shards that this process had to do itself.
    """
    runner = await run.runner()
    # The chosen row keys are in the frozen file; they may be too many for a parameter.
    # The catalog and its shots have been read: their links go nowhere, and need no signature any more.
    handed_on = replace(
        options,
        only=(),
        catalog=without_secrets(options.catalog),
        shots=without_secrets(options.shots or "") or None,
    )
    if options.prices and holds_secret(options.prices):
        raise ConfigurationError(
            "prices: shards read the price file themselves, and what they are given is stored in plain text",
            field="prices",
            hint="give an address without a signature, or shards=1",
        )
    parameters = {"run_id": run.run_id, "options": TypeAdapter(RunOptions).dump_python(handed_on, mode="json")}
    ledger, progress = run.around.ledger, runner.engine.progress
    await ledger.write(lambda connection: shards.forget(connection, run.run_id))
    async with get_client() as client:
        followed = _Followed(run, client, parameters)
        ours: list[asyncio.Task[list[Range]]] = []
        try:
            for each in ranges_of(len(runner.frozen), count):
                await followed.begin(each)
            while followed.open:
                await followed.look_if_answered()
                while followed.ours:
                    ours.append(asyncio.create_task(run_chunks(run, options, "auto", *followed.ours.pop())))
                views = await ledger.read(lambda connection: shards.of_run(connection, run.run_id))
                progress.reached(sum(view.done for view in views.values()) / max(progress.total, 1))
                if followed.open:
                    await asyncio.sleep(_LOOK_EVERY_S)
            await asyncio.gather(*ours)
        except BaseException:
            for task in ours:
                task.cancel()
            await asyncio.gather(*ours, return_exceptions=True)
            await followed.cancel()
            raise
    await ledger.write(lambda connection: shards.forget(connection, run.run_id))
    return followed.done


class _Followed:
    """The shards of a run, each followed through its flow runs."""

    def __init__(self, run: Session, client: PrefectClient, parameters: dict[str, Any]) -> None:
        self._run = run
        self._client = client
        self._parameters = parameters
        self.open: list[_Shard] = []
        self.done: list[Range] = []
        self.ours: list[Range] = []  # for the parent to do
        self._answered = asyncio.get_running_loop().time()  # time of the last answer of Prefect's server

    async def begin(self, of: Range, starts: int = 1) -> None:
        """Start a flow run for a shard, or find the one that an earlier run of this parent left running."""
        for number in range(_KEYS):
            suffix = f":{number}" if number else ""
            flow_run: FlowRun = await arun_deployment(
                DEPLOYMENT,
                client=self._client,
                parameters={**self._parameters, "start": of[0], "stop": of[1]},
                timeout=0,
                idempotency_key=f"{self._run.run_id}:{of[0]}-{of[1]}{suffix}",
                as_subflow=True,
            )
            if flow_run.state is None or not flow_run.state.is_final():
                self.open.append(_Shard(of, flow_run.id, asyncio.get_running_loop().time(), starts))
                return
        raise ConfigurationError(f"records {of[0] + 1} to {of[1]} were begun {_KEYS} times", field="shards")

    async def look_if_answered(self) -> None:
        """Check the shards, tolerating a Prefect server that does not answer; raises its error once that takes too long."""
        now = asyncio.get_running_loop().time
        try:
            await self._look()
            self._answered = now()
        except httpx.HTTPError as error:
            if now() - self._answered > _SERVER_AWAY_S:
                raise
            logger.warning("Prefect's server does not say how the shards are: %s", error or type(error).__name__)

    async def _look(self) -> None:
        """Check all shards and restart the lost ones."""
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[each.flow_run_id for each in self.open]))
        states = {each.id: each.state for each in await self._client.read_flow_runs(flow_run_filter=wanted)}
        run_id, ledger = self._run.run_id, self._run.around.ledger
        views = await ledger.read(lambda connection: shards.of_run(connection, run_id))
        now = asyncio.get_running_loop().time()
        for shard in list(self.open):
            state = states.get(shard.flow_run_id)
            what = _next(state, views.get(shard.of), shard.starts, now - shard.since)
            if what is _Next.WAIT:
                continue
            named = f"records {shard.of[0] + 1} to {shard.of[1]}"
            told = f"{state.name} {state.message or ''}".strip() if state else "not there"
            if what is _Next.DONE:
                self.done.append(shard.of)
            elif what is _Next.LEFT:
                logger.warning("%s: their shard was cancelled, so they stay as they are", named)
            else:
                await self._end(shard, state)
                await ledger.write(lambda connection, of=shard.of: shards.forget(connection, run_id, of))  # type: ignore[misc]
                if what is _Next.AGAIN:
                    logger.warning("%s: their shard is lost (%s), it is begun again", named, told)
                    await self.begin(shard.of, shard.starts + 1)
                else:
                    logger.warning("%s: no shard does them (%s), so they are done here", named, told)
                    self.ours.append(shard.of)
            self.open.remove(shard)  # last: should Prefect's server go away before, it is looked at again

    async def _end(self, shard: _Shard, state: State[Any] | None) -> None:
        """Tell Prefect that this flow run is not followed any more."""
        if state is None or state.is_final():
            return
        message = "nobody works on it"
        end: State[Any] = Cancelled(message=message) if state.is_scheduled() else Crashed(message=message)
        await self._client.set_flow_run_state(shard.flow_run_id, end, force=True)

    async def cancel(self) -> None:
        """The parent stops, so stop its shards cleanly too."""
        try:
            async with asyncio.timeout(_CANCEL_WITHIN_S):
                await asyncio.gather(
                    *(self._client.set_flow_run_state(each.flow_run_id, Cancelling()) for each in self.open)
                )
        except Exception as error:  # noqa: BLE001 - the parent is leaving: what it cannot stop, a person can
            logger.warning("the shards of this run could not be cancelled: %s", error or type(error).__name__)
