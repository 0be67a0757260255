"""What may be bought next: never twice, never what is closed, and only where it is worth it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_offer import BY_OFFER, PRICES, SEEDREAM_45

from seedream_tasks.core.capabilities import Refetch
from seedream_tasks.core.outcomes import ErrorClass
from seedream_tasks.core.pricing import PriceRow
from seedream_tasks.core.routing import NoRoute, Offer, Route, route
from seedream_tasks.core.slots import PastAttempt, Purpose, SlotView, Want, split, wanted
from seedream_tasks.core.states import RETRY_OPENS, AttemptState, Closed, SlotState

NOW, BEFORE = "run-now", "run-before"
GATEWAYS = ("evolink", "gccai", "getimg", "apiin")


def attempt(number: int, *slots: int, run: str = NOW, gateway: str = "evolink", **fields: object) -> PastAttempt:
    """An attempt that failed, unless it is said otherwise."""
    known = {"state": AttemptState.FAILED, "purpose": Purpose.FIRST, "error": ErrorClass.TRANSIENT, **fields}
    return PastAttempt(f"a{number}", run, gateway, slots=slots, **known)  # type: ignore[arg-type]


def closed(slot: int, why: Closed, number: int = 0) -> SlotView:
    """A slot closed by attempt `number`."""
    return SlotView(slot, SlotState.CLOSED, f"a{number}", why)


def bought(wants: list[Want]) -> list[int]:
    """The slots of all wants."""
    return sorted(slot for want in wants for slot in want.slots)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[SlotView], list[PastAttempt]]:
    """Any n, any slots, any past attempts: more than the ledger would ever let happen."""
    attempts = [
        PastAttempt(
            f"a{number}",
            draw(st.sampled_from([NOW, BEFORE])),
            draw(st.sampled_from(GATEWAYS)),
            draw(st.sampled_from(AttemptState)),
            tuple(draw(st.sets(st.integers(0, 15), min_size=1, max_size=5))),
            draw(st.sampled_from(Purpose)),
            draw(st.none() | st.sampled_from(ErrorClass)),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    names = st.none() | st.sampled_from([each.attempt_id for each in attempts] or ["a0"])
    slots = [
        SlotView(slot, state, draw(names), draw(st.sampled_from(Closed)) if state is SlotState.CLOSED else None)
        for slot in draw(st.sets(st.integers(0, 15)))
        for state in [draw(st.sampled_from(SlotState))]
    ]
    return draw(st.integers(1, 15)), slots, attempts


RETRIES = st.sets(st.sampled_from(sorted(RETRY_OPENS))).map(tuple)


@given(histories(), RETRIES, st.booleans())
def test_a_taken_or_filled_slot_is_never_bought(
    history: tuple[int, list[SlotView], list[PastAttempt]], retry: tuple[str, ...], top_up: bool
) -> None:
    """Whatever is asked for: a slot with a live attempt or an image is not for sale."""
    n, slots, attempts = history
    held = {view.slot for view in slots if view.state in (SlotState.TAKEN, SlotState.FILLED)}
    assert not held & set(bought(wanted(n, slots, attempts, NOW, retry, top_up)))


@given(histories(), RETRIES, st.booleans())
def test_no_slot_is_wanted_twice_or_beyond_n(
    history: tuple[int, list[SlotView], list[PastAttempt]], retry: tuple[str, ...], top_up: bool
) -> None:
    """One decision names a slot at most once, and only the job's own."""
    n, slots, attempts = history
    found = bought(wanted(n, slots, attempts, NOW, retry, top_up))
    assert len(found) == len(set(found))
    assert set(found) <= set(range(n))


@given(histories(), st.booleans())
def test_without_a_retry_what_an_earlier_run_closed_stays_closed(
    history: tuple[int, list[SlotView], list[PastAttempt]], top_up: bool
) -> None:
    """Only top_up opens a closed slot by itself, and only one the gateway left empty."""
    n, slots, attempts = history
    before = [each for each in attempts if each.run_id == BEFORE]
    shut = {view.slot for view in slots if view.state is SlotState.CLOSED and view.closed is not Closed.FEWER}
    assert not shut & set(bought(wanted(n, slots, before, NOW, (), top_up)))


@given(histories(), RETRIES)
def test_a_retry_opens_only_what_it_names_and_an_earlier_run_closed(
    history: tuple[int, list[SlotView], list[PastAttempt]], retry: tuple[str, ...]
) -> None:
    """A slot that this run closed is not opened by the same run's --retry: one run buys a retried slot once."""
    n, slots, attempts = history
    mine = {each.attempt_id for each in attempts if each.run_id == NOW}
    opened = {why for word in retry for why in RETRY_OPENS[word]}
    views = {view.slot: view for view in slots}
    for want in wanted(n, slots, attempts, NOW, retry):
        if want.purpose is Purpose.RETRY:
            assert all(views[slot].closed in opened for slot in want.slots)
            for slot in want.slots:
                holder = [each for each in attempts if each.attempt_id == views[slot].attempt_id and slot in each.slots]
                assert not any(each.attempt_id in mine for each in holder)


