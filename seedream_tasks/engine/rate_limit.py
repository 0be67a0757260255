"""At most so many requests a second, and fewer after a 429."""

from collections import deque
from math import inf

# What a busy event loop missed is made up for in bursts of at most this share of a second's requests.
_BURST = 0.1
# After a 429 half as many; then more again by this share for each answer that is none.
_RECOVERY = 0.98


class Pace:
    """Says when the next request may leave. No second, wherever it begins, sees more than `per_second`. Time is passed in (s)."""

    def __init__(self, per_second: float) -> None:
        self._per_second = 0.0
        self._left_at: deque[float] = deque(maxlen=1)
        self._slower = 1.0
        self._slowed_at = -inf
        self._held_until = 0.0
        self.change(per_second)

    def change(self, per_second: float) -> None:
        """Another bound from now on; 0: none may leave."""
        if per_second == self._per_second:
            return
        if self._left_at:
            # The second that sees the end of the old pace sees nothing of the new one.
            self._held_until = max(self._held_until, self._left_at[-1] + 1.0)
        self._per_second = per_second
        burst = max(1, int(per_second * _BURST))
        bursts = per_second / burst
        self._window_s = 1.0 / (int(bursts) if bursts >= 1.0 else bursts) if per_second else inf
        self._left_at = deque(self._left_at, maxlen=burst)
        self._slowest = max(1.0, per_second)

    def next_at(self) -> float:
        """From when on the next request may leave; infinite where none may."""
        if not self._per_second:
            return inf
        full = len(self._left_at) == self._left_at.maxlen
        return max(self._held_until, self._left_at[0] + self._window_s * self._slower) if full else self._held_until

    def leaves(self, now: float) -> None:
        """A request leaves."""
        self._left_at.append(now)

    def too_many(self, asked_at: float, now: float, wait_s: float) -> None:
        """A request that left at `asked_at` was one too many: none for `wait_s`, and half as many from then on."""
        self._held_until = max(self._held_until, now + wait_s)
        if asked_at > self._slowed_at:  # those under way then were sent at the old pace
            self._slowed_at = now
            self._slower = min(self._slowest, self._slower * 2)

    def answered(self) -> None:
        """A request was answered: a little faster again."""
        self._slower = max(1.0, self._slower * _RECOVERY)
