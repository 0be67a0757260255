"""Typed cells become text by one table."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.cells import cell_text

TABLE = [
    # missing
    (None, ""),
    (float("nan"), ""),
    (np.float32("nan"), ""),
    # text stays as it stands
    ("", ""),
    (" 007 ", " 007 "),
    ("1.50", "1.50"),
    ("TRUE", "TRUE"),
    # whole numbers and switches
    (0, "0"),
    (-12, "-12"),
    (12345678901234567890, "12345678901234567890"),
    (np.int64(7), "7"),
    (True, "True"),
    (False, "False"),
    (np.bool_(True), "True"),
    # floats: the shortest text that reads back
    (19.9, "19.9"),
    (10.0, "10.0"),
    (0.1, "0.1"),
    (1e20, "1e+20"),
    (1e-07, "1e-07"),
    (np.float64(19.9), "19.9"),
    (np.float32(19.9), "19.9"),
    (np.float32(10), "10.0"),
    # decimals: digits and point, no exponent
    (Decimal("19.90"), "19.90"),
    (Decimal("1E+3"), "1000"),
    (Decimal("0.000001"), "0.000001"),
    # dates and times
    (date(2026, 1, 31), "2026-01-31"),
    (time(8, 30), "08:30:00"),
    (datetime(2026, 1, 31, 8, 0), "2026-01-31 08:00:00"),  # noqa: DTZ001 - a catalog's timestamp without a zone
    (datetime(2026, 1, 31, 8, 0, tzinfo=UTC), "2026-01-31 08:00:00+00:00"),
    # bytes are UTF-8
    ("Größe".encode(), "Größe"),
    # lists and objects are JSON
    ([], "[]"),
    (["a.jpg", "b.jpg"], '["a.jpg", "b.jpg"]'),
    ({"größe": 10, "farbe": None}, '{"größe": 10, "farbe": null}'),
    ([Decimal("1.50"), date(2026, 1, 31)], '["1.50", "2026-01-31"]'),
]


@pytest.mark.parametrize(("value", "text"), TABLE, ids=lambda value: type(value).__name__)
def test_the_table(value: object, text: str) -> None:
    """Every kind of cell has one text, in whatever format the table came."""
    assert cell_text(value) == text


@given(st.text())
def test_text_is_never_touched(text: str) -> None:
    """Not trimmed, not parsed, not normalised: `007` stays `007`."""
    assert cell_text(text) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back(value: float) -> None:
    """Nothing of a number is lost on the way to text."""
    assert float(cell_text(value)) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_small_float_shows_no_digits_that_nobody_wrote(value: float) -> None:
    """A float32 has its own shortest text: 19.9, not 19.899999618530273."""
    text = cell_text(np.float32(value))
    assert np.float32(text) == np.float32(value)
    assert len(text.lstrip("-").split("e")[0].replace(".", "").strip("0")) <= 9


def test_bytes_that_are_no_text_are_their_digits() -> None:
    """An id or a hash can be used; a thumbnail that no template uses does no harm."""
    assert cell_text(b"\xff\xfe") == "fffe"
