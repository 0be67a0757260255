"""WooCommerce's exporter escapes cells for spreadsheets and for its own importer: what it wrote is undone, and nothing else."""

import csv
import json
from pathlib import Path

import pytest
from catalogs import plan, prompts, told

from seedream_tasks.catalog.presets.escapes import unguarded, with_breaks

COLUMNS = (
    *(
        "ID",
        "Type",
        "SKU",
        "Name",
        "Published",
        "Short description",
        "Description",
        "Regular price",
        "Categories",
        "Tags",
    ),
    *("Images", "Parent", "Attribute 1 name", "Attribute 1 value(s)", "Meta: path"),
)
CDN = "https://shop.example/uploads"
POSTER = {
    "ID": "31",
    "Type": "simple",
    "SKU": "'-P1",
    "Name": "'+1 poster",
    "Published": "1",
    "Description": "'=Paper\\nFolder C:\\\\new\\n",
    "Regular price": "15",
    "Categories": "Home\\, Garden & Pets > Posters\\, prints, Sale",
    "Tags": "large\\, framed, '90s",
    "Images": f"{CDN}/High_Street\\,_London.jpg, {CDN}/801_a4,s-700.jpg",
    "Attribute 1 name": "Size",
    "Attribute 1 value(s)": "A4\\, lined, A3",
    "Meta: path": "C:\\new\\,old",
}


def export(path: Path, *lines: dict[str, str]) -> Path:
    """Such an export as a file."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    return path


def seen(path: Path, template: str, **options: str) -> dict[str | None, str]:
    """What a template makes of each product."""
    shots = json.dumps({"shots": [{"name": "hero", "prompt": template}]})
    return prompts(plan(path, shots, **{"preset": "woocommerce", **options}))


def test_what_the_preset_gives_is_what_the_shop_has(tmp_path: Path) -> None:
    """Commas within names and links, line breaks in descriptions, the apostrophe before what could be a formula."""
    template = "{{ key }}|{{ title }}|{{ category }}|{{ tags }}|{{ image_urls | join(' ') }}|{{ description | tojson }}"
    assert seen(export(tmp_path / "a.csv", POSTER), template) == {
        "-P1": "-P1|+1 poster|Home, Garden & Pets > Posters, prints|large, framed, '90s"
        f"|{CDN}/High_Street,_London.jpg {CDN}/801_a4,s-700.jpg"
        '|"=Paper\\nFolder C:\\\\new"'
    }


def test_the_columns_themselves_are_undone_too(tmp_path: Path) -> None:
    """For templates that read them, and in the manifest that repeats them; a column that is no list keeps its backslashes."""
    path = export(tmp_path / "a.csv", POSTER)
    template = "{{ row['Tags'] }}|{{ row['Attribute 1 value(s)'] }}|{{ row['Meta: path'] }}|{{ row['SKU'] }}"
    assert seen(path, template)["-P1"] == "large, framed, '90s|A4, lined, A3|C:\\new\\,old|-P1"
    record = plan(path, "shots: [{name: hero, prompt: x}]", preset="woocommerce")[0]
    values = dict(zip(COLUMNS, record.values, strict=True))
    assert (values["SKU"], values["Name"], values["Images"]) == (
        "-P1",
        "+1 poster",
        f"{CDN}/High_Street,_London.jpg, {CDN}/801_a4,s-700.jpg",
    )


def test_a_variation_finds_a_parent_whose_sku_is_guarded(tmp_path: Path) -> None:
    """Its `Parent` is guarded as well."""
    parent = {**POSTER, "Type": "variable"}
    child = {"ID": "32", "Type": "variation", "SKU": "P1-A4", "Published": "1", "Parent": "'-P1"}
    assert seen(export(tmp_path / "a.csv", parent, child), "{{ title }}") == {"-P1": "+1 poster", "P1-A4": "+1 poster"}


@pytest.mark.parametrize(
    ("exported", "shop"),
    [
        ("'=1+1", "=1+1"),
        ("'+49 30", "+49 30"),
        ("'-5 cm", "-5 cm"),
        ("'@home", "@home"),
        ("'\tindented", "\tindented"),
        ("'\rx", "\rx"),
        ("'90s", "'90s"),
        ("''=x", "''=x"),
        ("-5", "-5"),
        ("it's -5", "it's -5"),
        ("", ""),
        ("'", "'"),
    ],
)
def test_the_guard_is_one_apostrophe_before_a_formulas_first_sign(exported: str, shop: str) -> None:
    """As `escape_data` writes it: any other apostrophe is the shop's own."""
    assert unguarded(exported) == shop


