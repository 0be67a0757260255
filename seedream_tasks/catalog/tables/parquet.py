"""Parquet: columns keep their types for the manifest, and become text by the one table for templates."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...core.cells import cell_text
from ...core.errors import InputError
from .rows import Facts, Row, Table, named, unfit
from .sources import CatalogSource

# Rows are read in batches of about this many bytes: a column of thumbnails must not fill the memory.
_BATCH_BYTES, _BATCH_ROWS = 32 * 1024 * 1024, 4096


def open_parquet(source: CatalogSource) -> Table:
    """A Parquet file. Raises InputError, or what pyarrow raises for a file it cannot read."""
    with source.open_stored() as file:
        schema = pq.ParquetFile(file).schema_arrow.remove_metadata()
    names = named(schema.names, source.uri)
    schema = pa.schema([each.with_name(name) for each, name in zip(schema, names, strict=True)])
    total: list[str] = []

    def rows() -> Iterator[Row]:
        with source.open_stored() as file:
            parquet = pq.ParquetFile(file)
            for batch in parquet.iter_batches(batch_size=_batch_rows(parquet.metadata)):
                kept = [_plain(source, name, column) for name, column in zip(names, batch.columns, strict=True)]
                texts = [list(map(cell_text, _exact(*each))) for each in zip(batch.columns, kept, strict=True)]
                for cells, values in zip(zip(*texts, strict=True), zip(*kept, strict=True), strict=True):
                    whole, odd = unfit(names, cells)
                    yield Row(None, whole, values, odd)
        total[:] = [source.stored_sha256()]  # it is read in pieces, from its end; the sum is taken of the whole

    def holds_whole_floats(name: str) -> bool:
        return pa.types.is_floating(schema.field(name).type) and _are_whole(source, names.index(name))

    return Table(source.uri, schema, Facts("Parquet"), rows, lambda: "".join(total), holds_whole_floats)


def _are_whole(source: CatalogSource, place: int) -> bool:
    """Whether the numbers of a column of floats are all whole; it is read alone."""
    some = False
    with source.open_stored() as file:
        parquet = pq.ParquetFile(file)
        for batch in parquet.iter_batches(columns=[parquet.schema_arrow.names[place]]):
            numbers = np.asarray(batch.column(0).drop_null().to_numpy(zero_copy_only=False), dtype=float)
            numbers = numbers[~np.isnan(numbers)]
            some |= bool(len(numbers))
            if not np.array_equal(numbers, np.floor(numbers)) or np.isinf(numbers).any():
                return False
    return some


def _batch_rows(metadata: Any) -> int:
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES * metadata.num_rows // max(size, 1))))


def _plain(source: CatalogSource, name: str, column: pa.Array) -> Sequence[Any]:
    """A column's values as Python has them, and as the manifest repeats them. Raises InputError."""
    try:
        return cast(Sequence[Any], column.to_pylist())
    except UnicodeDecodeError:  # text by its type, not by its bytes
        return [None if value is None else cell_text(value) for value in column.cast(pa.binary()).to_pylist()]
    except (OverflowError, ValueError) as error:
        raise InputError(
            f"{source.uri}: the column {name!r} holds a date or time that is none: {error}", field=name
        ) from None


def _exact(column: pa.Array, values: Sequence[Any]) -> Sequence[Any]:
    """A column's values as the table of texts takes them."""
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        # As Python floats these would show digits that nobody wrote: 19.9 becomes 19.899999618530273.
        numbers = np.asarray(column.to_numpy(zero_copy_only=False))
        return [None if value is None else number for number, value in zip(numbers, values, strict=True)]
    return values
