"""Exports of Amazon, Magento, PrestaShop, Wix, Squarespace and BigCommerce: the right products, by samples and by hand."""

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from catalogs import plan, told, write

from seedream_tasks.catalog.presets import PRESETS, fitting_preset
from seedream_tasks.catalog.tables import open_table
from seedream_tasks.core.errors import InputError

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
FIELDS = ("title", "brand", "category", "price", "tags", "image_urls", "variants")
EVERYTHING = "{{ [title, brand, category, price, tags, image_urls, variants] | tojson }}"
MUG, PLATES, STOOL = "photos/stoneware-mug.jpg", "photos/dinner-plates.jpg", "photos/ash-stool.jpg"
TEAPOT = "photos/iron-teapot.jpg"
ON_LINES = "<p>Hand-dipped mug with a raw clay foot. Holds 320 ml, dishwasher safe.</p>\n<ul>\n<li>Made of stoneware</li>\n</ul>"


def seen(path: Path | str, preset: str) -> dict[str | None, dict[str, Any]]:
    """What the preset gives for each product that would be bought."""
    shots = json.dumps({"shots": [{"name": "hero", "prompt": EVERYTHING}]})
    records = plan(path, shots, preset=preset)
    return {
        record.row_key: dict(zip(FIELDS, json.loads(record.job.prompt), strict=True))
        for record in records
        if record.job
    }


def product(*values: Any) -> dict[str, Any]:
    return dict(zip(FIELDS, values, strict=True))


def option(sku: str, price: str, **options: str) -> dict[str, Any]:
    return {"sku": sku, "price": price, "options": options}


