"""Records: which may follow which, that a repeated one changes nothing, and what each does to slots and money."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from ledger_book import (
    ACCOUNT,
    AT_RISK,
    DISPUTED,
    MONEY,
    NO,
    OPEN_AGAIN,
    REFUSED,
    RUN,
    Book,
    attempt_in,
    far_off,
    made,
    make_job,
    on_both,
)
from sqlalchemy import text

from seedream_tasks.core.errors import AttemptMoved
from seedream_tasks.core.outcomes import Finished, Link, SlotFate
from seedream_tasks.core.states import FOLLOWS, AttemptState, Closed, SlotState
from seedream_tasks.ledger import transitions
from seedream_tasks.ledger.attempt_rows import Recorded
from seedream_tasks.ledger.queries import images_of

Record = Callable[[Book, str], Any]

# Every record about an attempt, with the state it leads to.
RECORDS: dict[str, tuple[AttemptState, Record]] = {
    "accepted": (AttemptState.ACCEPTED, lambda book, attempt: book.accepted(attempt, f"late-{attempt}")),
    "delivered": (AttemptState.DELIVERED, lambda book, attempt: book.delivered(attempt, made(), f"late-{attempt}")),
    "delivered_nothing": (
        AttemptState.FAILED,
        lambda book, attempt: book.delivered(attempt, made(0), f"late-{attempt}"),
    ),
    "not_sent": (AttemptState.NOT_SENT, lambda book, attempt: book.not_sent(attempt)),
    "refused": (AttemptState.FAILED, lambda book, attempt: book.refused(attempt)),
    "unknown": (AttemptState.UNKNOWN, lambda book, attempt: book.unknown(attempt)),
    "failed": (AttemptState.FAILED, lambda book, attempt: book.failed(attempt)),
    "cancelled": (AttemptState.CANCELLED, lambda book, attempt: book.failed(attempt, AttemptState.CANCELLED)),
    "lost": (AttemptState.LOST, lambda book, attempt: book.lost(attempt)),
    "archived": (AttemptState.ARCHIVED, lambda book, attempt: book.archived(attempt)),
    "quarantined": (AttemptState.FAILED, lambda book, attempt: book.quarantined(attempt)),
    "expired": (AttemptState.EXPIRED, lambda book, attempt: book.expired(attempt)),
}
OF_IMAGES = {"archived", "quarantined", "expired"}
# Links that come once more, after the attempt has gone on from them, are the same news again; and whoever only says that
# it does not know gets told what is known.
OLD_NEWS = {
    ("delivered", AttemptState.ARCHIVED),
    ("delivered_nothing", AttemptState.DELIVERED),
    ("delivered_nothing", AttemptState.ARCHIVED),
} | {("unknown", state) for state in AttemptState if state is not AttemptState.INTENT}


def may_follow(name: str, state: AttemptState) -> bool:
    """Whether this record may change an attempt in this state."""
    to, _ = RECORDS[name]
    if name in OF_IMAGES:
        # An image that is safely in the archive outweighs that somebody else saw its link dead.
        return state is AttemptState.DELIVERED or (name == "archived" and state is AttemptState.EXPIRED)
    if state is AttemptState.DELIVERED:
        return False  # only what becomes of its images can end it: see test_a_late_no_does_not_take_back_...
    if name in ("failed", "cancelled") and state in (AttemptState.INTENT, AttemptState.UNKNOWN):
        return False  # a task that fails was accepted: what is refused at submit is `refused`
    return to in FOLLOWS[state] and (name, state) not in OLD_NEWS


@on_both
def test_a_record_that_may_follow_is_taken(book: Book) -> None:
    """Each record moves an attempt along the arrows of the states."""
    wrong, taken = [], set()
    for name, (to, record) in RECORDS.items():
        for state in [each for each in AttemptState if may_follow(name, each)]:
            attempt_id = attempt_in(book, state, make_job(f"{name}-{state}"))
            record(book, attempt_id)
            taken.add(name)
            if book.attempt(attempt_id).state is not to:
                wrong.append(f"{name} over {state}: {book.attempt(attempt_id).state}")
    assert wrong == []
    assert taken == set(RECORDS)


@on_both
def test_a_record_that_may_not_follow_changes_nothing(book: Book) -> None:
    """Any other record leaves every row as it is, and says so: AttemptMoved, or the state where that is the same news."""
    wrong = []
    for name, (to, record) in RECORDS.items():
        for state in [each for each in AttemptState if not may_follow(name, each)]:
            attempt_id = attempt_in(book, state, make_job(f"{name}-{state}"))
            before = book.rows(*MONEY)
            try:
                answer = record(book, attempt_id)
            except AttemptMoved:
                pass
            else:
                told = answer.state if isinstance(answer, Recorded) else answer
                same_news = to is state or (name, state) in OLD_NEWS or name in OF_IMAGES
                if told is not state or not same_news:
                    wrong.append(f"{name} over {state} was passed over in silence")
            after = book.rows(*MONEY)
            wrong += [f"{name} over {state} changed {table}" for table in before if before[table] != after[table]]
    assert not wrong, "\n".join(wrong)


def test_records_about_unknown_attempts_are_refused(book: Book) -> None:
    """A record about an attempt that the ledger does not know is refused, and makes no row."""
    before = book.rows()
    for _, record in RECORDS.values():
        with pytest.raises(AttemptMoved):
            record(book, "no-such-attempt")
    assert book.rows() == before


REPEATED: dict[str, tuple[AttemptState, Record]] = {
    **{name: (AttemptState.INTENT, record) for name, (_, record) in RECORDS.items() if name not in OF_IMAGES},
    "cancelled": (AttemptState.ACCEPTED, RECORDS["cancelled"][1]),
    "failed": (AttemptState.ACCEPTED, RECORDS["failed"][1]),
    "failed_at_risk": (AttemptState.ACCEPTED, lambda book, attempt: book.failed(attempt, fate=AT_RISK)),
    "lost": (AttemptState.ACCEPTED, RECORDS["lost"][1]),
    "accepted_late": (AttemptState.NOT_SENT, RECORDS["accepted"][1]),
    "delivered_after_polling": (AttemptState.ACCEPTED, lambda book, attempt: book.delivered(attempt)),
    "delivered_fewer": (AttemptState.ACCEPTED, lambda book, attempt: book.delivered(attempt, made(0))),
    **{name: (AttemptState.DELIVERED, RECORDS[name][1]) for name in OF_IMAGES},
}


@on_both
def test_a_record_written_twice_is_written_once(book: Book) -> None:
    """A commit whose success was not heard of is repeated: same rows, same answer's state, no second event."""
    book.open_run(max_usd="10")
    for name, (state, record) in REPEATED.items():
        attempt_id = attempt_in(book, state, make_job(name), capped=True)
        first = record(book, attempt_id)
        before = book.rows()
        second = record(book, attempt_id)
        assert book.rows() == before, name
        assert getattr(second, "state", second) is getattr(first, "state", first), name


