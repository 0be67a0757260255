"""One account's traffic: how much may be in flight, when to back off, when to stop. Times are the event loop's clock."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..core.capabilities import Capability, Limit
from ..core.errors import GatewayFault, LedgerFault
from ..core.outcomes import ErrorClass, ErrorInfo, Fate, SubmitOutcome
from ..core.pricing import PriceRow
from ..gateways.client import GatewayClient
from ..gateways.dialect import ModelInForce
from ..ledger.rates import Rate
from .account_shares import Shares, Turns
from .brake import Brake

logger = logging.getLogger("seedream_tasks.engine")


_SHORTEST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 12.0
# Growth of the in-flight limit per accepted submit: from half of the limit to all of it takes ten times as many.
_CAREFULLY = 0.1


def _now() -> float:
    return asyncio.get_running_loop().time()


def _in_force(row: Capability, found: ModelInForce) -> Capability:
    """A capability row narrowed to what the gateway itself states right now."""
    references = row.references
    if found.references is not None:
        references = replace(references, count=Limit(found.references, found.source))
    return replace(
        row,
        ratios=Limit(found.ratios, found.source) if found.ratios else row.ratios,
        tiers=Limit(found.tiers, found.source) if found.tiers else row.tiers,
        references=references,
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one account, for all processes that share a ledger.

    No gateway publishes its own, so a run starts with these; a 429 lowers them.
    """

    in_flight: int = 400  # attempts at once
    submits_per_minute: int | None = None  # None: no pacing
    polls_per_second: float = 400.0


class Breaker:
    """Circuit breaker: opens after consecutive failures; one probe decides when it closes. Time is passed in (s)."""

    def __init__(self, failures: int = 5, cool_s: float = 5.0, longest_s: float = 60.0) -> None:
        self._most = failures
        self._first_cool_s = cool_s
        self._longest_s = longest_s
        self._failures = 0
        self._cool_s = cool_s
        self._open_until: float | None = None

    def failed(self, now: float) -> None:
        """A submit got no usable answer. Submits that were in flight when the breaker opened are not counted."""
        self._failures += 1
        if self._open_until is None and self._failures >= self._most:
            self._open_until = now + self._cool_s

    def probe_failed(self, now: float) -> None:
        """The gateway is still out: wait longer before the next probe."""
        self._cool_s = min(self._cool_s * 2, self._longest_s)
        self._open_until = now + self._cool_s

    def half_open(self) -> None:
        """A probe got through: calls are allowed, and the first failure opens the breaker again for longer."""
        self._open_until = None
        self._failures = self._most - 1
        self._cool_s = min(self._cool_s * 2, self._longest_s)

    def succeeded(self) -> None:
        """The gateway answers paid calls, whether it accepts or refuses them."""
        self._failures = 0
        self._cool_s = self._first_cool_s
        self._open_until = None

    @property
    def is_open(self) -> bool:
        """Whether the gateway is out."""
        return self._open_until is not None

    def probe_in(self, now: float) -> float:
        """Seconds until it may be probed."""
        return max(0.0, (self._open_until or now) - now)


