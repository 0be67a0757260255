"""Spreadsheets: what stands in a cell is the text that CSV would have, and nothing in a file is trusted."""

import hashlib
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from catalogs import cells, plan, refused, rows, write

from seedream_tasks.catalog.tables import open_table

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
PARTS = {
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{OFFICE}/officeDocument"'
    ' Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="Products" sheetId="1" r:id="r1"/>'
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1" Type="{OFFICE}/worksheet"'
    f' Target="/xl/worksheets/sheet1.xml"/><Relationship Id="r2" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    "</Relationships>",
    "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}"><si><t>sku</t></si><si><t>title</t></si><si><r><t>La</t></r><r><t>mp</t></r>'
    "<rPh sb='0' eb='1'><t>READ</t></rPh></si><si><t>one_x000D_two</t></si></sst>",
}


def package(path: Path, sheet: str, **others: str) -> Path:
    """An XLSX made by hand: what programs write is richer than what a library makes of it."""
    data = f'<worksheet xmlns="{MAIN}"><sheetData>{sheet}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**PARTS, "xl/worksheets/sheet1.xml": data, **others}.items():
            archive.writestr(name, content)
    return path


HEADER = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'


def book(path: Path, *lines: list[Any], title: str = "Sheet") -> Path:
    """A sheet as openpyxl writes it."""
    made = openpyxl.Workbook()
    sheet = made.worksheets[0]
    sheet.title = title
    for line in lines:
        sheet.append(line)
    made.save(path)
    return path


def column(path: Path, *values: Any) -> list[str]:
    """What a column of these values reads as."""
    return [each[1] for each in cells(book(path, ["sku", "x"], *[[f"p{n}", value] for n, value in enumerate(values)]))]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([5, 7, 1001], ["5", "7", "1001"]),
        ([19.9, 10, 0.5], ["19.9", "10.0", "0.5"]),
        (["S", 36, 36.5], ["S", "36", "36.5"]),
        ([19.9, None, 3], ["19.9", "", "3.0"]),
        ([True, False], ["True", "False"]),
        ([123456789012345, 1e15, 1e300], ["123456789012345", "1" + "0" * 15, "1" + "0" * 300]),
        ([date(2026, 1, 31)], ["2026-01-31"]),
        ([datetime(2026, 1, 31, 8, 30)], ["2026-01-31 08:30:00"]),  # noqa: DTZ001 - a sheet knows no zones
        ([time(8, 30)], ["08:30:00"]),
        ([timedelta(hours=30)], ["1 day, 6:00:00"]),
        ([" 007 ", "1.50"], [" 007 ", "1.50"]),
    ],
)
def test_cells_read_as_csv_has_them(values: list[Any], texts: list[str], tmp_path: Path) -> None:
    """Whole numbers without a point, unless their column holds fractions; dates by their format; text as it stands."""
    assert column(tmp_path / "a.xlsx", *values) == texts


def test_how_a_program_spells_a_whole_number_does_not_matter(tmp_path: Path) -> None:
    """Some write 5 as 5.0 or 5E0; it is one number, and one row key."""
    sheet = HEADER + "".join(
        f'<row><c><v>{text}</v></c><c t="inlineStr"><is><t>x</t></is></c></row>' for text in ("5", "6.0", "7E0")
    )
    assert [each[0] for each in cells(package(tmp_path / "a.xlsx", sheet))] == ["5", "6", "7"]


def test_dates_as_pandas_writes_them(tmp_path: Path) -> None:
    """With its own number formats, upper case and all."""
    frame = pd.DataFrame({"sku": ["a"], "day": [date(2026, 1, 31)], "moment": [pd.Timestamp("2026-01-31 08:30")]})
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    assert cells(tmp_path / "a.xlsx") == [["a", "2026-01-31", "2026-01-31 08:30:00"]]


def test_texts_of_every_kind(tmp_path: Path) -> None:
    """Rich text is joined, its reading aids left out, inline text and escapes are read."""
    sheet = (
        HEADER
        + '<row><c t="s"><v>2</v></c><c t="s"><v>3</v></c></row>'
        + '<row><c t="inlineStr"><is><t>in</t><t>line</t></is></c><c t="str"><f>A1</f><v>made</v></c></row>'
    )
    assert cells(package(tmp_path / "a.xlsx", sheet)) == [["Lamp", "one\rtwo"], ["inline", "made"]]


def test_a_formula_is_what_was_computed_and_never_computed_here(tmp_path: Path) -> None:
    """Its last value counts; one that was never computed is an invalid row that names its cell."""
    sheet = (
        HEADER
        + '<row r="2"><c r="A2"><v>1</v></c><c r="B2"><f>1+1</f><v>2</v></c></row>'
        + '<row r="3"><c r="A3"><v>2</v></c><c r="B3"><f>1+1</f></c></row>'
        + '<row r="4"><c r="A4"><v>3</v></c><c r="B4" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
    )
    first, second, third = rows(package(tmp_path / "a.xlsx", sheet))
    assert (first.cells, first.error) == (["1", "2"], None)
    assert "B3 holds a formula that was never computed" in (second.error or "")
    assert (third.line, third.error, third.cells[1]) == (4, None, "#DIV/0!")


