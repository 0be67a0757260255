"""`seedream run`: the Prefect flow, with its progress on the terminal."""

import asyncio
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

import httpx

from ..catalog.tables import stating
from ..config.durability import check_it_lasts
from ..config.environment import keep_ledger
from ..config.process import prepare_command, share_heaps
from ..config.run_options import RunOptions
from ..config.settings import amount, asks, callback_base, locations, retry_words
from ..config.writability import check_room
from ..core.errors import SeedreamError
from ..core.money import dollars
from ..core.secrets import without_secrets
from ..engine.buyer import is_paying
from ..engine.progress import Event, Progress, listen
from ..ledger.urls import holds_password
from ..planning import stages
from ..planning.freeze import check
from ..storage.archive import Archive
from .block_names import access
from .broken_output import leave_at_once
from .main import tell
from .preview import PreviewRequest, confirm
from .terminal import QUIET, Stages, in_a_line, in_lines, print_json, say

_LOOK_EVERY_S = 0.5
# A stopped run exits within ten seconds, unless a paid call is still open.
_LEAVE_WITHIN_S = 9.0


def run_catalog(
    catalog: str,
    shots: str | None,
    preset: str | None,
    key: str | None,
    header_row: int | None,
    archive: str | None,
    ledger: str | None,
    gateway: tuple[str, ...],
    model: str | None,
    sandbox: bool,
    prices: str | None,
    max_usd: str | None,
    max_premium: str | None,
    only: tuple[str, ...],
    limit: int | None,
    yes: bool,
    retry: tuple[str, ...],
    edition: str | None,
    wait: float,
    granularity: str,
    json_: bool,
) -> int:
    """Buy what is new or changed, archive it, and write the manifest."""
    prepare_command()
    # Report wrong options before starting Prefect.
    catalog = stating(catalog, header=header_row)
    chosen, rows = access(gateway, sandbox, prices)
    check_it_lasts(archive, ledger, chosen.embedded)
    place = locations(archive, ledger, chosen.embedded)
    if ledger and holds_password(place.ledger_url):
        keep_ledger(ledger)
        ledger = None
    asks()
    callback_base()
    cap = amount(max_usd, "max_usd", "--max-usd")
    premium = amount(max_premium, "max_premium", "--max-premium")
    options = RunOptions(
        catalog, shots, preset, key, model, edition, only, retry_words(retry), limit, max_usd=cap, max_premium=premium
    )
    check_room(place)
    say(f"reading {without_secrets(catalog)}", err=True)
    count = check(options)
    if chosen.embedded and not chosen.asked_for_sandbox:
        say("no gateway is configured: this run is simulated with the embedded sandbox, nothing is charged", err=True)
    elif not chosen.embedded and cap is None and not yes:
        confirm(PreviewRequest(options, chosen, rows, place))
    say("starting Prefect", err=True)
    result = _started(
        json_,
        count,
        catalog=catalog,
        shots=shots,
        preset=preset,
        key=key,
        archive=archive,
        ledger=ledger,
        gateways=list(gateway) or None,
        model=model,
        max_usd=max_usd,
        max_premium=max_premium,
        prices=prices,
        only=list(only) or None,
        limit=limit,
        retry=list(retry) or None,
        edition=edition,
        wait_s=wait,
        granularity=granularity,
        sandbox=chosen.embedded,
    )
    if json_:
        print_json(result)
    else:
        _tell(result)
    return int(result["exit_status"])