@given(histories(), RETRIES, st.booleans())
def test_refused_content_is_never_tried_elsewhere(
    history: tuple[int, list[SlotView], list[PastAttempt]], retry: tuple[str, ...], top_up: bool
) -> None:
    """Another gateway is asked only after a no that is about the gateway, never about the image."""
    n, slots, attempts = history
    content = {view.slot for view in slots if view.closed is Closed.CONTENT}
    elsewhere = [want for want in wanted(n, slots, attempts, NOW, retry, top_up) if want.purpose is Purpose.ELSEWHERE]
    assert not content & set(bought(elsewhere))


@given(histories(), st.integers(1, 15))
def test_raising_n_adds_exactly_the_new_slots(
    history: tuple[int, list[SlotView], list[PastAttempt]], more: int
) -> None:
    """What was wanted stays wanted; what comes on top are the slots the ledger has never seen."""
    n, slots, attempts = history
    slots = [view for view in slots if view.slot < n]
    attempts = [replace(each, slots=tuple(slot for slot in each.slots if slot < n)) for each in attempts]
    fewer = set(bought(wanted(n, slots, attempts, NOW)))
    assert set(bought(wanted(n + more, slots, attempts, NOW))) - fewer == set(range(n, n + more))


def test_an_unknown_slot_is_open() -> None:
    """A job the ledger has never seen is bought whole, in one want."""
    assert wanted(3, [], [], NOW) == [Want((0, 1, 2), Purpose.FIRST)]


def test_a_filled_job_wants_nothing() -> None:
    """A second run over unchanged inputs buys nothing."""
    assert wanted(2, [SlotView(0, SlotState.FILLED, "a0"), SlotView(1, SlotState.FILLED, "a0")], [], NOW) == []


def test_slots_that_differ_are_bought_apart() -> None:
    """One call has one purpose and one set of gateways to stay away from."""
    slots = [SlotView(0, SlotState.OPEN, "a0"), closed(1, Closed.REFUSED, 1), closed(2, Closed.FEWER, 2)]
    attempts = [
        attempt(0, 0),
        attempt(1, 1, gateway="getimg", error=ErrorClass.PARAMETERS),
        attempt(2, 2, state=AttemptState.ARCHIVED, error=None),
    ]
    assert wanted(4, slots, attempts, NOW, top_up=True) == [
        Want((0,), Purpose.AGAIN),
        Want((1,), Purpose.ELSEWHERE, frozenset({"getimg"})),
        Want((2,), Purpose.TOP_UP),
        Want((3,), Purpose.FIRST),
    ]


@pytest.mark.parametrize("kind", [ErrorClass.TRANSIENT, ErrorClass.RATE])
def test_a_transient_no_is_tried_once_more_in_a_run(kind: ErrorClass) -> None:
    """Two attempts per slot and run; whatever leaves a slot open after a failed task counts, or the run would never end."""
    open_slot = [SlotView(0, SlotState.OPEN, "a1")]
    once = [attempt(0, 0, error=kind)]
    assert bought(wanted(1, open_slot, once, NOW)) == [0]
    assert wanted(1, open_slot, [*once, attempt(1, 0, error=kind)], NOW) == []


def test_the_next_run_tries_a_transient_no_again() -> None:
    """The count is per run."""
    before = [attempt(number, 0, run=BEFORE) for number in range(2)]
    assert wanted(1, [SlotView(0, SlotState.OPEN, "a1")], before, NOW) == [Want((0,), Purpose.FIRST)]


def test_a_request_that_never_left_counts_as_no_try() -> None:
    """not_sent gives its slots back as often as it happens."""
    attempts = [attempt(number, 0, state=AttemptState.NOT_SENT) for number in range(5)]
    assert wanted(1, [SlotView(0, SlotState.OPEN, "a4")], attempts, NOW) == [Want((0,), Purpose.FIRST)]


@pytest.mark.parametrize("state", [AttemptState.FAILED, AttemptState.CANCELLED])
@pytest.mark.parametrize("kind", [ErrorClass.PARAMETERS, ErrorClass.CANCELLED])
def test_a_gateway_that_refused_is_left_out(state: AttemptState, kind: ErrorClass) -> None:
    """A definite, unbilled no sends the slot to the next gateway, and to none that said no before."""
    attempts = [
        attempt(0, 0, gateway="getimg", state=state, error=kind),
        attempt(1, 0, gateway="apiin", state=state, error=kind),
    ]
    assert wanted(1, [closed(0, Closed.REFUSED, 1)], attempts, NOW) == [
        Want((0,), Purpose.ELSEWHERE, frozenset({"getimg", "apiin"}))
    ]


