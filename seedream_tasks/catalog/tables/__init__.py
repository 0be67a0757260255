"""Reading catalogs, row by row, with the line of the file for messages.

CSV, TSV, JSON, Parquet, XLSX and product feeds in XML; packed or not; one file or the parts of one; from any fsspec URI.
"""

from collections.abc import Iterator
from dataclasses import replace

from ...core.errors import InputError
from ...core.store_schemes import driver_hint
from .contents import check_content
from .delimited import open_delimited
from .feeds import open_feed
from .headers import names_a_key
from .json_lines import open_json
from .parquet import open_parquet
from .rows import Facts, Row, Table
from .several_files import joined
from .sheets import open_sheet
from .sources import (
    READ_FROM_THE_END,
    CatalogSource,
    file_in_folder,
    find_sources,
    stating,
)

__all__ = ["Facts", "Row", "Table", "names_a_key", "open_table", "reference_base", "stating"]

_OPEN = {
    "csv": open_delimited,
    "tsv": open_delimited,
    "jsonl": open_json,
    "json": open_json,
    "parquet": open_parquet,
    "xlsx": open_sheet,
    "xml": open_feed,
}


def open_table(uri: str) -> Table:
    """Open a catalog: a file, a folder of parts, or a pattern such as `parts/*.parquet`.

    `uri` may end in `#encoding=NAME` (text that is neither UTF-8 nor UTF-16), `#sheet=NAME` (XLSX) or `#header=N` (the line or
    row that holds the columns' names). Raises InputError when it cannot be read or understood; no row is read yet.
    """
    try:
        sources = find_sources(uri)
        return _open(sources[0]) if sources[0].part is None else joined(uri, sources, _open)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        raise _unreadable(uri, error) from None


def reference_base(uri: str) -> str:
    """What references are relative to (`references.reader.References`): a file in the catalog's folder. Raises InputError."""
    try:
        return file_in_folder(uri)
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        raise _unreadable(uri, error) from None


def _open(source: CatalogSource) -> Table:
    try:
        stamp = source.stamp()
        check_content(source)
        table = _OPEN[source.kind](source)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - each store's and format's library has errors of its own
        raise _unreadable(source.uri, error) from None
    return replace(table, _read=lambda: _watched(source, stamp, table))


def _watched(source: CatalogSource, stamp: str, table: Table) -> Iterator[Row]:
    """The rows of an unchanged file; any error while the file is being written is reported as that.

    Raises InputError, also for a file that has changed when its end is reached: formats read in pieces from their end would not
    notice it.
    """
    try:
        yield from table.rows
    except Exception as error:  # each store's and format's library has errors of its own
        if source.stamp() != stamp:
            raise source.changed() from error
        if isinstance(error, InputError):
            raise
        raise _unreadable(source.uri, error) from None
    if source.kind in READ_FROM_THE_END and source.stamp() != stamp:
        raise source.changed()


def _unreadable(uri: str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{uri}: there is no such file", field="catalog", code="no_catalog")
    hint = driver_hint(uri, error)
    return InputError(f"{uri}: cannot be read: {type(error).__name__}: {error}", field="catalog", hint=hint)
