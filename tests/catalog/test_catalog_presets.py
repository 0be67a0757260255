"""What a shop's export means: which lines are one product, and what a template sees of it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from catalogs import plan, prompts, told, write

from seedream_tasks.core.errors import InputError

COLUMNS = [
    *("Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Option1 Name", "Option1 Value", "Variant SKU"),
    *("Variant Price", "Image Src", "Image Position", "Status"),
]
CDN = "https://cdn.example/s/files"


def line(handle: str, **given: str) -> dict[str, str]:
    """A line of the export; underscores stand for blanks."""
    return {"Handle": handle, **{name.replace("_", " "): text for name, text in given.items()}}


EXPORT = [
    line(
        "oak-stool",
        Title="Oak stool",
        Vendor="Nordholt",
        Type="Seating",
        Tags="wood, stool",
        Option1_Name="Height",
        Option1_Value="45 cm",
        Variant_SKU="OS-45",
        Variant_Price="89.00",
        Image_Src=f"{CDN}/stool-side.jpg",
        Image_Position="2",
        Status="active",
    ),
    line("oak-stool", Option1_Value="65 cm", Variant_SKU="OS-65", Variant_Price="99.00"),
    line("oak-stool", Image_Src=f"{CDN}/stool-front.jpg", Image_Position="1"),
    line("oak-stool", Image_Src=f"{CDN}/stool-top.jpg", Image_Position="10"),
    line("oak-stool", Image_Src=f"{CDN}/stool-loose.jpg"),
    line(
        "tin-mug",
        Title="Tin mug",
        Vendor="Kettle & Co",
        Tags="enamel, outdoor",
        Option1_Name="Title",
        Option1_Value="Default Title",
        Variant_Price="12.00",
        Image_Src=f"{CDN}/mug.jpg",
        Image_Position="1",
    ),
    line("gift-card", Title="Gift card", Variant_Price="25.00"),
]


def export(path: Path, lines: list[dict[str, str]] | None = None, columns: list[str] | None = None) -> Path:
    """Such an export as a file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(EXPORT if lines is None else lines)
    return path


def seen(folder: Path, template: str, lines: list[dict[str, str]] | None = None) -> dict[str | None, str]:
    """What a template makes of each product."""
    shots = json.dumps({"shots": [{"name": "hero", "prompt": template}]})
    return prompts(plan(export(folder / "products.csv", lines), shots, preset="shopify"))


def test_lines_with_one_handle_are_one_product(tmp_path: Path) -> None:
    """Rows are counted after grouping; the line is where the product begins."""
    records = plan(export(tmp_path / "a.csv"), "shots: [{name: hero, prompt: '{{ title }}'}]", preset="shopify")
    assert [(record.row_number, record.line, record.row_key) for record in records] == [
        (1, 2, "oak-stool"),
        (2, 7, "tin-mug"),
        (3, 8, "gift-card"),
    ]


def test_the_columns_are_those_of_the_products_first_line(tmp_path: Path) -> None:
    """The manifest repeats them, and a template reaches them under their own names."""
    assert seen(tmp_path, "{{ row['Option1 Value'] }}, {{ variant_sku | d('none') }}")["oak-stool"] == "45 cm, OS-45"
    first = plan(export(tmp_path / "a.csv"), "shots: [{name: hero, prompt: x}]", preset="shopify")[0]
    assert dict(zip(COLUMNS, first.values, strict=True))["Image Src"] == f"{CDN}/stool-side.jpg"


def test_what_a_preset_adds(tmp_path: Path) -> None:
    """One set of names for every shop."""
    template = "{{ key }}|{{ title }}|{{ brand }}|{{ category }}|{{ price }}|{{ tags }}|{{ image_url }}"
    assert seen(tmp_path, template) == {
        "oak-stool": f"oak-stool|Oak stool|Nordholt|Seating|89.00|wood, stool|{CDN}/stool-front.jpg",
        "tin-mug": f"tin-mug|Tin mug|Kettle & Co||12.00|enamel, outdoor|{CDN}/mug.jpg",
        "gift-card": "gift-card|Gift card|||25.00||",
    }


def test_images_come_by_their_position(tmp_path: Path) -> None:
    """By number, not by text; those without one come last."""
    images = json.loads(seen(tmp_path, "{{ image_urls }}")["oak-stool"])
    assert images == [f"{CDN}/stool-{name}.jpg" for name in ("front", "side", "top", "loose")]


