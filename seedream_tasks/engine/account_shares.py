"""This process's shares of its accounts' limits, leased in the ledger and renewed while in use.

A share is leased when it is first needed, so a run that calls no gateway leases none. Idle leases expire and are released.
A process that cannot renew in time stops: others may hold its share by then.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from sqlalchemy import Connection

from ..core.errors import LedgerFault, SeedreamError
from ..ledger import rates
from ..ledger.claims import boot_time
from ..ledger.rates import Asked, Key, Rate, RateShare
from ..ledger.writer import Ledger
from . import background

logger = logging.getLogger("seedream_tasks.engine")

# Parts of a lease: the renewal interval, and the time reserved for sending after the last check.
_RENEW_EVERY = 1 / 7
_SENDING_MARGIN = 1 / 5
# Renewal intervals while shares still change or cannot be renewed, and while another process is dividing the same account.
_SETTLE_EVERY_S = 0.3
_AGAIN_S = 0.05
# An unused share is released after this.
_QUIET_S = 10.0
_LONGEST_LOOK_S = 1.0
# A turn up to this late (timers are imprecise) does not delay the next ones.
_LATE_S = 0.005
_SHORT_S = 0.05


class Holding:
    """This process's current share of one limit. Reading it leases it and keeps the lease alive."""

    def __init__(
        self, most: int, wake: Callable[[], None], in_use: Callable[[], int], waiting: Callable[[], int]
    ) -> None:
        self._most = most
        self._wake = wake
        self._in_use = in_use  # cannot be released at once
        self._waiting = waiting
        self._cap = 0
        self._until = 0.0  # by `boot_time`
        self._last_use = 0.0
        self._fault: LedgerFault | None = None
        self._change = asyncio.Event()
        # Notified of changes, or of the fault after which there will be none.
        self.listener: Callable[[LedgerFault | None], object] = lambda fault: None
        self.is_kept = False

    def now(self) -> int:
        """The amount usable now; 0 without a lease."""
        self._last_use = time.monotonic()
        if not self.is_kept:
            self.is_kept = True
            self._wake()
        return self._cap if self.is_valid() else 0

    def is_valid(self) -> bool:
        """Whether there is a lease that lasts long enough to send something now."""
        return boot_time() < self._until

    async def change(self, within_s: float) -> None:
        """Wait for the share to change, at most `within_s` seconds. Raises LedgerFault when none can be leased."""
        if self._fault is not None and not self.is_valid():
            raise self._fault
        change = self._change
        try:
            async with asyncio.timeout(min(within_s, _LONGEST_LOOK_S)):
                await change.wait()
        except TimeoutError:
            pass

    # Renewing: called by `Shares` only

    def is_needed(self) -> bool:
        """Whether it was used recently. If not, it counts as 0 from now on and may be released."""
        if self._in_use() or self._waiting():
            self._last_use = time.monotonic()
        if time.monotonic() - self._last_use > _QUIET_S:
            self.is_kept = False
            self._cap, self._until = 0, 0.0
        return self.is_kept

    def asked(self) -> Asked:
        """What to request from the ledger; until the answer, no more than `keep` is used."""
        return Asked(self._most, max(self._cap if self.is_valid() else 0, self._in_use()))

    def granted(self, share: RateShare, began: float) -> bool:
        """Apply the answer to the request made at `began`; False when it will change soon."""
        before = self._cap if self.is_valid() else 0
        # A part to be released first goes out of use; it is released at the next renewal.
        self._cap = min(share.share, share.fair)
        self._until = began + rates.LEASE_S * (1 - _SENDING_MARGIN)
        self._fault = None
        if self._cap != before:
            self._tell(None)
        return share.share == share.fair

    def failed(self, fault: LedgerFault) -> None:
        """It could not be renewed; the lease runs until it expires."""
        self._fault = fault
        if not self.is_valid():
            self._tell(fault)

    def ended(self, fault: LedgerFault) -> None:
        """It is not renewed any more."""
        self._cap, self._until = 0, 0.0
        self.failed(fault)

    def _tell(self, fault: LedgerFault | None) -> None:
        self._change.set()
        self._change = asyncio.Event()
        self.listener(fault)