@pytest.mark.parametrize(
    "shop", ["a\nb", "C:\\new", "C:\\new\nfolder", "plain", "\n", "x\\\\y", "<ul>\n<li>a</li>\n</ul>"]
)
def test_line_breaks_are_the_inverse_of_what_the_exporter_does(shop: str) -> None:
    """`filter_description_field`: a backslash and an n get another backslash, then breaks become a backslash and an n."""
    exported = shop.replace("\\n", "\\\\n").replace("\n", "\\n")
    assert with_breaks(exported) == shop


@pytest.mark.parametrize(
    ("cell", "links"),
    [
        (f"{CDN}/1.jpg|{CDN}/2.jpg", [f"{CDN}/1.jpg", f"{CDN}/2.jpg"]),
        (f"{CDN}/1.jpg,{CDN}/2.jpg", [f"{CDN}/1.jpg", f"{CDN}/2.jpg"]),
        ("front.jpg,back.jpg", ["front.jpg", "back.jpg"]),
        ("front\\,1.jpg, back.jpg", ["front,1.jpg", "back.jpg"]),
        (f"{CDN}/w_1,h_2/a.jpg", [f"{CDN}/w_1,h_2/a.jpg"]),
    ],
)
def test_links_are_parted_where_links_begin(cell: str, links: list[str], tmp_path: Path) -> None:
    """Older exports do not escape commas in links; file names hold none."""
    path = export(tmp_path / "a.csv", {**POSTER, "Images": cell})
    assert json.loads(seen(path, "{{ image_urls }}")["-P1"]) == links


@pytest.mark.parametrize(
    ("published", "sold"),
    [
        ("1", True),
        ("1.0", True),
        ("", True),
        ("0", False),
        ("-1", False),
        ("'-1", False),
        ("2", False),
        ("-1.0", False),
    ],
)
def test_only_published_products_are_for_sale(published: str, sold: bool, tmp_path: Path) -> None:
    """Private ones, drafts and those that wait for a review are skipped; a cut-down export says nothing."""
    records = plan(export(tmp_path / "a.csv", {**POSTER, "Published": published}), "shots: [{name: a, prompt: x}]",
                   preset="woocommerce")  # fmt: skip
    assert told(records) == [("-P1", None, "new") if sold else ("-P1", "skipped", "not_for_sale")]


def test_variations_of_a_draft_are_not_for_sale(tmp_path: Path) -> None:
    """Whatever their own line says."""
    parent = {**POSTER, "Type": "variable", "Published": "0"}
    child = {"ID": "32", "Type": "variation", "SKU": "P1-A4", "Published": "1", "Parent": "id:31"}
    path = export(tmp_path / "a.csv", parent, child)
    records = plan(path, "shots: [{name: a, prompt: x}]", preset="woocommerce")
    assert [record.reason for record in records] == ["not_for_sale", "not_for_sale"]
    assert len(seen(path, "{{ title }}", preset="woocommerce,all")) == 2


def test_another_key_is_the_key_that_templates_see(tmp_path: Path) -> None:
    """`--key` beside a preset; the export then needs no SKU and no ID."""
    assert seen(export(tmp_path / "a.csv", POSTER), "{{ key }}", key="ID") == {"31": "31"}
    path = tmp_path / "b.csv"
    path.write_text("Name,Regular price\nStool,12\n", encoding="utf-8")
    assert seen(path, "{{ key }}, {{ title }}", key="Name") == {"Stool": "Stool, Stool"}
