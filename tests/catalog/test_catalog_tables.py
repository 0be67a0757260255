"""Reading tables: what stands in the file, with the line it stands on, and an error instead of a guess."""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogs import cells, plan, refused, rows, write

from seedream_tasks.catalog.tables import open_table
from seedream_tasks.core.errors import InputError

T = TypeVar("T")


def outcome(read: Callable[[Path], list[T]], path: Path) -> list[T] | InputError:
    """What reading gives: everything, or the input error that it ends with."""
    try:
        return read(path)
    except InputError as error:
        return error


# CSV


def test_a_csv_is_read_as_it_stands(tmp_path: Path) -> None:
    """Text cells, in order, with the line of each row."""
    path = write(tmp_path / "a.csv", "sku,title,price\n007,Lamp,1.50\n008, Chair ,\n")
    found = rows(path)
    assert [row.cells for row in found] == [["007", "Lamp", "1.50"], ["008", " Chair ", ""]]
    assert [row.line for row in found] == [2, 3]
    assert open_table(str(path)).columns == ["sku", "title", "price"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_change_nothing(end: str, bom: bytes, tmp_path: Path) -> None:
    """However the file was saved, the columns and cells are the same."""
    path = write(tmp_path / "a.csv", bom + end.join(["sku,title", "a,Lamp", "b,Größe"]).encode())
    assert open_table(str(path)).columns == ["sku", "title"]
    assert cells(path) == [["a", "Lamp"], ["b", "Größe"]]


def test_a_quoted_cell_may_hold_lines(tmp_path: Path) -> None:
    """Line breaks in quotes belong to the cell, and later lines keep their numbers."""
    path = write(tmp_path / "a.csv", 'sku,text\r\na,"one\r\ntwo, and ""three"""\r\nb,four\r\n')
    found = rows(path)
    assert [row.cells[1] for row in found] == ['one\r\ntwo, and "three"', "four"]
    assert [row.line for row in found] == [2, 4]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    """They are passed over, and counted as lines."""
    path = write(tmp_path / "a.csv", "\n\nsku,title\n\na,Lamp\n\n\nb,Chair\n\n")
    assert [(row.line, row.cells) for row in rows(path)] == [(5, ["a", "Lamp"]), (8, ["b", "Chair"])]


def test_missing_cells_are_empty(tmp_path: Path) -> None:
    """A short line is filled up."""
    assert cells(write(tmp_path / "a.csv", "sku,title,price\na\nb,Chair\n")) == [["a", "", ""], ["b", "Chair", ""]]


def test_a_line_with_too_many_cells_is_an_error_of_its_own(tmp_path: Path) -> None:
    """The row says its line and both counts; the others are read."""
    found = rows(write(tmp_path / "a.csv", "sku,title\na,Lamp, 5 W\nb,Chair\n"))
    assert [row.error for row in found] == ["line 2 has 3 cells, the header has 2", None]
    assert found[1].cells == ["b", "Chair"]


def test_such_a_line_becomes_an_invalid_record(tmp_path: Path) -> None:
    """It is not bought, and the run goes on."""
    first, second = plan(write(tmp_path / "a.csv", "sku,prompt\na,A lamp, red\nb,A chair\n"))
    assert (first.settled, first.error_code) == ("invalid", "ragged_row")
    assert "line 2" in (first.error_message or "")
    assert second.settled is None


HEADER = "sku,title,note\n"
UNCLOSED = {
    "in the only row": ('a,Lamp,"open\n', 2),
    "at once": ('"a,Lamp,open\n', 2),
    "after good rows": ('a,Lamp,x\nb,Chair,"open\nc,Table,y\nd,Bed,z\n', 3),
    "in the last line": ('a,Lamp,x\nb,Chair,"open', 3),
    "after a quoted cell of several lines": ('a,"one\ntwo\nthree",x\nb,Chair,"open\nc,Table,y\n', 5),
    "in the record of a quoted cell of several lines": ('a,"one\ntwo\nthree","open\nb,Chair,y\n', 4),
    "with a doubled quote inside": ('a,Lamp,"5"" wide\nb,Chair,y\n', 2),
    "after blank lines": ('\n\na,Lamp,"open\n\n\n', 4),
    "with many lines behind it": ('a,Lamp,"open\n' + "b,Chair,y\n" * 5000, 2),
    "in a record with a stray quote": ('a,"5"x,"open\nb,Chair,y\n', 2),
    "in the header": (None, 1),
}


@pytest.mark.parametrize("case", UNCLOSED)
def test_a_quote_that_never_closes_is_an_error_with_its_line(case: str, tmp_path: Path) -> None:
    """It swallows every row behind it: exit 2, with the line where it opens."""
    body, line = UNCLOSED[case]
    path = write(tmp_path / "a.csv", HEADER + body if body else 'sku,title,"note\na,Lamp,x\nb,Chair,y\n')
    error = refused(path)
    assert (error.facts.get("code"), error.facts["line"]) == ("unclosed_quote", line)
    assert f"line {line}: " in error.message


HUGE = "b,Chair,a rather long description of a chair\n" * 30_000


@pytest.mark.parametrize(
    ("body", "line"),
    [(f'a,Lamp,x\nb,Chair,"open\n{HUGE}', 3), (f'a,"one\ntwo","open\n{HUGE}', 3)],
    ids=["in a line of its own", "in the record of a quoted cell"],
)
def test_a_huge_open_quote_is_found_before_the_end_of_the_file(body: str, line: int, tmp_path: Path) -> None:
    """A cell beyond any description is a quote that never closes; the line is where it opens."""
    error = refused(write(tmp_path / "a.csv", HEADER + body))
    assert (error.facts.get("code"), error.facts["line"]) == ("unclosed_quote", line)


def test_a_huge_open_quote_in_the_header_is_an_input_error(tmp_path: Path) -> None:
    """The header is read by the same rules."""
    error = refused(write(tmp_path / "a.csv", f'sku,title,"note\n{HUGE}'))
    assert (error.facts.get("code"), error.facts["line"]) == ("unclosed_quote", 1)


def test_a_quote_that_another_row_closes_is_never_silent(tmp_path: Path) -> None:
    """Two products must not become one: the row between the quotes is an error, or the file is."""
    path = write(tmp_path / "a.csv", HEADER + 'a,"Lamp 5,x\nb,"Chair",y\nc,Table,z\n')
    found = outcome(rows, path)
    if isinstance(found, InputError):
        assert found.facts["line"] == 2
    else:
        assert any(row.error for row in found), [row.cells for row in found]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("sku,title,sku\n", "duplicate column 'sku'"),
        ("sku, sku \n", "duplicate column 'sku'"),
        ("", "empty"),
        ("\n\n", "empty"),
    ],
)
def test_a_bad_header_is_an_input_error(header: str, says: str, tmp_path: Path) -> None:
    """Columns need names that tell them apart."""
    assert says in refused(write(tmp_path / "a.csv", header)).message