def test_images_of_one_product_can_be_references(tmp_path: Path) -> None:
    """One template gives all of them, or the first two."""
    path = export(tmp_path / "a.csv")
    shot = "name: hero, prompt: x, operation: edit"
    every = plan(path, f"shots: [{{{shot}, references: ['{{{{ image_urls }}}}']}}]", preset="shopify")
    assert [len(record.job.references) if record.job else None for record in every] == [4, 1, None]
    two = plan(path, f"shots: [{{{shot}, references: ['{{{{ image_urls[:2] | join(\"|\") }}}}']}}]", preset="shopify")
    assert [reference.uri for reference in two[0].job.references] == [  # type: ignore[union-attr]
        f"{CDN}/stool-front.jpg",
        f"{CDN}/stool-side.jpg",
    ]


def test_an_image_that_stands_twice_counts_once(tmp_path: Path) -> None:
    """Variants often repeat the product's own image."""
    lines = [
        line("mug", Title="Mug", Image_Src=f"{CDN}/mug.jpg", Image_Position="1", Variant_Price="1"),
        line("mug", Image_Src=f"{CDN}/mug.jpg", Image_Position="2"),
    ]
    assert json.loads(seen(tmp_path, "{{ image_urls }}", lines)["mug"]) == [f"{CDN}/mug.jpg"]


@pytest.mark.parametrize(
    ("kind", "category", "expected"),
    [
        ("Seating", "Furniture > Chairs", "Seating"),
        ("", "Furniture > Chairs > Stools", "Stools"),
        ("", "Furniture", "Furniture"),
        ("", "", ""),
    ],
)
def test_the_category_is_the_type_else_the_last_part_of_the_category(
    kind: str, category: str, expected: str, tmp_path: Path
) -> None:
    """Never a tag: "Coming Soon" is none."""
    columns = [*COLUMNS, "Product Category"]
    lines = [line("stool", Title="Stool", Type=kind, Tags="Coming Soon, wood", Product_Category=category)]
    path = export(tmp_path / "a.csv", lines, columns)
    shots = json.dumps({"shots": [{"name": "hero", "prompt": "A [{{ category }}]"}]})
    assert prompts(plan(path, shots, preset="shopify")) == {"stool": f"A [{expected}]"}


@pytest.mark.parametrize("status", ["draft", "Draft", "archived"])
def test_a_draft_is_not_for_sale(status: str, tmp_path: Path) -> None:
    """It is skipped, claims no key, and is taken where all are asked for."""
    lines = [line("old", Title="Old", Status=status), line("new", Title="New", Status="active"), line("it", Title="It")]
    path = export(tmp_path / "a.csv", lines)
    shots = "shots: [{name: hero, prompt: '{{ title }}'}]"
    records = plan(path, shots, preset="shopify")
    assert told(records) == [("old", "skipped", "not_for_sale"), ("new", None, "new"), ("it", None, "new")]
    assert records[0].error_message == f"line 2 (old), shot hero: not for sale: its status is {status}"
    assert prompts(plan(path, shots, preset="shopify,all")) == {"old": "Old", "new": "New", "it": "It"}


def test_an_empty_title_is_never_bought(tmp_path: Path) -> None:
    """An image of nothing would be paid for; what a condition leaves out anyway is no error."""
    path = export(tmp_path / "a.csv", [line("ghost", Vendor="Hus"), line("cup", Title="Cup")])
    shots = "shots: [{name: hero, prompt: 'A {{ title }}'}, {name: side, prompt: x, when: title}]"
    assert told(plan(path, shots, preset="shopify")) == [
        ("ghost", "invalid", "invalid"),
        ("ghost", "skipped", "condition_false"),
        ("cup", None, "new"),
        ("cup", None, "new"),
    ]


def test_what_guards_a_code_against_spreadsheets_is_taken_off(tmp_path: Path) -> None:
    """From SKUs and options, in what templates see and in the columns themselves; other apostrophes stay."""
    lines = [
        line(
            "rope",
            Title="'90s rope",
            Option1_Name="Length",
            Option1_Value="'-5 cm",
            Variant_SKU="'00123",
            Variant_Price="4",
        ),
        line("rope", Option1_Value="'90s", Variant_SKU="'=A1", Variant_Price="5"),
    ]
    template = "{{ title }}|{{ variants | map(attribute='sku') | join(' ') }}|{{ variants }}|{{ variant_sku }}"
    title, codes, variants, own = seen(tmp_path, template, lines)["rope"].split("|")
    assert (title, codes, own) == ("'90s rope", "00123 =A1", "00123")
    assert [each["options"] for each in json.loads(variants)] == [{"Length": "-5 cm"}, {"Length": "'90s"}]
    record = plan(export(tmp_path / "a.csv", lines), "shots: [{name: hero, prompt: x}]", preset="shopify")[0]
    assert dict(zip(COLUMNS, record.values, strict=True))["Variant SKU"] == "00123"


