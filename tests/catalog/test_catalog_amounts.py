"""What a column of amounts says about its decimal sign, in every format, whichever way the catalog is cut."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogs import plan, prompts, write

SHOTS = "shots: [{name: hero, prompt: 'A lamp at {{ price | number }}'}]"
AS_TEXT: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "c.csv": lambda frame, path: frame.to_csv(path, index=False),
    "c.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "c.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "c.parquet": lambda frame, path: pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path),
    "c.xlsx": lambda frame, path: frame.to_excel(path, index=False),
}


@pytest.mark.parametrize("name", list(AS_TEXT))
@pytest.mark.parametrize("at", [0, 700])
def test_the_last_row_settles_the_first(name: str, at: int, tmp_path: Path) -> None:
    """The same in every format, and for rows that are planned long before the one that proves it is read."""
    prices = ["1.249"] * 701
    prices[at] = "19,90"
    AS_TEXT[name](pd.DataFrame({"sku": [f"p{n}" for n in range(701)], "price": prices}), tmp_path / name)
    found = prompts(plan(tmp_path / name, SHOTS))
    assert found.pop(f"p{at}") == "A lamp at 19.90"
    assert set(found.values()) == {"A lamp at 1249"}
    assert len(found) == 700


def test_one_part_of_a_catalog_settles_the_others(tmp_path: Path) -> None:
    """Several files are one table."""
    write(tmp_path / "1.csv", "sku,price\na,1.249\n")
    write(tmp_path / "2.csv", 'sku,price\nb,"19,90"\n')
    assert prompts(plan(tmp_path, SHOTS)) == {"a": "A lamp at 1249", "b": "A lamp at 19.90"}


def test_a_column_of_numbers_has_a_point(tmp_path: Path) -> None:
    """Its text was written by us: nothing about it is ambiguous."""
    table = pa.table({"sku": ["a", "b"], "price": [1.249, 1.5], "cost": [Decimal("1.249"), Decimal("2.000")]})
    pq.write_table(table, tmp_path / "c.parquet")
    assert prompts(plan(tmp_path / "c.parquet", SHOTS))["a"] == "A lamp at 1.249"
    costs = prompts(plan(tmp_path / "c.parquet", SHOTS.replace("price", "cost")))
    assert costs == {"a": "A lamp at 1.249", "b": "A lamp at 2.000"}


@pytest.mark.parametrize("name", ["c.xlsx", "c.jsonl"])
def test_a_number_beside_texts_keeps_its_point(name: str, tmp_path: Path) -> None:
    """Whatever the column's texts say, and it says nothing about them: `1.249` in a text is still settled by texts."""
    cells: list[object] = [1.249, "0,5", "2.500", 19.9]
    keys = ["number", "comma", "text", "fraction"]
    AS_TEXT[name](pd.DataFrame({"sku": keys, "price": pd.Series(cells, dtype=object)}), tmp_path / name)
    said = {"number": "1.249", "comma": "0.5", "text": "2500", "fraction": "19.9"}
    assert prompts(plan(tmp_path / name, SHOTS)) == {key: f"A lamp at {text}" for key, text in said.items()}
    stated = prompts(plan(tmp_path / name, SHOTS.replace("number", 'number(decimal=",")')))
    assert stated["number"] == "A lamp at 1.249"


@pytest.mark.parametrize("name", ["c.xlsx", "c.jsonl"])
def test_a_number_settles_no_text(name: str, tmp_path: Path) -> None:
    """The file wrote the one, somebody typed the other: `1.249` stays an error of its row."""
    cells: list[object] = ["1.249", 19.9]
    AS_TEXT[name](pd.DataFrame({"sku": ["a", "b"], "price": pd.Series(cells, dtype=object)}), tmp_path / name)
    assert prompts(plan(tmp_path / name, SHOTS)) == {"b": "A lamp at 19.9"}


def test_a_presets_price_is_settled_by_the_products(tmp_path: Path) -> None:
    """A preset's names are columns too."""
    rows = "Handle,Title,Variant Price\na,Lamp,1.249\nb,Chair,2.500.000\n"
    assert prompts(plan(write(tmp_path / "c.csv", rows), SHOTS, preset="shopify")) == {
        "a": "A lamp at 1249",
        "b": "A lamp at 2500000",
    }


def test_an_ambiguous_amount_is_an_error_of_its_row(tmp_path: Path) -> None:
    """It names both readings, and the other rows go on."""
    catalog = write(tmp_path / "c.csv", "sku,price\na,1.249\nb,12\nc,7900\n")
    records = plan(catalog, SHOTS)
    assert [record.settled for record in records] == ["invalid", None, None]
    assert "line 2 (a), shot hero: prompt: '1.249' can be 1.249 or 1249" in (records[0].error_message or "")


def test_a_condition_reads_amounts_of_a_shop(tmp_path: Path) -> None:
    """A row whose price is above it is bought, whatever its price looks like."""
    shots = "shots: [{name: hero, prompt: A lamp, when: 'price | number > 20'}]"
    rows = 'sku,price\na,7900.00 SEK\nb,"1.249,00"\nc,€ 49.00\nd,"19,90"\ne,?\n'
    records = plan(write(tmp_path / "c.csv", rows), shots)
    assert [record.settled for record in records] == [None, None, None, "skipped", "invalid"]
    floats = plan(tmp_path / "c.csv", shots.replace("number", "float"))
    assert [record.settled for record in floats] == ["invalid"] * 5
