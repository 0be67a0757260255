"""Prices: which row counts, what is reserved, and what a settled attempt cost."""

from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from on_offer import SEEDREAM_40, SEEDREAM_45

from seedream_tasks.core.errors import InputError
from seedream_tasks.core.market import market
from seedream_tasks.core.money import ZERO, money
from seedream_tasks.core.price_book import PriceBook, read_price_file
from seedream_tasks.core.pricing import NOTHING_BILLED, Bill, PriceRow, quote, settle

DAY = date(2026, 1, 31)
REAL = PriceBook.for_run(simulated=False)
SIMULATED = PriceBook.for_run(simulated=True)
PRICES = st.decimals(min_value="0.000001", max_value=10, allow_nan=False, allow_infinity=False, places=6)


def prices(text: str) -> list[PriceRow]:
    """The rows of a price file."""
    return read_price_file(text, DAY, "prices.yaml")


def row(book: PriceBook, gateway: str, model: str = SEEDREAM_45, tier: str | None = "2K") -> PriceRow:
    """A row that must be there."""
    found = book.row(gateway, model, tier)
    assert found is not None
    return found


@pytest.mark.parametrize("tier", ["2K", "4K"])
@pytest.mark.parametrize(
    ("gateway", "usd", "units"), [("evolink", "0.031", "2.25"), ("getimg", "0.04", None), ("apiin", "0.024", "12")]
)
def test_documented_prices(gateway: str, usd: str, units: str | None, tier: str) -> None:
    """Each gateway's page states its price per image, for every tier."""
    found = row(REAL, gateway, tier=tier)
    assert found.usd == Decimal(usd)
    assert found.credits == (None if units is None else Decimal(units))
    assert found.source


@pytest.mark.parametrize(
    ("gateway", "model"), [("gccai", SEEDREAM_45), ("evolink", SEEDREAM_40), ("getimg", SEEDREAM_40)]
)
def test_what_nobody_prices_has_no_price(gateway: str, model: str) -> None:
    """A real run never makes up a price, and never takes the sandbox's."""
    assert REAL.row(gateway, model, "2K") is None
    assert REAL.row(gateway, model, None) is None


def test_a_simulated_run_takes_the_sandboxs_list_where_there_is_no_price() -> None:
    """Only there, and never instead of a documented price."""
    assert row(SIMULATED, "gccai").usd == Decimal("0.035")
    assert row(SIMULATED, "evolink", SEEDREAM_40, "1K").usd == Decimal("0.0248")
    assert row(SIMULATED, "evolink", SEEDREAM_40, "1K").credits == Decimal("1.8")
    assert row(SIMULATED, "evolink") == row(REAL, "evolink")


def test_explicit_pixels_take_the_dearest_tier() -> None:
    """A size without a tier is quoted at what it may cost at most."""
    book = PriceBook.for_run(False, prices("getimg: {seedream-4.5: {2K: {usd: 0.03}, 4K: {usd: 0.05}}}"))
    assert row(book, "getimg", tier=None).usd == Decimal("0.05")


def test_evolinks_4k_is_disputed_until_a_price_file_settles_it() -> None:
    """Its page calls 4K dearer and states one price for all sizes: the highest that is stated for any size is reserved."""
    for book in (REAL, SIMULATED):
        large = row(book, "evolink", tier="4K")
        assert (large.usd, large.highest_usd) == (Decimal("0.031"), Decimal("0.035"))
        assert row(book, "evolink", tier=None).highest_usd == Decimal("0.035")
        assert row(book, "evolink").highest_usd == Decimal("0.031")
    settled = PriceBook.for_run(False, prices("evolink: {seedream-4.5: {'*': {usd: 0.031, credits: 2.25}}}"))
    assert row(settled, "evolink", tier="4K").highest_usd == Decimal("0.031")


