"""YAML is read as its writer means it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.errors import InputError
from seedream_tasks.core.yaml_text import read_yaml


@pytest.mark.parametrize("ratio", ["21:9", "16:9", "1:1", "9:21", "4:5", "190:20:30"])
@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_ratios_are_text(ratio: str, quote: str) -> None:
    """A ratio is text with and without quotes; YAML 1.1 would read 21:9 as 1269."""
    assert read_yaml(f"ratio: {quote}{ratio}{quote}", "file") == {"ratio": ratio}


@given(st.decimals(min_value=-1000, max_value=1000, allow_nan=False, allow_infinity=False, places=6))
def test_numbers_with_a_point_are_exact(amount: Decimal) -> None:
    """Prices are read as the decimal that stands there."""
    read = read_yaml(f"usd: {amount:f}", "file")["usd"]
    assert isinstance(read, Decimal)
    assert str(read) == f"{amount:f}"


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "No", "Y", "n", "2026-01-31", "0x10", "1_000", "1e3", ".inf"]
)
def test_words_that_yaml_would_turn_stay_text(word: str) -> None:
    """Only true, false, null, whole numbers and decimals are something else than text."""
    assert read_yaml(f"word: {word}", "file") == {"word": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("15", 15), ("-2", -2)],
)
def test_plain_values_are_themselves(text: str, value: object) -> None:
    """The few implicit types that are left work as everybody expects."""
    assert read_yaml(f"value: {text}", "file") == {"value": value}


def test_a_key_that_stands_twice_is_an_error_with_its_line() -> None:
    """The second one would silently win; the message names the file, the key and the line."""
    with pytest.raises(InputError, match=r"prices\.yaml: line 3: duplicate key 'usd'") as caught:
        read_yaml("a:\n  usd: 0.03\n  usd: 0.04\n", "prices.yaml")
    assert caught.value.facts == {"line": 3, "field": "usd"}


@pytest.mark.parametrize(
    ("text", "line"),
    [("shots:\n  - name: a\n   prompt: b\n", 3), ("a: [1, 2\nb: 3\n", 2), ('a: "open\n', 2), ("a: b\n\tc: d\n", 2)],
)
def test_broken_yaml_is_an_error_with_its_line(text: str, line: int) -> None:
    """What cannot be parsed is an input error that says where."""
    with pytest.raises(InputError, match=rf"^file: line {line}: not valid YAML: [^\n]+$") as caught:
        read_yaml(text, "file")
    assert caught.value.facts["line"] == line


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("prompt: {{ name }}", "put a text that begins with braces in quotes", '"{{ name }}"'),
        ("prompt: A lamp: the tall one", "mapping values are not allowed", "a colon"),
        ("a:\n\tb: c", "cannot start any token", "not tabs"),
    ],
)
def test_what_people_forget_in_yaml_is_told_with_the_way_out(text: str, says: str, hint: str) -> None:
    """In one line, without the parser's own drawing."""
    with pytest.raises(InputError, match=says) as caught:
        read_yaml(text, "file")
    assert hint in caught.value.facts["hint"]


@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.getcwd []", "a: !!python/name:os.system", "!local x"])
def test_tags_construct_nothing(text: str) -> None:
    """A shot list cannot make Python objects."""
    with pytest.raises(InputError, match="not valid YAML"):
        read_yaml(text, "file")


def test_a_key_must_be_plain_text() -> None:
    """A list as a key is refused with its line."""
    with pytest.raises(InputError, match="line 1: a key must be plain text"):
        read_yaml("? [a, b]\n: c\n", "file")
