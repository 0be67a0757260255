"""Files that cannot be read as they are: what they are, where they are broken, and what to do about it."""

import io
import zipfile
from pathlib import Path

import openpyxl
import pytest
from catalogs import cells, plan, refused, rows, told, write

from seedream_tasks.catalog.tables import open_table

HERO = "shots: [{name: hero, prompt: '{{ title }}'}]"
HEAD = '<?xml version="1.0"?>\n<rss xmlns:g="http://base.google.com/ns/1.0"><channel>\n<item><g:id>F1</g:id><title>'
TAIL = "</title></item>\n</channel></rss>"


@pytest.mark.parametrize(
    ("content", "line", "column", "stands", "instead"),
    [
        (HEAD + "Salt & pepper" + TAIL, 3, 35, "Salt & pepper", "&amp;"),
        (HEAD + "https://shop.example/1.jpg?v=1&width=9" + TAIL, 3, 65, "?v=1&width=9", "&amp;"),
        (HEAD + "A&nbsp;chair" + TAIL, 3, 30, "A&nbsp;chair", "&#160;"),
        (HEAD + "A&shop;chair" + TAIL, 3, 30, "A&shop;chair", "does not know &shop;"),
        (HEAD + "5 < 6" + TAIL, 3, 32, "5 < 6", "&lt;"),
        ("\n" + HEAD + TAIL, 2, 1, "<?xml", "very first thing"),
        ("Products:\n" + HEAD + TAIL, 1, 1, "Products:", "very first thing"),
        ("  x" + HEAD + TAIL, 1, 4, "x<?xml", "very first thing"),
        (HEAD + "Lamp", 3, 33, "Lamp", "ends too early"),
        (HEAD + "</item>" + TAIL, 3, 31, "</item>", "closed"),
        (HEAD + TAIL + "<rss/>", 4, 17, "<rss/>", "outermost"),
        ((HEAD + "Größe" + TAIL).encode("latin-1"), 3, 31, "Gr", "#encoding="),
    ],
)
def test_what_is_no_xml_is_told_with_its_place_and_the_way_out(
    content: str | bytes, line: int, column: int, stands: str, instead: str | None, tmp_path: Path
) -> None:
    """Line, column, what stands there, and what to write instead."""
    error = refused(write(tmp_path / "a.xml", content))
    assert error.facts["line"] == line
    assert f"line {line}: column {column}: not XML" in error.message
    assert stands in error.message
    assert instead is None or instead in error.facts["hint"]


def test_a_broken_place_in_a_large_feed_is_shown_too(tmp_path: Path) -> None:
    """However many blocks were read before it."""
    items = "".join(f"<item><id>{n}</id><title>Lamp {n}</title></item>\n" for n in range(20_000))
    error = refused(write(tmp_path / "a.xml", f"<rss>\n{items}<item><id>x</id><title>A & B</title></item></rss>"))
    assert error.facts["line"] == 20_002
    assert "A & B" in error.message


