"""Where a table's columns get their names: the first row, unless another one clearly is the header or was named as such."""

import csv
import tempfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from catalogs import cells, plan, rows, told, write
from hypothesis import given, settings
from hypothesis import strategies as st

from seedream_tasks.catalog.tables import open_table
from seedream_tasks.catalog.tables.sources import stating
from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.errors import InputError
from seedream_tasks.planning.freeze import check

HERO = "shots: [{name: hero, prompt: '{{ title }}'}]"
PREAMBLE = "Price list autumn;;;\nprinted 2024-09-01;;;\n\n"
UNKNOWN = "Bestellzeichen;Benennung;Farbton;EK\n10-1;Becher;rot;12,50\n10-2;Kanne;blau;13,00\n"
AMAZON = (
    "TemplateType=fptcustom\tVersion=2024.1\tsettings=x=1\t\tImages\n"
    "Seller SKU\tItem Name\tYour Price\tBullet\tBullet\n"
    "item_sku\titem_name\tstandard_price\tbullet_point1\tbullet_point2\n"
    "M-1\tMug\t12.50\tsafe\thandmade\n"
)
LABELS = "Seller SKU\tItem Name\tYour Price\nitem_sku\titem_name\tstandard_price\nM-1\tMug\t12.50\n"


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    """Several sheets, in this order."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, lines in sheets.items():
        sheet = book.create_sheet(title)
        for line in lines:
            sheet.append(line)
    book.save(path)
    return path


TABLE = [["SKU", "Title", "Price"], ["00123", "Mug", 19.9], ["00124", "Bowl", 25]]
PAGE = [["How to fill this in"], ["One row for each product"], ["Ask Jo"]]


@pytest.mark.parametrize(
    ("content", "columns", "line"),
    [
        ("Products of my shop\nsku,title,price\na,Lamp,5\nb,Chair,6\n", ["sku", "title", "price"], 2),
        (PREAMBLE + UNKNOWN, ["Bestellzeichen", "Benennung", "Farbton", "EK"], 4),
        ("My shop, summer\n" + UNKNOWN, ["Bestellzeichen", "Benennung", "Farbton", "EK"], 2),
        ("# made by our till\nsku,tone\na,red\nb,blue\n", ["sku", "tone"], 2),
        ('"My shop,\nall of it"\nsku,title,price\na,Lamp,5\nb,Chair,6\n', ["sku", "title", "price"], 3),
        ("Products, exported 2024-05-01\nsku;title;price\na;Lamp;5\nb;Chair;6\n", ["sku", "title", "price"], 2),
        ("Shop;My shop\nDate;2024-05-01\n" + UNKNOWN, ["Bestellzeichen", "Benennung", "Farbton", "EK"], 3),
        ("sep=;\nMy list;;\nsku;title;price\na;Lamp;5\nb;Chair;6\n", ["sku", "title", "price"], 3),
        (AMAZON, ["item_sku", "item_name", "standard_price", "bullet_point1", "bullet_point2"], 3),
        ("Basics,,Money,Image\nsku,title,price,image\na,Lamp,5,x.jpg\n", ["sku", "title", "price", "image"], 2),
    ],
)
def test_a_header_below_other_rows_is_found_and_said(
    content: str, columns: list[str], line: int, tmp_path: Path
) -> None:
    """Titles, preambles and a template's own rows are left out, with a warning that names the line."""
    table = open_table(str(write(tmp_path / "a.csv", content)))
    assert table.columns == columns
    assert next(iter(table.rows)).line == line + 1
    (warning,) = table.facts.warnings
    assert f"line {line} was taken for the header" in warning
    assert f"header on line {line}" in table.facts.details


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("sku,title\na,Lamp,red\nb,Chair,blue\nc,Bed,5\n", ["sku", "title"]),
        ("sku;;\na;title;name\nb;Chair;5\n", ["sku", "column_2", "column_3"]),
        ("Artikelcode,Zeug\nsku,x\nb,y\n", ["Artikelcode", "Zeug"]),
        ("Artikel,Farbe\na1,rot,x\na2,blau,y\n", ["Artikel", "Farbe"]),
        ("one,two\nsku,title\n", ["one", "two"]),
        ("title\nsku\nname\n", ["title"]),
        ("sku,title\na,Lamp\nsku,title\nb,Chair\n", ["sku", "title"]),
        (LABELS, ["Seller SKU", "Item Name", "Your Price"]),
        ("first,second,third\n1,2,3\n4,5,6\n", ["first", "second", "third"]),
    ],
)
def test_a_table_with_its_header_in_the_first_row_is_read_as_ever(
    content: str, columns: list[str], tmp_path: Path
) -> None:
    """Whatever stands in the rows below: only what clearly is a header takes its place."""
    suffix = "tsv" if "\t" in content else "csv"
    table = open_table(str(write(tmp_path / f"a.{suffix}", content)))
    assert table.columns == columns
    assert table.facts.warnings == ()