@on_both
def test_two_runs_that_follow_one_image_agree(book: Book) -> None:
    """What is settled about an image stays, except that an image in the archive outweighs any other end."""
    wrong = []
    for first, second in itertools.product(sorted(OF_IMAGES), repeat=2):
        job = make_job(f"{first}-{second}")
        attempt_id = attempt_in(book, AttemptState.DELIVERED, job)
        RECORDS[first][1](book, attempt_id)
        before = book.rows(*MONEY)
        RECORDS[second][1](book, attempt_id)
        if second == "archived" != first:
            ended = book.attempt(attempt_id).state, book.slots(job)[0], book.view(job).standing()[0].copies
            filled = (SlotState.FILLED, None, attempt_id)
            if ended != (AttemptState.ARCHIVED, filled, {"/archive": f"{attempt_id}-0.jpg"}):
                wrong.append(f"archived after {first}: {ended}")
        else:
            after = book.rows(*MONEY)
            wrong += [f"{second} after {first} changed {table}" for table in before if before[table] != after[table]]
    assert not wrong, "\n".join(wrong)


def test_a_late_no_does_not_take_back_what_was_delivered(book: Book) -> None:
    """Once links are known and billed, a gateway's `failed` seen elsewhere neither frees the slot nor cancels the bill."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.DELIVERED, capped=True)
    before = book.rows()
    with pytest.raises(AttemptMoved):
        book.failed(attempt_id, fate=OPEN_AGAIN)
    with pytest.raises(AttemptMoved):
        book.refused(attempt_id, OPEN_AGAIN)
    assert book.rows() == before


def test_a_refused_acceptance_leaves_the_slots_alone(book: Book) -> None:
    """A task id for an attempt that has ended is refused without taking its slots again: they stay what they were."""
    ends = (AttemptState.FAILED, AttemptState.CANCELLED, AttemptState.EXPIRED, AttemptState.ARCHIVED)
    ids = {end: attempt_in(book, end, make_job(end)) for end in ends}
    before = {end: book.slots(make_job(end)) for end in ends}
    for attempt_id in ids.values():
        with pytest.raises(AttemptMoved):
            book.accepted(attempt_id, f"late-{attempt_id}")
    assert {end: book.slots(make_job(end)) for end in ends} == before


@on_both
def test_a_task_id_stands_once_per_account(book: Book) -> None:
    """(account, task_id) is unique: a second attempt with the same task is refused and stays what it was."""
    first, second = book.claim(make_job("a")), book.claim(make_job("b"))
    book.accepted(first, "task-1")
    before = book.rows()
    with pytest.raises(AttemptMoved):
        book.accepted(second, "task-1")
    assert book.rows() == before
    third = book.claim(make_job("c"), account=ACCOUNT.replace("evolink", "gccai", 1))
    assert book.accepted(third, "task-1").state is AttemptState.ACCEPTED


def test_not_sent_gives_slots_and_money_back(book: Book) -> None:
    """Provably not accepted: the slot is open, the reservation gone, nothing at risk."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.NOT_SENT, capped=True)
    assert book.slots()[0] == (SlotState.OPEN, None, attempt_id)
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal(0))}
    assert book.attempt(attempt_id).at_risk_usd == 0