RIGHT: dict[str, dict[str, Any]] = {
    "shopify.csv": {
        "dune-stoneware-mug": product(
            *("Dune Stoneware Mug", "Lerhus", "Mugs", "18.00", "Coming Soon, new", [MUG, PLATES]),
            [option("0012-2", "34.00", Pack="Two"), option("0012-1", "18.00", Pack="One")],
        ),
        "workshop-stool": product(
            *("Workshop Stool", "Ask & Alm", "Furniture", "210.00", "", [STOOL], [option("0500", "210.00")])
        ),
    },
    "magento.csv": {
        "HM-1001": product(
            *("Dune Stoneware Mug", "Lerhus", "Tableware", "18.000000", "mug, clay", [MUG, PLATES]),
            [option("HM-1001-C", "", color="cream"), option("HM-1001-G", "", color="green")],
        ),
        "HM-1203": product("Workshop Stool", "Ask & Alm", "Furniture", "210.000000", "", [STOOL], []),
    },
    "prestashop.csv": {
        "HM-1001": product("Dune Stoneware Mug", "Lerhus", "Tableware", "18.00", "cream, stoneware", [MUG, PLATES], []),
        "12": product("Workshop Stool", "Ask & Alm", "Furniture", "210.00", "natural, ash", [STOOL], []),
    },
    "wix.csv": {
        "product_HM-1001": product(
            *("Dune Stoneware Mug", "Lerhus", "Tableware", "18.00", "Tableware, New", [MUG, PLATES]),
            [option("HM-1001-C", "18.00", Glaze="Cream"), option("HM-1001-G", "19.50", Glaze="Green")],
        ),
        "product_HM-1203": product("Workshop Stool", "Ask & Alm", "Furniture", "210.00", "Furniture, New", [STOOL], []),
    },
    "squarespace.csv": {
        "dune-stoneware-mug": product(
            *("Dune Stoneware Mug", "", "tableware", "18.00", "cream, stoneware", [MUG, PLATES]),
            [option("HM-1001", "18.00", Glaze="Cream"), option("HM-1001-G", "19.50", Glaze="Green")],
        ),
        "workshop-stool": product("Workshop Stool", "", "furniture", "210.00", "natural, ash", [STOOL], []),
    },
    "bigcommerce.csv": {
        "HM-1001": product(
            *("Dune Stoneware Mug", "", "Tableware", "18.00", "cream,stoneware", [MUG, PLATES]),
            [option("HM-1001-C", "18.00", Glaze="Cream"), option("HM-1001-G", "19.50", Glaze="Green")],
        ),
        "HM-1203": product("Workshop Stool", "", "Furniture", "210.00", "natural,ash", [STOOL], []),
    },
}
AMAZON = {
    "HM-1001": product(
        *("Dune Stoneware Mug", "Lerhus", "mug", "", "mug clay", [MUG, PLATES]),
        [option("HM-1001-C", "18.00", color="cream"), option("HM-1001-G", "19.50", color="green")],
    ),
    "HM-1001-C": product("Dune Stoneware Mug", "Lerhus", "mug", "18.00", "mug clay", [MUG, PLATES], []),
    "HM-1001-G": product("Dune Stoneware Mug, green", "Lerhus", "mug", "19.50", "mug clay", [TEAPOT], []),
    "HM-1203": product("Workshop Stool", "Ask & Alm", "stool", "210.00", "", [STOOL, PLATES], []),
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_samples_give_the_right_products(name: str) -> None:
    """Keys, titles, brands, categories, prices, images in order, variants; what is not for sale is left out."""
    preset = name.partition(".")[0]
    assert seen(SAMPLES / name, preset) == RIGHT[name]
    skipped = [record for record in plan(SAMPLES / name, shot("x"), preset=preset) if record.reason == "not_for_sale"]
    assert len(skipped) == 1
    assert fitting_preset(open_table(str(SAMPLES / name)).columns) == preset


def shot(prompt: str) -> str:
    return json.dumps({"shots": [{"name": "hero", "prompt": prompt}]})


@pytest.mark.parametrize(
    "name", ["shopify.csv", "magento.csv", "prestashop.csv", "wix.csv", "squarespace.csv", "bigcommerce.csv"]
)
def test_descriptions_keep_their_html(name: str) -> None:
    """`striptags` takes it off where a shot wants words."""
    preset = name.partition(".")[0]
    records = plan(SAMPLES / name, shot("{{ description | tojson }}|{{ description | striptags }}"), preset=preset)
    whole, words = next(r.job.prompt for r in records if r.job and "Hand-dipped" in r.job.prompt).split("|")
    assert json.loads(whole) == ON_LINES
    assert words == "Hand-dipped mug with a raw clay foot. Holds 320 ml, dishwasher safe. Made of stoneware"


def amazon_rows(path: Path) -> Path:
    """The sample without the template's own rows."""
    text = (SAMPLES / "amazon.txt").read_text(encoding="utf-8")
    return write(path, text.split("\n", 2)[2])


def test_amazons_children_take_what_they_lack_from_their_parent(tmp_path: Path) -> None:
    """Older field names."""
    assert seen(amazon_rows(tmp_path / "a.txt"), "amazon") == AMAZON


MARKET = "[marketplace_id=A1PA6795UKMFR9]"
NEWER = {
    "item_sku": "contribution_sku#1.value",
    "feed_product_type": "product_type#1.value",
    "brand_name": f"brand{MARKET}[language_tag=de_DE]#1.value",
    "item_name": f"item_name{MARKET}[language_tag=de_DE]#1.value",
    "standard_price": f"purchasable_offer{MARKET}[audience=ALL]#1.our_price#1.schedule#1.value_with_tax",
    "main_image_url": f"main_product_image_locator{MARKET}#1.media_location",
    "other_image_url1": f"other_product_image_locator_1{MARKET}#1.media_location",
    "other_image_url2": f"other_product_image_locator_2{MARKET}#1.media_location",
    "parent_child": f"parentage_level{MARKET}#1.value",
    "parent_sku": f"child_parent_sku_relationship{MARKET}#1.parent_sku",
    "product_description": f"product_description{MARKET}[language_tag=de_DE]#1.value",
    "generic_keywords": f"generic_keyword{MARKET}[language_tag=de_DE]#1.value",
    "color_name": f"color{MARKET}[language_tag=de_DE]#1.value",
}


def test_amazons_newer_field_names_mean_the_same(tmp_path: Path) -> None:
    """Marketplace and language decide nothing; the template's own example is no product to buy."""
    header, rest = amazon_rows(tmp_path / "old.txt").read_text(encoding="utf-8").split("\n", 1)
    newer = "\t".join(NEWER[field] for field in header.split("\t"))
    example = "\t".join("ABC123" if field == "item_sku" else "Example" for field in header.split("\t"))
    path = write(tmp_path / "new.txt", f"{newer}\n{example}\n{rest}")
    assert seen(path, "amazon") == AMAZON
    assert told(plan(path, shot("x"), preset="amazon"))[0] == ("ABC123", "skipped", "not_for_sale")
    assert fitting_preset(open_table(str(path)).columns) == "amazon"


BULLETS = [f"bullet_point{MARKET}[language_tag=de_DE]#{n}.value" for n in (1, 2, 3)]


def newer_template(labels: list[str]) -> list[list[str]]:
    """The sample as a newer template has it: settings, a note, groups, labels, field names, an example, products."""
    old = [line.split("\t") for line in (SAMPLES / "amazon.txt").read_text(encoding="utf-8").splitlines()]
    fields = [*(NEWER[field] for field in old[2]), *BULLETS]
    rows = [
        ["settings=attributeRow=5&contentLanguageTag=de_DE&dataRow=7&labelRow=4"],
        ["Diese Vorlage auf Deutsch ausfüllen"],
        ["Angebot", "", "Produktidentität"],
        [*labels, "Aufzählungspunkt", "Aufzählungspunkt", "Aufzählungspunkt"],
        fields,
        ["ABC123" if "contribution_sku" in field else "Beispiel" for field in fields],
        *old[3:],
    ]
    return [[*row, *[""] * (len(fields) - len(row))] for row in rows]


ENGLISH = [
    *(
        "Product Type",
        "SKU",
        "Brand Name",
        "Item Name",
        "Your Price",
        "Main Image URL",
        "Other Image URL",
        "Other Image URL",
    ),
    *("Parentage Level", "Parent SKU", "Product Description", "Generic Keywords", "Color"),
]
GERMAN = [
    *(
        "Produkttyp",
        "SKU",
        "Markenname",
        "Artikelname",
        "Ihr Preis",
        "URL des Hauptbildes",
        "URL weiteres Bild",
        "URL weiteres Bild",
    ),
    *("Elternebene", "Eltern-SKU", "Produktbeschreibung", "Suchbegriffe", "Farbe"),
]


@pytest.mark.parametrize("labels", [ENGLISH, GERMAN], ids=["English", "German"])
@pytest.mark.parametrize("kind", ["txt", "xlsx"])
def test_amazons_newer_template_as_it_is(kind: str, labels: list[str], tmp_path: Path) -> None:
    """The row of field names is found below settings, notes and labels; of a workbook, in the sheet that has it."""
    rows = newer_template(labels)
    path = tmp_path / f"a.{kind}"
    if kind == "txt":
        write(path, "".join("\t".join(row) + "\n" for row in rows))
    else:
        book = openpyxl.Workbook()
        book.active.append(["How to fill in this template"])
        sheet = book.create_sheet("Template")
        for row in rows:
            sheet.append(row)
        book.save(path)
    assert seen(path, "amazon") == AMAZON


def test_the_sample_with_the_templates_own_rows_is_read() -> None:
    """An older template: the row of field names is the third."""
    assert seen(SAMPLES / "amazon.txt", "amazon") == AMAZON


def test_field_names_that_are_not_found_can_be_named(tmp_path: Path) -> None:
    """The message says which row was taken for the header, and how to name another one."""
    rows = [["a", "b", "c"], *newer_template(ENGLISH)]
    path = write(tmp_path / "a.txt", "".join("\t".join(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="line 3 was taken for the header") as caught:
        seen(f"{path}#header=3", "amazon")
    assert "--header-row N: 3, in newer templates 5" in caught.value.facts["hint"]
    assert seen(f"{path}#header=6", "amazon") == AMAZON


def test_amazons_listings_report_is_read(tmp_path: Path) -> None:
    """What Seller Central calls a report of all listings."""
    header = "item-name\titem-description\tlisting-id\tseller-sku\tprice\tquantity\topen-date\timage-url\tasin1"
    path = write(tmp_path / "a.txt", f"{header}\nMug\tClay\t0\tM-1\t12.50\t3\t2026-01-01\t\tB000\n")
    assert seen(path, "amazon") == {"M-1": product("Mug", "", "", "12.50", "", [], [])}


def test_wix_newer_columns_have_a_line_for_each_image(tmp_path: Path) -> None:
    """PRODUCT, MEDIA and VARIANT, wherever they stand; a file at Wix gets its address."""
    path = write(
        tmp_path / "a.csv",
        "handle,fieldType,name,visible,plainDescription,media,brand,price,sku,productOptionName1,productOptionType1,"
        "productOptionChoices1\n"
        "mug,VARIANT,,,,,,14,M-S,Size,TEXT_CHOICES,Small\n"
        "mug,MEDIA,,,,https://shop.example/b.jpg,,,,,,\n"
        "cup,PRODUCT,Cup,TRUE,,,Hus,5,C,,,\n"
        'mug,PRODUCT,Mug,TRUE,<p>Clay</p>,11062b_1a2b~mv2.jpg,Hus,12,M,Size,TEXT_CHOICES,"Small,Large"\n'
        "old,PRODUCT,Old,FALSE,,,,5,,,,\n",
    )
    at_wix = "https://static.wixstatic.com/media/11062b_1a2b~mv2.jpg"
    assert seen(path, "wix") == {
        "mug": product(
            *("Mug", "Hus", "", "12", "", [at_wix, "https://shop.example/b.jpg"], [option("M-S", "14", Size="Small")])
        ),
        "cup": product("Cup", "Hus", "", "5", "", [], []),
    }
    assert told(plan(path, shot("x"), preset="wix"))[2] == ("old", "skipped", "not_for_sale")


def test_bigcommerces_older_columns(tmp_path: Path) -> None:
    """Item Type says Product, SKU or Rule; images stand in columns of their own, in their order."""
    path = write(
        tmp_path / "a.csv",
        "Item Type,Product ID,Product Name,Product Code/SKU,Brand Name,Product Description,Price,Product Visible?,Category,"
        "Product Image File - 1,Product Image Sort - 1,Product Image File - 2,Product Image Sort - 2\n"
        "Product,12,Mug,M-1,Hus,<p>Clay</p>,12.00,Y,Shop/Mugs\\/cups;Sale,b.jpg,1,a.jpg,0\n"
        'SKU,13,"[S]Size=Large,[CS]Glaze=Green:#00ff00",M-1-L,,,14.00,,,,,,\n'
        "Product,14,Cup,,Hus,,5,Y,,,,,\n"
        "Product,15,Old,O-1,Hus,,5,N,,,,,\n",
    )
    assert seen(path, "bigcommerce") == {
        "M-1": product(
            *("Mug", "Hus", "Mugs/cups", "12.00", "", ["a.jpg", "b.jpg"]),
            [option("M-1-L", "14.00", Size="Large", Glaze="Green")],
        ),
        "14": product("Cup", "Hus", "", "5", "", [], []),
    }


def test_bigcommerces_category_numbers_are_no_categories(tmp_path: Path) -> None:
    """The modern export has numbers there: they would be words of a prompt."""
    path = write(tmp_path / "a.csv", "Item,ID,Name,SKU,Categories,Image URL (Import)\nProduct,1,Mug,M,23;19,\n")
    assert seen(path, "bigcommerce")["M"]["category"] == ""


def test_a_variant_of_no_product_is_said_so(tmp_path: Path) -> None:
    """A file that was sorted has lost what belongs to what: nothing is guessed."""
    path = write(tmp_path / "a.csv", "Item,ID,Name,SKU,Image URL (Import)\nVariant,2,,M-L,\nProduct,1,Mug,M,\n")
    records = plan(path, shot("{{ title }}"), preset="bigcommerce")
    assert told(records) == [("M-L", "invalid", "invalid"), ("M", None, "new")]
    assert records[0].error_code == "no_parent"
    assert "line 2: it is a variant without a product" in (records[0].error_message or "")


def test_prestashops_list_is_read_too(tmp_path: Path) -> None:
    """What the catalog page exports, with fewer columns."""
    path = write(
        tmp_path / "a.csv",
        "Product ID;Image;Name;Reference;Category;Price (tax excl.);Price (tax incl.);Quantity;Status\n"
        "1;https://shop.example/1-small/a.jpg;Mug;M-1;Mugs;12.000000;14.40;3;1\n"
        "2;;Old;O-1;Mugs;5;6;0;0\n",
    )
    link = "https://shop.example/1-small/a.jpg"
    assert seen(path, "prestashop") == {"M-1": product("Mug", "", "Mugs", "12.000000", "", [link], [])}


def test_magentos_store_views_are_no_products(tmp_path: Path) -> None:
    """They translate; the line without one leads wherever it stands. Two products with one SKU are said so."""
    path = write(
        tmp_path / "a.csv",
        "sku,store_view_code,product_type,name,price,base_image,product_online\n"
        "A1,fr,,Sac,,,\nA1,default,,Satchel,,,\nA2,,simple,Pack,5,/p/a/pack.jpg,1\nA1,,simple,Bag,9,/b/a/bag.jpg,1\n"
        "A3,,simple,One,1,no_selection,1\nA3,,simple,Two,1,,1\n",
    )
    assert seen(path, "magento") == {
        "A1": product("Bag", "", "", "9", "", ["b/a/bag.jpg"], []),
        "A2": product("Pack", "", "", "5", "", ["p/a/pack.jpg"], []),
    }
    assert "two products have the SKU 'A3': lines 6 and 7" in (
        plan(path, shot("x"), preset="magento")[2].error_message or ""
    )


@pytest.mark.parametrize(
    "name", ["wix.csv", "magento.csv", "squarespace.csv", "bigcommerce.csv", "prestashop.csv", "shopify.csv"]
)
@pytest.mark.parametrize("preset", PRESETS)
def test_another_shops_preset_names_the_one_that_fits(name: str, preset: str) -> None:
    """Also where the columns that it needs are there by chance: `sku` and `name` are everybody's."""
    right = name.partition(".")[0]
    if preset == right:
        return
    with pytest.raises(InputError) as caught:
        plan(SAMPLES / name, shot("x"), preset=preset)
    assert caught.value.facts["hint"] == f"this looks like {PRESETS[right].title}: --preset {right}"


def test_every_preset_is_documented() -> None:
    """In the page about catalogs, the page about shops, and the option's help."""
    root = SAMPLES.parents[1]
    pages = [root / "docs" / "catalogs-and-shots.md", root / "docs" / "from-my-shop.md"]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    texts.append((root / "seedream_tasks" / "cli" / "options.py").read_text(encoding="utf-8"))
    assert [name for name in PRESETS for text in texts if name not in text] == []
