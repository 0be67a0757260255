"""Moves unneeded images to the trash: those of removed products, and of versions replaced by newer ones."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Connection

from ..config.pairing import open_known, open_pair
from ..config.settings import Locations
from ..core.digests import Digests
from ..core.errors import ConfigurationError
from ..core.money import ZERO, money, plain
from ..core.states import RecordStatus
from ..core.trash import TRASH, is_due, path_before, trash_path
from ..ledger import known_runs
from ..ledger.pruning import (
    KeptImage,
    forget_copies,
    forget_paths,
    give_up,
    is_shared,
    kept_in,
    moved_to_trash,
)
from ..ledger.queries import batched
from ..ledger.writer import Ledger
from ..runs.frozen import frozen_path
from ..runs.manifest import NEWEST, PROVISIONAL
from ..storage.archive import Archive

REMOVED, SUPERSEDED, QUARANTINE = "removed", "superseded", "quarantine"
_AT_ONCE = 256


@dataclass
class PrunedShare:
    """Some of the images."""

    images: int = 0
    bytes: int = 0
    cost_usd: Decimal = ZERO  # what they were bought for

    def as_json(self) -> dict[str, Any]:
        """With money as a decimal string."""
        return {"images": self.images, "bytes": self.bytes, "cost_usd": plain(money(self.cost_usd))}


@dataclass
class Pruned:
    """What was or would be deleted."""

    deleted: bool
    run_id: str  # of the newest manifest, which determines what stays
    catalog_uri: str
    total: PrunedShare = field(default_factory=PrunedShare)
    by_reason: dict[str, PrunedShare] = field(
        default_factory=lambda: {REMOVED: PrunedShare(), SUPERSEDED: PrunedShare()}
    )
    by_catalog: Counter[str] = field(default_factory=Counter)  # images, by the catalog they were bought for
    paths: list[str] = field(default_factory=list)  # below the archive
    of_images: int = 0  # in the archive
    emptied: list[str] = field(default_factory=list)  # files whose week in the trash is over

    @property
    def unbounded_limit(self) -> int:
        """Max images to prune when no bound is given."""
        return self.of_images // 5

    def add(self, kept: KeptImage, reason: str) -> None:
        """Count one image."""
        for share in (self.total, self.by_reason.setdefault(reason, PrunedShare())):
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
            "of_images": self.of_images,
            "emptied": len(self.emptied),
            "paths": self.paths,
        }


def prune(place: Locations, delete: bool, quarantine: bool = False, at_most: int | None = None) -> Pruned:
    """Find what may be pruned and, with `delete`, move it to the trash and empty that of old files; else nothing is written.

    `at_most`: max images to prune at once; None: a fifth of them. Raises ConfigurationError if that is not enough or the
    newest manifest does not say what stays, ArchiveFault, LedgerFault.
    """
    ledger = open_pair(place, create=False) if delete else open_known(place)
    if ledger is None:
        raise ConfigurationError(f"{place.archive.root} was never used: there is nothing to prune", field="archive")
    try:
        newest = _Newest(ledger, place.archive)
        now = datetime.now(UTC)

        def look(connection: Connection) -> tuple[Pruned, list[KeptImage]]:
            found, given_up = Pruned(delete, newest.run_id, newest.catalog_uri), []
            for kept in kept_in(connection, place.archive.name):
                found.of_images += kept.state != "pruned"
                reason = newest.reason_to_go(kept, quarantine)
                if reason is not None:
                    found.add(kept, reason)
                    given_up.append(kept)
            return found, given_up

        found, given_up = ledger.read_now(look)
        trash = [path for path, _ in place.archive.list_files(TRASH)]
        found.emptied = [path for path in trash if is_due(path, now)]
        if delete:
            _check_bound(found, at_most)
            why = f"given up by `seedream ledger prune` on {now.date()}; --retry lost buys it again"
            for some in batched(given_up, _AT_ONCE):
                _set_aside(ledger, place.archive, some, why, now, {path_before(path): path for path in trash})
            _empty(ledger, place.archive, found.emptied)
        return found
    finally:
        ledger.close()


def _check_bound(found: Pruned, at_most: int | None) -> None:
    limit = found.unbounded_limit if at_most is None else at_most
    if found.total.images > limit:
        share = "a fifth of them" if at_most is None else "the bound that was given"
        raise ConfigurationError(
            f"{found.total.images} of the {found.of_images} images would go, and at most {limit} may ({share}):"
            f" is the manifest of {found.catalog_uri or 'the last run'} the whole catalog?",
            code="prunes_too_much",
            field="at_most",
            hint=f"if they may all go: --at-most {found.total.images}",
        )


def _set_aside(
    ledger: Ledger, archive: Archive, some: list[KeptImage], why: str, now: datetime, in_trash: Mapping[str | None, str]
) -> None:
    """`in_trash`: what an interrupted prune already moved, by original path."""
    # First the ledger: an interrupted prune leaves files that the next prune finds, and no record without a file.
    name = archive.name
    ledger.write_now(lambda connection: give_up(connection, name, some, why))
    shared = ledger.read_now(lambda connection: [each for each in some if is_shared(connection, name, each)])
    moved = {}
    for each in some:
        if each in shared:
            continue
        if each.derived_path is not None:
            archive.delete(each.derived_path)
        path = trash_path(each.path, now)
        if archive.exists(each.path):
            archive.move(each.path, path)
        moved[in_trash.get(each.path, path)] = each

    def record(connection: Connection) -> None:
        moved_to_trash(connection, name, moved)
        forget_copies(connection, name, shared)

    ledger.write_now(record)


def _empty(ledger: Ledger, archive: Archive, paths: list[str]) -> None:
    for some in batched(paths, _AT_ONCE):
        for path in some:
            archive.delete(path)
        ledger.write_now(lambda connection, gone=some: forget_paths(connection, archive.name, gone))  # type: ignore[misc]


class _Newest:
    """The contents of the archive's newest manifest, in little memory for any number of records."""

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

    def reason_to_go(self, kept: KeptImage, quarantine: bool) -> str | None:
        """Why an image may be pruned; None if it stays."""
        if _told(kept.path) in self._shown or path_before(kept.path) is not None:
            return None
        if kept.slot is None or kept.state == "quarantined":
            return QUARANTINE if quarantine or kept.state == "pruned" else None
        if kept.row_key not in self._row_keys:
            return REMOVED
        replaced = kept.job_key not in self._jobs and f"{kept.row_key}/{kept.shot}" in self._standing
        return SUPERSEDED if replaced or kept.state == "pruned" else None


def _told(path: str) -> str:
    """A path normalized as by a file system that ignores case and Unicode forms."""
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
    """The manifest must be final and of the newest run, and no run may be in progress. Raises ConfigurationError."""

    def look(connection: Connection) -> tuple[str | None, list[str]]:
        newest = known_runs.newest_run(connection, archive.name)
        at_work = [run.run_id for run in known_runs.unfinished_runs(connection, archive.name) if run.alive]
        if at_work:
            return f"the run {at_work[0]} is at work in {archive.root}", []
        if provisional or newest is None or newest.run_id != run_id:
            return stale, []
        return None, known_runs.newer_runs(connection, newest)

    stale = f"{archive.uri(NEWEST)} is not the last word of the newest run"
    problem, newer = ledger.read_now(look)
    # A run that failed before it froze its jobs does not count.
    if problem is None and any(archive.exists(frozen_path(other)) for other in newer):
        problem = stale
    if problem:
        raise ConfigurationError(
            problem, field="archive", hint="let it end, or finish it with `seedream collect`; then prune"
        )
