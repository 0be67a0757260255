"""WooCommerce's export, newer Shopify exports, and what is said to someone who names the wrong preset or none."""

import csv
import json
from pathlib import Path

import pytest
from catalogs import plan, prompts, write

from seedream_tasks.core.errors import InputError

COLUMNS = [
    *("ID", "Type", "SKU", "Name", "Published", "Is featured?", "Short description", "Description", "Sale price"),
    *("Regular price", "Categories", "Tags", "Images", "Parent", "Brands"),
    *("Attribute 1 name", "Attribute 1 value(s)", "Attribute 2 name", "Attribute 2 value(s)"),
]
CDN = "https://shop.example/wp-content/uploads"
MUG = {
    "ID": "10",
    "Type": "simple, virtual",
    "SKU": "MUG",
    "Name": "Tin mug",
    "Description": "<p>Blue</p>",
    "Regular price": "12",
    "Categories": "Kitchen > Mugs\\, cups, Sale",
    "Tags": "enamel, outdoor",
    "Images": f"{CDN}/mug.jpg, {CDN}/w_1,h_2/side.jpg",
    "Brands": "Kettle",
}
HOODIE = {
    "ID": "20",
    "Type": "variable",
    "SKU": "HOOD",
    "Name": "Hoodie",
    "Short description": "Warm",
    "Categories": "Clothing",
    "Images": f"{CDN}/hoodie.jpg, {CDN}/back.jpg",
    "Attribute 1 name": "Color",
    "Attribute 1 value(s)": "Blue, Red",
    "Attribute 2 name": "Brand",
    "Attribute 2 value(s)": "Nordholt",
}
BLUE = {
    "ID": "21",
    "Type": "variation",
    "SKU": "HOOD-B",
    "Name": "Hoodie - Blue",
    "Regular price": "45",
    "Images": f"{CDN}/blue.jpg",
    "Parent": "HOOD",
    "Attribute 1 name": "Color",
    "Attribute 1 value(s)": "Blue",
}
RED = {"ID": "22", "Type": "variation", "Regular price": "46", "Parent": "id:20"}
TEMPLATE = (
    "{{ title }}|{{ description }}|{{ brand }}|{{ category }}|{{ price }}|{{ tags }}|{{ image_urls | join(' ') }}"
)


