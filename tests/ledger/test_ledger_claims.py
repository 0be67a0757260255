"""Claims: one live attempt per slot, money reserved with it, or nothing written at all."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger_book import ACCOUNT, DISPUTED, RUN, Book, attempt_in, make_claim, make_job, on_both, taking
from sqlalchemy import insert

from seedream_tasks.core.errors import OverCap, SlotsTaken
from seedream_tasks.core.states import LIVE, AttemptState, SlotState
from seedream_tasks.ledger import known_runs, rates, transitions
from seedream_tasks.ledger.claims import (
    SENDING_MARGIN,
    Lease,
    boot_time,
    new_attempt_id,
    renew_leases,
)
from seedream_tasks.ledger.schema import attempts, caps, rate_leases, runs
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.ledger.writer import LEASE_S


def at_once(url: str, workers: int, work: Callable[[Any, int], Any]) -> list[Any]:
    """Run `work(ledger, number)` in threads that begin together, each with a ledger of its own on the same URL."""
    start = threading.Barrier(workers)

    def one(number: int) -> Any:
        ledger = open_ledger(url, create=False)
        try:
            start.wait(timeout=20)
            return work(ledger, number)
        finally:
            ledger.close()

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, range(workers)))


@on_both
def test_a_claim_takes_its_slots_and_writes_the_intent(book: Book) -> None:
    """Slots, reservation and intent are on disk in one step, before anything can be sent."""
    book.open_run(max_usd="1")
    job = make_job(n=3)
    attempt_id = book.claim(job, (0, 2), capped=True)
    attempt = book.attempt(attempt_id)
    assert attempt.state is AttemptState.INTENT
    assert attempt.slots == (0, 2)
    assert attempt.quoted_usd == attempt.reserved_usd == Decimal("0.062")
    assert attempt.billed_usd == attempt.at_risk_usd == 0
    assert book.slots(job) == dict.fromkeys((0, 2), (SlotState.TAKEN, None, attempt_id))
    assert book.money() == {f"run:{RUN}": (Decimal("0.062"), Decimal(0))}


@on_both
def test_of_two_claims_of_one_slot_the_second_writes_nothing(book: Book) -> None:
    """A claim that touches a taken slot is refused as a whole, and not one row changes."""
    book.open_run(max_usd="1")
    job = make_job(n=3)
    book.claim(job, (0, 1), capped=True)
    before = book.rows()
    for second in ((0,), (1,), (1, 2), (0, 1), (2, 1)):
        with pytest.raises(SlotsTaken):
            book.claim(job, second, capped=True)
    assert book.rows() == before


@on_both
def test_two_claims_in_one_commit_do_not_both_win(book: Book) -> None:
    """Claims that wait for the same commit see each other: one wins, the other changes nothing."""
    book.open_run(max_usd="1")
    ids = [new_attempt_id() for _ in range(8)]
    results = book.write_all(*(taking(book.ledger.owner, make_claim(capped=True), each) for each in ids))
    won = [each for each in results if isinstance(each, Lease)]
    assert len(won) == 1
    assert all(isinstance(each, SlotsTaken) for each in results if each is not won[0])
    assert [row[0] for row in book.rows("attempts")["attempts"]] == [won[0].attempt_id]
    assert book.money() == {f"run:{RUN}": (Decimal("0.031"), Decimal(0))}


@on_both
def test_many_ledgers_claiming_the_same_slots_at_once_leave_one_winner_per_slot(book: Book) -> None:
    """Six ledgers, each with a connection of its own, want the same eight slots: every slot is bought exactly once."""
    book.open_run(max_usd="100")
    job = make_job(n=8)

    def greedy(ledger: Any, number: int) -> list[tuple[int, str]]:
        won = []
        for step in range(8):
            slot = (step + number) % 8
            try:
                lease = ledger.write_now(
                    taking(ledger.owner, make_claim(job, (slot,), capped=True), f"attempt-{number}-{slot}")
                )
            except SlotsTaken:
                continue
            won.append((slot, lease.attempt_id))
        return won

    won = [each for of_one in at_once(book.url, 6, greedy) for each in of_one]
    assert sorted(slot for slot, _ in won) == list(range(8))
    assert {slot: owner for slot, (_, _, owner) in book.slots(job).items()} == dict(won)
    assert len(book.rows("attempts")["attempts"]) == 8
    assert book.money() == {f"run:{RUN}": (Decimal("0.248"), Decimal(0))}


def test_a_slot_of_a_live_attempt_is_never_claimed(book: Book) -> None:
    """Intent, accepted, delivered and unknown hold their slot, whatever the second buyer has seen."""
    for state in sorted(LIVE):
        first = attempt_in(book, state, make_job(state))
        before = book.rows()
        with pytest.raises(SlotsTaken):
            book.claim(make_job(state), seen={0: first})
        assert book.rows() == before


@on_both
def test_a_closed_slot_is_claimed_only_by_who_has_seen_how_it_was_closed(book: Book) -> None:
    """A reopened slot goes to a buyer who knows the attempt that held it last; a decision on older knowledge is refused."""
    for state in (AttemptState.FAILED, AttemptState.CANCELLED, AttemptState.EXPIRED, AttemptState.LOST):
        job = make_job(state)
        first = attempt_in(book, state, job)
        assert book.slots(job)[0][0] is SlotState.CLOSED
        for stale in ({}, {0: None}, {0: "somebody-else"}):
            with pytest.raises(SlotsTaken):
                book.claim(job, seen=stale)
        second = book.claim(job, seen={0: first})
        assert book.slots(job)[0] == (SlotState.TAKEN, None, second)
        with pytest.raises(SlotsTaken):
            book.claim(job, seen={0: first})


def test_an_open_slot_may_be_bought_by_anyone(book: Book) -> None:
    """What was given back is free, whoever held it and whatever the buyer knew."""
    attempt_in(book, AttemptState.NOT_SENT)
    second = book.claim()
    assert book.slots()[0] == (SlotState.TAKEN, None, second)


def test_a_filled_slot_is_never_claimed(book: Book) -> None:
    """A slot that holds an image is not bought again, even by who has seen its attempt."""
    first = attempt_in(book, AttemptState.ARCHIVED)
    with pytest.raises(SlotsTaken):
        book.claim(seen={0: first})
    assert book.slots()[0][0] is SlotState.FILLED


@on_both
def test_a_repeated_claim_changes_nothing(book: Book) -> None:
    """A claim whose commit was not heard of may be made again under its id: one attempt, reserved once."""
    book.open_run(max_usd="0.05")
    first = book.claim(capped=True, attempt_id="attempt-a")
    before = book.rows()
    assert book.claim(capped=True, attempt_id="attempt-a") == first
    assert book.rows() == before


@on_both
def test_what_does_not_fit_under_the_cap_writes_nothing(book: Book) -> None:
    """OverCap comes before the first write, and says what is held and what was wanted."""
    book.open_run(max_usd="0.10")
    book.claim(make_job("a", n=3), range(3), capped=True)
    before = book.rows()
    with pytest.raises(OverCap) as refusal:
        book.claim(make_job("b"), capped=True)
    assert book.rows() == before
    assert refusal.value.facts["cap_usd"] == Decimal("0.10")
    assert refusal.value.facts["held_usd"] == Decimal("0.093")
    assert refusal.value.facts["wanted_usd"] == Decimal("0.031")


def test_a_refusal_says_whether_money_may_come_back(book: Book) -> None:
    """In the same transaction: while anything under the cap may still be refused or fail, what does not fit may wait for it."""
    book.open_run(max_usd="0.05")
    first = book.claim(make_job("a"), capped=True)
    for move, expected in (
        (lambda: None, True),
        (lambda: book.accepted(first), True),
        (lambda: book.delivered(first), False),
    ):
        move()
        with pytest.raises(OverCap) as refusal:
            book.claim(make_job("b"), capped=True)
        assert refusal.value.facts["may_come_back"] is expected


@on_both
def test_a_cap_may_be_used_up_to_the_last_millionth(book: Book) -> None:
    """What fits exactly fits; a millionth less of a cap refuses it."""
    book.open_run("exact", max_usd="0.093")
    book.open_run("short", max_usd="0.092999")
    book.claim(make_job("a", n=3), range(3), capped=True, run_id="exact")
    with pytest.raises(OverCap):
        book.claim(make_job("b", n=3), range(3), capped=True, run_id="short")


@on_both
def test_a_cap_holds_when_many_reserve_at_once(book: Book) -> None:
    """Ten purchases of 0.031 by five ledgers under a cap of 0.10: three are made, seven refused, to the millionth."""
    book.open_run(max_usd="0.10")

    def spend(ledger: Any, number: int) -> list[bool]:
        made = []
        for each in range(2):
            wanted = make_claim(make_job(f"sku-{number}-{each}"), capped=True)
            try:
                ledger.write_now(taking(ledger.owner, wanted, new_attempt_id()))
                made.append(True)
            except OverCap:
                made.append(False)
        return made

    made = [each for of_one in at_once(book.url, 5, spend) for each in of_one]
    assert sorted(made) == [False] * 7 + [True] * 3
    assert book.money() == {f"run:{RUN}": (Decimal("0.093"), Decimal(0))}
    assert len(book.rows("attempts")["attempts"]) == len(book.rows("slots")["slots"]) == 3


def test_a_disputed_price_reserves_the_highest(book: Book) -> None:
    """The quote uses the row, the cap must hold the highest price that any source states."""
    book.open_run(max_usd="0.2")
    attempt = book.attempt(book.claim(make_job(n=1), price=DISPUTED, capped=True))
    assert (attempt.quoted_usd, attempt.reserved_usd) == (Decimal("0.024"), Decimal("0.12"))
    with pytest.raises(OverCap):
        book.claim(make_job("b"), price=DISPUTED, capped=True)


def test_unknown_and_lost_count_against_the_cap_until_settled(book: Book) -> None:
    """Money whose fate nobody knows is not free to be spent again; money that came back is."""
    book.open_run(max_usd="0.062")
    attempt_in(book, AttemptState.UNKNOWN, make_job("a"), capped=True)
    attempt_in(book, AttemptState.LOST, make_job("b"), capped=True)
    with pytest.raises(OverCap):
        book.claim(make_job("c"), capped=True)
    (first, _) = book.rows("attempts")["attempts"]
    book.not_sent(first[0])
    book.claim(make_job("c"), capped=True)


@on_both
def test_standing_caps_hold_over_all_runs_of_a_day(book: Book) -> None:
    """A cap per day for all and one for a gateway are held by every run, in the day of the cap's own zone."""
    zone = "Pacific/Kiritimati"
    book.write(lambda connection: connection.execute(insert(caps), [
        {"cap_key": "all", "usd_per_day": Decimal("0.07"), "zone": "UTC"},
        {"cap_key": "evolink", "usd_per_day": Decimal("0.04"), "zone": zone},
        {"cap_key": "getimg", "usd_per_day": Decimal("0.01"), "zone": "UTC"},
    ]))  # fmt: skip
    days = {datetime.now(UTC).astimezone(ZoneInfo(zone)).date()}
    book.claim(make_job("a"), run_id="first")
    days.add(datetime.now(UTC).astimezone(ZoneInfo(zone)).date())
    with pytest.raises(OverCap) as refusal:
        book.claim(make_job("b"), run_id="second")
    assert refusal.value.facts["budget"] in {f"day:evolink:{day}" for day in days}
    book.claim(make_job("c"), run_id="third", gateway="gccai")
    with pytest.raises(OverCap, match="day:all:"):
        book.claim(make_job("d"), run_id="fourth", gateway="gccai")