WORDS = st.text(st.characters(codec="ascii", categories=("Ll",)), min_size=1, max_size=6)
CELLS = st.sampled_from(["", "5", "sku", "title", "a b", "https://shop.example/1.jpg", "x;y", "Read me"]) | WORDS


@settings(max_examples=100, deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=4, unique=True), st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=8)
)
def test_a_first_row_that_names_a_key_is_always_the_header(names: list[str], lines: list[list[str]]) -> None:
    """Whatever stands below it, the columns are its cells."""
    header = ["sku", *[name for name in names if name != "sku"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])
        table = open_table(str(path))
        assert table.columns == header
        assert table.facts.warnings == ()


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_a_header_can_be_named(name: str, tmp_path: Path) -> None:
    """By its line, or the sheet's row; a statement about an empty row is an error."""
    lines = [["x", "y"], ["code", "text"], [], ["a", "Lamp"]]
    if name == "a.csv":
        path = write(tmp_path / name, "".join(",".join(line) + "\n" for line in lines))
    else:
        path = workbook(tmp_path / name, Sheet=lines)
    uri = stating(str(path), header=2)
    assert uri == f"{path}#header=2"
    assert open_table(uri).columns == ["code", "text"]
    assert [(row.line, row.cells) for row in rows(uri)] == [(4, ["a", "Lamp"])]
    for wrong in (3, 99, "x"):
        with pytest.raises(InputError) as caught:
            open_table(f"{path}#header={wrong}")
        assert caught.value.facts["field"] == "header_row"


def test_a_named_header_stands_behind_a_stray_quote(tmp_path: Path) -> None:
    """What is above it is not read as cells."""
    path = write(tmp_path / "a.csv", 'The "best\n"of,2024\ncode,text\na,Lamp\n')
    assert cells(f"{path}#header=3") == [["a", "Lamp"]]


def test_statements_are_added_to_others() -> None:
    """`&` parts them; a `#` of the name's own stays."""
    assert stating("a.xlsx#sheet=B", header=3) == "a.xlsx#sheet=B&header=3"
    assert stating("a#1.csv", header=3) == "a#1.csv#header=3"
    assert stating("a.csv", header=None) == "a.csv"


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.xml"])
def test_other_formats_have_no_header_row(name: str, tmp_path: Path) -> None:
    """Naming one there is a mistake."""
    with pytest.raises(InputError, match="no header row"):
        open_table(f"{write(tmp_path / name, '{}')}#header=2")


def test_a_page_to_read_before_the_table_is_passed_over(tmp_path: Path) -> None:
    """Where exactly one other sheet clearly is a table; it is said, and the sheet can be named."""
    path = workbook(tmp_path / "a.xlsx", **{"Read me": PAGE, "Stock": TABLE})
    table = open_table(str(path))
    assert [row.cells[1] for row in table.rows] == ["Mug", "Bowl"]
    (warning,) = table.facts.warnings
    assert "'Read me', holds no table" in warning
    assert open_table(f"{path}#sheet=Read%20me").columns == ["How to fill this in"]


