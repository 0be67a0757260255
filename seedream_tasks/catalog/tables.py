"""Reading catalogs: CSV, JSONL and Parquet from any fsspec URI, row by row, with the line of the file for messages."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import InputError
from .cells import cell_text

# A cell longer than this is a quote that was never closed; product descriptions stay far below.
MOST_CELL_CHARACTERS = 1_000_000
_BATCH_ROWS = 4096
FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(slots=True)
class Row:
    """One record of the file: its text cells, and for typed formats the values as they are."""

    line: int | None  # 1-based, of the file; None for Parquet
    cells: list[str]
    values: Sequence[Any]  # what the manifest repeats
    error: str | None = None  # why the line cannot be read as a row


@dataclass
class Table:
    """An open catalog. `schema` gives the columns as the manifest repeats them; `sha256` is complete once `rows` is read."""

    uri: str
    schema: pa.Schema
    rows: Iterable[Row]
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def columns(self) -> list[str]:
        """The column names as they stand."""
        return list(self.schema.names)

    @property
    def sha256(self) -> str:
        """Of the file's bytes, as far as they are read."""
        return str(self._digest.hexdigest())


class _Hashing(io.RawIOBase):
    """Passes bytes through and hashes them."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self._file = file
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        self._digest.update(block)
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_table(uri: str) -> Table:
    """Open a catalog. Raises InputError when it cannot be read or understood; no row is read yet."""
    kind = FORMATS.get(PurePosixPath(uri.split("?", 1)[0]).suffix.lower())
    if kind is None:
        known = ", ".join(FORMATS)
        raise InputError(f"{uri}: not a catalog this version reads; it reads {known}", field="catalog")
    try:
        return {"csv": _csv, "tsv": _tsv, "jsonl": _jsonl, "parquet": _parquet}[kind](uri)
    except FileNotFoundError:
        raise InputError(f"{uri}: there is no such file", field="catalog", code="no_catalog") from None
    except UnicodeDecodeError as error:
        raise _not_utf8(uri, None, error) from None
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        raise InputError(f"{uri}: cannot be read: {type(error).__name__}: {error}", field="catalog") from None


def _open_binary(uri: str) -> BinaryIO:
    return cast(BinaryIO, fsspec.open(uri, "rb").open())


def _text(uri: str, digest: Any) -> io.TextIOWrapper:
    raw = io.BufferedReader(_Hashing(_open_binary(uri), digest), 256 * 1024)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


def _not_utf8(uri: str, line: int | None, error: UnicodeDecodeError) -> InputError:
    at = f" near line {line}" if line else ""
    return InputError(
        f"{uri}: not UTF-8{at}: {error.reason}; save it as UTF-8 and try again",
        line=line,
        field="catalog",
        code="encoding",
    )


def _named(header: Sequence[str], uri: str, line: int) -> list[str]:
    """Column names: an empty one gets its number, one that stands twice is an error."""
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, 1)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{uri}: line {line}: the column {name!r} stands twice", line=line, field=name)
    return names


def _text_schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in names])


def _csv(uri: str) -> Table:
    return _delimited(uri, ",")


def _tsv(uri: str) -> Table:
    return _delimited(uri, "\t")


def _delimited(uri: str, delimiter: str) -> Table:
    csv.field_size_limit(MOST_CELL_CHARACTERS)
    digest = hashlib.sha256()
    file = _text(uri, digest)
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        header = next((cells for cells in reader if cells), None)
    except csv.Error:
        raise _unclosed(uri, lines.record, 1, delimiter) from None
    if header is None:
        raise InputError(f"{uri}: the file is empty", field="catalog")
    if _quotes(lines.record, delimiter).open_on is not None:
        raise _unclosed(uri, lines.record, 1, delimiter)
    names = _named(header, uri, 1)
    return Table(uri, _text_schema(names), _csv_rows(uri, file, lines, reader, len(names), delimiter), digest)


class _Lines:
    """Feeds the csv reader, keeping the lines of the record it is in: they say where a quote opened."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self.record: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.record.append(line)
        return line


def _csv_rows(
    uri: str, file: io.TextIOWrapper, lines: _Lines, reader: Any, width: int, delimiter: str
) -> Iterator[Row]:
    last: list[str] = []
    last_start = 1
    with file:
        while True:
            lines.record.clear()
            start = reader.line_num + 1
            try:
                cells = next(reader, None)
            except UnicodeDecodeError as error:
                raise _not_utf8(uri, reader.line_num + 1, error) from None
            except csv.Error as error:
                if "field larger" in str(error):
                    raise _unclosed(uri, lines.record, start, delimiter) from None
                raise InputError(f"{uri}: line {start}: {error}", line=start, field="catalog") from None
            if cells is None:
                # A quote that never closes takes in the rest of the file, so only the last record can hold one.
                if _quotes(last, delimiter).open_on is not None:
                    raise _unclosed(uri, last, last_start, delimiter)
                return
            last, last_start = lines.record.copy(), start
            if not cells:
                continue  # a blank line
            if len(cells) > width:
                error_text = f"line {start} has {len(cells)} cells, the header has {width}"
                yield Row(start, cells[:width], cells[:width], error_text)
                continue
            cells += [""] * (width - len(cells))
            stray = _quotes(last, delimiter).text_after if len(last) > 1 else None
            if stray is not None:
                # A quote that was never closed met the next row's opening one: two rows would pass for one product.
                told = f"line {start + stray}: text follows a closing quote, in a record of {len(last)} lines"
                yield Row(start, cells, cells, told)
                continue
            yield Row(start, cells, cells)