def test_unknown_keeps_slots_and_money(book: Book) -> None:
    """No proof either way: the slot stays taken, the reservation stays held and counts as at risk, and an event is kept."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.UNKNOWN, capped=True)
    assert book.slots()[0] == (SlotState.TAKEN, None, attempt_id)
    assert book.money() == {f"run:{RUN}": (Decimal("0.031"), Decimal(0))}
    assert book.attempt(attempt_id).at_risk_usd == Decimal("0.031")
    assert [row[2:4] for row in book.rows("events")["events"]] == [("attempt_unknown", attempt_id)]


def test_lost_closes_the_slots_and_stays_at_risk(book: Book) -> None:
    """Given up: closed until `--retry lost`, its amount at risk and counted as spent."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.LOST, capped=True)
    assert book.slots()[0] == (SlotState.CLOSED, Closed.LOST, attempt_id)
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal("0.031"))}
    assert book.attempt(attempt_id).at_risk_usd == Decimal("0.031")


@pytest.mark.parametrize("fate", [OPEN_AGAIN, REFUSED, SlotFate(SlotState.CLOSED, Closed.CONTENT)])
def test_an_unbilled_refusal_gives_the_money_back(book: Book, fate: SlotFate) -> None:
    """A refusal is certainly unbilled; the slot goes where the kind of no says."""
    book.open_run(max_usd="1")
    attempt_id = book.claim(capped=True)
    book.refused(attempt_id, fate)
    assert book.slots()[0] == (fate.state, fate.closed, attempt_id)
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal(0))}
    attempt = book.attempt(attempt_id)
    assert (attempt.error_code, attempt.error_message) == (NO.code, NO.message)


def test_a_failed_task_of_unknown_billing_stays_at_risk(book: Book) -> None:
    """Where nobody says whether a failed task is billed, its reservation stays at risk."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.ACCEPTED, capped=True)
    book.failed(attempt_id, fate=AT_RISK)
    attempt = book.attempt(attempt_id)
    assert (attempt.billed_usd, attempt.at_risk_usd) == (0, Decimal("0.031"))
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal("0.031"))}
    assert book.slots()[0][:2] == (SlotState.CLOSED, Closed.BILLED)


def test_a_failed_task_that_reports_its_charge_is_billed(book: Book) -> None:
    """What the gateway says a failed task cost is its bill, and nothing of it is at risk."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.ACCEPTED, capped=True)
    book.failed(attempt_id, fate=SlotFate(SlotState.CLOSED, Closed.BILLED), charge=made(0, credits=Decimal("2.25")))
    attempt = book.attempt(attempt_id)
    assert (attempt.billed_usd, attempt.at_risk_usd, attempt.cost_basis) == (Decimal("0.031"), 0, "reported")
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal("0.031"))}


