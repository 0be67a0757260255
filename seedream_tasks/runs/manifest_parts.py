"""Parts of a manifest: records that a shard has computed, to be joined without computing them again.

A part is the manifest's own columns for a range of records, with their sums. It exists only when all of them are final;
otherwise the records are computed from the ledger, as the whole manifest always can be.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.states import RecordStatus
from ..storage.archive import Archive

logger = logging.getLogger("seedream_tasks.runs")

# Keys of the file's metadata: the part's sums as JSON, and the run it is of.
SUMS = "seedream_tasks.part"
OF_RUN = "run_id"
# The image may still be found or bought: such records are computed with the manifest.
_MAY_CHANGE = frozenset({RecordStatus.IN_FLIGHT, RecordStatus.UNKNOWN, RecordStatus.PARTIAL, RecordStatus.DEFERRED})
Range = tuple[int, int]  # of records: the first, and the one after the last


def part_path(run_id: str, part: Range) -> str:
    """The path of a part below the archive's root, until the manifest is written."""
    return f"runs/{run_id}/parts/{part[0]}-{part[1]}.parquet"


def is_final(by_status: Mapping[str, int]) -> bool:
    """Whether records of these statuses are final."""
    return not any(RecordStatus(status) in _MAY_CHANGE for status, count in by_status.items() if count)


class Part:
    """A part that can be joined."""

    def __init__(self, file: pq.ParquetFile, of: Range) -> None:
        self.start, self.stop = of
        self._file = file

    @property
    def sums(self) -> str:
        """Its sums as JSON."""
        return str(self._file.metadata.metadata[SUMS.encode()].decode())

    def copy_into(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        """Append its records, a row group at a time."""
        for group in range(self._file.num_row_groups):
            writer.write_table(self._file.read_row_group(group).cast(schema))


@contextmanager
def parts_of(archive: Archive, run_id: str, wanted: Sequence[Range]) -> Iterator[list[Part]]:
    """The parts among these that exist, are complete and belong to this run, in order."""
    found = []
    with ExitStack() as stack:
        for each in sorted(wanted):
            try:
                file = stack.enter_context(archive.open(part_path(run_id, each)))
                parquet = pq.ParquetFile(file)
            except (OSError, pa.ArrowException) as error:
                logger.info("records %s to %s are computed again: %s", each[0] + 1, each[1], error)
                continue
            metadata = parquet.metadata.metadata or {}
            whole = parquet.metadata.num_rows == each[1] - each[0]
            if whole and SUMS.encode() in metadata and metadata.get(OF_RUN.encode()) == run_id.encode():
                found.append(Part(parquet, each))
        yield found


def delete_parts(archive: Archive, run_id: str, parts: Sequence[Range]) -> None:
    """Delete the parts of a written manifest. Raises ArchiveFault."""
    for each in parts:
        archive.delete(part_path(run_id, each))
