"""Exports the ledger as Parquet files, for custom queries."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, Select, select
from sqlalchemy.types import TypeEngine

from ..core.errors import ConfigurationError
from ..core.secrets import without_secrets
from ..ledger.schema import TABLES, Money, UtcTime, attempts, jobs
from ..ledger.store import open_ledger
from ..storage.archive import Archive

_ROWS_AT_ONCE = 2048
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Kept as bare microseconds because the database's own clock gives them.
_BY_DATABASE_CLOCK = {"alive_until", "lease_until", "received_at"}
# Links and addresses, and messages, which may repeat one. Keys, prompts and what was asked for are data.
_MAY_HOLD_SECRETS = {"url", "uri", "catalog_uri", "error_message", "message", "text"}


def export(ledger_url: str, target: str) -> dict[str, int]:
    """Write every table to `<target>/<table>.parquet`; or, if the target ends in .parquet, the attempts with row key and
    shot to that file. Returns the row count of each. The target is a path or any fsspec URI.

    All of it is one snapshot; each file appears whole. Raises ConfigurationError, LedgerFault, ArchiveFault.
    """
    single = target.endswith(".parquet")
    folder, name = _parted(target) if single else (target, "")
    place = Archive(folder)
    ledger = open_ledger(ledger_url, create=False, read_only=True)
    try:

        def work(connection: Connection) -> dict[str, int]:
            if single:
                joined = select(jobs.c.row_key, jobs.c.shot, *attempts.c).join_from(
                    attempts, jobs, jobs.c.job_key == attempts.c.job_key
                )
                return {"attempts": _write(connection, joined.order_by(attempts.c.attempt_id), place, name)}
            return {
                table.name: _write(
                    connection, select(table).order_by(*table.primary_key.columns), place, f"{table.name}.parquet"
                )
                for table in TABLES.sorted_tables
            }

        return ledger.read_now(work)
    finally:
        ledger.close()


def _parted(target: str) -> tuple[str, str]:
    folder, _, name = target.rpartition("/")
    if name == ".parquet":
        raise ConfigurationError(f"{target!r} names no file", field="target")
    return folder or ("/" if target.startswith("/") else "."), name


def _write(connection: Connection, query: Select[Any], place: Archive, name: str) -> int:
    columns = [(str(column.key), column.type) for column in query.selected_columns]
    schema = pa.schema([pa.field(key, _type(key, kind)) for key, kind in columns])
    count = 0
    with tempfile.TemporaryDirectory(prefix="seedream-") as folder:
        file = Path(folder, "table.parquet")
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in _parts(connection, query):
                arrays = [
                    pa.array([_value(key, row[number]) for row in rows], type=schema.field(number).type)
                    for number, (key, _) in enumerate(columns)
                ]
                writer.write_table(pa.table(arrays, schema=schema))
                count += len(rows)
        place.publish(name, file)
    return count


def _parts(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    yield from connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)).partitions()


def _type(name: str, kind: TypeEngine[Any]) -> pa.DataType:
    if name in _BY_DATABASE_CLOCK or isinstance(kind, UtcTime):
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, Money):
        return pa.decimal128(14, 6)
    for sort, arrow in ((Boolean, pa.bool_()), (Float, pa.float64()), (BigInteger, pa.int64()), (Integer, pa.int32())):
        if isinstance(kind, sort):
            return arrow
    return pa.string()


def _value(name: str, value: Any) -> Any:
    if value is not None and name in _BY_DATABASE_CLOCK:
        return _EPOCH + timedelta(microseconds=value)
    if value is not None and name in _MAY_HOLD_SECRETS:
        return without_secrets(value)
    return value
