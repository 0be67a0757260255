"""The critical section of the project: claim, send, record. It runs as its own task, which is never cancelled midway.

From the moment a request may have left until its answer is on disk, every way out of this module writes a record.
"""

import asyncio
import hashlib
import logging
import secrets
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..core.capabilities import Capability
from ..core.errors import LedgerFault, SeedreamError, SlotsTaken, UploadGone
from ..core.jobs import Job
from ..core.outcomes import (
    ErrorClass,
    ErrorInfo,
    Fate,
    Finished,
    SubmitOutcome,
    after_refusal,
)
from ..core.pricing import PriceRow
from ..core.routing import Route
from ..core.slots import Purpose
from ..core.states import LIVE
from ..ledger import (
    claims,
    held_attempts,
    known_runs,
    transitions,
    unread_answers,
)
from ..ledger.attempt_rows import Recorded
from ..ledger.claims import Claim, Lease, boot_time, claim, new_attempt_id
from ..ledger.held_attempts import Memory
from ..ledger.rescue import Rescuer, identity
from ..ledger.writer import Ledger
from . import background
from .account_limiter import Lane

logger = logging.getLogger("seedream_tasks.engine")

_RENEWALS = 4  # per lifetime of a lease, and of the heartbeat that says a process is working on a run
# How long a stop waits for open submits of asynchronous gateways.
LEAVE_WITHIN_S = 8.0
# An answer that arrived while this process could not read it (suspended, say) is read within this time.
_LAST_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Purchase:
    """One call to make."""

    job: Job
    slots: tuple[int, ...]
    seen: dict[int, str | None]
    purpose: Purpose
    route: Route
    cheapest: PriceRow
    warnings: tuple[str, ...] = ()  # how the references were presented
    uploads: tuple[str, ...] = ()  # keys of the uploads that the request links to


@dataclass(frozen=True, slots=True)
class Bought:
    """How a call ended, and its attempt's current state. `recorded` None: nothing was claimed, read the ledger again."""

    fate: Fate
    recorded: Recorded | None = None
    error: ErrorInfo | None = None


_buyers: weakref.WeakSet["Buyer"] = weakref.WeakSet()


def is_paying() -> bool:
    """Whether this process is between a claim and its record, in any run: ending it now leaves a payment unknown."""
    return any(buyer.is_paying for buyer in list(_buyers))