def test_delivery_settles_the_bill(book: Book) -> None:
    """From links on the reservation is a bill: images x row where nothing is reported."""
    book.open_run(max_usd="1")
    job = make_job(n=2)
    attempt_id = book.claim(job, (0, 1), capped=True)
    book.accepted(attempt_id)
    assert book.delivered(attempt_id, made(2), until=far_off()).drift_usd == 0
    attempt = book.attempt(attempt_id)
    assert (attempt.billed_usd, attempt.cost_basis, attempt.expires_at) == (Decimal("0.062"), "computed", far_off())
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal("0.062"))}
    assert {state for state, _, _ in book.slots(job).values()} == {SlotState.TAKEN}


def test_a_reported_charge_above_the_reservation_is_drift(book: Book) -> None:
    """The gateway's own figure is the bill, exactly, and what it has above the reservation is said."""
    book.open_run(max_usd="0.04")
    attempt_id = book.claim(capped=True)
    recorded = book.delivered(attempt_id, made(1, usd=Decimal("0.0500005")), task_id="task")
    assert book.attempt(attempt_id).billed_usd == Decimal("0.050000")  # half-even
    assert recorded.drift_usd == Decimal("0.019")
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal("0.05"))}


@on_both
def test_a_disputed_price_settles_with_the_difference_at_risk(book: Book) -> None:
    """Nothing reported, two prices stated: billed by the row, the rest up to the highest at risk."""
    book.open_run(max_usd="1")
    attempt_id = book.claim(price=DISPUTED, capped=True)
    book.accepted(attempt_id)
    book.delivered(attempt_id)
    attempt = book.attempt(attempt_id)
    assert (attempt.billed_usd, attempt.at_risk_usd) == (Decimal("0.024"), Decimal("0.096"))
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal("0.12"))}


def test_fewer_links_close_the_missing_slots(book: Book) -> None:
    """A gateway that finished with fewer fills the first slots of the attempt and closes the others as `fewer`."""
    job = make_job(n=4)
    attempt_id = book.claim(job, (0, 2, 3))
    book.accepted(attempt_id)
    book.delivered(attempt_id, made(1))
    assert book.archived(attempt_id) is AttemptState.ARCHIVED
    assert book.slots(job) == {
        0: (SlotState.FILLED, None, attempt_id),
        2: (SlotState.CLOSED, Closed.FEWER, attempt_id),
        3: (SlotState.CLOSED, Closed.FEWER, attempt_id),
    }
    assert book.attempt(attempt_id).billed_usd == Decimal("0.031")