def test_credits_settle_a_dispute_over_their_number_but_not_over_their_worth() -> None:
    """EvoLink's sources differ in how many credits 4K takes, API in One's in what a credit costs."""
    usd, units, highest = Decimal("0.031"), Decimal("2.25"), Decimal("0.035")
    assert (market().credits_settle("evolink", SEEDREAM_45), market().credits_settle("apiin", SEEDREAM_45)) == (
        True,
        False,
    )
    assert settle(usd, units, highest, 1, reported_credits=units, settled_by_credits=True) == Bill(
        usd, ZERO, units, "reported"
    )
    assert settle(usd, units, highest, 1).at_risk_usd == Decimal("0.004")


def test_quotes_use_the_row_and_reservations_the_highest_stated() -> None:
    """Where sources disagree, the reservation covers the dearer one."""
    disputed = quote(row(REAL, "apiin"), 3)
    assert (disputed.usd, disputed.reserved_usd) == (Decimal("0.072"), Decimal("0.36"))
    plain = quote(row(REAL, "evolink"), 3)
    assert plain.usd == plain.reserved_usd == Decimal("0.093")


def test_the_users_price_settles_a_dispute() -> None:
    """Their file replaces our row, the disputed figure included, and says where the price comes from."""
    book = PriceBook.for_run(False, prices("apiin: {seedream-4.5: {'*': {usd: 0.12, credits: 12}}}"))
    found = row(book, "apiin")
    assert (found.usd, found.credits, found.disputed_usd) == (Decimal("0.12"), Decimal(12), None)
    assert (found.source, found.as_of) == ("prices.yaml", DAY)
    assert quote(found, 1).reserved_usd == Decimal("0.12")


def test_a_users_row_for_all_tiers_replaces_ours_for_each() -> None:
    """`*` is not overruled by a row of ours for one tier."""
    book = PriceBook.for_run(False, prices("getimg: {seedream-4.5: {'*': {usd: 0.01}}}"))
    assert {row(book, "getimg", tier=tier).usd for tier in ("2K", "4K")} == {Decimal("0.01")}
    assert row(book, "evolink").usd == Decimal("0.031")


@pytest.mark.parametrize(
    "text",
    [
        "evolink: {seedream-4.5: {4K: {usd: 0.05}, '*': {usd: 0.02}}}",
        "evolink: {seedream-4.5: {'*': {usd: 0.02}, 4K: {usd: 0.05}}}",
    ],
)
def test_a_users_row_for_one_tier_stands_beside_theirs_for_all(text: str) -> None:
    """The finer row counts, whichever stands first."""
    book = PriceBook.for_run(False, prices(text))
    assert (row(book, "evolink", tier="4K").usd, row(book, "evolink").usd) == (Decimal("0.05"), Decimal("0.02"))


def test_a_users_price_makes_the_unpriced_buyable() -> None:
    """What no source prices can be bought once the user says what it costs."""
    book = PriceBook.for_run(False, prices("gccai: {seedream-4.5: {2K: {usd: 0.033}}}"))
    assert row(book, "gccai").usd == Decimal("0.033")
    assert book.row("gccai", SEEDREAM_45, "4K") is None


