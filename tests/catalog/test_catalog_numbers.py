"""Numbers that stand for something else: ids, barcodes and keys, as spreadsheets and data frames keep them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogs import cells, plan, write
from on_offer import BY_OFFER, GATEWAYS
from test_catalog_xlsx import package

from seedream_tasks.catalog.tables import open_table
from seedream_tasks.catalog.tables.number_formats import zeros_of
from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.core.shots import parse_shots
from seedream_tasks.planning.planner import Planner
from seedream_tasks.references.reader import References

HERO = "shots: [{name: hero, prompt: '{{ title }}'}]"
CAPABILITIES = {name: {model: row for (owner, model), row in BY_OFFER.items() if owner == name} for name in GATEWAYS}


def sheet(path: Path, *lines: tuple[Any, str | None]) -> Path:
    """A sheet of keys, each with its number format, and titles."""
    book = openpyxl.Workbook()
    page = book.worksheets[0]
    page.append(["id", "title"])
    for row, (value, form) in enumerate(lines, 2):
        cell = page.cell(row, 1, value)
        if form is not None:
            cell.number_format = form
        page.cell(row, 2, f"t{row}")
    book.save(path)
    return path


def warned(path: Path, **options: Any) -> list[str]:
    """What is said of a catalog once it was walked."""
    references = References(str(path))
    told = RunOptions(str(path), **options)
    prices = PriceBook.for_run(simulated=True)
    table = open_table(str(path))
    planner = Planner(table, told, parse_shots(HERO), references, CAPABILITIES, prices, None, fetch=False)
    try:
        assert list(planner.plan())
    finally:
        references.close()
    return planner.warnings


@pytest.mark.parametrize(
    ("form", "number", "shown"),
    [
        ("00000", "123", "00123"),
        ("00000", "1234567", "1234567"),
        ("0000000000000", "12345678905", "0012345678905"),
        ("00-00", "123", "01-23"),
        ("000-00-0000", "12345678", "012-34-5678"),
        ("000\\-0000", "1234567", "123-4567"),
        ('"SKU-"00000', "7", "SKU-00007"),
        ("[$-409]00000", "7", "00007"),
        ("[Red]00000", "7", "00007"),
        ("00000_)", "7", "00007"),
        ("#000", "7", "007"),
        ("00000", "-7", "-00007"),
        ("00000;(00000)", "-7", "(00007)"),
        ('00000;-00000;"none"', "0", "none"),
        ("00000", "0", "00000"),
        ("000", "12.5", "013"),
    ],
)
def test_a_format_of_zeros_shows_one_text(form: str, number: str, shown: str) -> None:
    """That text is what a spreadsheet's own CSV has."""
    found = zeros_of(form)
    assert found is not None
    assert found.text(Decimal(number)) == shown


@pytest.mark.parametrize(
    "form", ["General", "0", "0.00", "00.00", "#,##0", "#,##000", "0%", "00%", "0.00E+00", "00/00", "??0", "@", "#", ""]
)
def test_other_formats_only_say_how_a_number_looks(form: str) -> None:
    """Its value counts, in whatever way it is shown."""
    assert zeros_of(form) is None


def test_a_sheet_and_the_csv_saved_from_it_are_one_catalog(tmp_path: Path) -> None:
    """The same keys, so that nothing is bought twice."""
    path = sheet(tmp_path / "a.xlsx", (123, "00000"), (124, "00000"), (9, '000"-A"'))
    keys = [row[0] for row in cells(path)]
    assert keys == ["00123", "00124", "009-A"]
    saved = write(tmp_path / "a.csv", "id;title\n00123;t2\n00124;t3\n009-A;t4\n")
    assert [each.job for each in plan(path, HERO)] == [each.job for each in plan(saved, HERO)]