@pytest.mark.parametrize("why", [Closed.CONTENT, Closed.BILLED, Closed.EXPIRED, Closed.LOST])
def test_what_this_run_closed_stays_closed(why: Closed) -> None:
    """Refused content and spent money end here for this run, with every --retry there is."""
    found = wanted(1, [closed(0, why)], [attempt(0, 0, error=ErrorClass.CONTENT)], NOW, tuple(RETRY_OPENS))
    assert found == []


@pytest.mark.parametrize(
    ("why", "word"),
    [
        (Closed.REFUSED, "failed"),
        (Closed.CONTENT, "failed"),
        (Closed.BILLED, "failed"),
        (Closed.EXPIRED, "expired"),
        (Closed.LOST, "lost"),
    ],
)
def test_each_retry_opens_its_own(why: Closed, word: str) -> None:
    """--retry names what it opens and leaves the rest alone; every gateway may be asked again."""
    past = [attempt(0, 0, run=BEFORE, error=ErrorClass.PARAMETERS)]
    others = tuple(each for each in RETRY_OPENS if each != word)
    assert wanted(1, [closed(0, why)], past, NOW, (word,)) == [Want((0,), Purpose.RETRY)]
    assert wanted(1, [closed(0, why)], past, NOW, others) == []


def test_retry_failed_opens_what_finished_without_any_image() -> None:
    """Its record says failed; one that left out a few is archived, and stays so. In the run that closed it, nothing is."""
    slot = [closed(0, Closed.FEWER, 1)]
    empty = attempt(1, 0, run=BEFORE, error=None)
    short = replace(empty, state=AttemptState.ARCHIVED)
    assert wanted(1, slot, [empty], NOW) == []
    assert wanted(1, slot, [empty], NOW, ["failed"]) == [Want((0,), Purpose.RETRY)]
    assert wanted(1, slot, [empty], NOW, ["expired", "lost"]) == []
    assert wanted(1, slot, [short], NOW, ["failed"]) == []
    assert wanted(1, slot, [replace(empty, run_id=NOW)], NOW, ["failed"]) == []


def test_top_up_buys_what_the_gateway_left_out_once_per_run() -> None:
    """Only where the shot asks for it, whichever run left it out, and never in a circle."""
    slot = [closed(0, Closed.FEWER, 1)]
    first = attempt(1, 0, state=AttemptState.ARCHIVED, error=None)
    topped = attempt(2, 0, state=AttemptState.ARCHIVED, error=None, purpose=Purpose.TOP_UP)
    assert wanted(1, slot, [first], NOW) == []
    assert wanted(1, slot, [first], NOW, tuple(RETRY_OPENS)) == []
    assert wanted(1, slot, [first], NOW, top_up=True) == [Want((0,), Purpose.TOP_UP)]
    assert wanted(1, slot, [first, topped], NOW, top_up=True) == []
    assert wanted(1, slot, [first, replace(topped, run_id=BEFORE)], NOW, top_up=True) == [Want((0,), Purpose.TOP_UP)]


