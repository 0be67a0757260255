"""What the tasks of one flow run share inside an event loop: one engine, its connections, its ledger.

Tasks get ids and options, never tables, results or keys. A task that runs in another process (a Dask worker) or in a thread with
its own loop (`.submit`, `.map`) finds no open session there and opens one; the ledger keeps them consistent.
"""

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ..config.environment import Environment
from ..config.run_options import RunOptions
from ..config.settings import (
    Locations,
    asks,
    callback_base,
    read_prices,
    references_of,
    sandbox_account,
)
from ..core.capabilities import Capability
from ..core.errors import SeedreamError
from ..core.secrets import without_secrets
from ..engine.engine import Engine
from ..engine.opening import Opened, RunContext, opened
from ..engine.runner import Runner, engine_for, open_frozen
from ..ledger import known_runs
from ..runs.manifest import manifest_path, write_manifest
from .run_settings import Access, access_to, place_of

# Between two parts of a sandbox's bill: it has one entry for each image it ever sold.
_BILL_WITHIN_S = 300.0


async def place_for(options: RunOptions) -> Locations:
    """Archive and ledger of a run. Raises ConfigurationError."""
    return await place_of(options.archive, options.ledger, options.sandbox)


async def access_for(options: RunOptions) -> Access:
    """The accounts a run may use, looked up in this process. Raises ConfigurationError, InputError."""
    if not options.bases:
        return await access_to(options.gateways, options.prices)
    rows, text = read_prices(options.prices)
    accounts = {name: sandbox_account(name, base) for name, base in options.bases.items()}
    return Access(accounts, prices=tuple(rows), prices_text=text)


class Session:
    """A run opened in this event loop."""

    def __init__(self, run_id: str, options: RunOptions, around: Opened, prices_text: str) -> None:
        self.run_id = run_id
        self.options = options
        self.around = around
        self.prices_text = prices_text
        self.references = references_of(options.catalog)
        self._stack = AsyncExitStack()
        self._engine: Engine | None = None
        self._runner: Runner | None = None
        self._opening = asyncio.Lock()
        self._began = False

    @property
    def capabilities(self) -> dict[str, dict[str, Capability]]:
        """What the gateways of this run can do, as in force."""
        return {name: dict(lane.capabilities) for name, lane in self.around.lanes.items()}

    async def begin(self) -> None:
        """Make the run known to the ledger; this also proves that it can be written."""
        options, around = self.options, self.around
        self._began = True
        cap = options.max_usd
        if options.approve_above_usd is not None:
            # Until somebody has approved more.
            cap = options.approve_above_usd if cap is None else min(cap, options.approve_above_usd)
        uri = without_secrets(options.catalog)
        await around.ledger.write(
            lambda connection: known_runs.open_run(
                connection, self.run_id, around.archive.name, uri, around.simulated, cap
            )
        )
        if around.archive.exists(manifest_path(self.run_id)):
            # The run continues: its manifest does not contain what is bought from now on.
            await asyncio.to_thread(write_manifest, around.ledger, around.archive, self.run_id, provisional=True)

    async def engine(self) -> Engine:
        """The engine, started when it is first asked for."""
        async with self._opening:
            if self._engine is None:
                self._engine = await self._stack.enter_async_context(engine_for(await self._context()))
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
        run = await self.around.ledger.read(lambda connection: known_runs.find_run(connection, self.run_id))
        around, options = self.around, self.options
        return RunContext(
            run_id=self.run_id,
            ledger=around.ledger,
            archive=around.archive,
            lanes=around.lanes,
            user_prices=around.user_prices,
            references=self.references,
            simulated=around.simulated,
            rescue_folder=around.rescue_folder,
            # A run keeps the cap it started with, whatever a later resume is given.
            max_usd=run.max_usd if run else options.max_usd,
            max_premium=options.max_premium,
            retry=options.retry,
            wait_s=options.wait_s,
            callback_base=callback_base(),
            asks=asks(),
            in_full=Environment().verify == "full",
            owns_run=self._began,
        )

    def keep_sandbox_bill(self) -> None:
        """Copy the bill of the sandbox this run was simulated with beside its manifest, as it comes: it may be large.

        Raises SeedreamError when the sandbox does not answer, ArchiveFault.
        """
        base = next(iter(self.around.lanes.values())).client.account.base_url
        with tempfile.TemporaryDirectory(prefix="seedream-") as folder:
            target = Path(folder, "sandbox-bill.json")
            try:
                with (
                    target.open("wb") as file,
                    httpx.stream(
                        "GET", f"{base.rpartition('/')[0]}/sandbox/bill", timeout=_BILL_WITHIN_S, trust_env=False
                    ) as answer,
                ):
                    for part in answer.raise_for_status().iter_bytes():
                        file.write(part)
            except httpx.HTTPError as error:
                raise SeedreamError(f"the sandbox does not show its bill: {error}") from error
            self.around.archive.publish(f"runs/{self.run_id}/sandbox-bill.json", target)

    async def close(self) -> None:
        """Wait for what must not be abandoned, then close everything."""
        await self._stack.aclose()
        self.references.close()


@dataclass(eq=False)
class _Shared:
    """An open session and its number of holders. It belongs to one event loop, like its connections and locks."""

    run_id: str
    options: RunOptions
    access: Access | None
    loop: asyncio.AbstractEventLoop
    holders: int = 0
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: Session | None = None

    def serves(self, run_id: str, options: RunOptions, access: Access | None) -> bool:
        """Whether it matches what is requested in this loop. A different archive, gateway or wait needs another session."""
        same = (self.run_id, self.options, self.access) == (run_id, options, access)
        return same and self.loop is asyncio.get_running_loop()

    async def opened(self) -> Session:
        """The session, opened by the first caller; if that fails, the next one tries."""
        async with self.opening:
            if self.session is None:
                access = self.access or await access_for(self.options)
                simulated = True if self.options.bases else None
                place = await place_for(self.options)
                around = await self.stack.enter_async_context(
                    opened(place, access.accounts, simulated, access.prices, access.limits)
                )
                self.session = Session(self.run_id, self.options, around, access.prices_text)
                self.stack.push_async_callback(self.session.close)
            return self.session


_shared: list[_Shared] = []
_registry = threading.Lock()  # loops run in threads; never held across an await


@asynccontextmanager
async def session(run_id: str, options: RunOptions, access: Access | None = None) -> AsyncIterator[Session]:
    """The session of a run: the one open in this event loop, or a new one. The last holder closes it.

    `access` comes from a loaded block; without it, keys are looked up according to `options`.
    """
    mine = _enter(run_id, options, access)
    try:
        yield await mine.opened()
    finally:
        if _leave(mine):
            await mine.stack.aclose()


def _enter(run_id: str, options: RunOptions, access: Access | None) -> _Shared:
    with _registry:
        found = next((each for each in _shared if each.serves(run_id, options, access)), None)
        if found is None:
            found = _Shared(run_id, options, access, asyncio.get_running_loop())
            _shared.append(found)
        found.holders += 1
        return found


def _leave(shared: _Shared) -> bool:
    """Whether that was the last holder, who must close it; it is no longer shared."""
    with _registry:
        shared.holders -= 1
        if shared.holders == 0:
            _shared.remove(shared)
        return shared.holders == 0