BAD_FILES = [
    ("evolinc: {}", "evolinc", "unknown gateway"),
    ("evolink: {seedream-5: {2K: {usd: 1.0}}}", "evolink.seedream-5", "unknown model"),
    ("evolink: {seedream-4.5: {3K: {usd: 1.0}}}", "evolink.seedream-4.5.3K", "a tier is one of"),
    ("evolink: {seedream-4.5: {2K: {credits: 1}}}", "evolink.seedream-4.5.2K", "usd is missing"),
    ("evolink: {seedream-4.5: {2K: {usd: 1.0, eur: 2}}}", "evolink.seedream-4.5.2K", "unknown eur"),
    ("evolink: {seedream-4.5: {2K: {usd: free}}}", "evolink.seedream-4.5.2K.usd", "not an amount"),
    ("evolink: {seedream-4.5: {2K: {usd: null}}}", "evolink.seedream-4.5.2K.usd", "not an amount"),
    ("evolink: {seedream-4.5: {2K: {usd: true}}}", "evolink.seedream-4.5.2K.usd", "not an amount"),
    ("evolink: {seedream-4.5: {2K: {usd: -0.01}}}", "evolink.seedream-4.5.2K.usd", "below zero"),
    ("evolink: {seedream-4.5: {2K: {usd: '1e40'}}}", "evolink.seedream-4.5.2K.usd", "amount"),
    ("evolink: {seedream-4.5: {2K: {usd: 1.0, credits: -2}}}", "evolink.seedream-4.5.2K.credits", "below zero"),
    ("evolink: {seedream-4.5: {2K: {usd: 0.0000004}}}", "evolink.seedream-4.5.2K.usd", "six decimal places"),
    ("evolink: {seedream-4.5: {2K: {usd: 0}}}", "evolink.seedream-4.5.2K.usd", "above 0"),
    ("evolink: {seedream-4.5: {2K: {usd: 1_000}}}", "evolink.seedream-4.5.2K.usd", "'1_000' is not an amount"),
    ("evolink: {seedream-4.5: {2K: {usd: 1.0e3}}}", "evolink.seedream-4.5.2K.usd", "not an amount"),
    (
        "evolink: {seedream-4.5: {2K: {usd: 99999999}}}",
        "evolink.seedream-4.5.2K.usd",
        "a price per image is below 10,000",
    ),
    ("evolink: {seedream-4.5: {2K: {usd: .inf}}}", "evolink.seedream-4.5.2K.usd", "not an amount"),
    ("evolink: {seedream-4.5: {2K: {usd: 0.03, credits: 1e3}}}", "evolink.seedream-4.5.2K.credits", "not an amount"),
    ("evolink: {seedream-4.5: {2K: 0.03}}", "evolink.seedream-4.5.2K", "must be a mapping"),
    ("evolink: {seedream-4.5: 0.03}", "evolink.seedream-4.5", "must be a mapping"),
    ("evolink: null", "evolink", "must be a mapping"),
    ("evolink: {seedream-4.5: {2K: {usd: 0.03}, 2K: {usd: 0.04}}}", "2K", "duplicate key"),
]


@pytest.mark.parametrize(("text", "field", "says"), BAD_FILES)
def test_a_bad_price_file_names_the_field(text: str, field: str, says: str) -> None:
    """What is wrong with a price is said with the file's name and the path to it."""
    with pytest.raises(InputError, match=says) as caught:
        prices(text)
    assert caught.value.facts["field"] == field
    assert "prices.yaml" in caught.value.message


@pytest.mark.parametrize("text", ["", "- evolink", "0.03"])
def test_a_price_file_without_gateways_shows_how_one_looks(text: str) -> None:
    """The message holds an example."""
    with pytest.raises(InputError, match=r"prices\.yaml: expected gateways at the top, as in"):
        prices(text)


# Settlement. Figures per image: USD, credits, highest USD stated.
EVOLINK = (Decimal("0.031"), Decimal("2.25"), Decimal("0.031"))
APIIN = (Decimal("0.024"), Decimal("12"), Decimal("0.12"))
GETIMG = (Decimal("0.04"), None, Decimal("0.04"))


def test_dollars_that_the_gateway_reports_are_the_bill() -> None:
    """Nothing is computed where the gateway says what it took; credits are kept beside it."""
    bill = settle(*EVOLINK, 2, reported_usd=Decimal("0.05"), reported_credits=Decimal("4.5"))
    assert bill == Bill(Decimal("0.05"), ZERO, Decimal("4.5"), "reported")


def test_credits_come_next() -> None:
    """Credits of the finished task, at the row's rate."""
    assert settle(*EVOLINK, 2, reported_credits=Decimal("2.25")) == Bill(
        Decimal("0.031"), ZERO, Decimal("2.25"), "reported"
    )


def test_images_come_last() -> None:
    """Without any report: images made, at the row's price."""
    assert settle(*EVOLINK, 3) == Bill(Decimal("0.093"), ZERO, Decimal("6.75"), "computed")