@pytest.mark.parametrize("position", ["3", "3.0", "3.", "03"])
def test_a_position_is_a_number_however_it_is_written(position: str, tmp_path: Path) -> None:
    """pandas writes a column with gaps as floats."""
    images = [(position, "c"), ("1.0", "a"), ("", "z"), ("2", "b"), ("10.0", "j")]
    lines = [line("x", Title="X", Image_Src=f"{CDN}/{name}.jpg", Image_Position=at) for at, name in images]
    found = json.loads(seen(tmp_path, "{{ image_urls }}", lines)["x"])
    assert found == [f"{CDN}/{name}.jpg" for name in "abcjz"]


def test_variants(tmp_path: Path) -> None:
    """Each line with a price or an option value is one; lines of further images are none."""
    found: Any = json.loads(seen(tmp_path, "{{ variants }}")["oak-stool"])
    assert found == [
        {"sku": "OS-45", "price": "89.00", "options": {"Height": "45 cm"}},
        {"sku": "OS-65", "price": "99.00", "options": {"Height": "65 cm"}},
    ]
    assert seen(tmp_path, "{{ variants[1].options.Height }}", EXPORT[:5]) == {"oak-stool": "65 cm"}


def test_a_line_without_a_handle_belongs_to_nobody(tmp_path: Path) -> None:
    """It becomes a record that says so, and takes nothing from its neighbours."""
    lines = [EXPORT[0], line("", Title="Lost"), *EXPORT[1:2], EXPORT[5]]
    records = plan(export(tmp_path / "a.csv", lines), "shots: [{name: hero, prompt: x}]", preset="shopify")
    assert [each[:2] for each in told(records)] == [("oak-stool", None), (None, "invalid"), ("tin-mug", None)]
    assert told(records)[1][2] == "missing_key"


def test_two_titles_under_one_handle_are_invalid(tmp_path: Path) -> None:
    """Files that were put together: nobody can say whose images and prices these are."""
    lines = [EXPORT[5], EXPORT[6], line("tin-mug", Title="Another mug"), line("gift-card", Title="Gift card")]
    records = plan(export(tmp_path / "a.csv", lines), "shots: [{name: hero, prompt: '{{ title }}'}]", preset="shopify")
    assert told(records) == [("tin-mug", "invalid", "invalid"), ("gift-card", None, "new")]
    assert records[0].error_code == "two_products"
    assert "two titles: 'Tin mug' on line 2 and 'Another mug' on line 4" in (records[0].error_message or "")


@pytest.mark.parametrize("column", ["Handle", "Title"])
def test_a_missing_column_is_an_input_error(column: str, tmp_path: Path) -> None:
    """It names the column and shows what the catalog has instead."""
    path = export(tmp_path / "a.csv", columns=[name for name in COLUMNS if name != column])
    with pytest.raises(InputError, match="preset shopify") as caught:
        plan(path, "shots: [{name: hero, prompt: x}]", preset="shopify")
    assert caught.value.facts["field"] == column
    assert repr(column) in caught.value.message
    assert "Vendor" in caught.value.message


def test_columns_the_preset_can_do_without_may_be_missing(tmp_path: Path) -> None:
    """A cut-down export still is one."""
    path = write(tmp_path / "a.csv", "Handle,Title\nmug,Tin mug\n")
    shots = "shots: [{name: hero, prompt: '{{ title }} {{ brand }}{{ image_urls }}'}]"
    assert prompts(plan(path, shots, preset="shopify")) == {"mug": "Tin mug []"}


def test_an_unreadable_line_spoils_its_product(tmp_path: Path) -> None:
    """A line with more cells than the header may belong anywhere: the product it stands in is invalid."""
    path = write(tmp_path / "a.csv", "Handle,Title\nmug,Tin mug\nmug,,x\ncup,Cup\n")
    records = plan(path, "shots: [{name: hero, prompt: '{{ title }}'}]", preset="shopify")
    assert [(record.row_key, record.settled) for record in records] == [("mug", "invalid"), ("cup", None)]
    assert "line 3" in (records[0].error_message or "")


def test_an_unknown_preset_is_an_input_error(tmp_path: Path) -> None:
    """It lists those there are."""
    with pytest.raises(InputError, match="shopify") as caught:
        plan(export(tmp_path / "a.csv"), "shots: [{name: hero, prompt: x}]", preset="shopware")
    assert caught.value.facts["field"] == "preset"
