"""The engine: processes each job as far as this run can.

Per job: read the ledger, follow what is in flight, buy the free slots, copy what is delivered, and repeat until nothing is left
to do. Counting, splitting, retrying, topping up and moving on to the next gateway all happen in that one loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import Connection

from ..core.errors import (
    ArchiveFault,
    GatewayFault,
    LedgerFault,
    OverCap,
    ReferenceFault,
    SeedreamError,
)
from ..core.jobs import Job, JobName
from ..core.money import ZERO, dollars, money
from ..core.outcomes import Fate
from ..core.preflight import images_per_call, obstacles
from ..core.price_book import PriceBook
from ..core.pricing import PriceRow
from ..core.routing import NoRoute, Offer, Route, route
from ..core.slots import Purpose, Want, split, wanted
from ..core.states import FOLLOWED, LIVE, AttemptState, Closed, Reason
from ..ledger import admissions, held_attempts, known_runs, queries, transitions
from ..ledger.admissions import Admission
from ..ledger.attempt_rows import Recorded
from ..ledger.values import Attempt, ImageRecord, JobView
from ..ledger.writer import Ledger
from ..references.reference_thumbnails import ReferenceThumbnails
from .account_limiter import Lane
from .buyer import Buyer, Purchase
from .deriver import Deriver
from .follower import Follower, Whose, run_all
from .opening import RunContext
from .orphan_check import Finder
from .progress import Progress
from .reference_sender import Presenter

logger = logging.getLogger("seedream_tasks.engine")

# How long a job waits for a gateway that went out in mid-run before it is deferred.
OUTAGE_S = 120.0
# Polling interval for an intent that another process is sending.
_OTHERS_S = 0.5
_CAP_CHECK_S = 2.0


class Engine:
    """One run's engine. Create inside an event loop; always `close` it."""

    def __init__(self, context: RunContext, progress: Progress) -> None:
        self.context = context
        self.progress = progress
        self.stopping = False
        self.fault: SeedreamError | None = None
        self._ledger: Ledger = context.ledger
        self._lanes = context.lanes
        self._deriver = Deriver(context.ledger, context.archive, progress)
        self._presenter = Presenter(context.references, context.ledger, lambda: self.stopping or self.fault is not None)
        self._looks = ReferenceThumbnails(context.references, context.archive)
        self._finder = Finder(context.ledger, context.archive, context.run_id, progress, context.in_full)
        self._buyer = Buyer(
            context.ledger,
            context.run_id,
            context.max_usd is not None,
            context.rescue_folder,
            context.callback_base,
            lambda: self.stopping or self.fault is not None,
            self.stop_buying,
            context.owns_run,
        )
        self._uncopied: set[tuple[str, int]] = set()  # images of another archive that could not be copied here
        self._bought: dict[str, list[str]] = {}  # by active job: its attempts of this run
        self._vain: set[str] = set()  # budgets on which this run waited for money without success
        self._asked: set[str] = set()  # gateways queried for their current offer
        self._stated: list[PriceRow] = []  # prices that gateways state at run time
        self._prices = PriceBook.for_run(context.simulated, context.user_prices)
        self._settled = asyncio.Event()
        self._turnstile = asyncio.Lock()  # one job at a time waits for money to come back
        whose = Whose(
            context.run_id, context.wait_s, self._settled.set, self.stop_buying, context.asks, context.in_full
        )
        self.follower = Follower(context.ledger, context.archive, context.lanes, progress, whose)

    async def close(self) -> list[str]:
        """No new intents; wait for open calls; stop polling. Returns attempts left without an answer."""
        self.stopping = True
        left = await self._buyer.leave()
        await self.follower.close()
        return left

    # One job, in one step or in three

    async def process(self, job: Job, selected: bool = True, view: JobView | None = None) -> None:
        """Process a job as far as possible in this run. Raises LedgerFault, ArchiveFault."""
        given_up: set[int] = set()
        not_at: dict[str, str] = {}
        began = _now()
        looked = False
        while True:
            view = view or await self._view(job)
            await self._hold(view)
            work: list[Awaitable[int | None]] = [
                self.follower.follow(job.name, each) for each in view.attempts if self._is_to_follow(each)
            ]
            work += [self._copy_here(job, view)] if self._lacks_copies(view) else []
            work += [self._deriver.make(job, view)] if self._deriver.missing(job, view) else []
            wants = self._wanted(job, view) if selected and not self.stopping and self.fault is None else []
            wants = [replace(want, slots=tuple(slot for slot in want.slots if slot not in given_up)) for want in wants]
            if wants and not looked:
                looked = True
                if await self._stands_there(job, wants):
                    view = None
                    continue
            purchases = [self._buy(job, view, want, given_up, not_at, began) for want in wants if want.slots]
            only_buys = not work and job.output is None
            if purchases:
                work += [*purchases, self._looks.keep(job)]
            if work:
                filled = sum([each or 0 for each in await run_all(work)])
                if only_buys and filled == job.n - len(view.standing()):
                    self._ledger.release(self._bought.pop(job.job_key, ()))
                    return  # every slot holds its image: no need to read the ledger again
            elif not await self._wait_for_others(view, began):
                self._bought.pop(job.job_key, None)
                return
            view = None

    async def _hold(self, view: JobView) -> None:
        """Hold what is followed for the ledger's case, and nothing that has ended."""
        self._ledger.release([each.attempt_id for each in view.attempts if each.state not in LIVE])
        followed = [each.attempt_id for each in view.attempts if self._is_to_follow(each)]
        if followed:
            await held_attempts.take_over(self._ledger, await self._buyer.rescuer(), followed)

    async def prepare(self) -> None:
        """Prepare for the first job. Raises ArchiveFault."""
        await self._finder.prepare()

    async def submit(self, job: Job) -> list[str]:
        """Buy the free slots and return at once, with the job's attempts that are live or hold its images."""
        view = await self._view(job)
        if await self._stands_there(job, self._wanted(job, view)):
            view = await self._view(job)
        given_up: set[int] = set()
        for want in self._wanted(job, view):
            await self._buy(job, view, want, given_up, {}, _now(), follow=False)
        view = await self._view(job)
        standing = {image.attempt_id for image in view.standing()}
        return [each.attempt_id for each in view.attempts if each.state in LIVE or each.attempt_id in standing]

    async def wait(self, attempt_ids: Sequence[str]) -> list[str]:
        """Follow attempts to their end at the gateway; returns those whose images are delivered or archived."""
        found, names = await self._named(attempt_ids)
        accepted = [each for each in found if each.state is AttemptState.ACCEPTED]
        await run_all([self.follower.wait(names[each.job_key], each) for each in accepted])
        found, _ = await self._named(attempt_ids)
        return [each.attempt_id for each in found if each.state in (AttemptState.DELIVERED, AttemptState.ARCHIVED)]

    async def archive(self, attempt_ids: Sequence[str]) -> None:
        """Copy what these attempts delivered."""
        found, names = await self._named(attempt_ids)
        delivered = [each for each in found if each.state is AttemptState.DELIVERED]
        await run_all([self.follower.archive(names[each.job_key], Recorded(each)) for each in delivered])

    async def _named(self, attempt_ids: Sequence[str]) -> tuple[list[Attempt], dict[str, JobName]]:
        def look(connection: Connection) -> tuple[list[Attempt], dict[str, JobName]]:
            found = queries.attempts_by_id(connection, attempt_ids)
            return found, queries.job_names(connection, [each.job_key for each in found])

        return await self._ledger.read(look)

    def idle(self, job: Job, selected: bool, view: JobView) -> bool:
        """Whether this run has no work for a job."""
        return (
            not any(self._is_to_follow(each) or each.state is AttemptState.INTENT for each in view.attempts)
            and not (selected and self._wanted(job, view))
            and not self._lacks_copies(view)
            and not self._deriver.missing(job, view)
        )

    def _wanted(self, job: Job, view: JobView) -> list[Want]:
        return wanted(job.n, view.slots, view.past, self.context.run_id, self.context.retry, job.top_up, job.slots)

    async def _stands_there(self, job: Job, wants: Sequence[Want]) -> bool:
        """Adopt images that are already in the archive, each at risk for its possible cost; True if there were any."""
        free = [slot for want in wants for slot in want.slots]
        usd = max((each.price.highest_usd for each in self.offers(job) if each.price), default=ZERO)
        return await self._finder.take_in(job, free, usd)

    def _is_to_follow(self, attempt: Attempt) -> bool:
        return attempt.state in FOLLOWED and attempt.attempt_id not in self.follower.left

    def _lacks_copies(self, view: JobView) -> bool:
        return any(self._lacks_copy(image) for image in view.standing())

    def _lacks_copy(self, image: ImageRecord) -> bool:
        missing = self.context.archive.name not in image.copies
        return missing and (image.attempt_id, image.ordinal) not in self._uncopied

    async def _view(self, job: Job) -> JobView:
        key, made = job.job_key, job.output is not None
        return (await self._ledger.read(lambda connection: queries.job_views(connection, [key], made)))[key]

    async def _wait_for_others(self, view: JobView, began: float) -> bool:
        """Wait while another process sends for this job, or follows an attempt that only its keys can query.

        False when there is nothing to wait for.
        """
        theirs = any(each.state is AttemptState.INTENT for each in view.attempts)
        keyless = {
            each.run_id
            for each in view.attempts
            if each.state is AttemptState.ACCEPTED and not self.follower.can_ask(each)
        }
        if self.stopping or _now() - began > self.context.wait_s:
            return False
        if not theirs and keyless:
            theirs = await self._ledger.read(lambda connection: known_runs.any_alive(connection, keyless))
        if not theirs:
            return False
        await asyncio.sleep(_OTHERS_S)
        await self._ledger.write(transitions.overdue_intents)
        return True

    async def _copy_here(self, job: Job, view: JobView) -> None:
        for image in view.standing():
            if self._lacks_copy(image):
                try:
                    await self.follower.archiver.copy_here(job.name, image)
                except ArchiveFault as fault:
                    self._uncopied.add((image.attempt_id, image.ordinal))
                    self.progress.tell("not_copied", job.row_key, job.shot, fault.message)

    # Buying

    def offers(self, job: Job) -> list[Offer]:
        """The gateways that can do a job, with their prices and whether they are usable now."""
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
    ) -> int:
        """Buy some free slots at the best gateway, or put them off and say why; returns how many are filled now."""
        revived = await self._revived(job, view, want)
        if revived:
            want = replace(want, slots=tuple(slot for slot in want.slots if slot not in revived))
            if not want.slots:
                return len(revived)
        offers = self.offers(job)
        if await self._learned(offers):
            offers = self.offers(job)
        if not offers:
            why = "no gateway of this run can do it, by what they say now"
            await self._defer(job, want.slots, Reason.NO_GATEWAY, why, None, given_up, for_good=True)
            return 0
        offers = [replace(each, out=each.out or not_at.get(each.gateway)) for each in offers]
        found = route(offers, want.not_at, self.context.max_premium)
        if not isinstance(found, Route):
            why, text = found
            if why is NoRoute.OUT and await self._recovered(offers, want.not_at | not_at.keys(), began):
                return 0
            if want.not_at and why is NoRoute.OUT and want.not_at >= {offer.gateway for offer in offers}:
                given_up.update(want.slots)  # refused everywhere: the refusal is the record's final reason
                return 0
            reason = Reason.NO_PRICE if why is NoRoute.NO_PRICE else Reason.NO_GATEWAY
            if why is NoRoute.OUT and any(self._lanes[offer.gateway].brake.why for offer in offers):
                reason = Reason.GATEWAY_UNUSABLE
            price = min((offer.price for offer in offers if offer.price), key=lambda row: row.usd, default=None)
            await self._defer(job, want.slots, reason, text, price, given_up)
            return 0
        cheapest = min((offer.price for offer in offers if offer.price), key=lambda row: row.usd)
        seen = {each.slot: each.attempt_id for each in view.slots}
        size = images_per_call(job, found.offer.capability)
        purchases = [
            Purchase(job, slots, {slot: seen.get(slot) for slot in slots}, want.purpose, found, cheapest)
            for slots in split(want.slots, size)
        ]
        until = began + self.context.wait_s
        filled = sum(await run_all([self._call(each, given_up, not_at, until, follow) for each in purchases]))
        return len(revived) + filled

    async def _revived(self, job: Job, view: JobView, want: Want) -> set[int]:
        """Of the slots to buy again because their links expired: those whose link yields its image after all."""
        if want.purpose is not Purpose.RETRY:
            return set()
        by_id = {each.attempt_id: each for each in view.attempts}
        holds = {each.slot: each.attempt_id for each in view.slots if each.closed is Closed.EXPIRED}
        expired = [
            each
            for each in view.images
            if each.state == "expired" and each.slot in want.slots and holds.get(each.slot) == each.attempt_id
        ]
        found = await run_all([self.follower.revive(job.name, by_id[each.attempt_id], each) for each in expired])
        return {each.slot for each, is_here in zip(expired, found, strict=True) if is_here and each.slot is not None}

    async def _learned(self, offers: Sequence[Offer]) -> bool:
        """Query the usable gateways for their current offer; True when one was asked."""
        new = [self._lanes[each.gateway] for each in offers if each.out is None and each.gateway not in self._asked]
        for lane in new:
            stated = await lane.learn()
            if lane.gateway not in self._asked:
                self._asked.add(lane.gateway)
                self._stated += stated
                self._prices = PriceBook.for_run(self.context.simulated, [*self._stated, *self.context.user_prices])
        return bool(new)

    async def _recovered(self, offers: Sequence[Offer], not_at: set[str] | frozenset[str], began: float) -> bool:
        """Wait for gateways that stopped answering, or where buying pauses; False if there is none to wait for, or the wait was
        too long.
        """
        down = [
            lane
            for offer in offers
            if offer.gateway not in not_at and offer.price
            and (lane := self._lanes[offer.gateway]).out is None and not lane.brake.gave_up
        ]  # fmt: skip
        # A job that waited long for its turn waits as long for a brake as any other.
        began = max([began, *(lane.brake.since for lane in down if lane.brake.why)])
        patience = min(OUTAGE_S, self.context.wait_s) - (_now() - began)
        if not down or patience <= 0 or self.stopping:
            return False
        tasks = [asyncio.ensure_future(lane.recover()) for lane in down]
        await asyncio.wait(tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        return True

    async def _call(
        self, purchase: Purchase, given_up: set[int], not_at: dict[str, str], until: float, follow: bool
    ) -> int:
        """Make one call and, if `follow`, get its images; returns how many slots they fill."""
        lane = self._lanes[purchase.route.offer.gateway]
        row = purchase.route.offer.capability
        job = purchase.job
        await lane.enter()
        probes = delivers = False
        try:
            if not await lane.ready(until):
                not_at[lane.gateway] = "it asks to wait longer than this run does"
                return 0
            if self.stopping or self.fault is not None or lane.why_out():
                return 0
            probes = lane.brake.begin_probe()
            try:
                presented = await self._presenter.present(job, row, lane.client)
            except ReferenceFault as fault:
                await self._defer(job, purchase.slots, Reason.INVALID, fault.message, None, given_up, for_good=True)
                return 0
            except GatewayFault as fault:
                not_at[lane.gateway] = fault.message
                logger.warning("%s %s: %s", job.row_key, job.shot, fault.message)
                return 0
            purchase = replace(purchase, warnings=presented.warnings, uploads=presented.uploads)
            now = await self._within_caps(
                purchase, lambda: self._send(purchase, lane, presented.links), given_up, until
            )
            if now is None or not follow:
                return 0
            if now.state is AttemptState.ACCEPTED:
                now = await self.follower.wait(job.name, now.attempt)
            delivers = now.state is AttemptState.DELIVERED
            if delivers:
                lane.brake.delivers(now.attempt.attempt_id, probes)
        finally:
            if probes and not delivers:
                lane.brake.end_probe()
            lane.leave()
        if not delivers:
            return 0
        try:
            return await self.follower.archive(job.name, now)
        finally:
            lane.settled(now.attempt.attempt_id)

    async def _send(self, purchase: Purchase, lane: Lane, references: list[str]) -> Recorded | None:
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
        if bought.recorded is None:
            return None
        self._settled.set()
        attempt = bought.recorded.attempt
        self._bought.setdefault(job.job_key, []).append(attempt.attempt_id)
        if bought.fate is Fate.UNKNOWN:
            text = f"{lane.gateway}: {bought.error.message if bought.error else ''}; {dollars(attempt.at_risk_usd)} at risk"
            self.progress.tell("unknown", job.row_key, job.shot, f"{attempt.attempt_id} {text}")
        elif bought.fate is Fate.REFUSED and bought.error:
            self.progress.tell(
                "refused", job.row_key, job.shot, f"{lane.gateway}: {bought.error.code}: {bought.error.message}"
            )
        if bought.recorded.drift_usd:
            self.follower.drifted(lane, job.name, attempt, bought.recorded.drift_usd)
        return bought.recorded

    async def _within_caps(
        self, purchase: Purchase, send: Callable[[], Awaitable[Recorded | None]], given_up: set[int], until: float
    ) -> Recorded | None:
        """Send; while a cap is reached, wait as long as reserved money may still be released."""
        with suppress(OverCap):
            return await send()
        async with self._turnstile:
            while not self.stopping and self.fault is None:
                self._settled.clear()  # before the try: money released after a refusal wakes the wait below
                try:
                    return await send()
                except OverCap as refusal:
                    over = refusal
                budget = over.facts["budget"]
                if _now() > until:
                    self._vain.add(budget)
                if budget in self._vain or not over.facts["may_come_back"]:
                    await self._defer(
                        purchase.job, purchase.slots, Reason.OVER_CAP, over.message, purchase.route.price, given_up
                    )
                    return None
                try:
                    async with asyncio.timeout(_CAP_CHECK_S):  # another process may release money too
                        await self._settled.wait()
                except TimeoutError:
                    pass
        return None

    async def _defer(
        self,
        job: Job,
        slots: Sequence[int],
        reason: Reason,
        why: str,
        price: PriceRow | None,
        given_up: set[int],
        for_good: bool = False,
    ) -> None:
        """Do not buy these slots in this run, and say why; `for_good`: the record is invalid, not just deferred."""
        given_up.update(slots)
        # The last reason counts, so it covers every slot of the job that is given up: a job may take many calls.
        usd = money(price.usd * len(given_up)) if price else ZERO
        admission = Admission(reason, why, usd, usd or None, for_good)
        await self._ledger.write(
            lambda connection: admissions.defer(connection, self.context.run_id, job.job_key, admission)
        )
        self.progress.tell("deferred", job.row_key, job.shot, f"{reason}: {why}")

    def stop_buying(self, fault: SeedreamError) -> None:
        """The ledger or the archive failed: this run buys nothing more; open calls are still recorded."""
        if self.fault is None:
            self.fault = fault
            logger.critical("the run stops: %s", fault)
            for lane in self._lanes.values():
                lane.end()


def _now() -> float:
    return asyncio.get_running_loop().time()
