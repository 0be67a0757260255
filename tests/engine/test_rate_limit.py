"""How many requests a second may see."""

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_gateway import most_in_a_second

from seedream_tasks.engine.rate_limit import Pace

# Between two wishes to send: mostly at once, as from a busy loop, sometimes after a pause.
GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0.0, 0.01), st.floats(0.0, 3.0)), min_size=1, max_size=400)


def sent(pace: Pace, gaps: list[float]) -> list[float]:
    """When requests leave that wait for each other, each wished for that long after the one before it has left."""
    now, times = 0.0, []
    for gap in gaps:
        now = max(now + gap, pace.next_at())
        pace.leaves(now)
        times.append(now)
    return times


@given(GAPS, st.integers(1, 500))
def test_no_second_sees_more_than_the_bound(gaps: list[float], per_second: int) -> None:
    """Wherever the second begins, and however many are due at once."""
    assert most_in_a_second(sent(Pace(per_second), gaps)) <= per_second


@given(st.floats(0.01, 1.0), st.integers(2, 20))
def test_less_than_one_a_second_is_one_in_so_many_seconds(per_second: float, many: int) -> None:
    """A bound below one is a distance."""
    times = sent(Pace(per_second), [0.0] * many)
    assert all(after - before >= 0.999 / per_second for before, after in pairwise(times))


@pytest.mark.parametrize("per_second", [1, 10, 25, 400])
def test_nearly_all_of_the_bound_can_be_used(per_second: int) -> None:
    """Whoever always has something to ask gets at least nine tenths of it."""
    times = sent(Pace(per_second), [0.0] * (per_second * 20))
    assert times[-1] <= 20 / 0.9


def test_what_a_busy_loop_missed_is_made_up_for() -> None:
    """After a pause a tenth of a second's requests leave at once, not one by one."""
    pace = Pace(400)
    assert sent(pace, [0.0] * 40 + [5.0] + [0.0] * 39)[40:] == [5.0] * 40


def test_a_429_holds_all_back_and_halves_the_pace_once() -> None:
    """Nothing before Retry-After is over; those that were under way at the same pace do not count again; answers undo it."""
    pace = Pace(10)
    pace.leaves(0.0)
    for _ in range(5):
        pace.too_many(asked_at=0.0, now=0.5, wait_s=30.0)
    assert pace.next_at() == 30.5
    times = sent(pace, [40.0] + [0.0] * 9)
    assert times[1] - times[0] == pytest.approx(0.2)
    pace.too_many(asked_at=times[-1], now=times[-1], wait_s=0.0)
    assert pace.next_at() - times[-1] == pytest.approx(0.4)
    for _ in range(100):
        pace.answered()
    assert pace.next_at() - times[-1] == pytest.approx(0.1)


@given(st.lists(st.tuples(st.sampled_from([0, 3, 10, 47, 200]), st.integers(1, 60)), min_size=2, max_size=6))
def test_a_changed_bound_holds_in_every_second(parts: list[tuple[int, int]]) -> None:
    """Whatever was allowed before, no second that begins after a change sees more than the bound says now."""
    pace, now = Pace(parts[0][0]), 100.0
    for per_second, many in parts:
        pace.change(per_second)
        times = []
        for _ in range(many):
            if pace.next_at() == inf:
                assert per_second == 0
                break
            now = max(now, pace.next_at())
            pace.leaves(now)
            times.append(now)
        if times:
            assert most_in_a_second(times) <= per_second
