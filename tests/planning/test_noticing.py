"""What a plan says of a catalog's cells, of its names, and of the rows that it refuses."""

from pathlib import Path

import pytest
from on_offer import BY_OFFER, GATEWAYS

from seedream_tasks.catalog.tables import open_table
from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.column_names import Columns
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.core.shots import parse_shots
from seedream_tasks.planning.cell_warnings import names_for_templates
from seedream_tasks.planning.planner import Planner
from seedream_tasks.planning.refusals import Refusals
from seedream_tasks.references.reader import References

CAPABILITIES = {name: {model: row for (owner, model), row in BY_OFFER.items() if owner == name} for name in GATEWAYS}
HERO = "shots: [{name: hero, prompt: '{{ title }}', references: ['{{ photos }}']}]"


def planned(path: Path, content: str, shots: str = HERO, preset: str | None = None) -> tuple[Planner, Refusals]:
    """A catalog that was walked, and what was refused of it."""
    path.write_text(content, encoding="utf-8")
    references = References(str(path))
    options = RunOptions(str(path), preset=preset)
    prices = PriceBook.for_run(simulated=True)
    planner = Planner(
        open_table(str(path)), options, parse_shots(shots), references, CAPABILITIES, prices, None, fetch=False
    )
    refusals = Refusals()
    try:
        for each in planner.plan():
            refusals.see(each.record)
    finally:
        references.close()
    return planner, refusals


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("Café au lait", "Café"),
        ("Fine Küche", "Küche"),
        ("Women’s", "Women’s"),
        ("erős", "erős"),
        ("Лампа", "Лампа"),
        ("10 °C", "°C"),
        ("価格", "価格"),
        ("Sale 🎉", "🎉"),
    ],
)
def test_text_that_was_encoded_twice_is_told_once(text: str, mended: str, tmp_path: Path) -> None:
    """With the line, what stands there and what it should read; it is planned as it stands."""
    twice = "".join(
        bytes([byte]).decode("cp1252", "ignore") or bytes([byte]).decode("latin-1") for byte in text.encode()
    )
    planner, _ = planned(tmp_path / "a.csv", f"sku,title,photos\na,Lamp,\nb,{twice},\nc,{twice},\n")
    (warning,) = planner.warnings
    assert "line 3: " in warning
    assert f"should read {mended!r}" in warning


def test_text_in_its_own_letters_is_not_told(tmp_path: Path) -> None:
    """In any language, with signs beside letters."""
    text = "SÃO PAULO ®|Ärmel™ “groß” 5 €|Čaša – ÐÞ|À bientôt…|Él «años»|ÅLAND’s|MENÜ–KARTE|Дом №5|Ñandú|é à è ò"
    rows = "".join(f"p{number},{each},\n" for number, each in enumerate(text.split("|")))
    assert planned(tmp_path / "a.csv", "sku,title,photos\n" + rows)[0].warnings == []


A, B = "https://shop.example/1.jpg", "https://shop.example/2.jpg"


@pytest.mark.parametrize(
    ("cell", "way"),
    [
        (f"{A};{B}", "[\"{{ photos.split(';') }}\"]"),
        (f"{A} ; {B}", "[\"{{ photos.split(';') }}\"]"),
        (f"{A} {B} {A}", '["{{ photos.split() }}"]'),
        (f"{A},{B}", "[\"{{ photos.split(',') }}\"]"),
        (f"{A}, {B}", "[\"{{ photos.split(', ') }}\"]"),
    ],
)
def test_several_links_in_a_cell_are_told_with_the_way_to_split_them(cell: str, way: str, tmp_path: Path) -> None:
    """Once for the column; the way that is told splits them."""
    content = f'sku,title,photos\na,Lamp,\nb,Lamp,"{cell}"\nc,Lamp,"{cell}"\n'
    planner, _ = planned(tmp_path / "a.csv", content)
    (warning,) = planner.warnings
    assert "line 3: the column 'photos' looks like several links" in warning
    assert f"references: {way}" in warning
    shots = f"shots: [{{name: hero, prompt: x, references: {way}}}]"
    (tmp_path / "b.csv").write_text(content)
    references = References(str(tmp_path / "b.csv"))
    prices = PriceBook.for_run(simulated=True)
    table = open_table(str(tmp_path / "b.csv"))
    options = RunOptions(table.uri)
    walk = Planner(table, options, parse_shots(shots), references, CAPABILITIES, prices, None, fetch=False).plan()
    found = [each.record.job.references for each in walk if each.record.job]
    references.close()
    assert [each.uri for each in found[1]] == [A, B, A][: 3 if cell.count("://") == 3 else 2]


@pytest.mark.parametrize(
    "cell", [f"{A}|{B}", f'["{A}", "{B}"]', A, f"see {A}; and {B}", "https://shop.example/?u=https://x"]
)
def test_cells_that_are_read_right_or_are_no_links_are_not_told(cell: str, tmp_path: Path) -> None:
    """Lists that are split anyway, one link, a text with links in it."""
    quoted = cell.replace('"', '""')
    assert planned(tmp_path / "a.csv", f'sku,title,photos\nb,Lamp,"{quoted}"\n')[0].warnings == []


def test_names_stand_beside_their_columns(tmp_path: Path) -> None:
    """Each name reaches its column; a preset's come first, and win."""
    columns = Columns(["SKU", "Image Src", "Image-Src", "Title", "not", "productImageUrl"])
    assert names_for_templates(columns, ["title"]) == [
        ("title", ""),
        ("sku", "SKU"),
        ("row['Image Src']", "Image Src"),
        ("row['Image-Src']", "Image-Src"),
        ("Title", "Title"),
        ("row['not']", "not"),
        ("productImageUrl", "productImageUrl"),
    ]
    planner, _ = planned(tmp_path / "a.csv", "id,title,photos\na,Lamp,\n", preset="merchant")
    assert planner.names[:2] == [("key", ""), ("title", "")]
    assert ("photos", "photos") in planner.names


def test_what_is_said_of_many_rows_is_said_once_with_their_number(tmp_path: Path) -> None:
    """Five different reasons at most, and how many records have others."""
    rows = "".join(f"p{number},,\n" for number in range(4))
    _, refusals = planned(tmp_path / "a.csv", f"sku,title,photos\na,Lamp,\n{rows}p9,x,,filled\n,y,\n,z,\n")
    assert refusals.lines() == [
        "invalid: line 3 (p0), shot hero: the prompt is empty (and 3 more like it, up to line 6)",
        "invalid: line 7 has 4 cells, the header has 3",
        "invalid: line 8 (no key), shot hero: the key is empty (and 1 more like it, up to line 9)",
    ]
    assert refusals.lines(1)[1] == "invalid: 3 more for other reasons"


def test_duplicate_keys_are_one_reason(tmp_path: Path) -> None:
    """Whichever keys they are."""
    rows = "".join(f"p{number},Lamp {turn},\n" for turn in range(2) for number in range(3))
    _, refusals = planned(tmp_path / "a.csv", f"sku,title,photos\n{rows}")
    (line,) = refusals.lines()
    assert line.endswith("(and 2 more like it, up to line 7)")
