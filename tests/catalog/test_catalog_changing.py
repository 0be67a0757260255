"""A catalog that somebody writes while it is read: rows of one content, with its sha256, or an error that says what happened."""

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogs import write

from seedream_tasks.catalog.tables import open_table
from seedream_tasks.core.errors import InputError

COUNT = 20_000  # more than any reader takes at once


def products(word: str) -> list[dict[str, str]]:
    """As many rows, with a text of their own."""
    return [
        {"sku": f"{word}-{number}", "title": f"{word} {number * 7919 % 99991} {'x' * 40}"} for number in range(COUNT)
    ]


def csv(path: Path, word: str) -> None:
    """Lines of text."""
    write(path, "sku,title\n" + "".join(f"{each['sku']},{each['title']}\n" for each in products(word)))


def packed(path: Path, word: str) -> None:
    """The same, packed."""
    lines = "sku,title\n" + "".join(f"{each['sku']},{each['title']}\n" for each in products(word))
    write(path, gzip.compress(lines.encode(), mtime=0))


def jsonl(path: Path, word: str) -> None:
    """One object a line."""
    write(path, "".join(json.dumps(each) + "\n" for each in products(word)))


def parquet(path: Path, word: str) -> None:
    """In row groups, read from the end."""
    pq.write_table(pa.Table.from_pylist(products(word)), path, row_group_size=1000, compression="none")


def xlsx(path: Path, word: str) -> None:
    """A sheet, in its ZIP."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Products")
    sheet.append(["sku", "title"])
    for each in products(word)[: COUNT // 10]:
        sheet.append(list(each.values()))
    book.save(path)


def xml(path: Path, word: str) -> None:
    """A feed."""
    items = "".join(f"<item><id>{each['sku']}</id><title>{each['title']}</title></item>" for each in products(word))
    write(path, f"<rss><channel>{items}</channel></rss>")


FORMS = {"a.csv": csv, "a.csv.gz": packed, "a.jsonl": jsonl, "a.parquet": parquet, "a.xlsx": xlsx, "a.xml": xml}


def replaced(path: Path, other: Path) -> None:
    """Another file under its name, in one step."""
    other.replace(path)


def written_over(path: Path, other: Path) -> None:
    """Another content in the same file."""
    path.write_bytes(other.read_bytes())


def appended(path: Path, other: Path) -> None:
    """More rows behind those that stand there."""
    with path.open("ab") as file:
        file.write(other.read_bytes()[:100_000])


def truncated(path: Path, other: Path) -> None:
    """Its end has gone."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("change", [replaced, written_over, appended, truncated])
@pytest.mark.parametrize("name", FORMS)
def test_rows_are_of_one_content_or_refused(name: str, change: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """Whatever is done to the file after the first row, and wherever its reader is by then."""
    path, other = tmp_path / name, tmp_path / f"other-{name}"
    FORMS[name](path, "red")
    FORMS[name](other, "blue")
    before = path.read_bytes()
    whole = [row.cells for row in open_table(str(path)).rows]
    table = open_table(str(path))
    rows = table.rows
    seen = [next(rows).cells]
    change(path, other)
    refusal: InputError | None = None
    try:
        seen += [row.cells for row in rows]
    except InputError as error:
        refusal = error
    if refusal is None:
        assert [list(each) for each in seen] == [list(each) for each in whole]
        assert table.sha256 == hashlib.sha256(before).hexdigest()
    else:
        assert (refusal.facts["code"], refusal.facts["field"]) == ("catalog_changed", "catalog")
        assert str(path) in refusal.message


@pytest.mark.parametrize("change", [replaced, written_over, truncated])
@pytest.mark.parametrize("name", FORMS)
def test_a_file_that_is_another_than_when_it_was_opened_is_refused(
    name: str, change: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    """Its columns were found in the one that stood there before."""
    path, other = tmp_path / name, tmp_path / f"other-{name}"
    FORMS[name](path, "red")
    FORMS[name](other, "blue")
    rows = open_table(str(path)).rows
    change(path, other)
    with pytest.raises(InputError) as caught:
        list(rows)
    assert caught.value.facts["code"] == "catalog_changed"


def test_a_file_that_goes_while_it_is_read_is_told(tmp_path: Path) -> None:
    """It is not an empty one."""
    path = tmp_path / "a.parquet"
    parquet(path, "red")
    rows = open_table(str(path)).rows
    next(rows)
    path.unlink()
    with pytest.raises(InputError) as caught:
        list(rows)
    assert caught.value.facts["code"] == "catalog_changed"