@pytest.mark.parametrize(
    "sheets",
    [
        {"First": [["Artikel", "Farbe", "EK"], ["a", "rot", 5]], "Second": TABLE},
        {"Notebooks": [["Kód X", "Szín", "Méret"], ["a", "piros", 5], ["b", "kék", 6]], "Second": TABLE},
        {"Read me": PAGE, "One": TABLE, "Two": TABLE},
        {"Info": TABLE, "Other": TABLE},
    ],
    ids=["a table", "in another language", "two tables behind it", "a table that is called info"],
)
def test_the_first_sheet_counts_where_it_may_be_the_table(sheets: dict[str, Any], tmp_path: Path) -> None:
    """Or where nobody can say which of several others is meant."""
    table = open_table(str(workbook(tmp_path / "a.xlsx", **sheets)))
    assert table.columns == sheets[next(iter(sheets))][0]
    assert table.facts.warnings == ()


@pytest.mark.parametrize("options", [{}, {"key": "code"}, {"preset": "merchant"}], ids=["no key", "key", "preset"])
def test_errors_about_columns_say_the_header_and_the_other_sheets(options: dict[str, str], tmp_path: Path) -> None:
    """So that the way out is seen."""
    path = workbook(tmp_path / "a.xlsx", First=[["one", "two", "three"], ["a", "b", "c"]], Products=TABLE)
    with pytest.raises(InputError) as caught:
        plan(path, HERO, **options)
    assert "row 1 of the sheet 'First' was taken for the header; other sheets: 'Products'" in caught.value.message
    with pytest.raises(InputError, match="line 1 was taken for the header"):
        plan(write(tmp_path / "a.csv", "one,two\na,b\n"), HERO, **options)


def test_a_key_is_not_asked_for_where_the_header_names_no_columns(tmp_path: Path) -> None:
    """Numbers and links are no names: the header is what has to be named."""
    with pytest.raises(InputError) as caught:
        plan(write(tmp_path / "a.csv", "10-1,https://shop.example/1.jpg,5\n10-2,https://shop.example/2.jpg,6\n"), HERO)
    assert "--header-row" in caught.value.facts["hint"]
    assert "--key" not in caught.value.facts["hint"]


def test_a_column_that_sounds_like_a_key_is_named(tmp_path: Path) -> None:
    """In the languages of exports and price lists."""
    for header, likely in (("Bezeichnung,Artikelnummer", "Artikelnummer"), ("Item no,Name", "Item no")):
        with pytest.raises(InputError) as caught:
            plan(write(tmp_path / "a.csv", f"{header}\na,b\n"), HERO)
        assert f"--key {likely!r}" in caught.value.facts["hint"]


@pytest.mark.parametrize(
    ("content", "says"),
    [("sku^title^price\na^Lamp^5\n", "has one column"), ("List of 2024;;\na;Lamp;x\n", "--header-row")],
)
def test_a_key_is_not_asked_for_where_no_column_can_be_one(content: str, says: str, tmp_path: Path) -> None:
    """Cells that were not parted, a title that is no header."""
    with pytest.raises(InputError) as caught:
        plan(write(tmp_path / "a.csv", content), HERO)
    assert says in caught.value.facts["hint"]
    assert "--key" not in caught.value.facts["hint"]


@pytest.mark.parametrize("page", [PAGE, [["Field", "What it is"], ["SKU", "your own number"], ["Title", "the name"]]])
def test_a_page_of_explanations_is_no_table(page: list[list[Any]], tmp_path: Path) -> None:
    """Two columns of words and what they mean."""
    path = workbook(tmp_path / "a.xlsx", Anything=page, Stock=TABLE)
    assert open_table(str(path)).columns == ["SKU", "Title", "Price"]