def export(path: Path, *lines: dict[str, str]) -> Path:
    """Such an export as a file."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    return path


def seen(path: Path, template: str = TEMPLATE, preset: str = "woocommerce") -> dict[str | None, str]:
    """What a template makes of each product."""
    return prompts(plan(path, json.dumps({"shots": [{"name": "hero", "prompt": template}]}), preset=preset))


def test_a_simple_product(tmp_path: Path) -> None:
    """Its key is its SKU; the first category counts, an escaped comma is part of it; a comma in a link parts nothing."""
    assert seen(export(tmp_path / "a.csv", MUG)) == {
        "MUG": f"Tin mug|<p>Blue</p>|Kettle|Kitchen > Mugs, cups|12|enamel, outdoor|{CDN}/mug.jpg {CDN}/w_1,h_2/side.jpg"
    }


@pytest.mark.parametrize("order", [(HOODIE, BLUE, RED), (RED, BLUE, HOODIE)], ids=["parent first", "parent last"])
def test_variations_take_what_they_lack_from_their_parent(order: tuple[dict[str, str], ...], tmp_path: Path) -> None:
    """Named by SKU or by id:NUMBER, before or behind it; each is a product, with its SKU or else its ID for a key."""
    images = f"{CDN}/hoodie.jpg {CDN}/back.jpg"
    assert seen(export(tmp_path / "a.csv", *order)) == {
        "HOOD": f"Hoodie|Warm|Nordholt|Clothing|||{images}",
        "HOOD-B": f"Hoodie - Blue|Warm|Nordholt|Clothing|45||{CDN}/blue.jpg",
        "22": f"Hoodie|Warm|Nordholt|Clothing|46||{images}",
    }


def test_a_parent_knows_its_variants(tmp_path: Path) -> None:
    """With their options; others have none."""
    found = seen(export(tmp_path / "a.csv", HOODIE, BLUE, RED, MUG), "x {{ variants }}")
    assert json.loads(found["HOOD"][2:]) == [
        {"sku": "HOOD-B", "price": "45", "options": {"Color": "Blue"}},
        {"sku": "", "price": "46", "options": {}},
    ]
    assert (found["HOOD-B"], found["MUG"]) == ("x []", "x []")


def test_a_variation_without_name_and_parent_is_invalid(tmp_path: Path) -> None:
    """An image of nothing would be paid for; one with a name of its own stands for itself."""
    lost = {**RED, "Parent": "GONE"}
    records = plan(
        export(tmp_path / "a.csv", lost, BLUE), "shots: [{name: a, prompt: '{{ title }}'}]", preset="woocommerce"
    )
    assert [record.settled for record in records] == ["invalid", None]
    assert records[0].error_code == "no_parent"
    assert "line 2: it has no name, and its parent 'GONE' is not in the catalog" in (records[0].error_message or "")


def test_rows_and_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """Nothing is grouped, so every line is a row."""
    records = plan(export(tmp_path / "a.csv", HOODIE, BLUE), "shots: [{name: a, prompt: x}]", preset="woocommerce")
    assert [(record.row_number, record.line, record.row_key) for record in records] == [
        (1, 2, "HOOD"),
        (2, 3, "HOOD-B"),
    ]


# Shopify's newer columns

NEWER = """Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,\
Option1 name,Option1 value,Price,Compare-at price,Product image URL,Image position,Image alt text,Variant image URL
Oak stool,oak-stool,<p>Oak</p>,Nordholt,Furniture,Seating,"wood, stool",TRUE,Active,OS-45,,Height,45 cm,89.00,,{cdn}/b.jpg,2,,
,oak-stool,,,,,,,,OS-65,,,65 cm,99.00,,,,,
,oak-stool,,,,,,,,,,,,,,{cdn}/a.jpg,1,,
""".replace("{cdn}", CDN)


def test_shopifys_newer_columns_are_the_older_ones(tmp_path: Path) -> None:
    """`URL handle`, `Description`, `Price`, `Product image URL`: the same product, and the same images."""
    older = (
        NEWER.replace("URL handle", "Handle").replace("Description", "Body (HTML)").replace(",SKU,", ",Variant SKU,")
    ).replace("Product image URL", "Image Src")
    older = older.replace(",Price,", ",Variant Price,").replace(
        "Option1 name,Option1 value", "Option1 Name,Option1 Value"
    )
    template = TEMPLATE + "|{{ variants }}"
    found = seen(write(tmp_path / "new.csv", NEWER), template, "shopify")
    assert found == seen(write(tmp_path / "old.csv", older), template, "shopify")
    assert found["oak-stool"].startswith(
        f"Oak stool|<p>Oak</p>|Nordholt|Seating|89.00|wood, stool|{CDN}/a.jpg {CDN}/b.jpg"
    )
    assert '"options": {"Height": "65 cm"}' in found["oak-stool"]


# What is said to someone who names the wrong preset, or none

WOO = ",".join(COLUMNS) + "\n"
SHOPIFY = "Handle,Title,Body (HTML),Vendor,Image Src\n"
MERCHANT = "id\ttitle\timage link\tprice\n"


@pytest.mark.parametrize(
    ("name", "header", "options", "says"),
    [
        ("a.csv", WOO, {}, "this looks like a WooCommerce export: --preset woocommerce"),
        ("a.csv", SHOPIFY, {}, "this looks like a Shopify export: --preset shopify"),
        ("a.csv", NEWER, {}, "--preset shopify"),
        ("a.tsv", MERCHANT, {}, "this looks like a Google Merchant feed: --preset merchant"),
        ("a.csv", WOO, {"preset": "shopify"}, "--preset woocommerce"),
        ("a.csv", SHOPIFY, {"preset": "woocommerce"}, "--preset shopify"),
        ("a.csv", SHOPIFY, {"preset": "merchant"}, "--preset shopify"),
        ("a.csv", "title,colour\n", {}, "give --shots FILE"),
        ("a.csv", "title,colour\n", {"preset": "woocommerce"}, "leave --preset out"),
    ],
)
def test_the_message_names_the_columns_and_the_preset_that_fits(
    name: str, header: str, options: dict[str, str], says: str, tmp_path: Path
) -> None:
    """An unknown export gets an answer that helps."""
    path = write(tmp_path / name, header.replace("ID,", "Number,", 1) if "SKU" not in header else header)
    with pytest.raises(InputError) as caught:
        plan(
            path, None, **({"key": header.split(",")[0].strip()} if name == "a.csv" and not options else {}), **options
        )
    assert says in caught.value.facts["hint"]
    assert "it has" in caught.value.message


def test_without_a_key_column_the_preset_that_fits_is_named(tmp_path: Path) -> None:
    """Newer Shopify exports have no column of the name sku, id or handle that stands on every line."""
    path = write(tmp_path / "a.csv", "Title,URL handle,Product image URL\n")
    with pytest.raises(InputError) as caught:
        plan(path, "shots: [{name: a, prompt: x}]")
    assert caught.value.facts["hint"] == "name one with --key; or this looks like a Shopify export: --preset shopify"
