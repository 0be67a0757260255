"""Reading the ledger, and the small facts it keeps."""

from decimal import Decimal

from ledger_book import DISPUTED, RUN, Book, attempt_in, far_off, made, make_job, on_both, stored

from seedream_tasks.core.outcomes import ErrorClass
from seedream_tasks.core.slots import PastAttempt, Purpose, SlotView
from seedream_tasks.core.states import AttemptState, Closed, SlotState
from seedream_tasks.ledger import admissions, budgets, identity, queries, spending, values

pytestmark = on_both


def test_a_job_the_ledger_does_not_know_has_an_empty_view(book: Book) -> None:
    """Every job that is asked for gets a view, known or not."""
    found = book.read(lambda connection: queries.job_views(connection, ["no/such/job"]))
    assert found == {"no/such/job": values.JobView("no/such/job")}


def test_a_view_holds_slots_attempts_and_images(book: Book) -> None:
    """Slots by number, attempts in the order of their intents, images with where they are copied to."""
    job = make_job(n=3)
    first = book.claim(job, (0, 1))
    book.refused(first)
    second = book.claim(job, (0, 2), seen={0: first}, purpose=Purpose.RETRY, run_id="run-2")
    book.accepted(second)
    book.delivered(second, made(2), until=far_off())
    book.archived(second, 1)
    view = book.view(job)
    assert view.slots == [
        SlotView(0, SlotState.TAKEN, second),
        SlotView(1, SlotState.CLOSED, first, Closed.REFUSED),
        SlotView(2, SlotState.FILLED, second),
    ]
    assert view.past == [
        PastAttempt(first, RUN, "evolink", AttemptState.FAILED, (0, 1), Purpose.FIRST, ErrorClass.PARAMETERS),
        PastAttempt(second, "run-2", "evolink", AttemptState.DELIVERED, (0, 2), Purpose.RETRY),
    ]
    assert [(each.slot, each.state, each.copies) for each in view.images] == [
        (0, "delivered", {}),
        (2, "archived", {"/archive": f"{second}-1.jpg"}),
    ]
    (standing,) = view.standing()
    assert (standing.slot, standing.sha256, standing.warnings) == (2, stored(f"{second}-1.jpg").sha256, ("ratio_off",))


def test_views_of_many_jobs_do_not_mix(book: Book) -> None:
    """More jobs than one query holds: each view has its own attempt."""
    jobs = [make_job(f"sku-{number}") for number in range(410)]
    ids = {}

    def claim_all(connection: object) -> None:
        from ledger_book import make_claim, taking

        for number, job in enumerate(jobs):
            ids[job.job_key] = f"attempt-{number:04}"
            taking(book.ledger.owner, make_claim(job), ids[job.job_key])(connection)  # type: ignore[arg-type]

    book.write(claim_all)
    found = book.read(lambda connection: queries.job_views(connection, [job.job_key for job in jobs]))
    assert {key: [each.attempt_id for each in view.attempts] for key, view in found.items()} == {
        key: [attempt_id] for key, attempt_id in ids.items()
    }
    every = book.read(lambda connection: queries.attempts_by_id(connection, list(reversed(ids.values()))))
    assert [each.attempt_id for each in every] == sorted(ids.values())


def test_attempts_are_listed_by_state_and_run(book: Book) -> None:
    """Oldest first, with row key and shot, narrowed by state and by run."""
    ids = {
        state: attempt_in(book, state, make_job(f"row-{state}"), run_id="even" if number % 2 else "odd")
        for number, state in enumerate(AttemptState)
    }

    def listed(**narrow: str) -> list[str]:
        return [each.attempt_id for each, _, _ in book.read(lambda c: list(queries.list_attempts(c, **narrow)))]

    assert listed() == sorted(ids.values())
    for state, attempt_id in ids.items():
        assert listed(state=state) == [attempt_id]
    assert set(listed(run_id="odd")) | set(listed(run_id="even")) == set(ids.values())
    assert len(listed(run_id="odd")) == 5
    assert listed(run_id="odd", state="intent") == [ids[AttemptState.INTENT]]
    named = book.read(lambda c: [(row, shot) for _, row, shot in queries.list_attempts(c, state="lost")])
    assert named == [("row-lost", "image")]