@dataclass(frozen=True, slots=True)
class _Quotes:
    """How the quotes of a record stand."""

    open_on: int | None  # the line (from 0) on which the quote opened that the record ends inside of
    text_after: int | None  # the first line on which text follows a closing quote


def _quotes(record: Sequence[str], delimiter: str) -> _Quotes:
    """Read as the csv module does: a quote opens only at the beginning of a cell, and two inside one stand for a quote."""
    opened: int | None = None
    text_after: int | None = None
    at_start, after_quote = True, False
    for number, line in enumerate(record):
        for character in line:
            if opened is not None and not after_quote:
                after_quote = character == '"'
                continue
            if after_quote:
                after_quote = False
                if character == '"':
                    continue  # a doubled quote: still inside
                opened = None
                if character != delimiter and character not in "\r\n" and text_after is None:
                    text_after = number
            if at_start and character == '"':
                opened, at_start = number, False
                continue
            at_start = character == delimiter or character in "\r\n"
    return _Quotes(None if after_quote else opened, text_after)


def _unclosed(uri: str, record: Sequence[str], start: int, delimiter: str) -> InputError:
    line = start + (_quotes(record, delimiter).open_on or 0)
    return InputError(
        f"{uri}: line {line}: a quote opens here and never closes", line=line, field="catalog", code="unclosed_quote"
    )


def _jsonl(uri: str) -> Table:
    # Rows may have different keys: a first pass finds them all.
    names: dict[str, None] = {}
    with _text(uri, hashlib.sha256()) as file:
        for line, value in _json_lines(uri, file):
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
            else:
                raise InputError(f"{uri}: line {line}: expected a JSON object", line=line, field="catalog")
    if not names:
        raise InputError(f"{uri}: the file is empty", field="catalog")
    columns = _named(list(names), uri, 1)
    digest = hashlib.sha256()

    def rows() -> Iterator[Row]:
        with _text(uri, digest) as file:
            for line, value in _json_lines(uri, file):
                cells = [cell_text(value.get(name)) for name in names]
                whole = [cell.encode("utf-8", "replace").decode() for cell in cells]
                # JSON can hold half of a character pair (a text cut inside an emoji); no file or gateway could take it.
                halves = [name for name, cell, kept in zip(names, cells, whole, strict=True) if cell != kept]
                error = f"line {line}: {halves[0]} holds half a character" if halves else None
                yield Row(line, whole, whole, error)

    return Table(uri, _text_schema(columns), rows(), digest)


def _json_lines(uri: str, file: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, json.loads(line)
    except UnicodeDecodeError as error:
        raise _not_utf8(uri, number + 1, error) from None
    except ValueError as error:
        raise InputError(f"{uri}: line {number}: not JSON: {error}", line=number, field="catalog") from None


def _parquet(uri: str) -> Table:
    digest = hashlib.sha256()
    source = _open_binary(uri)
    parquet = pq.ParquetFile(source)
    schema = parquet.schema_arrow.remove_metadata()
    names = _named(schema.names, uri, 1)
    schema = pa.schema([each.with_name(name) for each, name in zip(schema, names, strict=True)])

    def rows() -> Iterator[Row]:
        with source:
            for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
                texts = [[_text_or_none(value) for value in _values(column)] for column in batch.columns]
                kept = [column.to_pylist() for column in batch.columns]
                for cells, values in zip(zip(*texts, strict=True), zip(*kept, strict=True), strict=True):
                    bad = [name for name, cell in zip(names, cells, strict=True) if cell is None]
                    error = f"the column {bad[0]} holds bytes that are not UTF-8" if bad else None
                    yield Row(None, [cell or "" for cell in cells], values, error)
            # Parquet is read in pieces from its end; the sum is taken of the whole file, once.
            source.seek(0)
            while block := source.read(1024 * 1024):
                digest.update(block)

    return Table(uri, schema, rows(), digest)


def _text_or_none(value: Any) -> str | None:
    try:
        return cell_text(value)
    except UnicodeDecodeError:
        return None


def _values(column: pa.Array) -> Sequence[Any]:
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        # As Python floats these would show digits that nobody wrote: 19.9 becomes 19.899999618530273.
        numbers = np.asarray(column.to_numpy(zero_copy_only=False))
        return [
            None if missing else number for number, missing in zip(numbers, column.is_null().to_pylist(), strict=True)
        ]
    return cast(Sequence[Any], column.to_pylist())
