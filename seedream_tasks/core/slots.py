"""Which slots may be bought next, and in how many calls. Pure: the ledger's views go in, wants come out.

"Buy the free slots" is the one rule; count, split, partial result, top-up and retry are all cases of it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .outcomes import ErrorClass
from .states import RETRY_OPENS, AttemptState, Closed, SlotState

_PASSING = (ErrorClass.TRANSIENT, ErrorClass.RATE)


# Most attempts per slot and run that end in a transient, certainly unbilled refusal.
TRANSIENT_TRIES_PER_RUN = 2


class Purpose(StrEnum):
    """Why an attempt buys its slots."""

    FIRST = "first"  # never bought before, or released
    AGAIN = "again"  # after a transient, certainly unbilled refusal
    ELSEWHERE = "elsewhere"  # after another gateway's definite, unbilled refusal
    RETRY = "retry"  # a named --retry
    TOP_UP = "top_up"  # the gateway had finished with fewer


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot as the ledger knows it. A slot unknown to the ledger is open."""

    slot: int
    state: SlotState
    attempt_id: str | None = None  # the attempt that holds it or held it last
    closed: Closed | None = None


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """The facts of an earlier attempt at the same job that decisions need."""

    attempt_id: str
    run_id: str
    gateway: str
    state: AttemptState
    slots: tuple[int, ...]
    purpose: Purpose
    error: ErrorClass | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """Slots to buy together, and the gateways to avoid."""

    slots: tuple[int, ...]
    purpose: Purpose
    not_at: frozenset[str] = frozenset()


def wanted(
    n: int,
    slots: Iterable[SlotView],
    attempts: Sequence[PastAttempt],
    run_id: str,
    retry: Collection[str] = (),
    top_up: bool = False,
    among: Collection[int] = (),
) -> list[Want]:
    """The slots this run may buy now, grouped by purpose and by the gateways that are excluded for them.

    `retry` holds `--retry` words; each opens what an *earlier* run closed, so one run buys a retried slot once.
    `among`: only these slots; empty: all.
    """
    known = {view.slot: view for view in slots}
    if not known and not attempts:
        return [Want(tuple(sorted(among) or range(n)), Purpose.FIRST)]
    opened = frozenset().union(*(RETRY_OPENS[word] for word in retry)) if retry else frozenset()
    groups: dict[tuple[Purpose, frozenset[str]], list[int]] = {}
    for slot in sorted(among) or range(n):
        want = _want(known.get(slot), [each for each in attempts if slot in each.slots], run_id, opened, top_up)
        if want:
            groups.setdefault(want, []).append(slot)
    return [Want(tuple(numbers), purpose, not_at) for (purpose, not_at), numbers in groups.items()]


def _want(
    view: SlotView | None,
    attempts: list[PastAttempt],
    run_id: str,
    opened: frozenset[Closed],
    top_up: bool,
) -> tuple[Purpose, frozenset[str]] | None:
    in_run = [each for each in attempts if each.run_id == run_id]
    refused = frozenset(
        each.gateway for each in in_run if each.state in (AttemptState.FAILED, AttemptState.CANCELLED)
        and each.error in (ErrorClass.PARAMETERS, ErrorClass.CANCELLED)
    )  # fmt: skip
    if view is None or view.state is SlotState.OPEN:
        transient = [each for each in in_run if each.state is AttemptState.FAILED and each.error in _PASSING]
        if len(transient) >= TRANSIENT_TRIES_PER_RUN:
            return None
        return (Purpose.AGAIN if transient else Purpose.FIRST), refused
    if view.state is not SlotState.CLOSED or view.closed is None:
        return None
    if view.closed is Closed.FEWER and top_up and not any(each.purpose is Purpose.TOP_UP for each in in_run):
        return Purpose.TOP_UP, frozenset()
    if any(each.attempt_id == view.attempt_id for each in in_run):
        return (Purpose.ELSEWHERE, refused) if view.closed is Closed.REFUSED else None
    # An attempt that finished without any image failed, so --retry failed opens its slots like those of the others.
    empty = any(each.attempt_id == view.attempt_id and each.state is AttemptState.FAILED for each in attempts)
    closed = Closed.BILLED if view.closed is Closed.FEWER and empty else view.closed
    return (Purpose.RETRY, frozenset()) if closed in opened else None


def split(slots: Sequence[int], call_size: int) -> list[tuple[int, ...]]:
    """Slots as calls of at most `call_size` images."""
    if call_size < 1:
        raise ValueError("a call makes at least one image")
    return [tuple(slots[start : start + call_size]) for start in range(0, len(slots), call_size)]
