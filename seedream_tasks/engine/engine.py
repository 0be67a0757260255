"""The engine: takes each job as far as this run can take it.

Per job: look at the ledger, follow what is in flight, buy the free slots, copy what is delivered, look again, until there is
nothing left to do. Counting, splitting, retrying, topping up and going to the next gateway all happen in that one loop.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar, cast

from sqlalchemy import Connection

from ..core.capabilities import Billing
from ..core.decisions import NoRoute, Offer, Route, Want, route, split, wanted
from ..core.errors import (
    ArchiveFault,
    AttemptMoved,
    GatewayFault,
    LedgerFault,
    OverCap,
    ReferenceFault,
    SeedreamError,
)
from ..core.jobs import Job, JobName
from ..core.money import ZERO, dollars, money
from ..core.outcomes import Fate, TaskState, after_failed_task, of_failed_task
from ..core.preflight import obstacles, pictures_per_call
from ..core.pricing import PriceBook, PriceRow
from ..core.states import FOLLOWED, LIVE, AttemptState, Reason
from ..gateways.http import HttpClients
from ..ledger import facts, records, views
from ..ledger.facts import Admission
from ..ledger.store import Ledger
from ..ledger.views import Attempt, JobView, Picture
from .archiving import Archiver
from .buying import Buyer, Purchase, first_expiry
from .context import RunContext
from .lanes import Lane
from .polling import Gone, Poller
from .presenting import Presenter
from .progress import Progress

T = TypeVar("T")
logger = logging.getLogger("seedream_tasks.engine")

# How long a job waits for a gateway that went away in the middle of a run, before it is put off.
OUTAGE_S = 120.0
# How often an intent that another process is sending is looked at.
_OTHERS_S = 0.5
_CAP_CHECK_S = 2.0
# 404s within the first minute may be a task that has not reached every server of the gateway yet.
_TOO_EARLY_S = 60.0
_GONE_AFTER = 3
_GONE_AFTER_S = 600.0


class Engine:
    """One run's engine. Create inside an event loop; `close` it in every case."""

    def __init__(self, context: RunContext, http: HttpClients, progress: Progress) -> None:
        self.context = context
        self.progress = progress
        self.stopping = False
        self.fault: SeedreamError | None = None
        self._ledger: Ledger = context.ledger
        self._lanes = context.lanes
        self._by_account = {lane.account: lane for lane in context.lanes.values()}
        self._pollers: dict[str, Poller] = {}
        self._presenter = Presenter(context.references, context.ledger)
        self._archiver = Archiver(http, context.ledger, context.archive, self._fresh_links)
        self._buyer = Buyer(
            context.ledger,
            context.run_id,
            context.max_usd is not None,
            context.rescue_folder,
            context.callback_base,
            lambda: self.stopping or self.fault is not None,
        )
        self._uncopied: set[tuple[str, int]] = set()  # pictures of another archive that could not be copied here
        self._vain: set[str] = set()  # budgets from which this run waited for money in vain
        self._asked: set[str] = set()  # gateways that were asked for what they offer now
        self._stated: list[PriceRow] = []  # prices that gateways state at run time
        self._prices = PriceBook.for_run(context.simulated, context.user_prices)
        self._left: set[str] = set()  # in flight beyond --wait, or not to be copied now: for a later run
        self._settled = asyncio.Event()
        self._turnstile = asyncio.Lock()  # one job at a time waits for money to come back
        self.others: set[str] = set()  # other runs whose attempts were settled here: their manifests change

    async def close(self) -> list[str]:
        """No new intents; wait for open calls; stop asking. Returns attempts left without an answer."""
        self.stopping = True
        left = await self._buyer.leave()
        for poller in self._pollers.values():
            await poller.close()
        await asyncio.to_thread(self._archiver.close)
        return left

    # One job, in one step or in three

    async def process(self, job: Job, selected: bool = True, view: JobView | None = None) -> None:
        """Take a job as far as it goes in this run. Raises LedgerFault, ArchiveFault."""
        given_up: set[int] = set()
        not_at: dict[str, str] = {}
        began = time.monotonic()
        while True:
            view = view or await self._view(job.job_key)
            work: list[Awaitable[None]] = [
                self._follow(job.name, each) for each in view.attempts if self._is_to_follow(each)
            ]
            work += [self._copy_here(job, view)] if self._lacks_copies(view) else []
            if selected and not self.stopping and self.fault is None:
                for want in self._wanted(job, view):
                    slots = tuple(slot for slot in want.slots if slot not in given_up)
                    if slots:
                        work.append(
                            self._buy(job, view, Want(slots, want.purpose, want.not_at), given_up, not_at, began)
                        )
            if work:
                await _all(work)
            elif not await self._wait_for_others(view, began):
                return
            view = None

    async def submit(self, job: Job) -> list[str]:
        """Buy the free slots and return at once: the attempts of this job that are live or hold its pictures."""
        view = await self._view(job.job_key)
        given_up: set[int] = set()
        for want in self._wanted(job, view):
            await self._buy(job, view, want, given_up, {}, time.monotonic(), follow=False)
        view = await self._view(job.job_key)
        standing = {picture.attempt_id for picture in view.standing()}
        return [each.attempt_id for each in view.attempts if each.state in LIVE or each.attempt_id in standing]

    async def wait(self, attempt_ids: Sequence[str]) -> list[str]:
        """Follow attempts to their end at the gateway; returns those whose pictures are delivered or archived."""
        found, names = await self._named(attempt_ids)
        accepted = [each for each in found if each.state is AttemptState.ACCEPTED]
        await _all([self._wait(names[each.job_key], each) for each in accepted])
        found, _ = await self._named(attempt_ids)
        return [each.attempt_id for each in found if each.state in (AttemptState.DELIVERED, AttemptState.ARCHIVED)]

    async def archive(self, attempt_ids: Sequence[str]) -> None:
        """Copy what these attempts delivered."""
        found, names = await self._named(attempt_ids)
        delivered = [each for each in found if each.state is AttemptState.DELIVERED]
        await _all([self._archive(names[each.job_key], each) for each in delivered])

    async def _named(self, attempt_ids: Sequence[str]) -> tuple[list[Attempt], dict[str, JobName]]:
        def look(connection: Connection) -> tuple[list[Attempt], dict[str, JobName]]:
            found = views.attempts_by_id(connection, attempt_ids)
            return found, views.job_names(connection, [each.job_key for each in found])

        return await self._ledger.read(look)

    def idle(self, job: Job, selected: bool, view: JobView) -> bool:
        """Whether this run has nothing to do for a job."""
        return (
            not any(self._is_to_follow(each) or each.state is AttemptState.INTENT for each in view.attempts)
            and not (selected and self._wanted(job, view))
            and not self._lacks_copies(view)
        )

    def _wanted(self, job: Job, view: JobView) -> list[Want]:
        return wanted(job.n, view.slots, view.past, self.context.run_id, self.context.retry, job.top_up)

    def _is_to_follow(self, attempt: Attempt) -> bool:
        return attempt.state in FOLLOWED and attempt.attempt_id not in self._left

    def _lacks_copies(self, view: JobView) -> bool:
        return any(self._lacks_copy(picture) for picture in view.standing())

    def _lacks_copy(self, picture: Picture) -> bool:
        missing = self.context.archive.root not in picture.copies
        return missing and (picture.attempt_id, picture.ordinal) not in self._uncopied

    async def _view(self, job_key: str) -> JobView:
        return (await self._ledger.read(lambda connection: views.job_views(connection, [job_key])))[job_key]

    async def _wait_for_others(self, view: JobView, began: float) -> bool:
        """Wait while another process is sending for this job; False when there is nothing to wait for."""
        theirs = [each for each in view.attempts if each.state is AttemptState.INTENT]
        if not theirs or self.stopping or time.monotonic() - began > self.context.wait_s:
            return False
        await asyncio.sleep(_OTHERS_S)
        await self._ledger.write(records.overdue_intents)
        return True

    async def _copy_here(self, job: Job, view: JobView) -> None:
        for picture in view.standing():
            if self._lacks_copy(picture):
                try:
                    await self._archiver.copy_here(job.name, picture)
                except ArchiveFault as fault:
                    self._uncopied.add((picture.attempt_id, picture.ordinal))
                    self.progress.tell("not_copied", job.row_key, job.shot, fault.message)

    # Buying

    def offers(self, job: Job) -> list[Offer]:
        """The gateways that can do a job, with their prices and whether they may be used now."""
        return [
            Offer(row, self._prices.row(lane.gateway, job.model, job.tier), lane.why_out())
            for lane in self._lanes.values()
            if (row := lane.capabilities.get(job.model)) is not None and not obstacles(job, row)
        ]

    async def _buy(
        self,
        job: Job,
        view: JobView,
        want: Want,
        given_up: set[int],
        not_at: dict[str, str],
        began: float,
        follow: bool = True,
    ) -> None:
        """Buy some free slots at the best gateway, or put them off and say why."""
        offers = self.offers(job)
        if await self._learned(offers):
            offers = self.offers(job)
        if not offers:
            why = "no gateway of this run can do it, by what they say now"
            await self._put_off(job, want.slots, Reason.NO_GATEWAY, why, None, given_up, for_good=True)
            return
        found = route(offers, want.not_at | not_at.keys(), self.context.max_premium)
        if not isinstance(found, Route):
            why, text = found
            if why is NoRoute.OUT and await self._recovered(offers, want.not_at | not_at.keys(), began):
                return
            if want.not_at and why is NoRoute.OUT and want.not_at >= {offer.gateway for offer in offers}:
                given_up.update(want.slots)  # refused everywhere: the refusal is the record's last word
                return
            reason = Reason.NO_PRICE if why is NoRoute.NO_PRICE else Reason.NO_GATEWAY
            price = min((offer.price for offer in offers if offer.price), key=lambda row: row.usd, default=None)
            await self._put_off(job, want.slots, reason, text, price, given_up)
            return
        cheapest = min((offer.price for offer in offers if offer.price), key=lambda row: row.usd)
        seen = {each.slot: each.attempt_id for each in view.slots}
        size = pictures_per_call(job, found.offer.capability)
        purchases = [
            Purchase(job, slots, {slot: seen.get(slot) for slot in slots}, want.purpose, found, cheapest)
            for slots in split(want.slots, size)
        ]
        until = began + self.context.wait_s
        await _all([self._call(each, given_up, not_at, until, follow) for each in purchases])

    async def _learned(self, offers: Sequence[Offer]) -> bool:
        """Let the gateways that may be bought from say what they offer now; True when one was asked."""
        new = [self._lanes[each.gateway] for each in offers if each.out is None and each.gateway not in self._asked]
        for lane in new:
            stated = await lane.learn()
            if lane.gateway not in self._asked:
                self._asked.add(lane.gateway)
                self._stated += stated
                self._prices = PriceBook.for_run(self.context.simulated, [*self._stated, *self.context.user_prices])
        return bool(new)

    async def _recovered(self, offers: Sequence[Offer], not_at: set[str] | frozenset[str], began: float) -> bool:
        """Wait for gateways that stopped answering; False when there is none to wait for, or it took too long."""
        down = [
            self._lanes[offer.gateway]
            for offer in offers
            if offer.gateway not in not_at and offer.price and self._lanes[offer.gateway].out is None
        ]
        patience = min(OUTAGE_S, self.context.wait_s) - (time.monotonic() - began)
        if not down or patience <= 0 or self.stopping:
            return False
        tasks = [asyncio.ensure_future(lane.recover()) for lane in down]
        await asyncio.wait(tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        return True

    async def _call(
        self, purchase: Purchase, given_up: set[int], not_at: dict[str, str], until: float, follow: bool
    ) -> None:
        lane = self._lanes[purchase.route.offer.gateway]
        row = purchase.route.offer.capability
        job = purchase.job
        await lane.enter()
        attempt: Attempt | None = None
        try:
            if not await lane.ready(until):
                why = f"{lane.gateway} asks to wait longer than this run does"
                await self._put_off(job, purchase.slots, Reason.NO_GATEWAY, why, purchase.cheapest, given_up)
                return
            if self.stopping or self.fault is not None or lane.why_out():
                return
            try:
                references = await self._presenter.present(job, row, lane.client)
            except ReferenceFault as fault:
                await self._put_off(job, purchase.slots, Reason.INVALID, fault.message, None, given_up, for_good=True)
                return
            except GatewayFault as fault:
                not_at[lane.gateway] = fault.message
                logger.warning("%s %s: %s", job.row_key, job.shot, fault.message)
                return
            attempt = await self._within_caps(purchase, lambda: self._send(purchase, lane, references), given_up, until)
            if follow and attempt is not None and attempt.state is AttemptState.ACCEPTED:
                attempt = await self._wait(job.name, attempt)
        finally:
            lane.leave()
        if follow and attempt is not None and attempt.state is AttemptState.DELIVERED:
            await self._archive(job.name, attempt)

    async def _send(self, purchase: Purchase, lane: Lane, references: list[str]) -> Attempt | None:
        job, row = purchase.job, purchase.route.offer.capability
        try:
            bought = await self._buyer.buy(
                purchase,
                lane,
                lambda callback_url: lane.client.dialect.encode(
                    job, row, len(purchase.slots), references, callback_url
                ),
            )
        except LedgerFault as fault:
            self.stop_buying(fault)
            raise
        if bought.attempt_id is None:
            return None
        self._money_moved()
        attempt = await self._attempt(bought.attempt_id)
        if bought.fate is Fate.UNKNOWN:
            text = f"{lane.gateway}: {bought.error.message if bought.error else ''}; {dollars(attempt.at_risk_usd)} at risk"
            self.progress.tell("unknown", job.row_key, job.shot, f"{attempt.attempt_id} {text}")
        elif bought.fate is Fate.REFUSED and bought.error:
            self.progress.tell(
                "refused", job.row_key, job.shot, f"{lane.gateway}: {bought.error.code}: {bought.error.message}"
            )
        if bought.recorded and bought.recorded.drift_usd:
            self._drifted(lane, attempt, bought.recorded.drift_usd)
        return attempt

    async def _within_caps(
        self, purchase: Purchase, send: Callable[[], Awaitable[Attempt | None]], given_up: set[int], until: float
    ) -> Attempt | None:
        """Send, waiting for money under a cap to come back as long as any may."""
        try:
            return await send()
        except OverCap:
            pass
        async with self._turnstile:
            while not self.stopping and self.fault is None:
                self._settled.clear()
                try:
                    return await send()
                except OverCap as over:
                    budget, text = over.facts["budget"], over.message
                if time.monotonic() > until:
                    self._vain.add(budget)
                if budget in self._vain or not await self._may_come_back(budget):
                    await self._put_off(
                        purchase.job, purchase.slots, Reason.OVER_CAP, text, purchase.route.price, given_up
                    )
                    return None
                try:
                    async with asyncio.timeout(_CAP_CHECK_S):  # another process may give money back too
                        await self._settled.wait()
                except TimeoutError:
                    pass
        return None

    async def _may_come_back(self, budget: str) -> bool:
        return await self._ledger.read(lambda connection: views.may_come_back(connection, budget))

    async def _put_off(
        self,
        job: Job,
        slots: Sequence[int],
        reason: Reason,
        why: str,
        price: PriceRow | None,
        given_up: set[int],
        for_good: bool = False,
    ) -> None:
        """Do not buy these slots in this run, and say why; `for_good`: the record is invalid, not only deferred."""
        usd = money(price.usd * len(slots)) if price else ZERO
        given_up.update(slots)
        admission = Admission(reason, why, usd, usd or None, for_good)
        await self._ledger.write(
            lambda connection: facts.put_off(connection, self.context.run_id, job.job_key, admission)
        )
        self.progress.tell("deferred", job.row_key, job.shot, f"{reason}: {why}")

    # Following

    async def _attempt(self, attempt_id: str) -> Attempt:
        return (await self._ledger.read(lambda connection: views.attempts_by_id(connection, [attempt_id])))[0]

    async def _follow(self, name: JobName, attempt: Attempt) -> None:
        if attempt.run_id != self.context.run_id and attempt.run_id not in self.others:
            # On disk before anything of it is settled: should we die, the next run knows that its manifest is out of date.
            await self._ledger.write(lambda connection: facts.reopen_run(connection, attempt.run_id))
            self.others.add(attempt.run_id)
        if attempt.state is AttemptState.ACCEPTED:
            attempt = await self._wait(name, attempt)
        if attempt.state is AttemptState.DELIVERED:
            await self._archive(name, attempt)

    def _lane_of(self, attempt: Attempt) -> Lane | None:
        """Where an attempt is asked for: at its own account; a rebuilt ledger knows only the gateway."""
        if attempt.account == f"{attempt.gateway}@unknown":
            return self._lanes.get(attempt.gateway)
        return self._by_account.get(attempt.account)

    def _poller(self, lane: Lane) -> Poller:
        poller = self._pollers.get(lane.account)
        if poller is None:
            poller = self._pollers[lane.account] = Poller(lane.client, lane.limits.polls_per_second, self._not_found)
        return poller

    async def _not_found(self, attempt_id: str, seen_again: bool) -> bool:
        count, since = await self._ledger.write(
            lambda connection: records.not_found(connection, attempt_id, seen_again)
        )
        if seen_again:
            return False
        now = datetime.now(UTC)
        attempt = await self._attempt(attempt_id)
        age_s = (now - (attempt.submitted_at or attempt.intent_at)).total_seconds()
        return age_s > _TOO_EARLY_S and count >= _GONE_AFTER and (now - since).total_seconds() >= _GONE_AFTER_S

    async def _wait(self, name: JobName, attempt: Attempt) -> Attempt:
        """Follow an accepted attempt to its end at the gateway, at most for --wait, and record the end."""
        lane = self._lane_of(attempt)
        if lane is None:
            self._left.add(attempt.attempt_id)
            self.progress.tell(
                "in_flight", name.row_key, name.shot, f"{attempt.attempt_id} needs the key of {attempt.account}"
            )
            return attempt
        poller = self._poller(lane)
        age_s = (datetime.now(UTC) - (attempt.submitted_at or attempt.intent_at)).total_seconds()
        try:
            async with asyncio.timeout(self.context.wait_s):
                status = await poller.done(
                    attempt.attempt_id, attempt.task_id or "", attempt.estimate_s, max(0.0, age_s)
                )
        except TimeoutError:
            poller.forget(attempt.attempt_id)
            self._left.add(attempt.attempt_id)
            self.progress.tell(
                "in_flight", name.row_key, name.shot, f"{attempt.attempt_id} is still running at {lane.gateway}"
            )
            return attempt
        except Gone as gone:
            why = str(gone)
            await self._record(attempt, lambda connection: records.lost(connection, attempt.attempt_id, why))
            self.progress.tell("lost", name.row_key, name.shot, f"{attempt.attempt_id}: {why}")
            return await self._attempt(attempt.attempt_id)
        row = lane.capabilities.get(attempt.model)
        if status.state is TaskState.FINISHED and status.finished is not None:
            finished = status.finished
            expires_at = first_expiry(finished, row.link_life_s.value if row and row.link_life_s else None)
            recorded = await self._record(
                attempt, lambda connection: records.delivered(connection, attempt.attempt_id, finished, expires_at)
            )
            if recorded and recorded.drift_usd:
                self._drifted(lane, attempt, recorded.drift_usd)
        elif status.error is not None:
            error = of_failed_task(status.error)
            charge = status.finished
            charged = None if charge is None else bool(charge.usd or charge.credits)
            documented = row.failed_task_billed.value if row else Billing.UNKNOWN
            fate = after_failed_task(error, documented, charged)
            to = AttemptState.CANCELLED if status.state is TaskState.CANCELLED else AttemptState.FAILED
            await self._record(
                attempt, lambda connection: records.failed(connection, attempt.attempt_id, to, error, fate, charge)
            )
            self.progress.tell("failed", name.row_key, name.shot, f"{lane.gateway}: {error.code}: {error.message}")
        return await self._attempt(attempt.attempt_id)

    async def _record(
        self, attempt: Attempt, write: Callable[[Connection], records.Recorded]
    ) -> records.Recorded | None:
        try:
            recorded = await self._ledger.write(write)
        except AttemptMoved as moved:
            # Another run follows it too and was first; what it wrote stands.
            logger.debug("%s: %s", attempt.attempt_id, moved)
            return None
        self._money_moved()
        return recorded

    def stop_buying(self, fault: SeedreamError) -> None:
        """The ledger or the archive failed: nobody buys anything more in this run; what is open is still recorded."""
        if self.fault is None:
            self.fault = fault
            logger.critical("the run stops: %s", fault)

    def _money_moved(self) -> None:
        self._settled.set()

    def _drifted(self, lane: Lane, attempt: Attempt, drift: Decimal) -> None:
        lane.out = f"it charged {dollars(drift)} more than was reserved (price_drift); give its price with --prices"
        self.progress.tell("price_drift", attempt.job_key, "", f"{lane.gateway} {attempt.attempt_id}: {lane.out}")

    async def _fresh_links(self, attempt: Attempt) -> list[str]:
        lane = self._lane_of(attempt)
        if lane is None or lane.client.dialect.synchronous or attempt.task_id is None:
            return []
        try:
            status = await lane.client.fetch(attempt.task_id)
        except GatewayFault as fault:
            logger.info("no fresh links for %s: %s", attempt.attempt_id, fault)
            return []
        return [link.url for link in status.finished.links] if status.finished else []

    # Archiving

    async def _archive(self, name: JobName, attempt: Attempt) -> None:
        """Copy every delivered picture of an attempt."""
        pictures = await self._ledger.read(lambda connection: views.pictures_of(connection, attempt.attempt_id))
        waiting = [each for each in pictures if each.state == "delivered"]
        try:
            outcomes = await _all([self._archiver.save(name, attempt, each) for each in waiting])
        except (ArchiveFault, LedgerFault) as fault:
            self.stop_buying(fault)
            raise
        archived = sum(outcome.state == "archived" for outcome in outcomes)
        if archived:
            self.progress.pictures += archived
            self.progress.billed_usd += attempt.billed_usd if attempt.run_id == self.context.run_id else ZERO
            kind = "surplus" if attempt.surplus else "archived"
            self.progress.tell(
                kind, name.row_key, name.shot, f"{archived} at {attempt.gateway}, {dollars(attempt.billed_usd)}"
            )
        for outcome in outcomes:
            if outcome.state == "delivered":
                self._left.add(attempt.attempt_id)
            if outcome.state in ("quarantined", "expired", "delivered"):
                self.progress.tell(outcome.state, name.row_key, name.shot, f"{attempt.attempt_id}: {outcome.why}")


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    """Run all to the end, then raise the first error: none of them may be left half done because another failed."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(list[T], results)
