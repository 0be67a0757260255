"""An account's brake: buying pauses while no purchase turns out to be usable.

Two questions about the last ten purchases: could the acceptances be read, and could the deliveries be fetched? If none could,
buying pauses, and one purchase at a time (a probe) shows whether it may resume. Until the first purchase of a run has shown it,
few are made at once: whatever is in flight when the answer is no has been paid for. Times are the event loop's clock.
"""

import asyncio
import logging
from collections import deque

logger = logging.getLogger("seedream_tasks.engine")

# Consecutive unusable purchases before buying pauses.
LAST = 10
# Max purchases before the first acceptance has been read, and before the first image has been fetched.
UNREAD, UNFETCHED = LAST, 20
# Wait before the first probe, doubled for each further one. After this many failed probes the account is out for this run.
PAUSE_S = 2.0
PROBES = 3


class Brake:
    """What an account's purchases of this run have turned out to be."""

    def __init__(self, gateway: str) -> None:
        self.why: str | None = None  # why buying pauses
        self.since = 0.0  # when it began to
        self.gave_up = False
        self._gateway = gateway
        self._read: deque[bool] = deque(maxlen=LAST)
        self._fetched: deque[bool] = deque(maxlen=LAST)
        self._has_read = self._has_fetched = False
        # Attempts that delivered before any image of this run was fetched: those being tried, and those that failed.
        self._tried: set[str] = set()
        self._in_vain: set[str] = set()
        self._probes = 0
        self._probing = False
        self._probe: str | None = None  # the attempt that is the probe, once it has delivered
        self._probe_at = 0.0
        self._changed = asyncio.Event()

    def most(self) -> int | None:
        """Max attempts in flight before delivery; None: no limit."""
        if self.why is not None:
            return None  # callers are turned back, see `turns_back`
        if not self._has_read:
            return UNREAD - len(self._read)
        return None if self._has_fetched else UNFETCHED - len(self._tried | self._in_vain)

    def turns_back(self) -> str | None:
        """Why nothing may be bought now; None when buying is allowed, even if only as a probe."""
        is_due = not self._probing and not self.gave_up and _now() >= self._probe_at
        return None if is_due else self.why

    def begin_probe(self) -> bool:
        """While buying pauses, make this purchase the probe that shows whether it may resume."""
        if self.why is None:
            return False
        self._probes += 1
        self._probing = True
        return True

    def end_probe(self) -> None:
        """The probe is over; `accepted` and `fetched` have reported its result."""
        self._probing, self._probe = False, None
        if self.why is not None:
            if self._probes >= PROBES:
                self.gave_up = True
                logger.warning("%s: %s, after %s probes too; it is out for this run", self._gateway, self.why, PROBES)
            self._probe_at = _now() + PAUSE_S * 2**self._probes
        self._tell()

    async def probe_is_due(self) -> None:
        """Wait until a probe may be bought, is not needed any more, or will never be made."""
        while self.turns_back() is not None and not self.gave_up:
            changed = self._changed
            wait_s = None if self._probing else max(0.0, self._probe_at - _now())
            try:
                async with asyncio.timeout(wait_s):
                    await changed.wait()
            except TimeoutError:
                pass

    def accepted(self, is_read: bool) -> None:
        """The gateway accepted a purchase; `is_read`: its answer could be read."""
        self._has_read |= is_read
        self._judge(self._read, is_read, f"none of its last {LAST} acceptances could be read")

    def delivers(self, attempt_id: str, probes: bool) -> None:
        """An attempt has links; a probe is over once it is known whether they yield an image."""
        if not self._has_fetched:
            self._tried.add(attempt_id)
        if probes:
            self._probe = attempt_id

    def settled(self, attempt_id: str) -> None:
        """Its links are not tried again in this run: another process may have fetched them before anything was reported."""
        self._tried.discard(attempt_id)
        if attempt_id == self._probe:
            self.end_probe()

    def fetched(self, attempt_id: str, is_here: bool) -> None:
        """An image could be fetched, or not at the first tries."""
        if is_here:
            self._has_fetched = True
            self._tried.clear()
            self._in_vain.clear()
        elif not self._has_fetched:
            self._in_vain.add(attempt_id)
        self._judge(self._fetched, is_here, f"none of its last {LAST} deliveries could be fetched")
        if attempt_id == self._probe:
            self.end_probe()

    def _judge(self, last: deque[bool], good: bool, why: str) -> None:
        last.append(good)
        if good and self.why == why:
            logger.warning("%s: buying resumes", self._gateway)
            last.clear()
            self.why, self.gave_up, self._probes = None, False, 0
            self._tell()
        elif not good and self.why is None and len(last) == LAST and not any(last):
            self.why, self.since = why, _now()
            self._probe_at = self.since + PAUSE_S
            logger.warning(
                "%s: %s; buying there pauses; one probe at a time decides whether it resumes", self._gateway, why
            )
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _now() -> float:
    return asyncio.get_running_loop().time()
