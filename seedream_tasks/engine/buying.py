"""The critical section of the whole project: claim, send, record. It runs as a task of its own, which nothing cancels midway.

From the moment a request may have left until its answer is on disk there is no way out of this module but through a record.
"""

import asyncio
import hashlib
import logging
import secrets
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..core.capabilities import Capability
from ..core.decisions import Purpose, Route
from ..core.errors import AttemptMoved, LedgerFault, SlotsTaken, UploadGone
from ..core.jobs import Job
from ..core.money import plain
from ..core.outcomes import ErrorClass, ErrorInfo, Fate, Finished, SubmitOutcome, after_refusal
from ..core.pricing import PriceRow
from ..ledger import claims, facts, records
from ..ledger.claims import Claim, Lease, awake_or_asleep, claim, new_attempt_id
from ..ledger.records import Recorded
from ..ledger.rescue import Rescued, other_folder, rescue, rescue_path
from ..ledger.store import Ledger
from .lanes import Lane

logger = logging.getLogger("seedream_tasks.engine")

_RENEW_EVERY_S = claims.LEASE_S / 4
# How long a stop waits for open submits of asynchronous gateways.
LEAVE_WITHIN_S = 8.0


@dataclass(frozen=True, slots=True)
class Purchase:
    """One call that is to be made."""

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
    """How a call ended, and its attempt as that stands now. `recorded` None: nothing was claimed, look again."""

    fate: Fate
    recorded: Recorded | None = None
    error: ErrorInfo | None = None


_buyers: weakref.WeakSet["Buyer"] = weakref.WeakSet()


def is_paying() -> bool:
    """Whether this process is between a claim and its record, for any run: whoever ends it now makes a payment unknown."""
    return any(buyer.is_paying for buyer in list(_buyers))