def test_money_comes_back_to_the_run_that_reserved_it(book: Book) -> None:
    """An attempt belongs for good to its own run's budget, whoever records its end."""
    book.open_run("one", max_usd="1")
    book.open_run("two", max_usd="1")
    first = book.claim(make_job("a"), capped=True, run_id="one")
    book.claim(make_job("b"), capped=True, run_id="two")
    book.not_sent(first)
    assert book.money() == {"run:one": (Decimal(0), Decimal(0)), "run:two": (Decimal("0.031"), Decimal(0))}


@on_both
def test_an_intent_becomes_unknown_only_after_its_lease(book: Book) -> None:
    """A lease ends by the database's clock: what is still held stays an intent, what is overdue becomes unknown, at risk."""
    held, overdue = book.claim(make_job("held")), book.claim(make_job("overdue"))
    assert book.write(transitions.overdue_intents) == []
    book.end_lease(overdue)
    assert book.write(transitions.overdue_intents) == [overdue]
    assert book.attempt(held).state is AttemptState.INTENT
    attempt = book.attempt(overdue)
    assert (attempt.state, attempt.at_risk_usd) == (AttemptState.UNKNOWN, Decimal("0.031"))
    assert book.slots(make_job("overdue"))[0][0] is SlotState.TAKEN
    assert book.write(transitions.overdue_intents) == []