def _started(as_json: bool, rows: int | None, **parameters: Any) -> dict[str, Any]:
    """Run the flow with progress and signals wired; returns its result. Raises SeedreamError.

    The flow's event loop runs in a thread: in the main thread Prefect would take SIGTERM for itself and raise in the middle of
    whatever is being recorded.
    """
    stop_listening = listen(_bar() if sys.stderr.isatty() else in_lines)
    stop_telling = stages.listen(Stages(rows).tell)
    stopping = _Stopping()
    outcome: Future[dict[str, Any]] = Future()

    def work() -> None:
        try:
            outcome.set_result(asyncio.run(_flow(stopping, parameters)))
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            outcome.set_exception(error)

    thread = threading.Thread(target=work, name="seedream-run")
    share_heaps()
    before = {number: signal.signal(number, stopping.asked) for number in _signals()}
    try:
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_EVERY_S)
            if stopping.is_late() and not is_paying():
                leave_at_once(stopping.status)
        return outcome.result()
    except (asyncio.CancelledError, CancelledError):
        say("stopped; what is in flight stands in the ledger and is taken up by the next run", err=True)
        raise SystemExit(stopping.status) from None
    except PrefectGone as gone:
        tell(gone, as_json)
        # Everything of ours is closed; Prefect would go on sending its events, seconds each, to a stopped server.
        leave_at_once(1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop_listening()
        stop_telling()


class PrefectGone(SeedreamError):
    """Prefect's server stopped answering; the run itself has gone as far as it could."""


def _signals() -> tuple[int, ...]:
    """What stops a run: Ctrl-C, a request to end, the end of its terminal unless `nohup` has said otherwise."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    return numbers if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*numbers, signal.SIGHUP)


class _Stopping:
    """The first signal stops the run in order, the second leaves at once."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.cancel: Callable[[], object] | None = None
        self._since = 0.0

    @property
    def status(self) -> int:
        """End a stopped run."""
        return 128 + (self.signals[0] if self.signals else signal.SIGINT)

    def is_late(self) -> bool:
        """Whether a stopped run should have exited by now; anything left (reading a catalog, say) is not worth waiting for."""
        return bool(self.signals) and time.monotonic() - self._since > _LEAVE_WITHIN_S

    def asked(self, number: int, _: Any) -> None:
        self.signals.append(number)
        if len(self.signals) > 1:
            say("leaving at once; calls without an answer become unknown", err=True)
            leave_at_once(128 + number)
        self._since = time.monotonic()
        say("stopping: no new purchases; waiting for open calls (once more to leave at once)", err=True)
        if self.cancel is not None:
            self.cancel()


async def _flow(stopping: _Stopping, parameters: dict[str, Any]) -> dict[str, Any]:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        stopping.cancel = partial(loop.call_soon_threadsafe, task.cancel)
    if stopping.signals:
        raise asyncio.CancelledError

    from ..orchestration.own_server import own_server

    server = own_server()
    from ..orchestration.flows import catalog_images

    # Prefect's own log lines are in its UI; the terminal gets ours. Errors are raised, and reported below in one line.
    logging.getLogger("prefect").propagate = False
    logging.getLogger("prefect.events.clients").setLevel(logging.CRITICAL)
    logging.raiseExceptions = False  # else each log line that the server does not get reports its absence again
    if server is not None:
        await server.ready()
    try:
        state = await catalog_images(**parameters, return_state=True)
    except httpx.HTTPError as error:
        raise PrefectGone(
            f"Prefect's server cannot be used: {type(error).__name__}: {error}",
            code="prefect_gone",
            hint="what was bought is in the ledger and what was made is in the archive; run it again: nothing is bought twice",
        ) from error
    result = await state.aresult(raise_on_failure=False)
    if isinstance(result, SeedreamError):
        raise result
    if isinstance(result, asyncio.CancelledError) or stopping.signals:
        raise asyncio.CancelledError
    if isinstance(result, dict):
        return result
    if isinstance(result, BaseException):
        raise SeedreamError(f"the run failed: {type(result).__name__}: {result}") from result
    raise SeedreamError(f"the run ended without a result: {state.message}")


def _bar() -> Callable[[Progress, Event | None], None]:
    """On a terminal: a bar, with the same lines above it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=Console(stderr=True),
    )  # fmt: skip
    job = bar.add_task("", total=None)

    def show(progress: Progress, event: Event | None) -> None:
        bar.start()
        what = f"{progress.images} images, {dollars(progress.billed_usd)}"
        bar.update(job, total=progress.total, completed=progress.done, description=what)
        if event is not None and event.kind not in QUIET:
            bar.console.print(in_a_line(event), highlight=False, markup=False)
        if progress.done >= progress.total:
            bar.stop()

    return show


def _tell(result: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in result["by_status"].items())
    simulated = " (simulated, nothing was charged)" if result["simulated"] else ""
    say(f"{result['rows']} rows, {result['jobs']} jobs: {counts}")
    say(f"images     {result['images']} ({result['reused']} records reused)")
    say(f"billed     ${result['billed_usd']}{simulated}; the images shown cost ${result['cost_usd']}")
    if result["at_risk_usd"] != "0":
        say(f"at risk    {_at_risk(result)}")
    if result["deferred_usd"] != "0":
        say(f"deferred   ${result['deferred_usd']}")
    say(f"archive    {result['archive']}")
    say(f"manifest   {result['manifest']}")
    say(f"to look at {result['contact_sheet']}")


def _at_risk(result: dict[str, Any]) -> str:
    """The amount and why, as the run's summary has it."""
    summary = json.loads(Archive(result["archive"]).read(f"runs/{result['run_id']}/summary.json"))
    return str(summary["at_risk_in_words"])
