"""A catalog of several files: one table, in the order of their names."""

import hashlib
from datetime import datetime
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogs import cells, plan, refused, rows, write

from seedream_tasks.catalog.tables import open_table, reference_base


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder of three CSV parts, as a warehouse leaves it."""
    folder = tmp_path / "out.csv"
    (folder / "b").mkdir(parents=True)
    write(folder / "part-1.csv", "sku,prompt\na,A lamp\nb,A chair\n")
    write(folder / "part-2.csv", "prompt,sku\n\nA table,c\n")
    write(folder / "b" / "part-0.csv", "sku,prompt\nz,A bed\n")
    for name in ("_SUCCESS", ".part-1.csv.crc", "_part.csv", "README.md"):
        write(folder / name, "not a part")
    return folder


def test_a_folder_is_its_parts_in_the_order_of_their_names(parts: Path) -> None:
    """Below it, too; hidden files and other formats are passed over, columns are matched by name."""
    table = open_table(str(parts))
    found = list(table.rows)
    assert [list(row.cells) for row in found] == [["z", "A bed"], ["a", "A lamp"], ["b", "A chair"], ["c", "A table"]]
    assert [(row.file, row.line) for row in found] == [
        ("b/part-0.csv", 2),
        ("part-1.csv", 2),
        ("part-1.csv", 3),
        ("part-2.csv", 3),
    ]
    assert table.facts.details[-1] == "3 parts"


def test_rows_are_counted_through_and_messages_name_the_part(parts: Path) -> None:
    """A row is found by its part and line."""
    write(parts / "part-3.csv", "sku,prompt\na,Another lamp\n,No key\nd,x,y\n")
    records = plan(parts)
    assert [record.row_number for record in records] == [1, 2, 3, 4, 5, 6, 7]
    told = [record.error_message or "" for record in records[4:]]
    assert told[0].startswith("part-3.csv, line 2 (a)")
    assert "already used on part-1.csv, line 2" in told[0]
    assert told[1].startswith("part-3.csv, line 3 (no key)")
    assert told[2] == "part-3.csv, line 4 has 3 cells, the header has 2"


def test_the_sum_is_that_of_sha256sums_lines(parts: Path) -> None:
    """So that anyone can compute it: `sha256sum` of the parts in order, and of what it prints."""
    table = open_table(str(parts))
    assert table.sha256 == ""
    assert len(list(table.rows)) == 4
    names = ["b/part-0.csv", "part-1.csv", "part-2.csv"]
    lines = "".join(f"{hashlib.sha256((parts / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    assert table.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_a_pattern_names_parts(parts: Path) -> None:
    """One file alone is a catalog like a folder of one; none is an error."""
    assert [row[0] for row in cells(f"{parts}/part-*.csv")] == ["a", "b", "c"]
    assert [row[0] for row in cells(f"{parts}/**/part-0.csv")] == ["z"]
    assert refused(f"{parts}/*.parquet").facts["code"] == "no_catalog"


def test_a_name_with_a_bracket_is_a_name(tmp_path: Path) -> None:
    """A file that is there is that file."""
    assert cells(write(tmp_path / "products [1].csv", "sku\na\n")) == [["a"]]


def test_parts_may_lie_anywhere(tmp_path: Path) -> None:
    """Any fsspec URI."""
    for name in ("a", "b"):
        with fsspec.open(f"memory://shop/parts/{name}.jsonl", "wb") as file:
            file.write(f'{{"sku": "{name}", "only_{name}": 1}}\n'.encode())
    for uri in ("memory://shop/parts", "memory://shop/parts/*.jsonl"):
        table = open_table(uri)
        assert table.columns == ["sku", "only_a", "only_b"]
        assert [list(row.cells) for row in table.rows] == [["a", "1", ""], ["b", "", "1"]]


@pytest.mark.parametrize(
    ("name", "base"),
    [("out.csv", "out.csv"), ("out.csv/", "out.csv"), ("out.csv/part-*.csv", "out.csv"), ("out.csv/**/part-0.csv", "out.csv"),
     ("out.csv/part-1.csv#encoding=utf-8", "out.csv"), ("*.csv", "."), ("nothing.csv", ".")],
)  # fmt: skip
def test_references_are_relative_to_the_folder_of_the_parts(name: str, base: str, parts: Path) -> None:
    """A folder of parts is the catalog's folder; a pattern's is the one before its first mark."""
    assert Path(reference_base(f"{parts.parent}/{name}")).parent == parts.parent / base


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("sku\na\n", "lacks the column 'prompt' of b/part-0.csv"),
        ("sku,prompt,price\na,b,c\n", "has the column 'price', unlike b/part-0.csv"),
        ("sku,prompt,sku\n", "duplicate column 'sku'"),
        ("", "empty"),
        ("\u0416\u0438\u0437,prompt\n".encode("cp1251"), "#encoding="),
    ],
)
def test_a_part_that_differs_is_named(content: str | bytes, says: str, parts: Path) -> None:
    """Before anything is bought for the others."""
    write(parts / "part-9.csv", content)
    error = refused(parts)
    assert "part-9.csv" in error.message
    assert says in error.message + str(error.facts.get("hint"))


def test_parts_are_of_one_format(parts: Path) -> None:
    """Nobody knows whether the other file belongs to them."""
    write(parts / "stock.jsonl", "{}")
    error = refused(parts)
    assert "stock.jsonl is jsonl" in error.message
    assert "*.csv" in error.facts["hint"]


def test_an_empty_folder_is_no_catalog(tmp_path: Path) -> None:
    """It says what it looked for."""
    assert refused(tmp_path).facts["code"] == "no_catalog"


def test_parquet_parts_share_their_types(tmp_path: Path) -> None:
    """A column that is empty in one part takes its type from the others; another type is an error that names both."""
    pq.write_table(pa.table({"sku": ["a"], "price": pa.array([None])}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"price": [19.9], "sku": ["b"]}), tmp_path / "1.parquet")
    table = open_table(str(tmp_path))
    assert table.schema.field("price").type == pa.float64()
    assert [list(row.cells) for row in table.rows] == [["a", ""], ["b", "19.9"]]
    pq.write_table(pa.table({"sku": ["c"], "price": [1]}), tmp_path / "2.parquet")
    error = refused(tmp_path)
    assert "2.parquet: in this part the column 'price' is int64, in 0.parquet it is double" in error.message


def test_every_parquet_type_reads_as_text(tmp_path: Path) -> None:
    """Dictionaries, lists, structs, maps, decimals, times, bytes: none of them spoils a row."""
    table = pa.table(
        {
            "sku": pa.array(["a", "b"]).dictionary_encode(),
            "size": pa.array([{"w": 1, "h": None}, None], pa.struct([("w", pa.int32()), ("h", pa.int32())])),
            "tags": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
            "took": pa.array([90, None], pa.duration("s")),
            "seen": pa.array([10**18, None], pa.timestamp("ns")),
            "id": pa.array([b"\x00\xff", b"text"]),
            "photo": pa.array([b"\xff\xd8" * 100_000, None]),
            "prompt": ["A lamp", "A chair"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = rows(tmp_path / "a.parquet")
    texts = dict(zip(table.column_names, first.cells, strict=True))
    assert (texts["size"], texts["tags"]) == ('{"w": 1, "h": null}', '[["k", 1]]')
    assert (texts["took"], texts["seen"]) == ("0:01:30", str(datetime(2001, 9, 9, 1, 46, 40)))  # noqa: DTZ001
    assert (texts["id"], second.cells[5], texts["photo"][:8]) == ("00ff", "text", "ffd8ffd8")
    assert [record.settled for record in plan(tmp_path / "a.parquet")] == [None, None]


def test_a_date_beyond_every_calendar_is_refused(tmp_path: Path) -> None:
    """It names its column: the manifest could not repeat it."""
    pq.write_table(pa.table({"sku": ["a"], "far": pa.array([10**15], pa.timestamp("s"))}), tmp_path / "a.parquet")
    assert refused(tmp_path / "a.parquet").facts["field"] == "far"


def test_text_that_is_no_utf_8_is_its_digits(tmp_path: Path) -> None:
    """Some writers put anything into a text column; it does no harm where no template uses it."""
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\x00"]).buffers())
    pq.write_table(pa.table({"sku": ["a"], "wrong": wrong}), tmp_path / "a.parquet")
    assert [list(row.cells) for row in rows(tmp_path / "a.parquet")] == [["a", "ff00"]]