def test_only_intents_are_overdue(book: Book) -> None:
    """A lease that ended says nothing about an attempt that was recorded meanwhile."""
    ids = [attempt_in(book, state, make_job(state)) for state in AttemptState if state is not AttemptState.INTENT]
    for each in ids:
        book.end_lease(each)
    before = book.rows()
    assert book.write(transitions.overdue_intents) == []
    assert book.rows() == before


@on_both
def test_a_renewed_lease_is_not_overdue(book: Book) -> None:
    """The holder's renewal keeps its open call from becoming unknown; a stranger's renewal does not."""
    mine, other = book.claim(make_job("mine")), book.claim(make_job("other"))
    for each in (mine, other):
        book.end_lease(each)
    book.write(lambda connection: renew_leases(connection, book.ledger.owner, [mine]))
    book.write(lambda connection: renew_leases(connection, "a stranger", [other]))
    assert book.write(transitions.overdue_intents) == [other]
    assert book.attempt(mine).state is AttemptState.INTENT


def test_a_renewal_touches_only_intents(book: Book) -> None:
    """Renewing brings nothing back that has been recorded as something else."""
    states = [each for each in AttemptState if each is not AttemptState.INTENT]
    ids = [attempt_in(book, state, make_job(state)) for state in states]
    before = book.rows()
    book.write(lambda connection: renew_leases(connection, book.ledger.owner, ids))
    assert book.rows() == before