class Buyer:
    """Claims and sends for one run. `stop` ends admission; `leave` waits for open calls."""

    def __init__(
        self,
        ledger: Ledger,
        run_id: str,
        capped: bool,
        rescue_folder: Path,
        callback_base: str | None,
        stopped: Callable[[], bool],
        broke: Callable[[SeedreamError], None],
        owns_run: bool = True,
    ) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._capped = capped
        self._rescue_folder = rescue_folder
        self._rescuer: Rescuer | None = None
        self._run: list[dict[str, Any]] = []  # its row in the ledger
        self._callback_base = callback_base
        self._stopped = stopped
        self._owns_run = owns_run
        self._open: dict[str, Lane] = {}  # calls whose answer is awaited
        self._tasks: set[asyncio.Task[Bought]] = set()
        self._renewing = background.begin(self._renew(), "keeping the leases of open calls", broke)
        _buyers.add(self)

    @property
    def is_paying(self) -> bool:
        """Whether a call is between its claim and its record."""
        return bool(self._tasks)

    async def buy(self, purchase: Purchase, lane: Lane, encode: Callable[[str | None], dict[str, Any]]) -> Bought:
        """Claim, send once, record. `encode` builds the body from the callback URL. Raises OverCap, LedgerFault.

        Cancelling the caller does not stop it: see `leave`.
        """
        task = asyncio.create_task(self._buy(purchase, lane, encode))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def leave(self) -> list[str]:
        """Wait for open calls: a few seconds for asynchronous gateways, until the answer or timeout for synchronous ones.

        Returns the attempts left unknown because their calls were abandoned.
        """
        try:
            quick = [task for task in self._tasks if not self._is_synchronous(task)]
            if quick:
                _, late = await asyncio.wait(quick, timeout=LEAVE_WITHIN_S)
                for task in late:
                    # Only calls awaiting an answer: a claim in progress will learn that it must not send.
                    if task.get_name() in self._open:
                        task.cancel()
            if any(self._is_synchronous(task) for task in self._tasks):
                logger.warning("waiting for %s open synchronous calls: their images are paid for", len(self._tasks))
            if self._tasks:
                await asyncio.wait(set(self._tasks))
        finally:
            left = list(self._open)
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            if self._owns_run:
                await self._say_it_ended()
        return left

    async def rescuer(self) -> Rescuer:
        """Stores answers that cannot be written to the ledger. Raises LedgerFault."""
        if self._rescuer is None:
            name, secret = await self._ledger.read(identity)
            self._run = await self._ledger.read(lambda connection: held_attempts.run_rows(connection, self._run_id))
            self._rescuer = Rescuer(self._rescue_folder, name, secret)
        return self._rescuer

    async def _say_it_ended(self) -> None:
        try:
            await self._ledger.write(self._ended)
        except LedgerFault as fault:
            logger.warning("the end of the run is not in the ledger: %s", fault)

    def _ended(self, connection: Connection) -> None:
        for row in self._run:
            held_attempts.know_run(
                connection, row
            )  # if nothing of it had to be written again, the run itself may be missing
        known_runs.keep_alive(connection, self._run_id, alive=False)

    def _is_synchronous(self, task: asyncio.Task[Bought]) -> bool:
        lane = self._open.get(task.get_name())
        return lane is not None and lane.client.dialect.synchronous

    async def _renew(self) -> None:
        every_s = min(self._ledger.lease_s, known_runs.ALIVE_FOR_S) / _RENEWALS
        while True:
            await asyncio.sleep(every_s)
            try:
                await self._ledger.write(lambda connection, ids=list(self._open): self._still_here(connection, ids))  # type: ignore[misc]
            except LedgerFault as fault:
                # Without renewal others see the calls as `unknown`, which is true as long as nobody can write.
                logger.warning("leases could not be renewed: %s", fault)

    def _still_here(self, connection: Connection, open_calls: list[str]) -> None:
        known_runs.keep_alive(connection, self._run_id)
        claims.renew_leases(connection, self._ledger.owner, open_calls, self._ledger.lease_s)

    async def _buy(self, purchase: Purchase, lane: Lane, encode: Callable[[str | None], dict[str, Any]]) -> Bought:
        attempt_id = new_attempt_id()
        task = asyncio.current_task()
        if task is not None:
            task.set_name(attempt_id)
        row = purchase.route.offer.capability
        callback_url, token_sha256 = self._callback(row)
        body = encode(callback_url)
        wanted = Claim(
            job=purchase.job,
            slots=purchase.slots,
            seen=purchase.seen,
            purpose=purchase.purpose,
            run_id=self._run_id,
            capped=self._capped,
            gateway=lane.gateway,
            account=lane.account,
            price=purchase.route.price,
            cheapest=purchase.cheapest,
            route_reason=purchase.route.reason,
            callback_sha256=token_sha256,
            warnings=purchase.warnings,
            uploads=purchase.uploads,
        )
        rescuer = await self.rescuer()
        granted_at = boot_time()  # before the transaction: waiting for the disk uses up the lease
        try:
            lease = await self._ledger.write(
                lambda connection: claim(
                    connection, self._ledger.owner, attempt_id, wanted, granted_at, self._ledger.lease_s
                )
            )
        except (SlotsTaken, UploadGone):
            return Bought(Fate.NOT_SENT)
        rows = (
            lease.rows
            or (await self._ledger.read(lambda connection: held_attempts.rows_of(connection, [attempt_id])))[0]
        )
        held = held_attempts.hold(self._ledger, {**rows, "runs": self._run}, rescuer)
        bought = await self._send(lease, held, lane, body)
        if bought.recorded is not None and bought.recorded.state not in LIVE:
            self._ledger.forget(attempt_id)
        return bought

    def _callback(self, row: Capability) -> tuple[str | None, str | None]:
        if self._callback_base is None or not row.callback.value:
            return None, None
        token = secrets.token_urlsafe(32)
        return f"{self._callback_base}/callbacks/{token}", hashlib.sha256(token.encode()).hexdigest()

    async def _send(self, lease: Lease, held: Memory, lane: Lane, body: dict[str, Any]) -> Bought:
        attempt_id = lease.attempt_id
        if self._stopped() or not (lease.allows_sending() and lane.may_send()):
            why = "the run is stopping" if self._stopped() else "the lease had expired before the request could be sent"
            error = ErrorInfo("not_sent", why, ErrorClass.TRANSIENT)
            recorded = await self._ledger.write(lambda connection: transitions.not_sent(connection, attempt_id, error))
            return Bought(Fate.NOT_SENT, recorded, error)
        self._open[attempt_id] = lane
        call = asyncio.ensure_future(lane.client.submit(body))
        try:
            outcome = await asyncio.shield(call)
        except BaseException as broken:
            why = "left before the gateway answered"
            if not isinstance(broken, asyncio.CancelledError):
                why = f"sending it failed in an unforeseen way: {type(broken).__name__}: {broken}"
            arrived = await _arrived(call)
            if arrived is None:
                left = SubmitOutcome(Fate.UNKNOWN, error=ErrorInfo("unknown", why, ErrorClass.TRANSIENT))
                await self._record(held, lane, left)
                raise
            outcome = arrived
        finally:
            self._open.pop(attempt_id, None)
        recorded = await self._record(held, lane, outcome)
        return Bought(outcome.fate, recorded, outcome.error)

    async def _record(self, held: Memory, lane: Lane, outcome: SubmitOutcome) -> Recorded:
        """Record the outcome of a request, whatever else fails. Raises LedgerFault."""
        attempt_id = held.attempt_id
        error = outcome.error or ErrorInfo(outcome.fate, "", ErrorClass.TRANSIENT)
        kept: list[str] = []
        match outcome.fate:
            case Fate.ACCEPTED:
                # Nothing comes between a payment and its record.
                held.answer = outcome
                held.answer_expires_at = first_expiry(outcome.finished, None) if outcome.finished else None
                try:
                    recorded = await self._ledger.write(
                        lambda connection: transitions.answered(
                            connection, attempt_id, outcome, held.answer_expires_at
                        ),
                        lambda _: kept.append(held.rescue()),
                    )
                except Exception as fault:
                    told = f"an accepted job could not be written to the ledger ({fault}); {'; '.join(kept)}"
                    raise LedgerFault(told) from fault
                lane.heard(outcome)
                return recorded
            case Fate.UNKNOWN:
                write = self._ledger.write(
                    lambda connection: _unknown(connection, attempt_id, error, outcome),
                    lambda _: kept.append(held.rescue()),
                )
            case Fate.REFUSED:
                write = self._ledger.write(
                    lambda connection: transitions.refused(connection, attempt_id, error, after_refusal(error))
                )
            case Fate.NOT_SENT:
                write = self._ledger.write(lambda connection: transitions.not_sent(connection, attempt_id, error))
        try:
            lane.heard(outcome)
        finally:
            recorded = await write
        return recorded


async def _arrived(call: "asyncio.Future[SubmitOutcome]") -> SubmitOutcome | None:
    """The answer of an abandoned call if it has already arrived; otherwise the call is cancelled."""
    try:
        await asyncio.wait({call}, timeout=_LAST_LOOK_S)
        if not call.done():
            call.cancel()
        await asyncio.wait({call})
    except asyncio.CancelledError:  # cancelled a second time: stop now
        call.cancel()
    if not call.done() or call.cancelled() or call.exception() is not None:
        return None
    return call.result()


def _unknown(connection: Connection, attempt_id: str, error: ErrorInfo, outcome: SubmitOutcome) -> Recorded:
    """Record an unknown outcome; whatever came back is kept with it."""
    if outcome.kept is not None:
        unread_answers.keep(connection, attempt_id, unread_answers.SUBMIT, outcome.kept)
    return transitions.unknown(connection, attempt_id, error)


def first_expiry(finished: Finished, link_life_s: int | None) -> datetime | None:
    """When the first link expires: as stated with the links, else by the gateway's documented lifetime from now on."""
    stated = [link.expires_at for link in finished.links if link.expires_at]
    if stated:
        return min(stated)
    return datetime.now(UTC) + timedelta(seconds=link_life_s) if link_life_s else None