def test_a_zero_format_beside_fractions_leaves_the_column_as_it_was(tmp_path: Path) -> None:
    """Each number then stands for itself, as beside text."""
    path = sheet(tmp_path / "a.xlsx", (7, "00000"), (19.5, None), (5, None))
    assert [row[0] for row in cells(path)] == ["00007", "19.5", "5"]


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("1.015234567890123e+16", "10152345678901230"),
        ("1015234567890120", "1015234567890120"),
        ("12345678901234567890", "12345678901234567890"),
        ("5901234123457", "5901234123457"),
        ("-1.5E+15", "-1500000000000000"),
        ("9007199254740993", "9007199254740993"),
    ],
)
def test_whole_numbers_of_any_size_are_their_digits(written: str, digits: str, tmp_path: Path) -> None:
    """As the file has them; beyond fifteen a spreadsheet itself has rounded, which is said with the cell."""
    head = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c><c r="B1" t="inlineStr"><is><t>x</t></is></c></row>'
    )
    path = package(
        tmp_path / "a.xlsx", f'{head}<row r="2"><c r="A2"><v>{written}</v></c><c r="B2"><v>0.5</v></c></row>'
    )
    assert cells(path) == [[digits, "0.5"]]
    said = [each for each in open_table(str(path)).facts.warnings if "A2" in each and "keeps 15" in each]
    assert len(said) == (len(digits.lstrip("-")) > 15)


def test_a_long_number_in_a_column_of_fractions_is_its_digits_too(tmp_path: Path) -> None:
    """Nobody sells at a quadrillion: it is an id that stands in the wrong column's company."""
    path = sheet(tmp_path / "a.xlsx", (1015234567890120, None), (19.5, None), (5, None))
    assert [row[0] for row in cells(path)] == ["1015234567890120", "19.5", "5.0"]


def test_keys_that_a_spreadsheet_shows_shortened_are_told(tmp_path: Path) -> None:
    """A CSV saved from the sheet would have other keys; with a format that shows every digit it has not."""
    (said,) = warned(sheet(tmp_path / "a.xlsx", (5, None), (5901234123457, None), (5901234123458, None)))
    assert "A3" in said
    assert "5.90123E+12" in said
    assert warned(sheet(tmp_path / "b.xlsx", (5901234123457, "0"), (59012341234, None))) == []
    assert warned(sheet(tmp_path / "c.xlsx", (5901234123457, None)), key="title") == []
    assert "A2" in warned(tmp_path / "c.xlsx", preset="merchant")[0]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            ["p", "1.2E+12", "1.3E+12"],
            "line 3: the key '1.2E+12' looks like a long number that a spreadsheet shortened",
        ),
        (["1,23457E+14"], "'1,23457E+14'"),
        (["1001.0", "1002.0"], "line 2: the key '1001.0' looks like a whole number that was read as a decimal one"),
        (
            ["p", "1-Mar"],
            "line 3: the key '1-Mar' looks like a code such as 3-1 or MAR1 that a spreadsheet made a date of",
        ),
        (["Okt-26"], "'Okt-26'"),
        (["2026-03-01"], "'2026-03-01'"),
        (["1001", "12E", "1.5", "E12", "1e", "2.50", "MAR1", "3-1", "Mar-blue", "2026-03"], None),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_keys_that_look_damaged_are_told_once(keys: list[str], says: str | None, suffix: str, tmp_path: Path) -> None:
    """With the first example and the way out; they are read as they stand."""
    if suffix == "csv":
        path = write(tmp_path / "a.csv", "id;title\n" + "".join(f"{key};t\n" for key in keys))
    else:
        path = write(tmp_path / "a.jsonl", "\n" + "".join(f'{{"id": "{key}", "title": "t"}}\n' for key in keys))
    said = warned(path)
    assert [record.row_key for record in plan(path, HERO)] == keys
    assert len(said) == (says is not None)
    assert all(says in each for each in said if says)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_whole_floats_that_identify_rows_are_their_digits(kind: pa.DataType, tmp_path: Path) -> None:
    """A data frame turns ids into floats where one is missing; a column with a fraction in it is what it is."""
    table = pa.table({"id": pa.array([1001, None, 1003], kind), "title": ["t1", "t2", "t3"], "other": [0.5, 1.0, 2.0]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    (said,) = warned(path)
    assert "'id'" in said
    assert [record.row_key for record in plan(path, HERO)] == ["1001", None, "1003"]
    assert [record.row_key for record in plan(path, HERO, preset="merchant")] == ["1001", None, "1003"]
    assert [record.row_key for record in plan(path, HERO, key="other")] == ["0.5", "1.0", "2.0"]
    assert plan(path, "shots: [{name: hero, prompt: '{{ other }}'}]")[0].job.prompt == "0.5"  # type: ignore[union-attr]


# Cells without a value

ERRORS = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>sku</t></is></c><c r="B1" t="inlineStr"><is><t>title</t></is></c>'
    '<c r="C1" t="inlineStr"><is><t>Photo</t></is></c><c r="D1" t="inlineStr"><is><t>margin</t></is></c></row>'
    '<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="inlineStr"><is><t>Mug</t></is></c>'
    '<c r="C2" t="e" vm="1"><v>#VALUE!</v></c><c r="D2" t="e"><f>X</f><v>#N/A</v></c></row>'
    '<row r="3"><c r="A3" t="e"><v>#REF!</v></c><c r="B3" t="inlineStr"><is><t>Bowl</t></is></c></row>'
)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("prompt: '{{ title }}'", None),
        (
            "prompt: '{{ title }}, {{ margin }}'",
            "prompt: the column 'margin' is read, and the cell D2 holds the error #N/A",
        ),
        ("prompt: '{{ title }}, {{ row[\"margin\"] | default(1) }}'", "D2"),
        ("prompt: '{{ title }}, {{ MARGIN | default(1) }}'", "D2"),
        ("prompt: '{{ row }}'", "the cell"),
        ("prompt: '{{ title }}', when: 'margin'", "when: the column 'margin' is read"),
        (
            "prompt: '{{ title }}', references: ['{{ photo }}']",
            "references: the column 'Photo' is read, and the cell C2",
        ),
    ],
)
def test_a_cell_without_a_value_harms_only_shots_that_read_it(fields: str, says: str | None, tmp_path: Path) -> None:
    """An error or an image; the record says which cell, and the manifest repeats what stands there."""
    path = package(tmp_path / "a.xlsx", ERRORS)
    first, second = plan(path, f"shots: [{{name: hero, {fields}}}]")
    assert (first.settled, first.error_code) == ((None, None) if says is None else ("invalid", "bad_cell"))
    assert (says or "") in (first.error_message or "")
    assert list(first.values) == ["1", "Mug", "#VALUE!", "#N/A"]
    assert second.settled == "invalid"  # its key is an error
    assert "A3" in (second.error_message or "")