def package(*names: str, mimetype: str = "") -> bytes:
    """A ZIP with these members."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, mimetype if name == "mimetype" else "x")
    return data.getvalue()


ODS = package("mimetype", "content.xml", mimetype="application/vnd.oasis.opendocument.spreadsheet")


@pytest.mark.parametrize(
    ("name", "content", "says", "way"),
    [
        ("a.ods", b"x", "LibreOffice", ".xlsx"),
        ("a.xlsb", b"x", "binary Excel workbook", ".xlsx"),
        ("a.xls", b"\xef\xbb\xbf\n<html><table>", "a web page", ".xlsx"),
        ("a.xls", b"\xd0\xcf\x11\xe0" + b"x" * 9, "Excel 97-2003", ".xlsx"),
        ("a.xls", b"PK\x03\x04", "an .xlsx file", ".xlsx"),
        ("a.xls", b"sku\ttitle\n", "text by its content", ".tsv"),
        ("a.numbers", b"x", "Apple Numbers", ".xlsx"),
        ("a.xlsx", ODS, "OpenDocument", ".xlsx"),
        ("a.xlsx", package("xl/workbook.bin"), ".xlsb", ".xlsx"),
        ("a.csv", b"\xef\xbb\xbf<!DOCTYPE html><html>", "a web page (HTML)", ".csv"),
        ("a.tsv", b"<table><tr>", "a web page (HTML)", ".csv"),
        ("a.txt", b'<?xml version="1.0"?><rss/>', "is XML", ".xml"),
        ("a.csv", b"<rss/>", "is XML", ".xml"),
        ("a.csv", b'[\n {"sku": 1}]', "a JSON array", ".json"),
        ("a.txt", b'{"sku": 1}\n', "JSON", ".json"),
        ("a.xml", b'[{"sku": 1}]', "a JSON array", ".json"),
        ("a.jsonl", b"<html>", "a web page", ".csv"),
        ("a.csv", b"SQLite format 3\x00", "SQLite", ".csv"),
    ],
)
def test_what_is_another_kind_of_file_is_told_with_what_to_do(
    name: str, content: bytes, says: str, way: str, tmp_path: Path
) -> None:
    """By its name or its first bytes."""
    error = refused(write(tmp_path / name, content))
    assert says in error.message
    assert way in error.facts["hint"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "jsonl", "json", "xml", "parquet", "xlsx", "csv.gz"])
def test_an_empty_file_is_told_as_such(suffix: str, tmp_path: Path) -> None:
    """In every format, with a code of its own."""
    import gzip

    error = refused(write(tmp_path / f"a.{suffix}", gzip.compress(b"") if suffix.endswith("gz") else b""))
    assert error.facts["code"] == "empty_catalog"
    assert "empty" in error.message


# JSON arrays

ARRAY = '[\n {"sku": "A1", "title": "Mug"},\n\n {"sku": "A2",\n  "title": "Bowl", "tags": ["x", "y"]}\n]\n'


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_an_array_of_objects_is_a_catalog(name: str, tmp_path: Path) -> None:
    """Row for row what JSONL says, with the lines they begin on."""
    path = write(tmp_path / name, ARRAY)
    assert [(row.line, list(row.cells)) for row in rows(path)] == [
        (2, ["A1", "Mug", ""]),
        (4, ["A2", "Bowl", '["x", "y"]']),
    ]
    assert open_table(str(path)).facts.format == "JSON array"
    lines = write(tmp_path / "lines.json", '{"sku": "A1", "title": "Mug"}\n{"sku": "A2", "title": "Bowl"}\n')
    assert [each.job for each in plan(path, HERO)] == [each.job for each in plan(lines, HERO)]


def test_a_long_array_is_read_piece_by_piece(tmp_path: Path) -> None:
    """Objects over the edges of what is read at once, and one that is larger than that."""
    items = [f'{{"sku": "p{n}", "title": "Lamp {n} ü"}}' for n in range(5000)]
    items.insert(17, '{"sku": "big", "title": "' + "x" * 200_000 + '"}')
    path = write(tmp_path / "a.json", "[" + ",\n".join(items) + "]")
    found = rows(path)
    assert [row.cells[0] for row in found[:18]] == [*(f"p{n}" for n in range(17)), "big"]
    assert (len(found), found[-1].cells, found[-1].line) == (5001, ["p4999", "Lamp 4999 ü"], 5001)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ('[{"sku": "a"},\n 5]', 2, "expected a JSON object, found 5"),
        ('[{"sku": "a"},\n {"sku": "b",}]', 2, "not JSON"),
        ('[{"sku": "a"}\n {"sku": "b"}]', 2, "expected ','"),
        ('[{"sku": "a"},\n {"sku": "b', 2, "not JSON"),
        ('[{"sku": "a"}]\n{"sku": "b"}', 2, "more after the array's end"),
        ('[{"sku": "a"},\n {"sku": "b", "sku": "c"}]', 2, "duplicate key 'sku' in one object"),
        ('{"sku": "a"}\n{"sku": "b", "more": {"x": 1, "x": 2}}', 2, "duplicate key 'x' in one object"),
        ('{"shop": "x", "products": [{"sku": "a"}, {"sku": "b"}]}', None, "'products' is a list of 2 objects"),
        ('{\n "products": []}', 1, "not JSON"),
    ],
)
def test_json_that_is_no_array_of_objects_is_refused(content: str, line: int | None, says: str, tmp_path: Path) -> None:
    """With the line, and where the rows probably are."""
    error = refused(write(tmp_path / "a.json", content))
    assert says in error.message
    assert error.facts.get("line") == line


def test_a_json_file_beside_parts_says_something_about_them(tmp_path: Path) -> None:
    """It is no part of another format's folder; alone it is the catalog."""
    write(tmp_path / "a.csv", "sku,title\na,Lamp\n")
    write(tmp_path / "meta.json", '{"rows": 1}')
    assert cells(tmp_path) == [["a", "Lamp"]]
    (tmp_path / "a.csv").unlink()
    write(tmp_path / "meta.json", '[{"sku": "b", "title": "Bed"}]')
    assert told(plan(tmp_path, HERO)) == [("b", None, "new")]


def test_a_workbook_of_which_nothing_is_known_names_its_sheets(tmp_path: Path) -> None:
    """An empty first sheet is not the end."""
    book = openpyxl.Workbook()
    book.worksheets[0].title = "Empty"
    book.create_sheet("Data").append(["a", "b"])
    book.save(tmp_path / "a.xlsx")
    error = refused(tmp_path / "a.xlsx")
    assert (error.facts["code"], "'Data'" in error.message) == ("empty_catalog", True)
