"""`runs/<run_id>/outputs.parquet`: where the files made by output profiles are, joined to rows and images."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

from ..ledger.image_records import derived_of
from ..storage.archive import Archive

SCHEMA = pa.schema(
    [
        ("row_number", pa.int64()),
        ("row_key", pa.string()),
        ("shot", pa.string()),
        ("slot", pa.int32()),
        ("uri", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("mime_type", pa.string()),
        ("picture_path", pa.string()),  # what it was derived from
    ]
)
_ROWS = 4096


def outputs_path(run_id: str) -> str:
    """The path of a run's list of derived files below the archive's root."""
    return f"runs/{run_id}/outputs.parquet"


def write_outputs(connection: Connection, manifest: Path, target: Path, archive: Archive) -> int:
    """List the files derived from a manifest's images; returns how many."""
    count = 0
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for batch in pq.ParquetFile(manifest).iter_batches(
            batch_size=_ROWS, columns=["row_number", "row_key", "shot", "images"]
        ):
            records = batch.to_pylist()
            attempts = {image["attempt_id"] for record in records for image in record["images"]}
            made = derived_of(connection, archive.name, attempts)
            rows = []
            for record in records:
                for image in record["images"]:
                    file = made.get((image["attempt_id"], image["slot"]))
                    if file is not None:
                        rows.append(
                            {
                                **{name: record[name] for name in ("row_number", "row_key", "shot")},
                                **{name: getattr(file, name) for name in SCHEMA.names[5:11]},
                                "slot": image["slot"],
                                "uri": archive.uri(file.path),
                                "picture_path": image["path"],
                            }
                        )
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            count += len(rows)
    return count