class Shares:
    """Renews all holdings of a process, each account's in one transaction. Create and use inside one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._holdings: dict[Key, Holding] = {}
        self._wanted = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None
        self._is_failing = False

    def of(
        self,
        account: str,
        rate: Rate,
        most: int,
        in_use: Callable[[], int] = lambda: 0,
        waiting: Callable[[], int] = lambda: 0,
    ) -> Holding:
        """The holding of an account's limit, which is `most` across all processes. Nothing is leased yet."""
        holding = self._holdings[account, rate] = Holding(most, self._wake, in_use, waiting)
        return holding

    def _wake(self) -> None:
        self._wanted.set()
        if self._renewing is None:
            self._renewing = background.begin(self._renew(), "renewing shares of rates", self._broke)

    def _broke(self, error: SeedreamError) -> None:
        # Otherwise anyone waiting for a share would wait forever.
        fault = error if isinstance(error, LedgerFault) else LedgerFault(error.message)
        for holding in self._holdings.values():
            holding.ended(fault)

    async def close(self) -> None:
        """Release everything."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        try:
            await self._ledger.write(lambda connection: rates.give_back(connection, self._ledger.owner))
        except LedgerFault as fault:
            logger.warning("rate shares were not released and expire in %.0f s: %s", rates.LEASE_S, fault)

    async def _renew(self) -> None:
        while True:
            self._wanted.clear()
            pause = await self._round()
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    async def _round(self) -> float:
        """Renew what is needed, release the rest; returns the seconds until the next round."""
        kept = {key: holding for key, holding in self._holdings.items() if holding.is_kept}
        needed = {key: holding for key, holding in kept.items() if holding.is_needed()}
        asked = {key: holding.asked() for key, holding in needed.items()}
        began = boot_time()  # before the transaction: time spent waiting for the disk counts against the lease
        try:
            found = await self._ledger.write(
                lambda connection: self._ask(connection, asked, kept.keys() - asked.keys())
            )
        except LedgerFault as fault:
            if not self._is_failing:
                logger.warning("rate shares cannot be renewed: %s", fault)
            self._is_failing = True
            for holding in needed.values():
                holding.failed(fault)
            return _SETTLE_EVERY_S
        self._is_failing = False
        settled = [needed[key].granted(share, began) for key, share in found.items()]
        if len(found) < len(needed):
            return _AGAIN_S
        return rates.LEASE_S * _RENEW_EVERY if all(settled) else _SETTLE_EVERY_S

    def _ask(self, connection: Connection, asked: dict[Key, Asked], unneeded: Collection[Key]) -> dict[Key, RateShare]:
        rates.give_back(connection, self._ledger.owner, unneeded)
        return rates.lease(connection, self._ledger.owner, asked)


@asynccontextmanager
async def shares_in(ledger: Ledger) -> AsyncIterator[Shares]:
    """This process's shares in a ledger; released on exit."""
    shares = Shares(ledger)
    try:
        yield shares
    finally:
        await shares.close()


class Turns:
    """Lets requests through one by one, spaced according to a share of a rate."""

    def __init__(self, holding: Holding, per_second: float) -> None:
        self._holding = holding
        self._per_second = per_second  # of one unit of the share
        self._line = asyncio.Lock()
        self._last = float("-inf")
        self._is_open = False

    async def turn(self) -> None:
        """Wait for the next turn. Raises LedgerFault when no share can be leased."""
        async with self._line:
            while not self._is_open:
                rate = self._holding.now() * self._per_second
                due = self._last + 1.0 / rate if rate else float("inf")
                wait = due - time.monotonic()
                if wait <= 0:
                    self._last = max(due, time.monotonic() - _LATE_S)
                    break
                # Sleep through a short wait: listening for changes too would cost more than the rest of a turn.
                await (asyncio.sleep(wait) if wait < _SHORT_S else self._holding.change(wait))

    def let_go(self) -> None:
        """Nothing more is sent: release everyone who waits."""
        self._is_open = True