def test_an_image_in_a_cell_is_called_one(tmp_path: Path) -> None:
    """Not an error of somebody's formula."""
    record = plan(package(tmp_path / "a.xlsx", ERRORS), "shots: [{name: hero, prompt: '{{ Photo }}'}]")[0]
    assert "holds an image" in (record.error_message or "")


def test_an_error_in_a_column_that_a_preset_reads_makes_its_row_invalid(tmp_path: Path) -> None:
    """What the preset makes of it cannot be told from the cell any more; other columns harm nobody."""
    head = ERRORS.replace(">sku<", ">id<").replace(">margin<", ">brand<").replace('t="e"><v>#REF!', "><v>5")
    records = plan(package(tmp_path / "a.xlsx", head), HERO, preset="merchant")
    assert [record.settled for record in records] == ["invalid", None]
    records = plan(package(tmp_path / "b.xlsx", head.replace(">brand<", ">margin<")), HERO, preset="merchant")
    assert [record.settled for record in records] == [None, None]


def test_errors_saved_as_text_are_errors(tmp_path: Path) -> None:
    """A spreadsheet's own CSV has #N/A for them: never a prompt. The same words inside a text are text."""
    content = "sku,prompt,note\na,#N/A,x\nb,A lamp,#REF!\nc,Say #N/A loud,#1\nd,#WERT!,x\n"
    records = plan(write(tmp_path / "a.csv", content))
    assert [(record.settled, record.error_code) for record in records] == [
        ("invalid", "bad_cell"),
        (None, None),
        (None, None),
        ("invalid", "bad_cell"),
    ]
    assert cells(tmp_path / "a.csv")[0] == ["a", "#N/A", "x"]
