"""What comes from outside is made storable where it enters."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.storable import read_json, short, storable

HALF = "\ud83d"
INSTEAD = "\N{REPLACEMENT CHARACTER}"


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_stored_afterwards(text: str) -> None:
    """It is UTF-8 without NUL; what was so before is as it was."""
    found = storable(text)
    assert found.encode().decode() == found
    assert "\0" not in found
    if not any("\ud800" <= each <= "\udfff" or each == "\0" for each in text):
        assert found == text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"a": "x \\ud83d y"}', {"a": f"x {INSTEAD} y"}),
        (b'{"a\\udc00": ["\\u0000", {"b": "\\ud83d\\ude00"}]}', {f"a{INSTEAD}": [INSTEAD, {"b": "\U0001f600"}]}),
        (b'{"a": "\x00"}', {"a": INSTEAD}),
        (b'{"a": "two\nlines"}', {"a": "two\nlines"}),
        (b'{"a": "\xff"}', {"a": INSTEAD}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "ü"}'.encode("utf-16"), {"a": "ü"}),
        (b'{"a": NaN, "b": -Infinity, "c": 1e999}', {"a": None, "b": None, "c": None}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": None}),
        (b'{"a": 9223372036854775807, "b": 9223372036854775808}', {"a": 2**63 - 1, "b": None}),
        (b'{"a": 0.031, "b": 12}', {"a": 0.031, "b": 12}),
    ],
    ids=range(11),
)
def test_json_is_read_with_every_value_storable(content: bytes, expected: Any) -> None:
    """Half of a pair and NUL become U+FFFD in values and names; a number that nothing can hold is null; the rest is as it was."""
    assert read_json(content) == expected


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_json_is_a_value_error(content: bytes) -> None:
    """Nothing else is raised, however deep its brackets."""
    with pytest.raises(ValueError, match=r"."):
        read_json(content)


def test_a_long_text_is_cut_off() -> None:
    """So that it says it."""
    assert short("x" * 5000, 10) == "x" * 9 + "…"
    assert short(f"x{HALF}", 10) == f"x{INSTEAD}"
    assert json.loads(json.dumps(short(HALF))) == INSTEAD
