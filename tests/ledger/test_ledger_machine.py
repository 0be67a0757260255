"""Any order of records keeps the books: a state machine over claims, records, copies and their repetition.

It runs on SQLite: what it holds is the rules, not the database's locking.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from ledger_book import AT_RISK, DISPUTED, MONEY, OPEN_AGAIN, PRICE, REFUSED, Book, make_job
from ledger_book import made as finished_with

from seedream_tasks.core.errors import AttemptMoved, OverCap, SlotsTaken
from seedream_tasks.core.outcomes import SlotFate
from seedream_tasks.core.states import LIVE, AttemptState, Closed, SlotState
from seedream_tasks.ledger.schema import attempts as attempts_table

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

    def _write(self, *ways: Callable[[], object]) -> None:
        """A record that may be refused; where it is not, the same record again changes nothing."""
        for way in ways:
            before = self.book.rows(*MONEY)
            try:
                way()
            except AttemptMoved:
                assert self.book.rows(*MONEY) == before, "a refused record has changed something"
                continue
            after = self.book.rows(*MONEY)
            way()
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
    def settle_picture(self, attempt: str, ordinal: int, end: str) -> None:
        self._write(lambda: getattr(self.book, end)(attempt, ordinal))

    @rule(attempt=consumes(attempts))
    def resolve(self, attempt: str) -> None:
        """A person finds the task of an attempt that was given up or never heard of."""
        state = self.book.attempt(attempt).state
        if state in (AttemptState.UNKNOWN, AttemptState.NOT_SENT, AttemptState.LOST):
            self._write(lambda: self.book.accepted(attempt, f"resolved-{attempt}"))

    @invariant()
    def budgets_are_the_sums_of_what_attempts_hold(self) -> None:
        rows = self.book.view(JOB).attempts
        names = [column.name for column in attempts_table.columns]
        stored = [dict(zip(names, row, strict=True)) for row in self.book.rows("attempts")["attempts"]]
        budgets = {each["attempt_id"]: json.loads(each["budgets"]) for each in stored}
        held: dict[str, list[Decimal]] = {"run:run-1": [Decimal(0)] * 2, "run:run-2": [Decimal(0)] * 2}
        for each in rows:
            assert budgets[each.attempt_id] == [f"run:{each.run_id}"]
            sums = held[f"run:{each.run_id}"]
            if each.state in UNSETTLED:
                sums[0] += each.reserved_usd
            elif each.state is not AttemptState.NOT_SENT:
                sums[1] += each.billed_usd + each.at_risk_usd
        assert self.book.money() == {key: tuple(sums) for key, sums in held.items()}

    @invariant()
    def a_slot_has_at_most_one_live_attempt(self) -> None:
        live = Counter(
            slot
            for each in self.book.view(JOB).attempts
            if each.state in LIVE and not each.surplus
            for slot in each.slots
        )
        # The same slot again only where this attempt has let go of it: the gateway made fewer, or a link died.
        slots = self.book.slots(JOB)
        for each in self.book.view(JOB).attempts:
            if each.state is AttemptState.DELIVERED and not each.surplus:
                live.subtract(slot for slot in each.slots if slots[slot][2] != each.attempt_id)
        assert all(count <= 1 for count in live.values()), live

    @invariant()
    def taken_slots_belong_to_their_live_attempt(self) -> None:
        attempts = {each.attempt_id: each for each in self.book.view(JOB).attempts}
        for slot, (state, closed, owner) in self.book.slots(JOB).items():
            holder = attempts[str(owner)]
            assert slot in holder.slots
            assert (state is SlotState.CLOSED) is (closed is not None)
            if state is SlotState.TAKEN:
                assert holder.state in LIVE, f"slot {slot} is taken by an attempt that is {holder.state}"
                assert not holder.surplus

    @invariant()
    def a_surplus_attempt_holds_no_slot(self) -> None:
        view = self.book.view(JOB)
        surplus = {each.attempt_id for each in view.attempts if each.surplus}
        held = {each.attempt_id for each in view.slots if each.state in (SlotState.TAKEN, SlotState.FILLED)}
        assert not surplus & held
        assert all(each.slot is None for each in view.pictures if each.attempt_id in surplus)

    @invariant()
    def a_filled_slot_stays_filled(self) -> None:
        slots = self.book.slots(JOB)
        for slot, owner in self.filled.items():
            assert slots[slot] == (SlotState.FILLED, None, owner)
        self.filled |= {slot: str(owner) for slot, (state, _, owner) in slots.items() if state is SlotState.FILLED}

    @invariant()
    def a_filled_slot_holds_its_picture(self) -> None:
        view = self.book.view(JOB)
        standing = Counter(each.slot for each in view.standing())
        for each in view.slots:
            assert standing[each.slot] == (1 if each.state is SlotState.FILLED else 0)


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
