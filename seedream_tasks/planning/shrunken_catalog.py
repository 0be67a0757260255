"""Detects a catalog that lost most of its products since the last run: a truncated export, or the wrong file."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.digests import Digests
from ..runs.manifest import NEWEST
from ..storage.archive import Archive

logger = logging.getLogger("seedream_tasks.planning")


@dataclass(frozen=True, slots=True)
class Shrunk:
    """How many of the last run's products a catalog still holds, if fewer than half."""

    before: int
    still: int
    catalog_uri: str  # of the last run

    def __str__(self) -> str:
        return (
            f"the catalog holds {self.still} of the {self.before} products of the last run ({self.catalog_uri}):"
            " was the export cut off? Their images are kept, but `seedream ledger prune` would now take them for removed"
        )


class LastKeys:
    """The row keys of an archive's newest manifest, eight bytes each, and which of them have been seen again."""

    def __init__(self, archive: Archive) -> None:
        self._catalog_uri = ""
        self._known = Digests(self._keys(archive))
        self._seen = bytearray(len(self._known))

    def see(self, row_key: str | None) -> None:
        """Take a row of the current catalog."""
        place = self._known.place(row_key) if row_key and self._seen else None
        if place is not None:
            self._seen[place] = True

    def shrunk(self) -> Shrunk | None:
        """The figures, if fewer than half have been seen again."""
        before, still = len(self._known), sum(self._seen)
        return Shrunk(before, still, self._catalog_uri) if still * 2 < before else None

    def _keys(self, archive: Archive) -> Iterator[str]:
        if not archive.exists(NEWEST):
            return
        try:
            with archive.open(NEWEST) as file:
                manifest = pq.ParquetFile(file)
                self._catalog_uri = (manifest.schema_arrow.metadata or {}).get(b"catalog_uri", b"").decode()
                for batch in manifest.iter_batches(columns=["row_key"]):
                    yield from (key for key in batch[0].to_pylist() if key)
        except (pa.ArrowException, OSError, KeyError) as error:
            logger.warning("%s cannot be compared with this catalog: %s", archive.uri(NEWEST), error)
