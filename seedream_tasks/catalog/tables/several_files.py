"""A catalog of several files: the parts below a folder or behind a pattern, read one after another as one table."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from ...core.errors import InputError
from .rows import Row, Table, text_schema
from .sources import CatalogSource


def joined(uri: str, sources: Sequence[CatalogSource], open_one: Callable[[CatalogSource], Table]) -> Table:
    """The parts as one table, in the order of their names. Raises InputError naming the part that differs."""
    odd = next((each for each in sources if each.kind != sources[0].kind), None)
    if odd is not None:
        raise InputError(
            f"{uri}: {odd.part} is {odd.kind}, {sources[0].part} is {sources[0].kind}: parts must be of one format",
            field="catalog",
            hint=f"name those that belong together, such as {uri.rstrip('/')}/*.{sources[0].kind}",
        )
    tables = [open_one(source) for source in sources]
    schema = tables[0].schema
    for source, table in zip(sources[1:], tables[1:], strict=True):
        schema = _fitting(schema, table.schema, sources[0], source)
    sums: dict[str, str] = {}

    def rows() -> Iterator[Row]:
        sums.clear()
        for source, table in zip(sources, tables, strict=True):
            yield from _reordered(table, schema.names, source.part or "")
            sums[source.part or ""] = table.sha256

    def total() -> str:
        lines = "".join(f"{digest}  {part}\n" for part, digest in sums.items())
        return hashlib.sha256(lines.encode()).hexdigest() if len(sums) == len(sources) else ""

    facts = tables[0].facts
    warnings = tuple(each for table in tables for each in table.facts.warnings)
    told = replace(facts, details=(*facts.details, f"{len(sources)} parts"), warnings=warnings)
    return Table(uri, schema, told, rows, total, lambda name: all(each.holds_whole_floats(name) for each in tables))


def _fitting(schema: pa.Schema, found: pa.Schema, first: CatalogSource, source: CatalogSource) -> pa.Schema:
    """The columns of both; a column that is empty in one part takes its type from the other."""
    missing = [name for name in schema.names if name not in found.names]
    more = [name for name in found.names if name not in schema.names]
    if missing or more:
        if first.kind in ("jsonl", "json", "xml"):  # whose rows may have different fields anyway
            return text_schema([*schema.names, *more])
        what = f"lacks the column {missing[0]!r} of" if missing else f"has the column {more[0]!r}, unlike"
        raise InputError(f"{source.uri}: this part {what} {first.part}", field=(missing or more)[0])
    try:
        return pa.unify_schemas([schema, found])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        name = next(each for each in schema.names if schema.field(each).type != found.field(each).type)
        raise InputError(
            f"{source.uri}: in this part the column {name!r} is {found.field(name).type},"
            f" in {first.part} it is {schema.field(name).type}",
            field=name,
        ) from None


def _reordered(table: Table, names: Sequence[str], part: str) -> Iterator[Row]:
    at = {name: number for number, name in enumerate(table.columns)}
    if table.columns == list(names):
        for row in table.rows:
            row.file = part
            yield row
        return
    for row in table.rows:
        yield replace(
            row,
            cells=[row.cells[at[name]] if name in at else "" for name in names],
            values=[row.values[at[name]] if name in at else "" for name in names],
            file=part,
        )