def test_no_links_at_all_are_a_failure(book: Book) -> None:
    """Finished without an image: failed, `no_images`, nothing billed where nothing is reported."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.ACCEPTED, capped=True)
    assert book.delivered(attempt_id, made(0)).state is AttemptState.FAILED
    attempt = book.attempt(attempt_id)
    assert (attempt.error_code, attempt.billed_usd, attempt.at_risk_usd) == ("no_images", 0, 0)
    assert book.slots()[0][:2] == (SlotState.CLOSED, Closed.FEWER)
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal(0))}


@on_both
def test_more_links_than_slots_are_kept_without_a_place(book: Book) -> None:
    """What was made and billed beyond the order is kept and paid for, in no slot."""
    attempt_id = book.claim()
    book.accepted(attempt_id)
    book.delivered(attempt_id, made(3))
    kept = book.read(lambda connection: images_of(connection, attempt_id))
    assert [(each.ordinal, each.slot) for each in kept] == [(0, 0), (1, None), (2, None)]
    assert book.attempt(attempt_id).billed_usd == Decimal("0.093")
    for ordinal in range(3):
        book.archived(attempt_id, ordinal)
    assert book.attempt(attempt_id).state is AttemptState.ARCHIVED
    assert [each.ordinal for each in book.view().standing()] == [0]


@on_both
def test_links_keep_their_own_expiry(book: Book) -> None:
    """A link's stated end counts for it; the attempt's for those that state none."""
    attempt_id = attempt_in(book, AttemptState.ACCEPTED)
    earlier = far_off() - timedelta(days=1)
    book.delivered(
        attempt_id, Finished((Link("https://a.example/1", earlier), Link("https://a.example/2"))), until=far_off()
    )
    kept = book.read(lambda connection: images_of(connection, attempt_id))
    assert [each.expires_at for each in kept] == [earlier, far_off()]


def test_a_synchronous_answer_goes_from_intent_to_delivered_at_once(book: Book) -> None:
    """Task id, links, bill in one record: there is no moment at which the links are not on disk."""
    attempt_id = book.claim()
    book.delivered(attempt_id, made(1, usd=Decimal("0.04")), task_id="req-1")
    attempt = book.attempt(attempt_id)
    assert (attempt.state, attempt.task_id, attempt.billed_usd) == (AttemptState.DELIVERED, "req-1", Decimal("0.04"))


def test_quarantine_closes_the_slot_and_stays_billed(book: Book) -> None:
    """Bytes that are no image were paid for: failed, billed, closed, the copy known."""
    attempt_id = attempt_in(book, AttemptState.DELIVERED)
    assert book.quarantined(attempt_id) is AttemptState.FAILED
    attempt = book.attempt(attempt_id)
    assert (attempt.billed_usd, attempt.error_code) == (Decimal("0.031"), "undecodable")
    assert book.slots()[0][:2] == (SlotState.CLOSED, Closed.BILLED)
    assert [each.state for each in book.view().images] == ["quarantined"]
    assert book.view().standing() == []


def test_one_archived_image_makes_the_attempt_archived(book: Book) -> None:
    """An attempt ends when its last image is settled; each slot has its own end."""
    job = make_job(n=3)
    attempt_id = book.claim(job, range(3))
    book.accepted(attempt_id)
    book.delivered(attempt_id, made(3))
    assert book.archived(attempt_id, 0) is AttemptState.DELIVERED
    assert book.expired(attempt_id, 1) is AttemptState.DELIVERED
    assert book.quarantined(attempt_id, 2) is AttemptState.ARCHIVED
    assert [(state, closed) for state, closed, _ in book.slots(job).values()] == [
        (SlotState.FILLED, None),
        (SlotState.CLOSED, Closed.EXPIRED),
        (SlotState.CLOSED, Closed.BILLED),
    ]


def test_all_links_dead_is_expired_and_billed(book: Book) -> None:
    """Links that died before the copy were paid for all the same."""
    attempt_id = attempt_in(book, AttemptState.EXPIRED)
    attempt = book.attempt(attempt_id)
    assert (attempt.billed_usd, attempt.error_code) == (Decimal("0.031"), "expired")
    assert book.slots()[0][:2] == (SlotState.CLOSED, Closed.EXPIRED)


@on_both
def test_accepting_over_not_sent_takes_the_free_slot_back(book: Book) -> None:
    """A task id that turns up late gets its slot back while nobody else has bought it; the money is held again."""
    book.open_run(max_usd="1")
    attempt_id = attempt_in(book, AttemptState.NOT_SENT, capped=True)
    accepted = book.accepted(attempt_id)
    assert (accepted.state, accepted.attempt.surplus) == (AttemptState.ACCEPTED, False)
    assert book.slots()[0] == (SlotState.TAKEN, None, attempt_id)
    assert book.money() == {f"run:{RUN}": (Decimal("0.031"), Decimal(0))}


@on_both
@pytest.mark.parametrize(
    ("state", "record"),
    [(AttemptState.NOT_SENT, "accepted"), (AttemptState.NOT_SENT, "delivered"), (AttemptState.LOST, "accepted")],
)
def test_an_acceptance_whose_slot_was_bought_meanwhile_is_surplus(book: Book, state: AttemptState, record: str) -> None:
    """It is never refused: both attempts are kept and billed, the other keeps the slot, an event says so."""
    book.open_run(max_usd="1")
    first = attempt_in(book, state, capped=True)
    second = book.claim(seen={0: first}, capped=True)
    recorded = RECORDS[record][1](book, first)
    assert recorded.attempt.surplus
    if record == "accepted":
        book.delivered(first)
    book.accepted(second)
    book.delivered(second)
    book.archived(second)
    assert book.archived(first) is AttemptState.ARCHIVED
    assert book.slots()[0] == (SlotState.FILLED, None, second)
    assert [each.attempt_id for each in book.view().standing()] == [second]
    assert [(each.surplus, each.billed_usd) for each in book.view().attempts] == [
        (True, Decimal("0.031")),
        (False, Decimal("0.031")),
    ]
    assert book.money() == {f"run:{RUN}": (Decimal(0), Decimal("0.062"))}
    assert ("attempt_surplus", first) in [row[2:4] for row in book.rows("events")["events"]]


def test_a_surplus_acceptance_over_a_cap_is_taken_all_the_same(book: Book) -> None:
    """What the gateway has accepted is recorded even where no money is left for it: the cap is for intents."""
    book.open_run(max_usd="0.031")
    first = attempt_in(book, AttemptState.NOT_SENT, capped=True)
    book.claim(capped=True)
    assert book.accepted(first).attempt.surplus
    assert book.money() == {f"run:{RUN}": (Decimal("0.062"), Decimal(0))}


def test_a_surplus_attempt_gives_its_other_slots_back(book: Book) -> None:
    """Where only one of its slots was bought meanwhile, the attempt has no place at all and the others stay free."""
    job = make_job(n=2)
    first = book.claim(job, (0, 1))
    book.not_sent(first)
    second = book.claim(job, (1,))
    assert book.accepted(first).attempt.surplus
    book.delivered(first, made(2))
    assert [each.slot for each in book.view(job).images] == [None, None]
    assert book.slots(job) == {0: (SlotState.OPEN, None, first), 1: (SlotState.TAKEN, None, second)}
    book.claim(job, (0,))


def test_a_slot_bought_again_holds_one_image(book: Book) -> None:
    """When a copy turns up of an image given up as expired, and its slot was bought again, only the holder's stands."""
    first = attempt_in(book, AttemptState.EXPIRED)
    second = book.claim(seen={0: first})
    book.accepted(second)
    book.delivered(second)
    book.archived(second)
    book.archived(first)
    assert book.slots()[0] == (SlotState.FILLED, None, second)
    assert [each.attempt_id for each in book.view().standing()] == [second]