class Buyer:
    """Claims and sends for one run. `stop` ends admission; `leave` waits for what is open."""

    def __init__(
        self,
        ledger: Ledger,
        run_id: str,
        capped: bool,
        rescue_folder: Path,
        callback_base: str | None,
        stopped: Callable[[], bool],
        owns_run: bool = True,
    ) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._capped = capped
        self._rescue_path = rescue_path(rescue_folder, run_id)
        self._callback_base = callback_base
        self._stopped = stopped
        self._owns_run = owns_run
        self._open: dict[str, Lane] = {}  # calls whose answer is awaited
        self._tasks: set[asyncio.Task[Bought]] = set()
        self._renewing = asyncio.create_task(self._renew())
        _buyers.add(self)

    @property
    def is_paying(self) -> bool:
        """Whether a call is between its claim and its record."""
        return bool(self._tasks)

    async def buy(self, purchase: Purchase, lane: Lane, encode: Callable[[str | None], dict[str, Any]]) -> Bought:
        """Claim, send once, record. `encode` makes the body from the callback URL. Raises OverCap, LedgerFault.

        Cancelling the caller does not stop it: see `leave`.
        """
        task = asyncio.create_task(self._buy(purchase, lane, encode))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def leave(self) -> list[str]:
        """Wait for open calls: those of asynchronous gateways a few seconds, synchronous ones until their answer or timeout.

        Returns the attempts whose fate stayed unknown because they were left.
        """
        try:
            quick = [task for task in self._tasks if not self._is_synchronous(task)]
            if quick:
                _, late = await asyncio.wait(quick, timeout=LEAVE_WITHIN_S)
                for task in late:
                    # Only a call whose answer is awaited: a claim is about to learn that it must not send.
                    if task.get_name() in self._open:
                        task.cancel()
            if any(self._is_synchronous(task) for task in self._tasks):
                logger.warning("waiting for %s open synchronous calls: their pictures are paid for", len(self._tasks))
            if self._tasks:
                await asyncio.wait(set(self._tasks))
        finally:
            left = list(self._open)
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            if self._owns_run:
                await self._say_it_ended()
        return left

    async def _say_it_ended(self) -> None:
        try:
            await self._ledger.write(lambda connection: facts.keep_alive(connection, self._run_id, alive=False))
        except LedgerFault as fault:
            logger.warning("the end of the run is not in the ledger: %s", fault)

    def _is_synchronous(self, task: asyncio.Task[Bought]) -> bool:
        lane = self._open.get(task.get_name())
        return lane is not None and lane.client.dialect.synchronous

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY_S)
            try:
                await self._ledger.write(lambda connection, ids=list(self._open): self._still_here(connection, ids))  # type: ignore[misc]
            except LedgerFault as fault:
                # Without renewal the calls become `unknown` for others, which is true as long as nobody can write.
                logger.warning("leases could not be renewed: %s", fault)

    def _still_here(self, connection: Connection, open_calls: list[str]) -> None:
        facts.keep_alive(connection, self._run_id)
        claims.renew_leases(connection, self._ledger.owner, open_calls)

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
        granted_at = awake_or_asleep()  # before the transaction: waiting for the disk uses up the lease
        try:
            lease = await self._ledger.write(
                lambda connection: claim(connection, self._ledger.owner, attempt_id, wanted, granted_at)
            )
        except (SlotsTaken, UploadGone):
            return Bought(Fate.NOT_SENT)
        return await self._send(lease, lane, body)

    def _callback(self, row: Capability) -> tuple[str | None, str | None]:
        if self._callback_base is None or not row.callback.value:
            return None, None
        token = secrets.token_urlsafe(32)
        return f"{self._callback_base}/callbacks/{token}", hashlib.sha256(token.encode()).hexdigest()

    async def _send(self, lease: Lease, lane: Lane, body: dict[str, Any]) -> Bought:
        attempt_id = lease.attempt_id
        if self._stopped() or not (lease.allows_sending() and lane.may_send()):
            why = (
                "the run is stopping" if self._stopped() else "the lease had run down before the request could be sent"
            )
            error = ErrorInfo("not_sent", why, ErrorClass.TRANSIENT)
            recorded = await self._ledger.write(lambda connection: records.not_sent(connection, attempt_id, error))
            return Bought(Fate.NOT_SENT, recorded, error)
        self._open[attempt_id] = lane
        try:
            outcome = await lane.client.submit(body)
        except asyncio.CancelledError:
            left = ErrorInfo("unknown", "left before the gateway answered", ErrorClass.TRANSIENT)
            await self._ledger.write(lambda connection: records.unknown(connection, attempt_id, left))
            raise
        finally:
            self._open.pop(attempt_id, None)
        recorded = await self._record(attempt_id, lane, outcome)
        return Bought(outcome.fate, recorded, outcome.error)

    async def _record(self, attempt_id: str, lane: Lane, outcome: SubmitOutcome) -> Recorded:
        error = outcome.error or ErrorInfo(outcome.fate, "", ErrorClass.TRANSIENT)
        if outcome.fate is Fate.ACCEPTED:
            # Nothing comes between what is paid for and its record.
            recorded = await self._accepted(attempt_id, outcome)
            lane.heard(outcome)
            return recorded
        lane.heard(outcome)
        match outcome.fate:
            case Fate.NOT_SENT:
                return await self._ledger.write(lambda connection: records.not_sent(connection, attempt_id, error))
            case Fate.REFUSED:
                return await self._ledger.write(
                    lambda connection: records.refused(connection, attempt_id, error, after_refusal(error))
                )
            case Fate.UNKNOWN:
                return await self._ledger.write(lambda connection: records.unknown(connection, attempt_id, error))

    async def _accepted(self, attempt_id: str, outcome: SubmitOutcome) -> Recorded:
        task_id = outcome.task_id or ""
        finished = outcome.finished
        try:
            if finished is None:
                return await self._ledger.write(
                    lambda connection: records.accepted(
                        connection, attempt_id, task_id, outcome.estimate_s, outcome.model
                    )
                )
            return await self._ledger.write(
                lambda connection: records.delivered(
                    connection, attempt_id, finished, first_expiry(finished, None), task_id
                )
            )
        except AttemptMoved as moved:
            # The gateway gave one task for two submissions; which of them it bills, nobody knows.
            error = ErrorInfo("unknown", moved.message, ErrorClass.TRANSIENT)
            return await self._ledger.write(lambda connection: records.unknown(connection, attempt_id, error))
        except Exception as fault:  # whatever kept it from the ledger, the acceptance must not be lost
            kept = self._rescue(attempt_id, task_id, outcome, finished)
            raise LedgerFault(f"an accepted job could not be written to the ledger ({fault}); {kept}") from fault

    def _rescue(self, attempt_id: str, task_id: str, outcome: SubmitOutcome, finished: Finished | None) -> str:
        """Keep an acceptance outside the ledger; says where."""
        kept = Rescued(
            attempt_id,
            task_id,
            outcome.estimate_s,
            outcome.model,
            None if finished is None else tuple(link.url for link in finished.links),
            None if finished is None or finished.usd is None else plain(finished.usd),
        )
        # To the terminal first: the disk may be full, which is why we are here. It may be a log on that same disk, though.
        try:
            print(f"ACCEPTED BUT NOT IN THE LEDGER: {kept}", file=sys.stderr, flush=True)  # noqa: T201 - the last resort
        except (OSError, ValueError) as error:
            logger.critical("the terminal takes nothing either: %s", error)
        for path in (self._rescue_path, other_folder() / self._rescue_path.name):
            try:
                rescue(path, kept)
            except OSError as error:
                logger.critical("%s cannot be written: %s", path, error)
            else:
                return f"it is kept in {path} and taken in at the next start"
        by_hand = f"seedream resolve {attempt_id} --as paid --task-id {task_id}"
        return f"nor to any file: it is known here only ({by_hand})"


def first_expiry(finished: Finished, link_life_s: int | None) -> datetime | None:
    """When the first of the links dies: as stated with them, else by the gateway's documented life from now on."""
    stated = [link.expires_at for link in finished.links if link.expires_at]
    if stated:
        return min(stated)
    return datetime.now(UTC) + timedelta(seconds=link_life_s) if link_life_s else None