@given(st.lists(st.integers(0, 14), unique=True), st.integers(1, 15))
def test_calls_cover_all_slots_in_order(slots: list[int], size: int) -> None:
    """Splitting loses none, repeats none, and no call is empty or too large."""
    calls = split(slots, size)
    assert [slot for call in calls for slot in call] == slots
    assert all(1 <= len(call) <= size for call in calls)
    assert len(calls) == -(-len(slots) // size)


def test_a_call_without_images_is_an_error() -> None:
    """A gateway that makes none per call is no gateway for the job."""
    with pytest.raises(ValueError, match="at least one image"):
        split([0], 0)


# Routing

PRICE_OF_GETIMG = next(row for row in PRICES if row.gateway == "getimg")


def offer(gateway: str, usd: str | None, out: str | None = None) -> Offer:
    """A gateway that can do the job, at a price."""
    price = None if usd is None else replace(PRICE_OF_GETIMG, gateway=gateway, usd=Decimal(usd))
    return Offer(BY_OFFER[gateway, SEEDREAM_45], price, out)


def chosen(found: Route | tuple[NoRoute, str]) -> str:
    """The gateway of a route that must be there."""
    assert isinstance(found, Route), found
    return found.offer.gateway


OFFERS = st.lists(
    st.builds(
        offer,
        st.sampled_from(GATEWAYS),
        st.none() | st.sampled_from(["0.024", "0.031", "0.035", "0.04"]),
        st.none() | st.just("the breaker is open"),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.gateway,
)


@given(OFFERS, st.sets(st.sampled_from(GATEWAYS)))
def test_the_route_is_the_cheapest_able_healthy_gateway(offers: list[Offer], not_at: set[str]) -> None:
    """No usable gateway is cheaper, and none at the same price can be fetched again where the chosen one cannot."""
    found = route(offers, not_at)
    usable = [each for each in offers if each.price and not each.out and each.gateway not in not_at]
    if not usable:
        assert not isinstance(found, Route)
        return
    assert isinstance(found, Route)
    assert found.offer in usable
    assert found.price.usd == min(each.price.usd for each in usable if each.price)
    equals = [each for each in usable if each.price and each.price.usd == found.price.usd]
    if any(each.capability.refetch is Refetch.BY_TASK_ID for each in equals):
        assert found.offer.capability.refetch is Refetch.BY_TASK_ID
    assert found.cheapest_usd == min(each.price.usd for each in offers if each.price)


def test_among_equals_one_that_can_be_asked_again() -> None:
    """At one price, a lost answer of a synchronous gateway is not worth the risk."""
    assert chosen(route([offer("getimg", "0.03"), offer("apiin", "0.03")])) == "apiin"
    assert chosen(route([offer("getimg", "0.029"), offer("apiin", "0.03")])) == "getimg"


def test_the_route_says_why() -> None:
    """The manifest shows why it was bought there: the cheapest, or who was passed over for what."""
    offers = [offer("apiin", "0.024", "HTTP 402: balance is empty"), offer("evolink", "0.031"), offer("getimg", "0.04")]
    first = route(offers[1:])
    assert isinstance(first, Route)
    assert first.reason == "cheapest"
    second = route(offers, {"evolink"})
    assert isinstance(second, Route)
    assert chosen(second) == "getimg"
    assert second.reason == "next: apiin: HTTP 402: balance is empty; evolink refused it"
    assert second.cheapest_usd == Decimal("0.024")


@pytest.mark.parametrize(
    ("cheapest", "premium"), [("0.031", None), ("0.031", "0.291"), ("0.03", "0.34"), ("0.032", "0.25")]
)
def test_the_next_gateway_may_cost_up_to_the_premium(cheapest: str, premium: str | None) -> None:
    """The limit itself is allowed; without one the next gateway may cost anything."""
    offers = [offer("evolink", cheapest, "out"), offer("getimg", "0.04")]
    assert chosen(route(offers, (), None if premium is None else Decimal(premium))) == "getimg"


@pytest.mark.parametrize(("cheapest", "premium"), [("0.031", "0.29"), ("0.032", "0.249"), ("0.039", "0")])
def test_above_the_premium_nothing_is_bought(cheapest: str, premium: str) -> None:
    """The answer says who would cost how much more than whom."""
    found = route([offer("evolink", cheapest, "out"), offer("getimg", "0.04")], (), Decimal(premium))
    assert not isinstance(found, Route)
    assert found[0] is NoRoute.PREMIUM
    assert "getimg costs" in found[1]
    assert "% more than evolink" in found[1]


def test_the_premium_counts_from_the_cheapest_able_gateway_even_if_it_is_out() -> None:
    """A breaker that opens must not move the limit."""
    offers = [offer("apiin", "0.02", "out"), offer("evolink", "0.03"), offer("getimg", "0.04")]
    found = route(offers, (), Decimal("0.4"))
    assert not isinstance(found, Route)
    assert found[0] is NoRoute.PREMIUM


def test_a_free_gateway_that_is_out_leaves_no_premium() -> None:
    """Above nothing everything is too dear; that is an answer, not a division by zero."""
    found = route([offer("evolink", "0", "out"), offer("getimg", "0.04")], (), Decimal("0.5"))
    assert not isinstance(found, Route)
    assert found[0] is NoRoute.PREMIUM


def test_what_no_source_prices_is_not_bought() -> None:
    """Without any price: no_price, naming the gateways and the way out."""
    found = route([offer("gccai", None)])
    assert not isinstance(found, Route)
    assert found[0] is NoRoute.NO_PRICE
    assert "gccai" in found[1]
    assert "--prices" in found[1]
    assert chosen(route([offer("gccai", None), offer("getimg", "0.04")])) == "getimg"


def test_when_all_are_out_each_says_why() -> None:
    """The record shows what keeps each gateway."""
    found = route([offer("evolink", "0.031", "HTTP 401"), offer("getimg", "0.04")], {"getimg"})
    assert found == (NoRoute.OUT, "evolink: HTTP 401; getimg refused it")


def test_a_route_carries_its_price_row() -> None:
    """What is reserved and billed later is the row that was chosen by."""
    found = route([offer("getimg", "0.04")])
    assert isinstance(found, Route)
    assert isinstance(found.price, PriceRow)
    assert found.price is found.offer.price