@on_both
def test_not_found_counts_own_404s_in_a_row(book: Book) -> None:
    """One in five minutes counts, so a clock that jumps, either way, adds one at most; seen again forgets them all."""
    attempt_id = attempt_in(book, AttemptState.ACCEPTED)

    def passed(minutes: int) -> None:
        earlier = text("UPDATE attempts SET not_found_since = not_found_since - :by")
        book.write(lambda connection: connection.execute(earlier, {"by": minutes * 60_000_000}))

    def seen(minutes: int) -> int:
        passed(minutes)
        return book.write(lambda connection: transitions.not_found(connection, attempt_id))

    assert [seen(minutes) for minutes in (0, 0, 4)] == [1, 1, 1]
    assert [seen(8 * 24 * 60), seen(0), seen(1)] == [2, 2, 2]  # a week and a day in one jump
    assert [seen(-8 * 24 * 60), seen(4)] == [2, 2]  # and back again
    assert seen(5) == 3
    assert book.write(lambda connection: transitions.not_found(connection, attempt_id, seen_again=True)) == 0
    assert seen(0) == 1


@on_both
def test_a_second_archive_holds_a_further_copy(book: Book) -> None:
    """An image may stand in several archives; each is kept once."""
    attempt_id = attempt_in(book, AttemptState.ARCHIVED)
    book.archived(attempt_id, archive="/second")
    book.archived(attempt_id, archive="/second")
    assert book.view().standing()[0].copies == {
        "/archive": f"{attempt_id}-0.jpg",
        "/second": f"{attempt_id}-0.jpg",
    }