def test_a_column_without_a_name_gets_its_number(tmp_path: Path) -> None:
    """Spreadsheets leave such behind; names lose the blanks around them."""
    path = write(tmp_path / "a.csv", "sku,, title \na,b,c\n")
    assert open_table(str(path)).columns == ["sku", "column_2", "title"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_that_is_not_there_is_an_input_error(name: str, tmp_path: Path) -> None:
    """It says which, with a code of its own."""
    error = refused(tmp_path / name)
    assert error.facts["code"] == "no_catalog"
    assert name in error.message


@pytest.mark.parametrize("name", ["a.docx", "a", "a.xls", "a.csv.7z"])
def test_other_formats_are_refused_with_those_it_reads(name: str, tmp_path: Path) -> None:
    """A catalog it cannot read is an input error that lists what it can."""
    error = refused(write(tmp_path / name, "sku\na\n"))
    assert ".csv" in error.message
    assert ".parquet" in error.message


def test_tab_separated_catalogs_are_read(tmp_path: Path) -> None:
    """TSV is a catalog like CSV: cells are the text that stands there, commas and all."""
    assert cells(write(tmp_path / "a.tsv", "sku\ttitle\n007\tLamp, red\n")) == [["007", "Lamp, red"]]


def test_a_catalog_may_lie_anywhere(tmp_path: Path) -> None:
    """Any fsspec URI; the sum is that of the file's bytes once all rows are read."""
    content = b"sku,title\na,Lamp\n"
    with fsspec.open("memory://catalogs/a.csv", "wb") as file:
        file.write(content)
    for uri in ("memory://catalogs/a.csv", f"file://{write(tmp_path / 'a.csv', content)}"):
        table = open_table(uri)
        assert [row.cells for row in table.rows] == [["a", "Lamp"]]
        assert table.sha256 == hashlib.sha256(content).hexdigest()


# JSONL


def test_the_columns_of_jsonl_are_all_keys_of_all_lines(tmp_path: Path) -> None:
    """In the order in which they first appear; what a line leaves out is empty."""
    path = write(tmp_path / "a.jsonl", '{"sku": "a", "n": 2}\n\n{"title": "Lamp", "sku": "b", "ok": true}\n{}\n')
    assert open_table(str(path)).columns == ["sku", "n", "title", "ok"]
    assert cells(path) == [["a", "2", "", ""], ["b", "", "Lamp", "True"], ["", "", "", ""]]
    assert [row.line for row in rows(path)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ('{"sku": "a"}\n{"sku": \n', 2, "not JSON"),
        ('{"sku": "a"}\n\n["b"]\n', 3, "expected a JSON object"),
        ('"a"\n', 1, "expected a JSON object"),
        ('{"sku": "a"} {"sku": "b"}\n', 1, "not JSON"),
    ],
)
def test_a_bad_line_of_jsonl_is_named(content: str, line: int, says: str, tmp_path: Path) -> None:
    """Nothing is planned from a file of which a line cannot be read."""
    error = refused(write(tmp_path / "a.jsonl", content))
    assert error.facts["line"] == line
    assert says in error.message