def test_known_jobs_tell_what_they_were_made_of(book: Book) -> None:
    """For a row and shot: every job ever bought, oldest first, with what decided its images."""
    old, new = make_job("sku", prompt="one"), make_job("sku", prompt="two", edition="spring")
    book.claim(old)
    book.claim(new)
    book.claim(old, (1,))
    book.claim(make_job("sku", shot="hero"))
    found = book.read(lambda connection: queries.known_jobs(connection, [("sku", "image"), ("other", "image")]))
    assert list(found) == [("sku", "image")]
    assert [each.job_key for each in found["sku", "image"]] == [old.job_key, new.job_key]
    assert [each.decides for each in found["sku", "image"]] == [old.decides(), new.decides()]


def test_job_names_come_back_from_the_ledger(book: Book) -> None:
    """Enough of a job to follow it and to file its images, without the frozen run."""
    jobs = [
        make_job("a", ratio="16:9"),
        make_job("b", ratio=None, tier=None, pixels="2560x1440"),
        make_job("c", ratio="auto"),
    ]
    for job in jobs:
        book.claim(job)
    names = book.read(lambda connection: queries.job_names(connection, [job.job_key for job in jobs] + ["x"]))
    assert names == {job.job_key: job.name for job in jobs}


def test_money_may_come_back_while_an_intent_or_a_task_is_open(book: Book) -> None:
    """Only what the gateway may still refuse or fail can return to its budget by itself."""
    for state in AttemptState:
        run = f"run-{state}%_"
        book.open_run(run, max_usd="1")
        attempt_in(book, state, make_job(state), run_id=run, capped=True)
        comes = book.read(lambda connection, key=f"run:{run}": budgets.may_come_back(connection, key))
        assert comes is (state in (AttemptState.INTENT, AttemptState.ACCEPTED)), state
    assert not book.read(lambda connection: budgets.may_come_back(connection, "run:run-intent%%"))
    assert not book.read(lambda connection: budgets.may_come_back(connection, "run:run-intent"))


def test_what_a_run_has_spent(book: Book) -> None:
    """Billed, at risk and reserved of one run, each attempt in exactly the run that reserved it."""
    attempt_in(book, AttemptState.ARCHIVED, make_job("a"), price=DISPUTED)
    attempt_in(book, AttemptState.UNKNOWN, make_job("b"))
    attempt_in(book, AttemptState.ACCEPTED, make_job("c"))
    attempt_in(book, AttemptState.NOT_SENT, make_job("d"))
    attempt_in(book, AttemptState.ARCHIVED, make_job("e"), run_id="another")
    assert book.read(lambda connection: spending.spent(connection, RUN)) == {
        "billed_usd": Decimal("0.024"),
        "at_risk_usd": Decimal("0.127"),
        "reserved_usd": Decimal("0.031"),
    }
    nothing = book.read(lambda connection: spending.spent(connection, "no-such-run"))
    assert set(nothing.values()) == {Decimal(0)}


def test_the_last_word_on_why_a_job_was_put_off_counts(book: Book) -> None:
    """A run remembers one reason per job, its own and the newest."""
    first = admissions.Admission("no_price", "nobody says", Decimal("0.1"), None)
    last = admissions.Admission("no_gateway", "nobody can", Decimal("0.2"), Decimal("0.03"), for_good=True)
    for admission in (first, last):
        book.write(lambda connection, why=admission: admissions.defer(connection, RUN, "job", why))
    book.write(lambda connection: admissions.defer(connection, "run-2", "job", first))
    assert book.read(lambda connection: queries.admissions_of(connection, RUN, ["job", "other"])) == {"job": last}


def test_accounts_are_remembered(book: Book) -> None:
    """An account keeps the kind it was first seen with."""

    def remember(connection: object) -> None:
        identity.know_account(connection, "evolink@x#1", "evolink", True)  # type: ignore[arg-type]
        identity.know_account(connection, "evolink@x#1", "evolink", False)  # type: ignore[arg-type]

    book.write(remember)
    assert book.read(identity.known_accounts) == {"evolink@x#1": True}
