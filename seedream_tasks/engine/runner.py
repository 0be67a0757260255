"""Runs chunks (ranges of the frozen records) through one engine."""

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice

from ..core.errors import SeedreamError
from ..core.jobs import Job
from ..ledger.queries import job_views
from ..ledger.values import JobView
from ..runs.frozen import FrozenRun
from ..runs.marks import marking
from .engine import Engine
from .opening import RunContext
from .progress import Progress

logger = logging.getLogger("seedream_tasks.engine")

_LOOK_AHEAD = 256
# Max active jobs: enough to keep every lane full, few enough that memory does not grow with the catalog.
_IN_HAND = 1200
# Max chunks loading concurrently; the others wait without having read any records.
_READ_AT_ONCE = 4
_COLLECT_EVERY = 50_000  # live objects allocated; Python's default is 700


class Runner:
    """Runs ranges of a frozen run's records through one engine. Ranges may run concurrently."""

    def __init__(self, engine: Engine, frozen: FrozenRun) -> None:
        self.engine = engine
        self.frozen = frozen
        self._in_hand = asyncio.Semaphore(_IN_HAND)
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)

    async def run(self, start: int, stop: int) -> None:
        """Process the records from `start` to before `stop`. Raises whatever stopped the run (LedgerFault, ...)."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            async with self._reading:
                await self._begin(start, stop, tasks)
            if tasks:
                await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        if self.engine.fault is not None:
            raise self.engine.fault

    async def _begin(self, start: int, stop: int, tasks: set[asyncio.Task[None]]) -> None:
        """Start all jobs of a range, each when a slot is free."""
        ledger = self.engine.context.ledger
        jobs = self.frozen.jobs(start, stop)
        while self.engine.fault is None and not self.engine.stopping:
            batch = await asyncio.to_thread(lambda: list(islice(jobs, _LOOK_AHEAD)))
            if not batch:
                break
            keys = [job.job_key for _, job, _ in batch]
            made = any(job.output is not None for _, job, _ in batch)
            views = await ledger.read(
                lambda connection, keys=keys, made=made: job_views(connection, keys, made)  # type: ignore[misc]
            )
            for position, job, selected in batch:
                view, counts = views[job.job_key], position is not None
                if self.engine.idle(job, selected, view):
                    self._done(counts)
                    continue
                await self._in_hand.acquire()
                task = asyncio.create_task(self._one(job, selected, view, counts))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    def _done(self, counts: bool) -> None:
        if counts:
            self.engine.progress.job_done()

    async def _one(self, job: Job, selected: bool, view: JobView, counts: bool) -> None:
        try:
            await self.engine.process(job, selected, view)
        except Exception as error:
            if not isinstance(error, SeedreamError):
                logger.critical("%s %s", job.row_key, job.shot, exc_info=error)
                error = SeedreamError(f"{job.row_key} {job.shot}: {type(error).__name__}: {error}")
            self.engine.stop_buying(error)
        finally:
            self._in_hand.release()
            self._done(counts)


class _Collector:
    """Tunes Python's garbage collector while engines run in this process.

    Scanning hundreds of thousands of objects again and again stops the event loop for 0.1 s each time and takes a tenth of the
    total time. Imported objects stay, so they are frozen; engine objects rarely need collecting, since hardly any form cycles.
    """

    def __init__(self) -> None:
        self._engines = 0
        self._usual = gc.get_threshold()
        self._turn = threading.Lock()

    @contextmanager
    def less(self) -> Iterator[None]:
        """Collect less often while this context is open; contexts may overlap."""
        with self._turn:
            if self._engines == 0:
                self._usual = gc.get_threshold()
                gc.set_threshold(_COLLECT_EVERY, *self._usual[1:])
                gc.freeze()
            self._engines += 1
        try:
            yield
        finally:
            with self._turn:
                self._engines -= 1
                if self._engines == 0:
                    gc.unfreeze()
                    gc.set_threshold(*self._usual)


_collector = _Collector()


@asynccontextmanager
async def engine_for(context: RunContext) -> AsyncIterator[Engine]:
    """A run's engine; on exit it waits for open calls that must not be abandoned."""
    async with marking(context.ledger, context.archive, context.run_id):
        engine = Engine(context, Progress())
        try:
            await engine.prepare()
            with _collector.less():
                yield engine
        finally:
            left = await engine.close()
            if left:
                logger.warning("left without an answer, so unknown: %s", ", ".join(left))


async def open_frozen(engine: Engine) -> Runner:
    """A runner for an engine's frozen run. Raises ArchiveFault."""
    frozen = await asyncio.to_thread(FrozenRun, engine.context.archive, engine.context.run_id)
    engine.progress.total, engine.progress.done = await asyncio.to_thread(frozen.count_jobs)
    return Runner(engine, frozen)
