"""Deleting pictures that nobody will look for: of products that are gone, and of versions that newer ones have replaced."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Connection

from ..catalog.frozen import frozen_path
from ..catalog.manifest import NEWEST, PROVISIONAL
from ..core.digests import Digests
from ..core.errors import ConfigurationError
from ..core.money import ZERO, money, plain
from ..core.states import RecordStatus
from ..ledger import facts
from ..ledger.pruning import Kept, forget_files, give_up, is_shared, kept_in
from ..ledger.store import Ledger
from ..ledger.views import batched
from ..media.archive import Archive
from .context import open_known, open_pair
from .settings import Locations

REMOVED, SUPERSEDED, QUARANTINE = "removed", "superseded", "quarantine"
_AT_ONCE = 256


@dataclass
class Share:
    """Some of the pictures."""

    images: int = 0
    bytes: int = 0
    cost_usd: Decimal = ZERO  # what they were bought for

    def as_json(self) -> dict[str, Any]:
        """With money as a decimal string."""
        return {"images": self.images, "bytes": self.bytes, "cost_usd": plain(money(self.cost_usd))}


@dataclass
class Pruned:
    """What was, or would be, deleted."""

    deleted: bool
    run_id: str  # of the newest manifest, which says what stays
    catalog_uri: str
    total: Share = field(default_factory=Share)
    by_reason: dict[str, Share] = field(default_factory=lambda: {REMOVED: Share(), SUPERSEDED: Share()})
    by_catalog: Counter[str] = field(default_factory=Counter)  # images, by the catalog they were bought for
    paths: list[str] = field(default_factory=list)  # below the archive

    def add(self, kept: Kept, reason: str) -> None:
        """Count one picture."""
        for share in (self.total, self.by_reason.setdefault(reason, Share())):
            share.images += 1
            share.bytes += kept.bytes
            share.cost_usd += kept.cost_usd
        self.by_catalog[kept.catalog_uri] += 1
        self.paths += [path for path in (kept.path, kept.derived_path) if path is not None]

    def as_json(self) -> dict[str, Any]:
        """The object of `ledger prune --json`."""
        return {
            "deleted": self.deleted,
            "manifest_run_id": self.run_id,
            "catalog_uri": self.catalog_uri,
            **self.total.as_json(),
            "by_reason": {reason: share.as_json() for reason, share in self.by_reason.items()},
            "by_catalog": dict(self.by_catalog),
            "paths": self.paths,
        }


def prune(place: Locations, delete: bool, quarantine: bool = False) -> Pruned:
    """Find what may go and, with `delete`, delete it; without, nothing at all is written.

    Raises ConfigurationError where the newest manifest does not say what stays, ArchiveFault, LedgerFault.
    """
    ledger = open_pair(place, create=False) if delete else open_known(place)
    if ledger is None:
        raise ConfigurationError(f"{place.archive.root} was never used: there is nothing to prune", field="archive")
    try:
        newest = _Newest(ledger, place.archive)

        def look(connection: Connection) -> tuple[Pruned, list[Kept]]:
            found, given_up = Pruned(delete, newest.run_id, newest.catalog_uri), []
            for kept in kept_in(connection, place.archive.root):
                reason = newest.reason_to_go(kept, quarantine)
                if reason is not None:
                    found.add(kept, reason)
                    given_up.append(kept)
            return found, given_up

        found, given_up = ledger.read_now(look)
        if delete:
            why = f"given up by `seedream ledger prune` on {datetime.now(UTC).date()}; --retry lost buys it again"
            for some in batched(given_up, _AT_ONCE):
                _delete(ledger, place.archive, some, why)
        return found
    finally:
        ledger.close()


def _delete(ledger: Ledger, archive: Archive, some: list[Kept], why: str) -> None:
    # First the ledger: whoever is stopped in the middle leaves files that the next prune finds, and no record without a file.
    root = archive.root
    ledger.write_now(lambda connection: give_up(connection, root, some, why))
    shared = ledger.read_now(
        lambda connection: {(each.attempt_id, each.ordinal) for each in some if is_shared(connection, root, each)}
    )
    for each in some:
        if (each.attempt_id, each.ordinal) not in shared:
            if each.derived_path is not None:
                archive.delete(each.derived_path)
            archive.delete(each.path)
    ledger.write_now(lambda connection: forget_files(connection, root, some))


class _Newest:
    """What the archive's newest manifest shows; small, however many records it has."""

    def __init__(self, ledger: Ledger, archive: Archive) -> None:
        if not archive.exists(NEWEST):
            raise ConfigurationError(f"{archive.uri(NEWEST)} is not there: nothing says what stays", field="archive")
        with archive.open(NEWEST) as file:
            manifest = pq.ParquetFile(file)
            stated = manifest.schema_arrow.metadata or {}
            self.run_id = stated.get(b"run_id", b"").decode()
            self.catalog_uri = stated.get(b"catalog_uri", b"").decode()
            _check(ledger, archive, self.run_id, PROVISIONAL.encode() in stated)
            self._row_keys = _digests(manifest, ["row_key"], lambda row: [row["row_key"]])
            self._jobs = _digests(manifest, ["job_key"], lambda row: [row["job_key"]])
            self._standing = _digests(
                manifest,
                ["row_key", "shot", "status"],
                lambda row: [f"{row['row_key']}/{row['shot']}"] if row["status"] == RecordStatus.ARCHIVED else [],
            )
            self._shown = _digests(manifest, ["images"], lambda row: [_told(image["path"]) for image in row["images"]])

    def reason_to_go(self, kept: Kept, quarantine: bool) -> str | None:
        """Why a picture may go; None when it stays."""
        if _told(kept.path) in self._shown:
            return None
        if kept.slot is None or kept.state == "quarantined":
            return QUARANTINE if quarantine or kept.state == "pruned" else None
        if kept.row_key not in self._row_keys:
            return REMOVED
        replaced = kept.job_key not in self._jobs and f"{kept.row_key}/{kept.shot}" in self._standing
        return SUPERSEDED if replaced or kept.state == "pruned" else None


def _told(path: str) -> str:
    """A path as a file system tells it from others that ignores case and Unicode forms."""
    return unicodedata.normalize("NFC", path).casefold()


def _digests(
    manifest: pq.ParquetFile, columns: list[str], texts: Callable[[dict[str, Any]], list[str | None]]
) -> Digests:
    def all_of_them() -> Iterator[str]:
        for batch in manifest.iter_batches(columns=columns):
            for row in batch.to_pylist():
                yield from (text for text in texts(row) if text is not None)

    return Digests(all_of_them())


def _check(ledger: Ledger, archive: Archive, run_id: str, provisional: bool) -> None:
    """The manifest must be the last word of the newest run, and nobody may be at work. Raises ConfigurationError."""

    def look(connection: Connection) -> tuple[str | None, list[str]]:
        newest = facts.newest_run(connection, archive.root)
        at_work = [run.run_id for run in facts.unfinished_runs(connection, archive.root) if run.alive]
        if at_work:
            return f"the run {at_work[0]} is at work in {archive.root}", []
        if provisional or newest is None or newest.run_id != run_id:
            return stale, []
        return None, facts.newer_runs(connection, newest)

    stale = f"{archive.uri(NEWEST)} is not the last word of the newest run"
    problem, newer = ledger.read_now(look)
    # A run that failed before it froze its jobs has nothing to say.
    if problem is None and any(archive.exists(frozen_path(other)) for other in newer):
        problem = stale
    if problem:
        raise ConfigurationError(
            problem, field="archive", hint="let it end, or finish it with `seedream collect`; then prune"
        )