# Rows


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt"])
def test_empty_cells_behind_the_last_column_are_none(suffix: str, tmp_path: Path) -> None:
    """A delimiter at the end of each line; one that is filled is an error of its row."""
    mark = "\t" if suffix == "tsv" else ";"
    lines = ["sku;title", "a;Lamp;", "b;Chair;; ", "c;Bed;;x"]
    path = write(tmp_path / f"a.{suffix}", "\n".join(lines).replace(";", mark))
    assert [(row.cells, row.error) for row in rows(path)] == [
        (["a", "Lamp"], None),
        (["b", "Chair"], None),
        (["c", "Bed"], "line 4 has 4 cells, the header has 2"),
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.xlsx"])
def test_a_catalog_without_rows_is_refused(name: str, tmp_path: Path) -> None:
    """Nothing would be published for it: an export that failed must not look like a shop without products."""
    path = tmp_path / name
    if name == "a.xlsx":
        workbook(path, Sheet=[["sku", "title"]])
    else:
        write(path, "sku,title\n\n" if name == "a.csv" else "\n")
    (tmp_path / "s.yaml").write_text(HERO)
    for attempt in (lambda: plan(path, HERO), lambda: check(RunOptions(str(path), str(tmp_path / "s.yaml")))):
        with pytest.raises(InputError) as caught:
            attempt()
        assert caught.value.facts["code"] == "empty_catalog"


LANGUAGES = "sku,store_view_code,title\nA1,fr,Sac\nA1,,Bag\nA1,de,Tasche\nA2,,Pack\nA2,,Sack\n"
DEFAULT = "shots: [{name: hero, prompt: '{{ title }}', when: \"store_view_code == ''\"}]"


def test_a_row_that_no_shot_wants_claims_no_key(tmp_path: Path) -> None:
    """Another row with its key, before or behind it, is the one to buy; two that are wanted contradict each other."""
    assert told(plan(write(tmp_path / "a.csv", LANGUAGES), DEFAULT)) == [
        ("A1", "skipped", "condition_false"),
        ("A1", None, "new"),
        ("A1", "skipped", "condition_false"),
        ("A2", None, "new"),
        ("A2", "invalid", "duplicate_key"),
    ]


def test_a_row_that_one_shot_wants_claims_its_key_for_all(tmp_path: Path) -> None:
    """It is the product: another row cannot fill in the shot that it does not want."""
    shots = (
        "shots: [{name: hero, prompt: '{{ title }}'}, {name: scene, prompt: '{{ title }}', when: \"title != 'Sac'\"}]"
    )
    assert told(plan(write(tmp_path / "a.csv", LANGUAGES), shots))[:4] == [
        ("A1", None, "new"),
        ("A1", "skipped", "condition_false"),
        ("A1", "invalid", "duplicate_key"),
        ("A1", "invalid", "duplicate_key"),
    ]


def test_column_mode_rows_that_are_not_wanted_claim_no_key(tmp_path: Path) -> None:
    """The same, where the condition stands in the catalog."""
    path = write(tmp_path / "a.csv", "sku,prompt,when\na,A lamp,1 == 2\na,A chair,\n")
    assert told(plan(path)) == [("a", "skipped", "condition_false"), ("a", None, "new")]


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u2060", "\ufeff\ufeff "])
def test_marks_that_nobody_sees_belong_to_no_name(mark: str, tmp_path: Path) -> None:
    """At a name's ends or inside: the key, a preset's columns and the fields of column mode are found."""
    content = f"{mark}i{mark}d,ti{mark}tle{mark},pro{mark}mpt\na,Lamp,A lamp\n".replace("\ufeff\ufeff d", "d")
    path = write(tmp_path / "a.csv", content.replace(" t", "t").replace(" m", "m"))
    assert open_table(str(path)).columns == ["id", "title", "prompt"]
    assert told(plan(path)) == [("a", None, "new")]
    assert told(plan(path, HERO, preset="merchant")) == [("a", None, "new")]
