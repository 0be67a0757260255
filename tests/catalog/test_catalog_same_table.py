"""One table has one set of fingerprints, in whatever file it comes."""

import bz2
import gzip
import json
import lzma
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogs import plan
from hypothesis import given, settings
from hypothesis import strategies as st

from seedream_tasks.core.jobs import Job

SHOTS = """
shots:
  - name: hero
    prompt: "{{ title | default('thing') }} for {{ price }}, {{ stock }} left, {{ sale }} {{ sku }}"
"""


def as_csv(frame: pd.DataFrame, **options: Any) -> str:
    """As pandas writes it."""
    return str(frame.to_csv(index=False, **options))


def as_xlsx(frame: pd.DataFrame, path: Path) -> None:
    """As openpyxl writes it: numbers as numbers, and text as text even where it begins with =."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row, values in enumerate([list(frame.columns), *frame.itertuples(index=False)], 1):
        for column, value in enumerate(values, 1):
            cell = sheet.cell(row, column, value if not isinstance(value, str) else None)
            if isinstance(value, str) and value:
                cell.value = "x"
                cell._value = value
                cell.data_type = "s"
    book.save(path)


def as_jsonl(frame: pd.DataFrame) -> str:
    """One object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in frame.to_dict("records"))


def zipped(content: bytes, path: Path) -> None:
    """A ZIP with one member."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/products.csv", content)


def as_zst(content: bytes, path: Path) -> None:
    """zstd, as pyarrow writes it."""
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(content)


FORMS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "a.csv": lambda frame, path: path.write_bytes(as_csv(frame).encode()),
    "b.csv": lambda frame, path: path.write_bytes(as_csv(frame, sep=";", lineterminator="\r\n").encode("utf-8-sig")),
    "c.txt": lambda frame, path: path.write_bytes(as_csv(frame, sep="|").encode()),
    "d.csv": lambda frame, path: path.write_bytes(as_csv(frame, sep="\t").encode("utf-16")),
    "e.tsv": lambda frame, path: path.write_bytes(as_csv(frame, sep="\t").encode("utf-16-be", "strict")),
    "f.jsonl": lambda frame, path: path.write_bytes(as_jsonl(frame).encode()),
    "g.parquet": lambda frame, path: pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path),
    "h.xlsx": lambda frame, path: as_xlsx(frame, path),
    "i.csv.gz": lambda frame, path: path.write_bytes(gzip.compress(as_csv(frame).encode())),
    "j.jsonl.bz2": lambda frame, path: path.write_bytes(bz2.compress(as_jsonl(frame).encode())),
    "k.csv.xz": lambda frame, path: path.write_bytes(lzma.compress(as_csv(frame).encode())),
    "l.csv.zst": lambda frame, path: as_zst(as_csv(frame).encode(), path),
    "m.zip": lambda frame, path: zipped(as_csv(frame).encode(), path),
}


def jobs_of(name: str, frame: pd.DataFrame, folder: Path, shots: str | None = SHOTS) -> list[Job | None]:
    """The jobs of the table in one of its forms."""
    FORMS[name](frame, folder / name)
    uri = f"{folder / name}#encoding=utf-16-be" if name == "e.tsv" else str(folder / name)
    return [record.job for record in plan(uri, shots)]


FRAME = pd.DataFrame(
    {
        "sku": ["007", "a b", "ü-3", "=1+1"],
        "title": ["Lamp", 'Chair; "oak", 2|3', "Tisch\nrund", "🪑 椅子"],
        "price": [19.9, 10.0, 0.1, 1e-07],
        "stock": [1, 0, 1000000, 12],
        "sale": [True, False, True, False],
    }
)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_jobs(name: str, tmp_path: Path) -> None:
    """A shop that changes its export's format pays for nothing again."""
    expected = jobs_of("a.csv", FRAME, tmp_path)
    assert len(expected) == 4
    assert None not in expected
    assert jobs_of(name, FRAME, tmp_path) == expected


@pytest.mark.parametrize("name", FORMS)
def test_column_mode_has_the_same_jobs_in_every_form(name: str, tmp_path: Path) -> None:
    """Numbers and switches among the fields included."""
    frame = pd.DataFrame(
        {
            "sku": ["a", "b"],
            "prompt": ["A lamp", "A\u00a0chair"],
            "n": [2, 3],
            "watermark": [False, True],
            "gateways": ["", "gccai"],
        }
    )
    found = jobs_of(name, frame, tmp_path, None)
    assert [job.n for job in found if job] == [2, 3]
    assert found == jobs_of("a.csv", frame, tmp_path, None)


def test_windows_1252_is_the_same_table(tmp_path: Path) -> None:
    """What Excel's plain `CSV` writes in Western Europe, euro sign and curly quotes included."""
    frame = FRAME.assign(title=["Größe 5 €", "Café “Été”", "Œuvre – d’art", "½ Maß"])
    (tmp_path / "w.csv").write_bytes(as_csv(frame).encode("cp1252"))
    assert [record.job for record in plan(tmp_path / "w.csv", SHOTS)] == jobs_of("a.csv", frame, tmp_path)


# What every one of the formats can hold: XML has no control characters, and takes CR for a line's end.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff\ufeff")
    | st.sampled_from("\n,;|\t\"'="),
    max_size=12,
)


# Thirteen files are written and read for each example, which takes longer than what stands in them: few, with many rows.
@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            TEXT, st.integers(-(10**6), 10**6).map(lambda cents: cents / 100), st.integers(0, 10**9), st.booleans()
        ),
        min_size=1,
        max_size=20,
    ).filter(lambda rows: any(price != int(price) for _, price, _, _ in rows))
)
def test_any_table_is_the_same_in_every_form(rows: list[tuple[str, float, int, bool]]) -> None:
    """Whatever its texts and numbers; only a column of floats that are all whole looks like whole numbers in a sheet."""
    frame = pd.DataFrame(rows, columns=["title", "price", "stock", "sale"])
    frame.insert(0, "sku", [f"p{number}" for number in range(len(rows))])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = jobs_of("a.csv", frame, folder)
        for form in FORMS:
            assert jobs_of(form, frame, folder) == expected, form