class Lane:
    """An account, this process's shares of its limits, and its known health in this run."""

    def __init__(
        self, client: GatewayClient, capabilities: dict[str, Capability], limits: Limits, shares: Shares
    ) -> None:
        self.client = client
        self.capabilities = capabilities  # by model, as in force
        self.limits = limits
        self.out: str | None = None  # why it is out for the rest of this run
        self.breaker = Breaker()
        self.brake = Brake(client.gateway)
        self._most = float(limits.in_flight)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_until = 0.0
        self._held_back_in_a_row = 0
        self._is_ending = False
        account = client.account.name
        self._places = shares.of(
            account, Rate.IN_FLIGHT, limits.in_flight, lambda: self._in_flight, lambda: len(self._waiting)
        )
        self._places.listener = self._places_changed
        self._submits: Turns | None = None
        if limits.submits_per_minute:
            self._submits = Turns(shares.of(account, Rate.SUBMITS, limits.submits_per_minute), 1 / 60)
        # In thousandths of a request per second.
        self.polls = shares.of(account, Rate.POLLS, int(limits.polls_per_second * 1000))
        self._probing: asyncio.Task[None] | None = None
        self._learning: asyncio.Task[list[PriceRow]] | None = None

    @property
    def gateway(self) -> str:
        """The gateway's name."""
        return self.client.gateway

    @property
    def account(self) -> str:
        """The account's name."""
        return self.client.account.name

    def why_out(self) -> str | None:
        """Why nothing may be bought here now; None when it may."""
        if self.out:
            return self.out
        return "it does not answer" if self.breaker.is_open else self.brake.turns_back()

    async def enter(self) -> None:
        """Wait for a slot among the attempts in flight. Raises LedgerFault when no share can be leased."""
        if not self._waiting and self._in_flight < self._allowed():
            self._in_flight += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()  # the slot was already ours
            raise

    def leave(self) -> None:
        """Release the slot."""
        self._in_flight -= 1
        self._admit()

    def _allowed(self) -> int:
        most = min(self._places.now(), int(self._most))
        unproven = self.brake.most()
        return most if unproven is None else min(most, unproven)

    def _admit(self) -> None:
        while self._waiting and (self._is_ending or self._in_flight < self._allowed()):
            place = self._waiting.popleft()
            if not place.done():
                self._in_flight += 1
                place.set_result(None)

    def _places_changed(self, fault: LedgerFault | None) -> None:
        if fault is None:
            self._admit()
            return
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(fault)

    async def ready(self, until: float) -> bool:
        """Wait until a request may be sent: after Retry-After, and within the rate limit. False if that is after `until` (s, by
        the event loop's clock). Raises LedgerFault when no share of the rate can be leased.
        """
        while (pause := self._paused_until - _now()) > 0:
            if self._paused_until > until:
                return False
            await asyncio.sleep(pause)
        if self._submits is not None:
            await self._submits.turn()
        return True

    def may_send(self) -> bool:
        """Whether this process still holds its share of the account; a process that was suspended may have lost it to others."""
        return self._places.is_valid()

    def end(self) -> None:
        """Nothing more is bought here: release everyone who waits for a slot or a turn to buy."""
        self._is_ending = True
        if self._submits is not None:
            self._submits.let_go()
        self._admit()

    def heard(self, outcome: SubmitOutcome) -> None:
        """Learn from the answer to a submit how the account is doing."""
        kind = outcome.error.kind if outcome.error else None
        match outcome.fate:
            case Fate.ACCEPTED:
                self._accepted()
            case Fate.NOT_SENT:
                if outcome.error and outcome.error.code == "no_connection":
                    self._failed()
                self._held_back(outcome.retry_after_s or 0.0, too_many=kind is ErrorClass.RATE)
            case Fate.REFUSED:
                self.breaker.succeeded()
                if outcome.error and kind is ErrorClass.ACCOUNT:
                    self.refused_account(outcome.error)
            case Fate.UNKNOWN if outcome.status is not None and 200 <= outcome.status < 300:
                # It answers and accepts: an unreadable acceptance is a different problem from no answer.
                self.brake.accepted(is_read=False)
                self._admit()
            case Fate.UNKNOWN:
                self._failed()

    def settled(self, attempt_id: str) -> None:
        """The links of an attempt are not tried again in this run."""
        self.brake.settled(attempt_id)
        self._admit()

    def fetched(self, attempt_id: str, is_here: bool) -> None:
        """An image could be fetched or not."""
        self.brake.fetched(attempt_id, is_here)
        self._admit()

    def _accepted(self) -> None:
        self.breaker.succeeded()
        self.brake.accepted(is_read=True)
        self._held_back_in_a_row = 0
        # Raise the in-flight limit a little: fast while far below the maximum, as after an outage; then carefully.
        step = 1.0 if self._most < self.limits.in_flight / 2 else _CAREFULLY
        self._most = min(float(self.limits.in_flight), self._most + step)
        self._admit()

    def _held_back(self, seconds: float, too_many: bool) -> None:
        # The gateway asks for a pause. If it states no wait, or hardly any, the pause grows each time.
        self._held_back_in_a_row += 1
        if too_many and _now() >= self._paused_until:  # else it was in flight when another request hit the limit
            self._most = max(1.0, self._most / 2)
        pause = max(seconds, min(_SHORTEST_PAUSE_S * 2 ** min(self._held_back_in_a_row - 1, 6), _LONGEST_PAUSE_S))
        self._paused_until = max(self._paused_until, _now() + pause)

    def _failed(self) -> None:
        self.breaker.failed(_now())

    def refused_account(self, error: ErrorInfo) -> None:
        """Key, balance or permission: out for this run."""
        if self.out is None:
            self.out = f"{error.code}: {error.message}"
            logger.warning("%s is out for this run: %s", self.gateway, self.out)

    async def learn(self) -> list[PriceRow]:
        """Ask the gateway once what it offers right now, if it has such an endpoint; returns the prices it states.

        Called only before a purchase: a run that buys nothing sends nothing.
        """
        if self._learning is None:
            self._learning = asyncio.create_task(self._learn())
        return await asyncio.shield(self._learning)

    async def _learn(self) -> list[PriceRow]:
        stated: list[PriceRow] = []
        today = datetime.now(UTC).date()
        for model, row in list(self.capabilities.items()):
            try:
                found = await self.client.model_in_force(row)
            except GatewayFault as fault:
                logger.warning("%s does not describe its model now, its documents count: %s", self.gateway, fault)
                continue
            if found is not None:
                self.capabilities[model] = _in_force(row, found)
                stated += [
                    PriceRow(self.gateway, model, tier, usd, None, found.source, today)
                    for tier, usd in found.usd.items()
                ]
        return stated

    async def recover(self) -> None:
        """Wait for the result of one probe, shared by all waiters. Does nothing while the account can be bought from."""
        if not self.breaker.is_open:
            await self.brake.probe_is_due()
            return
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
        await asyncio.shield(self._probing)

    async def _probe(self) -> None:
        await asyncio.sleep(self.breaker.probe_in(_now()))
        try:
            await self.client.probe()
        except GatewayFault as fault:
            logger.info("%s is still out: %s", self.gateway, fault)
            self.breaker.probe_failed(_now())
        else:
            # A free request is answered; a single paid call, beside everything still in flight, tests whether those are too.
            self.breaker.half_open()
            self._most = min(float(self.limits.in_flight), self._in_flight + 1.0)
            self._admit()
