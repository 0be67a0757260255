"""Money is exact: six places, rounded once, half to even."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.errors import BadValue
from seedream_tasks.core.money import ZERO, dollars, money, plain, reported, stated

AMOUNTS = st.decimals(min_value=0, max_value=99_999_999, allow_nan=False, allow_infinity=False, places=9)
SETTLED = st.decimals(min_value=0, max_value=99_999_999, allow_nan=False, allow_infinity=False, places=6)


@given(AMOUNTS)
def test_money_has_six_places_and_is_the_nearest(amount: Decimal) -> None:
    """Rounding moves an amount by at most half of the last place."""
    rounded = money(amount)
    assert rounded.as_tuple().exponent == -6
    assert abs(Fraction(rounded) - Fraction(amount)) <= Fraction(1, 2_000_000)


@pytest.mark.parametrize(
    ("given_amount", "rounded"),
    [
        ("0.0000005", "0.000000"),
        ("0.0000015", "0.000002"),
        ("0.0000025", "0.000002"),
        ("0.00000250001", "0.000003"),
        ("0.031", "0.031000"),
        ("-0.0000025", "-0.000002"),
    ],
)
def test_halves_go_to_the_even_neighbour(given_amount: str, rounded: str) -> None:
    """A tie is rounded to the even digit, so that many small amounts do not drift one way."""
    assert str(money(given_amount)) == rounded


@given(SETTLED)
def test_money_survives_text_and_back(amount: Decimal) -> None:
    """An amount with six places reads back as itself from what JSON output shows."""
    assert money(plain(amount)) == amount
    assert money(amount) == amount


@given(st.lists(SETTLED, max_size=30))
def test_sums_of_money_are_exact(amounts: list[Decimal]) -> None:
    """Adding amounts loses nothing."""
    assert Fraction(sum(amounts, ZERO)) == sum(map(Fraction, amounts))


@pytest.mark.parametrize("nonsense", ["", "free", "NaN", "Infinity", "-inf", None, {}])
def test_what_is_no_amount_is_refused(nonsense: object) -> None:
    """Only a finite number is money; the error is a ValueError that shows what stood there."""
    with pytest.raises(ValueError, match="not a"):
        money(nonsense)  # type: ignore[arg-type]


@pytest.mark.parametrize("absurd", ["1e30", "123456789012345678901234567890"])
def test_an_absurd_amount_is_refused_like_any_other_nonsense(absurd: str) -> None:
    """An amount too large to have six places is a ValueError too: callers turn exactly that into a message."""
    with pytest.raises(ValueError):
        money(absurd)


@given(st.decimals(min_value=0, max_value=10_000, allow_nan=False, allow_infinity=False, places=6))
def test_a_reported_amount_is_what_the_gateway_wrote(amount: Decimal) -> None:
    """A JSON number and a decimal string are both read as the digits that stand in the answer."""
    number = json.loads(f'{{"total_cost": {plain(amount)}}}')["total_cost"]
    assert reported(number) == amount
    assert reported(plain(amount)) == amount


@pytest.mark.parametrize(
    ("value", "amount"), [(0.04, "0.04"), (0.1, "0.1"), (1e-06, "0.000001"), (12, "12"), ("0.062", "0.062"), (0, "0")]
)
def test_binary_noise_never_reaches_a_bill(value: object, amount: str) -> None:
    """0.04 in JSON is four cents, not 0.0400000000000000008."""
    assert reported(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value", [None, True, False, "", "n/a", -0.04, "-1", float("nan"), float("inf"), "NaN", [], {"usd": 1}]
)
def test_what_states_no_amount_reports_none(value: object) -> None:
    """Missing, negative and unreadable figures are no report, and never a bill of nothing."""
    assert reported(value) is None


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0.062000", "$0.062"),
        ("1.500000", "$1.50"),
        ("3", "$3.00"),
        ("0.000001", "$0.000001"),
        ("-0.031000", "-$0.031"),
        ("-0.000000", "$0.00"),
    ],
)
def test_people_see_at_least_cents(amount: str, shown: str) -> None:
    """Dollars have two places or as many as they need."""
    assert dollars(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("amount", "shown"), [("0.062000", "0.062"), ("0.000000", "0"), ("100", "100"), ("10.00", "10"), ("1E+2", "100")]
)
def test_json_shows_plain_digits(amount: str, shown: str) -> None:
    """No exponent and no needless zeros."""
    assert plain(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        *(("0.031", "0.031"), (" 12 ", "12"), ("12.50", "12.5"), (".5", "0.5"), ("5.", "5"), ("0", "0"), (7, "7")),
        *(
            (Decimal("0.0310000"), "0.031"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.3"),
            (1e-6, "0.000001"),
            ("99999999.999999",) * 2,
        ),
    ],
)
def test_what_a_person_states_is_taken_as_it_is_written(value: object, amount: str) -> None:
    """Digits and a point; a float, which has more digits than anybody wrote, to six places."""
    assert stated(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "ten",
            "",
            "1_000",
            "1e3",
            "1E-3",
            "NaN",
            "inf",
            "-inf",
            "1,000",
            "0,10",
            "１２",
            "٣",
            "$5",
            "5 USD",
            "+5",
            "1 000",
            "0x10",
        ),
        *("-1", "-0.01", "0.0000004", "0.0312345", "100000000", "9" * 5000, "1" + "0" * 50),
        *(True, None, float("nan"), float("inf"), -0.5, 1e-9, 1e300, Decimal("NaN"), Decimal("1e99"), 10**50, [1], {}),
    ],
)
def test_what_is_no_plain_amount_is_refused(value: object) -> None:
    """Nothing is read as another amount than the one that stands there, or rounded to nothing."""
    with pytest.raises(BadValue, match=r"is not an amount|below zero|too much|decimal places"):
        stated(value)
