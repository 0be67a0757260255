"""Limits requests per second, and slows down after a 429."""

from collections import deque
from math import inf

# A busy event loop catches up in bursts of at most this share of a second's requests.
_BURST = 0.1
# After a 429 the rate is halved; each other answer raises it again by this share.
_RECOVERY = 0.98


class Pace:
    """Says when the next request may be sent. No window of one second sees more than `per_second`. Time is passed in (s)."""

    def __init__(self, per_second: float) -> None:
        self._per_second = 0.0
        self._left_at: deque[float] = deque(maxlen=1)
        self._slower = 1.0
        self._slowed_at = -inf
        self._held_until = 0.0
        self.change(per_second)

    def change(self, per_second: float) -> None:
        """Set a new limit; 0: no requests."""
        if per_second == self._per_second:
            return
        if self._left_at:
            # The second in which the old pace ends sees nothing of the new one.
            self._held_until = max(self._held_until, self._left_at[-1] + 1.0)
        self._per_second = per_second
        burst = max(1, int(per_second * _BURST))
        bursts = per_second / burst
        self._window_s = 1.0 / (int(bursts) if bursts >= 1.0 else bursts) if per_second else inf
        self._left_at = deque(self._left_at, maxlen=burst)
        self._slowest = max(1.0, per_second)

    def next_at(self) -> float:
        """The earliest time of the next request; infinite if none is allowed."""
        if not self._per_second:
            return inf
        full = len(self._left_at) == self._left_at.maxlen
        return max(self._held_until, self._left_at[0] + self._window_s * self._slower) if full else self._held_until

    def leaves(self, now: float) -> None:
        """A request is sent."""
        self._left_at.append(now)

    def too_many(self, asked_at: float, now: float, wait_s: float) -> None:
        """A request sent at `asked_at` got a 429: send none for `wait_s`, then at half the rate."""
        self._held_until = max(self._held_until, now + wait_s)
        if asked_at > self._slowed_at:  # those in flight then were sent at the old pace
            self._slowed_at = now
            self._slower = min(self._slowest, self._slower * 2)

    def answered(self) -> None:
        """A request was answered: speed up a little."""
        self._slower = max(1.0, self._slower * _RECOVERY)
