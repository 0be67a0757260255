"""What nobody sees decides nothing, and what only looks like nothing stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks import Job
from seedream_tasks.core.invisible import as_key, unseen, visible

UNSEEN = (
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u202e\u2066\u2069\u061c\u180e\u034f\u2061\ufe0e\ufe0f\ufe00\u3164\u115f"
    "\U000e0001\U000e0041\x00\x07\x1b\x7f\x9f"
)


@pytest.mark.parametrize("each", list(UNSEEN))
@pytest.mark.parametrize("text", ["{}SKU-1", "SKU{}-1", "SKU-1{}", "{0}S{0}K{0}U-1{0}"])
def test_a_key_and_a_prompt_are_what_is_seen(each: str, text: str) -> None:
    """Wherever in the text it stands."""
    assert as_key(text.format(each)) == "SKU-1"
    assert visible(text.format(each)) == "SKU-1"


@pytest.mark.parametrize("blank", list("\u00a0\u2007\u202f\u2009\u3000\u2003 "))
def test_every_blank_of_a_key_is_a_blank(blank: str) -> None:
    """They look the same; how many there are is seen."""
    assert as_key(f"{blank}SKU{blank}1{blank}") == "SKU 1"
    assert as_key("SKU  1") == "SKU  1"


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f4bb at work",  # woman technologist
        "\U0001f468\U0001f3fd\u200d\U0001f680",  # astronaut, with a skin tone
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",  # family
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # rainbow flag
        "\u2764\ufe0f\u200d\U0001f525 1\ufe0f\u20e3 \u2600\ufe0e",  # heart on fire, keycap, sun as text
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # flag of England
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\u0915\u094d\u200d\u0937",  # Devanagari, with a joiner
        "\u8fbb\U000e0100\u5b50",  # an ideograph in one of its forms
        "Gr\u00fc\u00dfe, \u4e2d\u6587, \ud55c\uad6d\uc5b4, \u0e44\u0e17\u0e22\n\ttwice",
    ],
)
def test_what_has_a_meaning_stays(text: str) -> None:
    """Emoji of several characters, scripts whose letters join, forms of ideographs, and white space."""
    assert visible(text) == text


@given(st.text(), st.sampled_from(UNSEEN))
def test_looking_twice_sees_the_same(text: str, each: str) -> None:
    """Nothing is left that a second look would take away."""
    mixed = each.join(text)
    assert visible(visible(mixed)) == visible(mixed)
    assert as_key(as_key(mixed)) == as_key(mixed)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_left_alone(text: str) -> None:
    """What could always be seen has the fingerprint that it always had."""
    assert visible(text) == text
    assert as_key(text) == text.strip()


def test_a_job_in_code_is_what_is_seen_too() -> None:
    """The same product, the same image."""
    fields = {"shot": "hero", "model": "seedream-4.5", "operation": "generate"}
    seen, unseen_ = (Job(row_key=f"SKU{mark}1", prompt=f"A{mark} mug", **fields) for mark in ("", "\u200b"))
    assert seen.job_key == unseen_.job_key


def test_what_is_not_seen_is_named() -> None:
    """By its number, since nobody could see it in a message either."""
    assert unseen("a\u200bb\ufeff\u200b") == "U+200B, U+FEFF"
