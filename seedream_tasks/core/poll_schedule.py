"""How long tasks take, learned by polling them, and when the next poll is worth its request.

A poll shows only that a task still ran, or had ended since the previous poll, and most tasks in flight have not ended yet. So
this is a life table: per step of age, how many tasks were seen to outlive it and how many ended in it.
Ages are seconds, or shares of an estimate: any unit, as long as one table keeps to it.
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from math import inf

# Each step of age is 4 % longer than the one before it, from a twentieth of a unit to beyond a week of seconds.
_FIRST, _GROWTH, _STEPS = 0.05, 1.04, 425
_EDGES = [0.0, *(_FIRST * _GROWTH**step for step in range(_STEPS))]
# A step is judged together with so many on either side. Without them, the mass of an interval between two polls would gather
# in one step, polls would go there, and nothing could show that tasks end elsewhere.
_BESIDE = 2
# Weight of the prior expectation, in tasks.
_BELIEF = 10.0
# Beyond twice as many ends, older ones count half, to follow a gateway that slows down.
_REMEMBERED = 300


def log_logistic(median: float, steepness: float) -> Callable[[float], float]:
    """The share still running by age: half at the median, steepest close to it, and some forever."""
    return lambda age: 1.0 / (1.0 + (age / median) ** steepness)


class Durations:
    """The observed durations of one kind of task."""

    def __init__(self, still_running: Callable[[float], float]) -> None:
        """`still_running`: the prior, as a share by age."""
        share = [still_running(edge) for edge in _EDGES]
        self._expected = [1.0 - after / before for before, after in pairwise(share)]
        self._past = [0.0] * len(self._expected)  # tasks seen to outlive each step
        self._ended = [0.0] * len(self._expected)  # tasks that ended in it
        self._ends = 0

    def running(self, after: float, by: float) -> None:
        """Record a task that still ran at the ages `after` and `by`."""
        for step, share in _between(after, by):
            self._past[step] += share

    def ended(self, after: float, by: float) -> None:
        """Record a task that ended between the ages `after` and `by`, spread in between by the likelihood known so far."""
        steps = _between(after, by)
        running, ending = 1.0, []
        for step, share in steps:
            here = running * share * self._end_in(step)
            ending.append(here)
            running -= here
        left = found = sum(ending)
        if not found:
            return  # the two polls were one
        for (step, share), here in zip(steps, ending, strict=True):
            left = max(0.0, left - here)
            self._ended[step] += here / found
            self._past[step] += share * left / found
        self._ends += 1
        if self._ends == 2 * _REMEMBERED:
            self._ends = _REMEMBERED
            self._past = [count / 2 for count in self._past]
            self._ended = [count / 2 for count in self._ended]

    def next_look(self, age: float, price: float) -> float:
        """When to poll a task again that ran at `age`, if a poll costs as much as `price` units of delay.

        At the age where price and expected delay per end found are least: just after many tasks end, often while many end,
        rarely while few end, not at all where none ever did.
        """
        if age >= _EDGES[-2]:
            return age * _GROWTH
        begin = bisect_right(_EDGES, age) - 1
        first, last = max(0, begin - _BESIDE), begin + _BESIDE + 1
        ended, past = sum(self._ended[first:last]), sum(self._past[first:last])
        low, running, delay = age, 1.0, 0.0
        best, at = inf, _EDGES[-1]
        for step in range(begin, len(self._expected)):
            high = _EDGES[step + 1]
            share = (high - low) / (high - _EDGES[step])
            here = running * share * (_BELIEF * self._expected[step] + ended) / (_BELIEF + ended + past)
            delay += (1.0 - running + here / 2) * (high - low)
            running -= here
            if price + delay >= best:
                break  # later ages cannot be cheaper, even if all remaining tasks ended there
            found = 1.0 - running
            if found > 0.0 and (price + delay) / found < best:
                best, at = (price + delay) / found, high
            low = high
            if step >= _BESIDE:
                ended -= self._ended[step - _BESIDE]
                past -= self._past[step - _BESIDE]
            if step + _BESIDE + 1 < len(self._expected):
                ended += self._ended[step + _BESIDE + 1]
                past += self._past[step + _BESIDE + 1]
        return at

    def _end_in(self, step: int) -> float:
        """The share of the tasks that reach a step which end in it."""
        near = slice(max(0, step - _BESIDE), step + _BESIDE + 1)
        ended, past = sum(self._ended[near]), sum(self._past[near])
        return (_BELIEF * self._expected[step] + ended) / (_BELIEF + ended + past)


def _between(after: float, by: float) -> list[tuple[int, float]]:
    """The steps between two ages, each with the share of it that lies between them."""
    last = len(_EDGES) - 2
    first = min(bisect_right(_EDGES, after) - 1, last)
    found = []
    for step in range(first, min(bisect_right(_EDGES, by) - 1, last) + 1):
        low, high = _EDGES[step], _EDGES[step + 1]
        found.append((step, max(0.0, min(by, high) - max(after, low)) / (high - low)))
    return found