def test_who_held_the_lease_may_record_after_it_ended(book: Book) -> None:
    """A lease decides who may send, never who may record: acceptance and `not_sent` are taken over `unknown`."""
    late, never = book.claim(make_job("late")), book.claim(make_job("never"))
    for each in (late, never):
        book.end_lease(each)
    assert sorted(book.write(transitions.overdue_intents)) == sorted([late, never])
    book.accepted(late)
    book.not_sent(never)
    assert book.attempt(late).state is AttemptState.ACCEPTED
    assert book.attempt(late).at_risk_usd == 0
    assert book.attempt(never).state is AttemptState.NOT_SENT
    assert book.slots(make_job("never"))[0][0] is SlotState.OPEN


@pytest.mark.parametrize(
    ("age_s", "allowed"),
    [
        (0.0, True),
        (LEASE_S * (1 - SENDING_MARGIN) - 30, True),
        (LEASE_S * (1 - SENDING_MARGIN), False),
        (LEASE_S, False),
        (8 * 3600.0, False),
    ],
)
def test_a_request_is_not_sent_on_a_lease_that_runs_down(age_s: float, allowed: bool) -> None:
    """With too little of the lease left its holder does not send."""
    assert Lease("attempt", boot_time() - age_s).allows_sending() is allowed


def test_attempt_ids_sort_by_time() -> None:
    """Ids are unique and in the order in which they were made."""
    ids = [new_attempt_id() for _ in range(500)]
    assert len(set(ids)) == 500
    assert [each[:14] for each in ids] == sorted(each[:14] for each in ids)


YEAR = 365 * 86_400_000_000


def _granted_a_year_ahead(book: Book, table: Any, column: str) -> None:
    later = {column: getattr(table.c, column) + YEAR}
    book.write(lambda connection: connection.execute(table.update().values(**later)))


@on_both
def test_a_lease_that_ends_further_away_than_a_lease_can_last_has_ended(book: Book) -> None:
    """Granted while the clock was a year ahead: the intent is `unknown` at the next look, and nobody waits a year."""
    attempt_id = book.claim()
    assert book.write(transitions.overdue_intents) == []
    _granted_a_year_ahead(book, attempts, "lease_until")
    assert book.write(transitions.overdue_intents) == [attempt_id]
    assert book.attempt(attempt_id).state is AttemptState.UNKNOWN


@on_both
def test_a_run_that_was_alive_in_a_year_is_not_alive(book: Book) -> None:
    """The same of the sign of life of a run, and of a share of a rate."""
    book.open_run()
    run = book.read(lambda connection: known_runs.find_run(connection, RUN))
    assert run is not None
    assert run.alive
    key = (ACCOUNT, rates.Rate.IN_FLIGHT)
    book.write(lambda connection: rates.lease(connection, "dead", {key: rates.Asked(4, 4)}))
    _granted_a_year_ahead(book, runs, "alive_until")
    _granted_a_year_ahead(book, rate_leases, "until")
    run = book.read(lambda connection: known_runs.find_run(connection, RUN))
    assert run is not None
    assert not run.alive
    assert not book.read(lambda connection: known_runs.any_alive(connection, [RUN]))
    found = book.write(lambda connection: rates.lease(connection, "alive", {key: rates.Asked(4, 4)}))
    assert found[key].share == 4