def test_text_that_looks_like_a_formula_stays_text(tmp_path: Path) -> None:
    """In CSV, too: nothing is ever computed."""
    text = '=HYPERLINK("http://evil.example")'
    sheet = HEADER + f'<row><c><v>1</v></c><c t="inlineStr"><is><t>{text}</t></is></c></row>'
    assert cells(package(tmp_path / "a.xlsx", sheet)) == [["1", text]]
    assert cells(write(tmp_path / "a.csv", "sku,title\n1,=1+1\n")) == [["1", "=1+1"]]


def test_blank_rows_and_columns_around_the_table_do_not_count(tmp_path: Path) -> None:
    """The first row that holds something is the header; messages name the sheet's own rows."""
    path = book(tmp_path / "a.xlsx", [], [], ["sku", "title", None], [], ["a", "Lamp"], [None, None], ["b"])
    assert open_table(str(path)).columns == ["sku", "title"]
    assert [(row.line, row.cells) for row in rows(path)] == [(5, ["a", "Lamp"]), (7, ["b", ""])]


def test_a_cell_beside_the_table_is_an_invalid_row(tmp_path: Path) -> None:
    """As in CSV: nobody knows which column was meant."""
    path = book(tmp_path / "a.xlsx", ["sku", "prompt"], ["a", "A lamp", "red"], ["b", "A chair"])
    assert [row.error for row in rows(path)] == ["line 2 has 3 cells, the header has 2", None]
    assert [record.settled for record in plan(path)] == ["invalid", None]


def test_the_first_visible_sheet_is_the_catalog_or_the_one_that_is_named(tmp_path: Path) -> None:
    """Hidden ones hold lists for drop-downs."""
    made = openpyxl.Workbook()
    made.worksheets[0].append(["hidden"])
    made.worksheets[0].sheet_state = "hidden"
    for title, name in (("Spring", "a"), ("Summer & Co", "b")):
        made.create_sheet(title).append(["sku"])
        made[title].append([name])
    path = tmp_path / "a.xlsx"
    made.save(path)
    assert cells(path) == [["a"]]
    assert cells(f"{path}#sheet=Summer%20%26%20Co") == [["b"]]
    assert "the first of 2" in open_table(str(path)).facts.details[0]
    error = refused(f"{path}#sheet=Winter")
    assert "Spring, Summer & Co" in error.message


def test_a_column_that_stands_twice_is_refused_with_its_row(tmp_path: Path) -> None:
    """As in every format."""
    error = refused(book(tmp_path / "a.xlsx", [], ["sku", "title", "sku"]))
    assert (error.facts["line"], error.facts["field"]) == (2, "sku")


def test_the_sum_is_that_of_the_file(tmp_path: Path) -> None:
    """Once all rows are read."""
    path = book(tmp_path / "a.xlsx", ["sku"], ["a"])
    table = open_table(str(path))
    assert len(list(table.rows)) == 1
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


BOMB = f'<row r="2"><c r="A2" t="inlineStr"><is><t>{"x" * 90_000_000}</t></is></c></row>'


@pytest.mark.parametrize(
    ("sheet", "others", "says"),
    [
        (HEADER + BOMB, {}, "unpacks from"),
        (HEADER, {"xl/sharedStrings.xml": f'<!DOCTYPE a [<!ENTITY b "c">]><sst xmlns="{MAIN}"/>'}, "document type"),
        (HEADER + '<row r="99999999"/>', {}, "at most 1,048,576 rows"),
        (HEADER + '<row r="2"><c r="ZZZZ2"><v>1</v></c></row>', {}, "at most 16,384 columns"),
        (HEADER + '<row r="2"><c r="A2" t="s"><v>99</v></c></row>', {}, "A2 cannot be read"),
        (HEADER + '<row r="2"><c r="A2"><v>five</v></c></row>', {}, "A2 cannot be read"),
        (HEADER + '<row r="2"><c r="A2">', {}, "not XML"),
        ("", {}, "'Products' is empty"),
        (HEADER, {"_rels/.rels": f'<Relationships xmlns="{PACKAGE}"/>'}, "holds no workbook"),
    ],
    ids=["bomb", "entities", "rows", "columns", "no such text", "no number", "cut", "empty", "no workbook"],
)
def test_a_workbook_that_is_made_to_harm_or_broken_is_refused(
    sheet: str, others: dict[str, str], says: str, tmp_path: Path
) -> None:
    """Before any of it fills the memory; with the cell where there is one."""
    assert says in refused(package(tmp_path / "a.xlsx", sheet, **others)).message


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"sku,title\n", "no XLSX"), (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "password"), (b"", "not an XLSX")],
)
def test_what_is_no_workbook_is_told(content: bytes, says: str, tmp_path: Path) -> None:
    """A renamed CSV, an old or locked file."""
    assert says in refused(write(tmp_path / "a.xlsx", content)).message
