"""Any order of records keeps the books: a state machine over claims, records, copies and their repetition.

It runs on SQLite: what it holds is the rules, not the database's locking.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from ledger_book import AT_RISK, DISPUTED, MONEY, OPEN_AGAIN, PRICE, REFUSED, Book, make_job
from ledger_book import made as finished_with

from seedream_tasks.core.errors import AttemptMoved, OverCap, SlotsTaken
from seedream_tasks.core.outcomes import SlotFate
from seedream_tasks.core.states import LIVE, AttemptState, Closed, SlotState
from seedream_tasks.ledger.values import JobView

JOB = make_job(n=5)
UNSETTLED = {AttemptState.INTENT, AttemptState.ACCEPTED, AttemptState.UNKNOWN}
FATES = (OPEN_AGAIN, REFUSED, SlotFate(SlotState.CLOSED, Closed.CONTENT), AT_RISK)


class Ledgers(RuleBasedStateMachine):
    """One job of five slots, two capped runs, attempts in every state."""

    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.book = Book(f"sqlite:///{self.folder / 'ledger.db'}")
        self.filled: dict[int, str] = {}
        self.claims = 0

    def teardown(self) -> None:
        self.book.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.book.open_run("run-1", max_usd="0.25")
        self.book.open_run("run-2", max_usd="1")

    @rule(
        target=attempts,
        slots=st.sets(st.integers(0, 4), min_size=1, max_size=3),
        run=st.sampled_from(["run-1", "run-2"]),
        disputed=st.booleans(),
        seen=st.booleans(),
    )
    def claim(self, slots: set[int], run: str, disputed: bool, seen: bool) -> object:
        self.claims += 1
        held = self.book.slots(JOB)
        before = self.book.rows(*MONEY)
        allowed = all(
            slot not in held or held[slot][0] is SlotState.OPEN or (held[slot][0] is SlotState.CLOSED and seen)
            for slot in slots
        )
        try:
            attempt_id = self.book.claim(
                JOB,
                sorted(slots),
                seen={slot: held[slot][2] for slot in slots if slot in held} if seen else {},
                run_id=run,
                capped=True,
                price=DISPUTED if disputed else PRICE,
                attempt_id=f"attempt-{self.claims:03}",
            )
        except OverCap:
            expected = allowed
        except SlotsTaken:
            expected = not allowed
        else:
            assert allowed
            return attempt_id
        assert expected, "the wrong refusal"
        assert self.book.rows(*MONEY) == before, "a refused claim has changed something"
        return multiple()

    def _write(self, record: Callable[[], object]) -> None:
        """A record that may be refused; where it is not, the same record again changes nothing."""
        before = self.book.rows(*MONEY)
        try:
            record()
        except AttemptMoved:
            assert self.book.rows(*MONEY) == before, "a refused record has changed something"
            return
        after = self.book.rows(*MONEY)
        record()
        assert self.book.rows(*MONEY) == after, "a repeated record has changed something"

    @rule(attempt=attempts)
    def accept(self, attempt: str) -> None:
        self._write(lambda: self.book.accepted(attempt))

    @rule(attempt=attempts, links=st.integers(0, 4), cost=st.sampled_from([None, "0", "0.05", "0.0399995"]))
    def deliver(self, attempt: str, links: int, cost: str | None) -> None:
        made = finished_with(links, usd=None if cost is None else Decimal(cost))
        known = self.book.attempt(attempt).task_id is not None
        self._write(lambda: self.book.delivered(attempt, made, None if known else f"task-of-{attempt}"))

    @rule(attempt=attempts)
    def not_sent(self, attempt: str) -> None:
        self._write(lambda: self.book.not_sent(attempt))

    @rule(attempt=attempts)
    def unknown(self, attempt: str) -> None:
        self._write(lambda: self.book.unknown(attempt))

    @rule(attempt=attempts, fate=st.sampled_from(FATES[:3]))
    def refuse(self, attempt: str, fate: SlotFate) -> None:
        if self.book.attempt(attempt).state in (AttemptState.INTENT, AttemptState.UNKNOWN):
            self._write(lambda: self.book.refused(attempt, fate))

    @rule(attempt=attempts, fate=st.sampled_from(FATES), cancelled=st.booleans())
    def fail(self, attempt: str, fate: SlotFate, cancelled: bool) -> None:
        if self.book.attempt(attempt).state is AttemptState.ACCEPTED:
            to = AttemptState.CANCELLED if cancelled else AttemptState.FAILED
            self._write(lambda: self.book.failed(attempt, to, fate))

    @rule(attempt=attempts)
    def lose(self, attempt: str) -> None:
        self._write(lambda: self.book.lost(attempt))

    @rule(attempt=attempts, ordinal=st.integers(0, 3), end=st.sampled_from(["archived", "quarantined", "expired"]))
    def settle_image(self, attempt: str, ordinal: int, end: str) -> None:
        self._write(lambda: getattr(self.book, end)(attempt, ordinal))

    @rule(attempt=consumes(attempts))
    def resolve(self, attempt: str) -> None:
        """A person finds the task of an attempt that was given up or never heard of."""
        state = self.book.attempt(attempt).state
        if state in (AttemptState.UNKNOWN, AttemptState.NOT_SENT, AttemptState.LOST):
            self._write(lambda: self.book.accepted(attempt, f"resolved-{attempt}"))

    @invariant()
    def the_books_are_right(self) -> None:
        view = self.book.view(JOB)
        attempts = {each.attempt_id: each for each in view.attempts}
        self._budgets_are_the_sums_of_what_attempts_hold(view)
        self._a_slot_has_at_most_one_live_attempt(view)
        for each in view.slots:
            holder = attempts[str(each.attempt_id)]
            assert each.slot in holder.slots
            assert (each.state is SlotState.CLOSED) is (each.closed is not None)
            if each.state is SlotState.TAKEN:
                assert holder.state in LIVE, f"slot {each.slot} is taken by an attempt that is {holder.state}"
            if each.state in (SlotState.TAKEN, SlotState.FILLED):
                assert not holder.surplus, f"slot {each.slot} is held by a surplus attempt"
        assert all(each.slot is None for each in view.images if attempts[each.attempt_id].surplus)
        self._a_filled_slot_stays_filled_and_holds_its_image(view)

    def _budgets_are_the_sums_of_what_attempts_hold(self, view: JobView) -> None:
        held: dict[str, list[Decimal]] = {"run:run-1": [Decimal(0)] * 2, "run:run-2": [Decimal(0)] * 2}
        for each in view.attempts:
            sums = held[f"run:{each.run_id}"]
            if each.state in UNSETTLED:
                sums[0] += each.reserved_usd
            elif each.state is not AttemptState.NOT_SENT:
                sums[1] += each.billed_usd + each.at_risk_usd
        assert self.book.money() == {key: tuple(sums) for key, sums in held.items()}

    def _a_slot_has_at_most_one_live_attempt(self, view: JobView) -> None:
        holder = {each.slot: each.attempt_id for each in view.slots}
        live = Counter(
            slot
            for each in view.attempts
            if each.state in LIVE and not each.surplus
            for slot in each.slots
            # A delivered attempt has let go of slots for which it made no image, or whose link died.
            if each.state is not AttemptState.DELIVERED or holder[slot] == each.attempt_id
        )
        assert all(count == 1 for count in live.values()), live

    def _a_filled_slot_stays_filled_and_holds_its_image(self, view: JobView) -> None:
        standing = Counter(each.slot for each in view.standing())
        now = {each.slot: str(each.attempt_id) for each in view.slots if each.state is SlotState.FILLED}
        assert self.filled.items() <= now.items(), "a filled slot was taken or opened"
        assert standing == Counter(now.keys()), "an image stands where no slot is filled, or none where one is"
        self.filled = now


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=[Phase.generate],  # shrinking takes minutes here, and a failing case of 25 steps can be read
    suppress_health_check=list(HealthCheck),
)
