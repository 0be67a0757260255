"""The decimal signs of the amounts in a catalog's columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from ..catalog.presets import Product
from ..core.amounts import POINT, DecimalMarks
from ..core.column_names import Columns


def marks_of(schema: pa.Schema, columns: Columns, products: Callable[[], Iterable[Product]]) -> DecimalMarks:
    """The decimal signs of a table's columns; `products` iterates over all its rows again when first needed."""

    def rows() -> Iterator[Mapping[str, Any]]:
        for product in products():
            yield dict(zip(columns.names, product.cells, strict=True)) | product.extra

    # A column of numbers was written by us, with a decimal point.
    numbers = (each for each in schema if pa.types.is_floating(each.type) or pa.types.is_decimal(each.type))
    return DecimalMarks(rows, {each.name: POINT for each in numbers}, columns.column)