def test_credits_say_nothing_where_the_row_has_none() -> None:
    """They cannot be turned into dollars, so images count."""
    bill = settle(*GETIMG, 2, reported_credits=Decimal(7))
    assert (bill.billed_usd, bill.basis) == (Decimal("0.08"), "computed")


def test_a_reported_charge_of_nothing_is_a_report() -> None:
    """Zero is an answer, silence is not."""
    assert settle(*EVOLINK, 2, reported_usd=ZERO) == Bill(ZERO, ZERO, None, "reported")
    assert settle(*EVOLINK, 2, reported_credits=ZERO) == Bill(ZERO, ZERO, ZERO, "reported")


def test_a_disputed_price_leaves_the_difference_at_risk() -> None:
    """Billed by the row, and what the dearer source would ask stays in doubt."""
    bill = settle(*APIIN, 2)
    assert (bill.billed_usd, bill.at_risk_usd) == (Decimal("0.048"), Decimal("0.192"))


def test_a_report_ends_the_dispute() -> None:
    """Dollars reported leave nothing in doubt."""
    bill = settle(*APIIN, 2, reported_usd=Decimal("0.24"))
    assert (bill.billed_usd, bill.at_risk_usd) == (Decimal("0.24"), ZERO)


@pytest.mark.parametrize(("unitless", "at_risk"), [("0.05", "0.019"), ("2.25", "2.219"), ("0.031", "0"), ("0.01", "0")])
def test_a_figure_without_a_unit_is_a_doubt_and_no_bill(unitless: str, at_risk: str) -> None:
    """What it says above the row's price stays at risk."""
    bill = settle(*EVOLINK, 1, unitless=Decimal(unitless))
    assert (bill.billed_usd, bill.at_risk_usd, bill.basis) == (Decimal("0.031"), Decimal(at_risk), "computed")


def test_no_images_cost_nothing() -> None:
    """A finished task that made none is not billed unless it reports a charge."""
    assert settle(*EVOLINK, 0) == NOTHING_BILLED
    assert settle(*EVOLINK, 0, reported_usd=Decimal("0.031")).billed_usd == Decimal("0.031")


@given(PRICES, PRICES, st.decimals(min_value=0, max_value=10_000, allow_nan=False, allow_infinity=False, places=4))
def test_credits_are_converted_exactly(usd: Decimal, units: Decimal, reported: Decimal) -> None:
    """Credits x row is rounded once, from the exact quotient: a rate rounded before would drift."""
    exact = Fraction(reported) * Fraction(usd) / Fraction(units)
    assume(exact < 100_000_000)  # more than a manifest holds is no charge that anyone reports
    wide = Context(prec=60)
    nearest = wide.divide(Decimal(exact.numerator), Decimal(exact.denominator)).quantize(
        Decimal("0.000001"), rounding=ROUND_HALF_EVEN, context=wide
    )
    assert settle(usd, units, usd, 1, reported_credits=reported).billed_usd == nearest


@given(st.lists(st.integers(1, 15), min_size=1, max_size=40), st.sampled_from([EVOLINK, APIIN]))
def test_sums_of_settled_attempts_are_the_gateways_own_bill(
    calls: list[int], figures: tuple[Decimal, Decimal, Decimal]
) -> None:
    """Whole images reported in credits add up to images x price, to the last place, however they were split."""
    usd, units, highest = figures
    bills = [settle(usd, units, highest, made, reported_credits=units * made) for made in calls]
    assert sum((bill.billed_usd for bill in bills), ZERO) == usd * sum(calls)


@given(PRICES, PRICES, st.integers(0, 15), st.none() | PRICES)
def test_a_computed_bill_and_its_risk_cover_the_highest_price(
    usd: Decimal, disputed: Decimal, images: int, unitless: Decimal | None
) -> None:
    """Nothing is at risk below zero, and bill plus risk is what any source would ask."""
    highest = max(usd, disputed)
    bill = settle(usd, None, highest, images, unitless=unitless)
    assert bill.at_risk_usd >= 0
    assert bill.billed_usd + bill.at_risk_usd >= money(highest * images)
