"""What looks teach about how long tasks take, and when the next one is worth its request."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.poll_schedule import Durations, log_logistic

AGES = st.floats(0.0, 1e7)
PRICES = st.floats(1e-4, 1e3)


def table() -> Durations:
    """Nothing learned yet."""
    return Durations(log_logistic(10.0, 1.0))


def seen(*ends: tuple[float, float]) -> Durations:
    """Tasks that ran at the first age and had ended at the second."""
    known = table()
    for after, by in ends:
        known.running(0.0, after)
        known.ended(after, by)
    return known


@given(st.lists(st.tuples(AGES, AGES, st.booleans()), max_size=30), AGES, PRICES)
def test_there_is_always_a_next_look_and_it_is_later(
    looks: list[tuple[float, float, bool]], age: float, price: float
) -> None:
    """Whatever was seen, in whatever order, even nonsense: the next look is after this one, and comes."""
    known = table()
    for one, other, ended in looks:
        after, by = sorted((one, other))
        (known.ended if ended else known.running)(after, by)
    assert age < known.next_look(age, price) < max(2 * age, 1e8)


@given(st.floats(1.0, 3600.0), st.integers(100, 200))
def test_what_always_takes_as_long_is_looked_at_once_just_behind_that(takes: float, tasks: int) -> None:
    """Tasks that all end at one age: no look before it, and the first within a few steps behind it."""
    known = seen(*[(takes * 0.99, takes * 1.01)] * tasks)
    assert takes * 0.9 <= known.next_look(0.0, takes / 100) <= takes * 1.25


@given(st.floats(2.0, 500.0), st.floats(0.003, 1.0))
def test_nobody_looks_where_no_task_ever_ended(shortest: float, share: float) -> None:
    """Tasks end from an age on, evenly spread over as much again: the first look is not before that, dear or cheap."""
    random = Random(1)
    known = table()
    for _ in range(400):
        ends = random.uniform(shortest, 2 * shortest)
        known.running(0.0, ends * 0.999)
        known.ended(ends * 0.999, ends)
    assert known.next_look(0.0, share * shortest) >= shortest * 0.85


@given(st.floats(0.0, 600.0), st.floats(0.001, 10.0), st.floats(1.0, 100.0))
def test_dearer_looks_are_rarer(age: float, price: float, times: float) -> None:
    """More delay for a look's price: the next one is later, or the same."""
    known = seen(*[(each, each * 1.1) for each in range(5, 60)])
    assert known.next_look(age, price) <= known.next_look(age, price * times)


def test_tasks_that_still_run_count_too() -> None:
    """The first to end in a batch are the short ones; that the others still run keeps them from passing for all."""
    only_ends, with_the_others = table(), table()
    for _ in range(20):
        only_ends.ended(5.0, 6.0)
        with_the_others.ended(5.0, 6.0)
    for _ in range(980):
        with_the_others.running(0.0, 6.0)
    assert only_ends.next_look(0.0, 0.15) < 7.0
    assert with_the_others.next_look(0.0, 0.15) > 7.0


def test_where_in_between_a_task_ended_is_judged_by_what_others_showed() -> None:
    """Ends are only ever found late, at 100; looks on the way find everything running at 80: they ended behind that."""
    known = table()
    for _ in range(50):
        known.running(0.0, 80.0)
    for _ in range(50):
        known.ended(0.0, 100.0)
    assert 75.0 <= known.next_look(0.0, 1.0) <= 110.0


@pytest.mark.parametrize("from_to", [(20.0, 80.0), (80.0, 20.0)])
def test_a_gateway_that_becomes_slower_or_faster_is_followed(from_to: tuple[float, float]) -> None:
    """Old ends are forgotten: after four thousand new ones looks go where tasks end now."""
    known = table()
    for takes in from_to:
        for _ in range(4000):
            known.running(0.0, takes * 0.97)
            known.ended(takes * 0.97, takes * 1.03)
    assert from_to[1] * 0.9 <= known.next_look(0.0, 0.5) <= from_to[1] * 1.2


def test_before_anything_is_known_looks_spread_out_with_age() -> None:
    """A handful of looks in the first minute, some more in the first hour, and ever further apart."""
    known, at, looks = table(), 0.0, []
    while at < 3600.0:
        at = known.next_look(at, 0.15)
        looks.append(at)
    spacing = [after - before for before, after in pairwise(looks)]
    assert 10 <= sum(look < 60.0 for look in looks) <= 30
    assert len(looks) < 250
    assert spacing[-1] > 5 * spacing[0]


def test_the_expected_share_is_one_half_at_the_median() -> None:
    """All run at the beginning, half at the median, few at five times that where it is steep."""
    share = log_logistic(30.0, 8.0)
    assert (share(0.0), share(30.0)) == (1.0, 0.5)
    assert share(150.0) < 1e-5
