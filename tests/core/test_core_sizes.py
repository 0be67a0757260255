"""Sizes: the tables hold to the models' limits, and what is computed comes close to what was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_offer import CAPABILITIES, SEEDREAM_40, SEEDREAM_45

from seedream_tasks.core.sizes import (
    BASE_RATIOS,
    TIERS,
    PixelRange,
    asked_aspect,
    parse_pixels,
    parse_ratio,
    pixels_for,
)

# As the models' own documentation states them: total pixels and width/height.
MODEL_RANGES = {
    SEEDREAM_45: PixelRange(2560 * 1440, 4096 * 4096),
    SEEDREAM_40: PixelRange(1280 * 720, 4096 * 4096),
}
MODEL_TIERS = [(SEEDREAM_45, "2K"), (SEEDREAM_45, "4K"), (SEEDREAM_40, "1K"), (SEEDREAM_40, "2K"), (SEEDREAM_40, "4K")]
AREA = {"1K": 1024 * 1024, "2K": 2048 * 2048, "4K": 4096 * 4096}
OFFERED = sorted({ratio for row in CAPABILITIES if row.ratios for ratio in row.ratios.value})
COMPUTED = [ratio for ratio in OFFERED if ratio not in BASE_RATIOS]


@pytest.mark.parametrize(("model", "tier"), MODEL_TIERS)
def test_every_offered_ratio_fits_its_model(model: str, tier: str) -> None:
    """Each ratio that a gateway offers has pixels inside the model's range, at each of the model's tiers."""
    outside = {ratio: pixels_for(ratio, tier) for ratio in OFFERED}
    assert {ratio: size for ratio, size in outside.items() if not MODEL_RANGES[model].holds(*size)} == {}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("ratio", OFFERED)
def test_pixels_are_close_to_their_ratio(ratio: str, tier: str) -> None:
    """Width to height is within 2 % of the ratio, the tolerance with which finished images are compared."""
    width, height = pixels_for(ratio, tier)
    asked = asked_aspect(ratio, None)
    assert asked is not None
    assert abs(width / height / asked - 1) <= 0.02


@pytest.mark.parametrize("tier", TIERS)
def test_a_ratio_and_its_turn_have_the_same_pixels(tier: str) -> None:
    """Portrait is landscape turned."""
    turned = {ratio: ":".join(reversed(ratio.split(":"))) for ratio in BASE_RATIOS if ratio != "21:9"}
    assert all(pixels_for(ratio, tier) == pixels_for(other, tier)[::-1] for ratio, other in turned.items())


@given(st.integers(1, 100), st.integers(1, 100), st.sampled_from(TIERS))
def test_computed_sizes_never_pass_the_tiers_area(width: int, height: int, tier: str) -> None:
    """A size that is not in the table stays within its tier, which at 4K is the model's limit; both sides divide by 8."""
    ratio = f"{width}:{height}"
    wide, high = pixels_for(ratio, tier)
    if ratio not in BASE_RATIOS:
        assert wide * high <= AREA[tier]
        assert (wide % 8, high % 8) == (0, 0)


def test_computed_sizes_stay_within_the_tolerance() -> None:
    """Any ratio of small numbers from 1/3 to 3 is met within 2 %: an image as ordered must not count as `ratio_off`."""
    off = {}
    for wide in range(1, 22):
        for high in range(1, 22):
            if 1 / 3 <= wide / high <= 3:
                for tier in TIERS:
                    width, height = pixels_for(f"{wide}:{high}", tier)
                    error = abs(width / height / (wide / high) - 1)
                    if error > 0.02:
                        off[f"{wide}:{high} {tier}"] = f"{width}x{height}, {error:.1%}"
    assert off == {}


@pytest.mark.parametrize("text", ["16:9", "1:1", "9999:1"])
def test_ratios_are_parsed(text: str) -> None:
    """Two whole numbers with a colon are a ratio."""
    assert parse_ratio(text) == tuple(map(int, text.split(":")))


@pytest.mark.parametrize(
    "text", ["", "auto", "16/9", "0:1", "1:0", "16:9:1", "1.5:1", " 16:9", "16:9 ", "16:9\n", "-1:1"]
)
def test_what_is_no_ratio_is_none(text: str) -> None:
    """Nothing else is, however close it looks."""
    assert parse_ratio(text) is None


@pytest.mark.parametrize(("text", "size"), [("2048x2048", (2048, 2048)), ("1280x720", (1280, 720))])
def test_pixels_are_parsed(text: str, size: tuple[int, int]) -> None:
    """WIDTHxHEIGHT in pixels."""
    assert parse_pixels(text) == size


@pytest.mark.parametrize("text", ["", "2K", "2048", "2048X2048", "2048 x 2048", "0x100", "2048x", "2048x2048\n", "1:1"])
def test_what_is_no_size_is_none(text: str) -> None:
    """Nothing else is, however close it looks."""
    assert parse_pixels(text) is None


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((2560, 1440), True),
        ((4096, 4096), True),
        ((2560, 1439), False),
        ((4096, 4097), False),
        ((7680, 480), True),
        ((7696, 480), False),
        ((480, 7680), True),
        ((480, 7696), False),
    ],
)
def test_the_ends_of_a_range_belong_to_it(size: tuple[int, int], inside: bool) -> None:
    """Total pixels and width/height are limits that may be met, not passed."""
    assert MODEL_RANGES[SEEDREAM_45].holds(*size) is inside


def test_a_range_reads_as_a_person_would_say_it() -> None:
    """The text stands in messages."""
    text = "3,686,400 to 16,777,216 pixels in all, width/height from 1/16 to 16"
    assert str(MODEL_RANGES[SEEDREAM_45]) == text


@pytest.mark.parametrize(
    ("ratio", "pixels", "aspect"),
    [("2:1", None, 2.0), (None, "2048x1024", 2.0), ("1:1", "2048x1024", 2.0), ("auto", None, None), (None, None, None)],
)
def test_what_was_asked_for_decides_the_comparison(ratio: str | None, pixels: str | None, aspect: float | None) -> None:
    """Pixels before ratio; with `auto` there is nothing to compare."""
    assert asked_aspect(ratio, pixels) == aspect
