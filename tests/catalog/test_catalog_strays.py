"""Rows that are not products are not bought: the header once more, a line of totals."""

from pathlib import Path

import pytest
from catalogs import plan, write

SHOTS = "shots: [{name: hero, prompt: 'A {{ name }} {{ sku }}'}]"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("sku,name,price", "repeats the header"),
        ("SKU, Name ,", "repeats the header"),
        ("\ufeffsku,name,price", "repeats the header"),
        ("Total,,7.50", "line of totals"),
        ('Gesamt:,2,"1.234,50 €"', "line of totals"),
        ("合計,,1200", "line of totals"),
    ],
)
def test_a_row_that_is_not_a_product_is_invalid(row: str, says: str, tmp_path: Path) -> None:
    """Its words would be bought as an image."""
    planned = plan(write(tmp_path / "c.csv", f"sku,name,price\na,Mug,3.50\n{row}\nb,Cup,4\n"), SHOTS)
    _, refused, _ = planned
    assert [each.settled for each in planned] == [None, "invalid", None]
    assert refused.error_code == "not_a_product"
    assert says in (refused.error_message or "")
    assert "line 3" in (refused.error_message or "")


@pytest.mark.parametrize("row", ["Total,Oil,7.50", "total,,", "name,sku,price", "sku,Key ring,3"])
def test_a_product_with_such_a_word_is_one(row: str, tmp_path: Path) -> None:
    """Only where nothing else stands beside it is it sure."""
    planned = plan(write(tmp_path / "c.csv", f"sku,name,price\na,Mug,3.50\n{row}\n"), SHOTS)
    assert [each.settled for each in planned] == [None, None]


def test_a_condition_may_leave_it_out(tmp_path: Path) -> None:
    """So that a table with such a line is complete without it."""
    shots = SHOTS.replace("}]", """, when: "sku != 'Total'"}]""")
    planned = plan(write(tmp_path / "c.csv", "sku,name,price\na,Mug,3.50\nTotal,,3.50\n"), shots)
    assert [each.settled for each in planned] == [None, "skipped"]
