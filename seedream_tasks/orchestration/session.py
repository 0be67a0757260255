"""What the tasks of one flow run share inside a process: one engine, its connections, its ledger.

Tasks get ids and settings, never tables or results. A task that runs in another process (a Dask worker) finds no open session
there and opens one of its own; the ledger makes the two agree.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from ..catalog.manifest import manifest_path, write_manifest
from ..core.capabilities import Capability
from ..core.errors import SeedreamError
from ..engine.context import Opened, RunContext, opened
from ..engine.engine import Engine
from ..engine.freezing import Request
from ..engine.running import Runner, engine_for, open_frozen
from ..engine.settings import (
    Locations,
    asks,
    callback_base,
    configured,
    locations,
    read_prices,
    references_of,
    sandbox_account,
    verifies_in_full,
)
from ..gateways.client import Account
from ..ledger import facts
from ..media.places import without_signature


@dataclass(frozen=True)
class RunSettings:
    """Everything a task needs to work on a run, as plain values that cross processes. Keys come from the environment."""

    request: Request
    archive: str
    ledger: str
    gateways: tuple[str, ...] = ()
    prices: str | None = None
    max_usd: Decimal | None = None
    approve_above_usd: Decimal | None = None
    wait_s: float = 1800.0
    sandbox: bool = False
    bases: Mapping[str, str] = field(default_factory=dict)  # gateway -> base URL of the embedded sandbox, once it runs

    @property
    def place(self) -> Locations:
        """Archive and ledger."""
        return locations(self.archive, self.ledger, self.sandbox)

    def accounts(self) -> dict[str, Account]:
        """The accounts this run may use. Raises ConfigurationError."""
        if self.bases:
            return {name: sandbox_account(name, base) for name, base in self.bases.items()}
        return dict(configured(self.gateways).accounts)


class Session:
    """A run opened in this process."""

    def __init__(self, run_id: str, settings: RunSettings, around: Opened, prices_text: str) -> None:
        self.run_id = run_id
        self.settings = settings
        self.around = around
        self.prices_text = prices_text
        self.references = references_of(settings.request.catalog)
        self._stack = AsyncExitStack()
        self._engine: Engine | None = None
        self._runner: Runner | None = None
        self._opening = asyncio.Lock()

    @property
    def capabilities(self) -> dict[str, dict[str, Capability]]:
        """What the gateways of this run can do, as in force."""
        return {name: dict(lane.capabilities) for name, lane in self.around.lanes.items()}

    async def begin(self) -> None:
        """Make the run known to the ledger; this also proves that it can be written."""
        settings, around = self.settings, self.around
        cap = settings.max_usd
        if settings.approve_above_usd is not None:
            # Until somebody has approved more.
            cap = settings.approve_above_usd if cap is None else min(cap, settings.approve_above_usd)
        uri = without_signature(settings.request.catalog)
        await around.ledger.write(
            lambda connection: facts.open_run(connection, self.run_id, around.archive.root, uri, around.simulated, cap)
        )
        if around.archive.exists(manifest_path(self.run_id)):
            # It goes on: what stands there does not know what is bought from now on.
            await asyncio.to_thread(write_manifest, around.ledger, around.archive, self.run_id, provisional=True)

    async def engine(self) -> Engine:
        """The engine, started when it is first asked for."""
        async with self._opening:
            if self._engine is None:
                self._engine = await self._stack.enter_async_context(
                    engine_for(await self._context(), self.around.http)
                )
        return self._engine

    async def runner(self) -> Runner:
        """The engine on the frozen run."""
        engine = await self.engine()
        async with self._opening:
            if self._runner is None:
                self._runner = await open_frozen(engine)
                self._stack.callback(self._runner.frozen.close)
        return self._runner

    async def _context(self) -> RunContext:
        run = await self.around.ledger.read(lambda connection: facts.find_run(connection, self.run_id))
        around, settings = self.around, self.settings
        return RunContext(
            run_id=self.run_id,
            ledger=around.ledger,
            archive=around.archive,
            lanes=around.lanes,
            user_prices=around.user_prices,
            references=self.references,
            simulated=around.simulated,
            rescue_folder=around.rescue_folder,
            # The cap a run began with stays its cap, whatever a later resume is told.
            max_usd=run.max_usd if run else settings.max_usd,
            max_premium=settings.request.max_premium,
            retry=settings.request.retry,
            wait_s=settings.wait_s,
            callback_base=callback_base(),
            asks=asks(),
            in_full=verifies_in_full(),
        )

    def sandbox_bill(self) -> Any:
        """The bill of the sandbox this run was simulated with. Raises SeedreamError when it does not answer."""
        base = next(iter(self.around.lanes.values())).client.account.base_url
        try:
            return httpx.get(f"{base.rpartition('/')[0]}/sandbox/bill", timeout=60.0).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise SeedreamError(f"the sandbox does not show its bill: {error}") from error

    async def close(self) -> None:
        """Wait for what must not be left, then let go of everything."""
        await self._stack.aclose()
        self.references.close()


_open: dict[str, Session] = {}


@asynccontextmanager
async def session(run_id: str, settings: RunSettings) -> AsyncIterator[Session]:
    """The session of a run: the one open in this process, or one opened for the length of this block."""
    there = _open.get(run_id)
    if there is not None:
        yield there
        return
    rows, text = read_prices(settings.prices)
    simulated = True if settings.bases else None
    async with opened(settings.place, settings.accounts(), simulated, rows) as around:
        mine = Session(run_id, settings, around, text)
        _open[run_id] = mine
        try:
            yield mine
        finally:
            _open.pop(run_id, None)
            await mine.close()
