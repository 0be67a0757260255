"""Following purchases: poll until the gateway is done, record the outcome, copy the images."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar, cast

from sqlalchemy import Connection

from ..config.environment import Environment
from ..core.capabilities import Billing
from ..core.errors import (
    ArchiveFault,
    AttemptMoved,
    GatewayFault,
    LedgerFault,
    SeedreamError,
)
from ..core.jobs import JobName
from ..core.money import ZERO, dollars
from ..core.outcomes import TaskState, TaskStatus, after_failed_task, of_failed_task
from ..core.states import AttemptState
from ..gateways.client import Unread
from ..ledger import (
    held_attempts,
    known_runs,
    poll_counts,
    queries,
    transitions,
    unread_answers,
)
from ..ledger.attempt_rows import Recorded
from ..ledger.values import Attempt, ImageRecord
from ..ledger.writer import Ledger
from ..storage.archive import Archive, safe_key
from .account_limiter import Lane
from .archiver import Archiver
from .buyer import first_expiry
from .callback_hints import Hints
from .poller import Gone, Poller
from .progress import Progress
from .result_links import Origin, ResultLinks

T = TypeVar("T")
logger = logging.getLogger("seedream_tasks.engine")

# A 404 within the first minute may mean that the task has not yet reached every server of the gateway.
_TOO_EARLY_S = 60.0
# Each five minutes after the last (ledger.transitions.not_found): over ten minutes in all.
_GONE_AFTER = 3
_NOT_WAITED_FOR_S = 86_400.0
# A task that its gateway still calls running after this long is given up.
GIVE_UP_AFTER = timedelta(days=7)
# It must also have been seen so on this many days: a clock that jumps ends nothing by itself.
_POLLED_ON_DAYS = 6


@dataclass(frozen=True, slots=True)
class Whose:
    """On whose behalf attempts are followed: `run_id` is empty outside a run, `wait_s` is the max wait per attempt (s)."""

    run_id: str
    wait_s: float
    settled: Callable[[], None]  # money moved
    broke: Callable[[SeedreamError], None]  # the archive or the ledger failed
    asks: bool = True  # False: poll only after a callback
    in_full: bool = True  # decode every pixel of what is archived


class Follower:
    """Follows attempts into one archive. Create inside an event loop; always `close` it."""

    def __init__(
        self,
        ledger: Ledger,
        archive: Archive,
        lanes: Mapping[str, Lane],
        progress: Progress,
        whose: Whose,
    ) -> None:
        self.left: set[str] = set()  # still in flight after the wait, or not copied now: for a later run
        self.others: set[str] = set()  # other runs whose attempts were settled here: their manifests are out of date
        environment = Environment()
        self._links = ResultLinks(environment.allow_hosts, environment.proxy)
        self.archiver = Archiver(self._links, ledger, archive, self, whose.wait_s, whose.in_full)
        self._ledger = ledger
        self._lanes = lanes
        self._by_account = {lane.account: lane for lane in lanes.values()}
        self._progress = progress
        self._whose = whose
        self._unread: dict[str, Unread] = {}  # by attempt: its last answer that could not be read
        self._told_unread: set[tuple[str, str]] = set()
        self._pollers: dict[str, Poller] = {}
        self._hints = Hints(ledger, self._poll_now, whose.broke)

    async def close(self) -> None:
        """Stop polling; finish what is being copied."""
        await self._hints.close()
        for poller in self._pollers.values():
            await poller.close()
        await self.archiver.close()
        await self._links.close()

    async def follow(self, name: JobName, attempt: Attempt) -> None:
        """Follow an accepted or delivered attempt to its end, whichever run it belongs to."""
        now = Recorded(attempt)
        if now.state is AttemptState.ACCEPTED:
            # A task that has been running since long before this run is polled once; the next run takes it up.
            old = age_s(attempt) > _NOT_WAITED_FOR_S
            now = await (self.look(name, attempt) if old else self.wait(name, attempt))
        if now.state is AttemptState.DELIVERED:
            await self.archive(name, now)
        elif now.state is AttemptState.ACCEPTED:
            self.left.add(attempt.attempt_id)

    async def look(self, name: JobName, attempt: Attempt) -> Recorded:
        """Poll an accepted attempt once and record its end, if it has ended; returns its state."""
        lane = self._lane(name, attempt)
        if lane is None:
            return Recorded(attempt)
        try:
            status = await self._poller(lane).once(attempt.attempt_id, attempt.task_id or "")
        except Gone as gone:
            return await self._lost(name, attempt, str(gone))
        if status is None and attempt.attempt_id in self._unread:
            return await self._given_up(name, attempt)
        if status is None:
            return Recorded(attempt)
        if status.state is TaskState.RUNNING:
            return await self._given_up(name, attempt)
        return await self._ended(name, attempt, lane, status)

    def can_ask(self, attempt: Attempt) -> bool:
        """Whether the key of its account is configured."""
        return self._lane_of(attempt) is not None

    async def wait(self, name: JobName, attempt: Attempt) -> Recorded:
        """Follow an accepted attempt to its end at the gateway, at most for `wait_s`, and record the end."""
        lane = self._lane(name, attempt)
        if lane is None:
            return Recorded(attempt)
        poller = self._poller(lane)
        try:
            async with asyncio.timeout(self._whose.wait_s), self._hints.expected(attempt) as is_here:
                status = await poller.done(
                    attempt.attempt_id,
                    attempt.task_id or "",
                    attempt.model,
                    attempt.estimate_s,
                    age_s(attempt),
                    attempt.called_back and not is_here,
                )
        except TimeoutError:
            poller.forget(attempt.attempt_id)
            self.left.add(attempt.attempt_id)
            unread = self._unread.get(attempt.attempt_id)
            text = f"is still running at {lane.gateway}" if unread is None else f"{lane.gateway} answers {unread.why}"
            self._tell("in_flight", name, f"{attempt.attempt_id} {text}")
            return Recorded(attempt)
        except Gone as gone:
            return await self._lost(name, attempt, str(gone))
        return await self._ended(name, attempt, lane, status)

    async def archive(self, name: JobName, delivered: Recorded) -> int:
        """Copy every delivered image of an attempt; returns how many slots are filled now. Raises ArchiveFault, LedgerFault."""
        attempt = delivered.attempt
        delivery = delivered.delivery
        await self._belongs(attempt)
        if delivery is None:
            delivery = await self._ledger.read(
                lambda connection: queries.delivery_of(connection, attempt.attempt_id, name.row_key)
            )
        folder = safe_key(name.row_key, delivery.first_of_case)
        waiting = [each for each in delivery.images if each.state == "delivered"]
        try:
            outcomes = await run_all([self.archiver.save(name, attempt, each, folder) for each in waiting])
        except (ArchiveFault, LedgerFault) as fault:
            self._whose.broke(fault)
            raise
        archived = sum(outcome.state == "archived" for outcome in outcomes)
        if archived:
            self._progress.images += archived
            self._progress.billed_usd += attempt.billed_usd if attempt.run_id == self._whose.run_id else ZERO
            kind = "surplus" if attempt.surplus else "archived"
            self._tell(kind, name, f"{archived} at {attempt.gateway}, {dollars(attempt.billed_usd)}")
        for outcome in outcomes:
            if outcome.state == "delivered":
                self.left.add(attempt.attempt_id)
            if outcome.state in ("quarantined", "expired", "delivered"):
                self._tell(outcome.state, name, f"{attempt.attempt_id}: {outcome.why}")
        return sum(
            outcome.state == "archived" and image.slot is not None
            for image, outcome in zip(waiting, outcomes, strict=True)
        )

    async def revive(self, name: JobName, attempt: Attempt, expired: ImageRecord) -> bool:
        """Try the link of an expired image once more before buying it again; True when it is archived now.

        Raises ArchiveFault, LedgerFault.
        """
        first = await self._ledger.read(lambda connection: queries.is_first_of_case(connection, name.row_key))
        record = await self.archiver.once_more(name, attempt, expired, safe_key(name.row_key, first))
        if record is None:
            return False
        await self._belongs(attempt)
        await self._ledger.write(record)
        self._progress.images += 1
        self._tell("archived", name, f"{attempt.attempt_id}: its link gave the image after all, nothing is bought")
        return True

    async def attempt(self, attempt_id: str) -> Attempt:
        """An attempt's current state."""
        return (await self._ledger.read(lambda connection: queries.attempts_by_id(connection, [attempt_id])))[0]

    def drifted(self, lane: Lane, name: JobName, attempt: Attempt, drift: Decimal) -> None:
        """A gateway charged more than was reserved: it is out for this run."""
        lane.out = f"it charged {dollars(drift)} more than was reserved (price_drift); give its price with --prices"
        self._tell("price_drift", name, f"{lane.gateway} {attempt.attempt_id}: {lane.out}")

    def _tell(self, kind: str, name: JobName, text: str) -> None:
        self._progress.tell(kind, name.row_key, name.shot, text)

    async def _belongs(self, attempt: Attempt) -> None:
        if attempt.run_id != self._whose.run_id and attempt.run_id not in self.others:
            # Recorded before anything of it is settled: if this process dies, the next run knows the manifest is out of date.
            await self._ledger.write(lambda connection: known_runs.reopen_run(connection, attempt.run_id))
            self.others.add(attempt.run_id)

    def _lane(self, name: JobName, attempt: Attempt) -> Lane | None:
        lane = self._lane_of(attempt)
        if lane is None:
            self.left.add(attempt.attempt_id)
            self._tell("in_flight", name, f"{attempt.attempt_id} needs the key of {attempt.account}")
        return lane

    def _lane_of(self, attempt: Attempt) -> Lane | None:
        """The lane to poll an attempt at: its own account's; a rebuilt ledger knows only the gateway."""
        if attempt.account == f"{attempt.gateway}@unknown":
            return self._lanes.get(attempt.gateway)
        return self._by_account.get(attempt.account)

    def _poller(self, lane: Lane) -> Poller:
        poller = self._pollers.get(lane.account)
        if poller is None:
            poller = self._pollers[lane.account] = Poller(
                lane.client, lane.polls, self._not_found, self._whose.asks, self._answers_unread
            )
        return poller

    def _poll_now(self, attempt: Attempt) -> None:
        lane = self._lane_of(attempt)
        if lane is not None:
            self._poller(lane).poll_now(attempt.attempt_id)

    async def _not_found(self, attempt_id: str, seen_again: bool) -> bool:
        count = await self._ledger.write(lambda connection: transitions.not_found(connection, attempt_id, seen_again))
        if seen_again or count < _GONE_AFTER:
            return False
        return age_s(await self.attempt(attempt_id)) > _TOO_EARLY_S

    async def _ended(self, name: JobName, attempt: Attempt, lane: Lane, status: TaskStatus) -> Recorded:
        row = lane.capabilities.get(attempt.model)
        if status.state is TaskState.FINISHED and status.finished is not None:
            finished = status.finished
            expires_at = first_expiry(finished, row.link_life_s.value if row and row.link_life_s else None)
            held_attempts.finished(self._ledger, attempt.attempt_id, finished, expires_at)
            recorded = await self._record(
                attempt, lambda connection: transitions.delivered(connection, attempt.attempt_id, finished, expires_at)
            )
            if recorded.drift_usd:
                self.drifted(lane, name, attempt, recorded.drift_usd)
            return recorded
        if status.error is not None:
            error = of_failed_task(status.error)
            charge = status.finished
            charged = None if charge is None else bool(charge.usd or charge.credits)
            documented = row.failed_task_billed.value if row and not status.in_doubt else Billing.UNKNOWN
            fate = after_failed_task(error, documented, charged)
            to = AttemptState.CANCELLED if status.state is TaskState.CANCELLED else AttemptState.FAILED
            recorded = await self._record(
                attempt, lambda connection: transitions.failed(connection, attempt.attempt_id, to, error, fate, charge)
            )
            self._tell("failed", name, f"{lane.gateway}: {error.code}: {error.message}")
            return recorded
        return Recorded(attempt)

    async def _given_up(self, name: JobName, attempt: Attempt) -> Recorded:
        days = await self._ledger.write(
            lambda connection: poll_counts.still_running(connection, attempt.attempt_id, attempt.run_id)
        )
        if age_s(attempt) < GIVE_UP_AFTER.total_seconds() or days < _POLLED_ON_DAYS:
            return Recorded(attempt)
        unread = self._unread.get(attempt.attempt_id)
        says = "still calls it running" if unread is None else f"still answers {unread.why}"
        return await self._lost(name, attempt, f"{attempt.gateway} {says} after {GIVE_UP_AFTER.days} days")

    async def _answers_unread(self, attempt_id: str, unread: Unread) -> None:
        """Keep an unreadable answer with its attempt, and log its text once."""
        attempt = await self.attempt(attempt_id)
        if (attempt.account, unread.why) not in self._told_unread:
            self._told_unread.add((attempt.account, unread.why))
            logger.warning(
                "%s: %s answers %s: %s",
                attempt_id,
                attempt.gateway,
                unread.why,
                " ".join(unread.kept.text[:400].split()),
            )
        self._unread[attempt_id] = unread
        await self._ledger.write(
            lambda connection: unread_answers.keep(connection, attempt_id, unread_answers.STATUS, unread.kept)
        )

    async def _lost(self, name: JobName, attempt: Attempt, why: str) -> Recorded:
        recorded = await self._record(attempt, lambda connection: transitions.lost(connection, attempt.attempt_id, why))
        self._tell("lost", name, f"{attempt.attempt_id}: {why}")
        return recorded

    async def _record(self, attempt: Attempt, write: Callable[[Connection], Recorded]) -> Recorded:
        await self._belongs(attempt)
        try:
            recorded = await self._ledger.write(write)
        except AttemptMoved as moved:
            # Another run follows it too and was first; its record counts.
            logger.debug("%s: %s", attempt.attempt_id, moved)
            return Recorded(await self.attempt(attempt.attempt_id))
        self._whose.settled()
        return recorded

    # Called by the archiver

    async def fresh_links(self, attempt: Attempt) -> list[str]:
        """The links that an attempt's task returns now; empty where it cannot be queried."""
        lane = self._lane_of(attempt)
        if lane is None or lane.client.dialect.synchronous or attempt.task_id is None:
            return []
        try:
            status = await lane.client.fetch(attempt.task_id)
        except GatewayFault as fault:
            logger.info("no fresh links for %s: %s", attempt.attempt_id, fault)
            return []
        return [link.url for link in status.finished.links] if status.finished else []

    def origin(self, attempt: Attempt) -> Origin | None:
        """The host and port of an attempt's gateway: as configured now, else as its account names it."""
        lane = self._lane_of(attempt)
        base = (
            lane.client.account.base_url if lane is not None else attempt.account.partition("@")[2].rpartition("#")[0]
        )
        return Origin.of(base)

    def fetched(self, attempt: Attempt, whether: bool, in_time: bool = True) -> None:
        """An image could be fetched or not; `in_time`: its link had not expired before the first try."""
        lane = self._lane_of(attempt)
        if lane is not None and (whether or in_time or attempt.run_id == self._whose.run_id):
            lane.fetched(attempt.attempt_id, whether)


def age_s(attempt: Attempt) -> float:
    """Seconds since an attempt was submitted."""
    return max(0.0, (datetime.now(UTC) - (attempt.submitted_at or attempt.intent_at)).total_seconds())


async def run_all(work: Iterable[Awaitable[T]]) -> list[T]:
    """Run all to completion, then raise the first error: none may be left half done because another failed."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(list[T], results)
