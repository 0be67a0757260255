"""Lines of one product that a spreadsheet has sorted apart: they come together, in the order of the products' first lines."""

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from catalogs import plan, prompts, told, write

from seedream_tasks.catalog.presets.grouping import together
from seedream_tasks.catalog.tables import Facts, Row, Table, open_table

HEADER = "Handle,Title,Type,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src,Image Position\n"
SORTED = [
    "oak-bowl,,,,M,O-2,25.00,https://shop.example/o2.jpg,2",
    "ash-bowl,Ash bowl,Bowls,Size,S,A-1,18.00,https://shop.example/a1.jpg,1",
    "oak-bowl,Oak bowl,Bowls,Size,S,O-1,20.00,https://shop.example/o1.jpg,1",
    "ash-bowl,,,,L,A-2,22.00,,",
    "oak-bowl,,,,,,,https://shop.example/o3.jpg,3",
]


def catalog(path: Path, lines: list[str]) -> Path:
    return write(path, HEADER + "\n".join(lines) + "\n")


def test_lines_of_one_handle_belong_together_wherever_they_stand(tmp_path: Path) -> None:
    """The line with a title leads: its columns, its price; rows are counted after grouping, messages name the file's line."""
    shot = "shots: [{name: a, prompt: '{{ title }}|{{ price }}|{{ variant_sku }}|{{ variants | length }}|{{ image_urls }}'}]"
    records = plan(catalog(tmp_path / "a.csv", SORTED), shot, preset="shopify")
    assert [(record.row_number, record.line, record.row_key) for record in records] == [
        (1, 4, "oak-bowl"),
        (2, 3, "ash-bowl"),
    ]
    images = '["https://shop.example/o1.jpg", "https://shop.example/o2.jpg", "https://shop.example/o3.jpg"]'
    assert prompts(records) == {
        "oak-bowl": f"Oak bowl|20.00|O-1|2|{images}",
        "ash-bowl": 'Ash bowl|18.00|A-1|2|["https://shop.example/a1.jpg"]',
    }


def test_an_unreadable_line_spoils_its_own_product_only(tmp_path: Path) -> None:
    """Also where it stands far from the others."""
    lines = [*SORTED, "oak-bowl,,,,XL,O-9,30,,,too,many"]
    records = plan(catalog(tmp_path / "a.csv", lines), "shots: [{name: a, prompt: '{{ title }}'}]", preset="shopify")
    assert told(records) == [("oak-bowl", "invalid", "invalid"), ("ash-bowl", None, "new")]
    assert "line 7" in (records[0].error_message or "")


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_file_holds_the_same_products(seed: int, tmp_path: Path) -> None:
    """No line is lost and none belongs to two; the order is that of the products' first lines."""
    lines = [f"h{n},{f'T{n}' if not m else ''},,Size,{m},S-{n}-{m},{n},," for n in range(40) for m in range(4)]
    random.Random(seed).shuffle(lines)
    table = open_table(str(catalog(tmp_path / "a.csv", lines)))
    groups = list(together(table, lambda row: row.cells[0]))
    assert [group[0].cells[0] for group in groups] == list(dict.fromkeys(line.split(",")[0] for line in lines))
    assert sorted(row.line or 0 for group in groups for row in group) == list(range(2, 162))
    assert all([row.line for row in group] == sorted(row.line or 0 for row in group) for group in groups)
    assert all(len({row.cells[0] for row in group}) == 1 and len(group) == 4 for group in groups)


def test_memory_does_not_hold_the_lines(tmp_path: Path) -> None:
    """Every handle's lines stand far apart; what is kept is on disk."""
    count, text = 4_000, "x" * 1_000

    def rows() -> Iterator[Row]:
        for n in range(2 * count):
            cells = [f"handle-{n % count}", f"{n}{text}"]
            yield Row(n + 2, cells, cells)

    columns = pa.schema([("Handle", pa.string()), ("Text", pa.string())])
    table = Table("memory", columns, Facts("CSV"), rows, str)
    tracemalloc.start()
    try:
        found = sum(len(group) == 2 for group in together(table, lambda row: row.cells[0]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == count
    assert peak < 2 * count * len(text) / 2


def test_cells_that_are_not_text_come_back_as_they_were() -> None:
    """Parquet has numbers, lists and times; the manifest repeats them."""
    values = [["a", 1.5], ["b", None], ["a", [1, 2]]]
    lines = [Row(None, [str(key), str(value)], [key, value]) for key, value in values]
    table = Table("memory", pa.schema([]), Facts("Parquet"), lambda: (replace(row) for row in lines), str)
    groups = list(together(table, lambda row: row.cells[0]))
    assert [[row.values for row in group] for group in groups] == [[["a", 1.5], ["a", [1, 2]]], [["b", None]]]