def test_jsonl_must_be_utf8_too(tmp_path: Path) -> None:
    """With the same code as a CSV."""
    assert refused(write(tmp_path / "a.jsonl", b'{"sku": "\xff"}\n')).facts["code"] == "encoding"


def test_half_a_character_is_one_bad_row(tmp_path: Path) -> None:
    """A title cut in the middle of an emoji cannot be sent: invalid or refused with its line, and never a crash."""
    path = write(tmp_path / "a.jsonl", '{"sku": "a", "prompt": "A lamp \\ud83d"}\n{"sku": "b", "prompt": "A chair"}\n')
    found = outcome(plan, path)
    if isinstance(found, InputError):
        assert found.facts["line"] == 1
    else:
        assert [record.settled for record in found] == ["invalid", None]


# Parquet


def test_parquet_keeps_its_types_and_reads_as_text(tmp_path: Path) -> None:
    """Templates see text by the one table; the manifest repeats the values as they are."""
    table = pa.table(
        {
            "sku": pa.array(["a", None]),
            "price": pa.array([19.9, None], pa.float32()),
            "weight": pa.array([0.1, float("nan")], pa.float64()),
            "stock": pa.array([7, None], pa.int64()),
            "cost": pa.array([Decimal("1.50"), None], pa.decimal128(8, 2)),
            "sold": pa.array([True, None]),
            "since": pa.array([date(2026, 1, 31), None]),
            "seen": pa.array([datetime(2026, 1, 31, 8, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
            "changed": pa.array([datetime(2026, 1, 31, 8), None], pa.timestamp("ns")),  # noqa: DTZ001 - has no zone
            "photos": pa.array([["a.jpg", "b.jpg"], None]),
            "brand": pa.array(["Acme", None]).dictionary_encode(),
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    first, second = rows(path)
    assert dict(zip(table.column_names, first.cells, strict=True)) == {
        "sku": "a",
        "price": "19.9",
        "weight": "0.1",
        "stock": "7",
        "cost": "1.50",
        "sold": "True",
        "since": "2026-01-31",
        "seen": "2026-01-31 08:00:00+00:00",
        "changed": "2026-01-31 08:00:00",
        "photos": '["a.jpg", "b.jpg"]',
        "brand": "Acme",
    }
    assert set(second.cells) == {""}
    assert list(second.values)[3] is None
    assert first.values[4] == Decimal("1.50")
    assert open_table(str(path)).schema.field("cost").type == pa.decimal128(8, 2)


def test_what_is_no_parquet_is_an_input_error(tmp_path: Path) -> None:
    """A renamed CSV is told as such."""
    assert "cannot be read" in refused(write(tmp_path / "a.parquet", "sku,title\n")).message


def test_bytes_in_a_parquet_are_no_crash(tmp_path: Path) -> None:
    """A warehouse's thumbnail column is an input error that names it, or an error of its row."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"sku": ["a"], "prompt": ["A lamp"], "thumbnail": pa.array([b"\xff\xd8\xff"])}), path)
    found = outcome(rows, path)
    if isinstance(found, InputError):
        assert "thumbnail" in found.message
    else:
        assert [row.error is None or "thumbnail" in row.error for row in found] == [True]


def test_the_sum_of_a_parquet_is_that_of_its_bytes(tmp_path: Path) -> None:
    """It is read in pieces, from its end, and summed as a whole."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"sku": [f"p{n}" for n in range(10_000)]}), path, row_group_size=1000)
    table = open_table(str(path))
    assert len(list(table.rows)) == 10_000
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_float32_column_has_the_fingerprint_of_what_was_written(tmp_path: Path) -> None:
    """19.9 in a small float is 19.9, as in the CSV."""
    write(tmp_path / "a.csv", "sku,price\na,19.9\n")
    pq.write_table(pa.table({"sku": ["a"], "price": pa.array([19.9], pa.float32())}), tmp_path / "a.parquet")
    shots = "shots: [{name: hero, prompt: 'For {{ price }}'}]"
    assert plan(tmp_path / "a.csv", shots)[0].job == plan(tmp_path / "a.parquet", shots)[0].job
