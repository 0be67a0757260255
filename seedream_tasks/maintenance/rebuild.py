"""Rebuilds a lost ledger from archives, and updates one that is behind them.

An archive holds its runs' marks, manifests and frozen jobs, and images with unique names (row, shot, fingerprint, slot).
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, update

from ..config import pairing
from ..core.errors import (
    ArchiveFault,
    ConfigurationError,
    KindMismatch,
    LedgerMismatch,
)
from ..ledger import archives, identity, transitions
from ..ledger.rescue_intake import take_in_rescued
from ..ledger.schema import meta
from ..ledger.store import exists, open_ledger
from ..ledger.urls import parse_url, shown_url
from ..ledger.writer import Ledger
from ..runs import marks
from ..runs.archive_contents import Remains
from ..storage.archive import MARKER, Archive, archive_id
from .orphan_intake import take_in_named
from .restore import Rebuilt, restore_run

logger = logging.getLogger("seedream_tasks.maintenance")


@dataclass(frozen=True)
class _Given:
    """One archive, and what it says about itself."""

    archive: Archive
    marker: pairing.Marker | None  # None: archive.json is missing or damaged
    runs: Sequence[str]
    marks: dict[str, marks.Mark]


def _look(archive: Archive) -> _Given:
    marker: pairing.Marker | None = None
    try:
        marker = archive.marker()
    except ArchiveFault as fault:
        if not fault.facts.get("damaged"):
            raise
        logger.warning("%s; it is written anew", fault.message)
    run_ids = archive.list_runs()
    found = marks.read_marks(archive, run_ids)
    return _Given(archive, marker, marks.left_by_runs(archive, run_ids, found), found)


def rebuild(given: Sequence[Archive], ledger_url: str) -> Rebuilt:
    """Make a new ledger from archives. Raises ConfigurationError if there already is one, LedgerMismatch, KindMismatch."""
    if exists(ledger_url):
        raise ConfigurationError(
            f"there is a ledger at {shown_url(ledger_url)} already",
            field="ledger",
            hint=f"add to it what the archive knows: {marks.merge_command(given[0], ledger_url)}",
        )
    found = [_look(archive) for archive in given]
    unused = next((each for each in found if each.marker is None and not each.runs), None)
    if unused is not None:
        raise LedgerMismatch(f"{unused.archive.root} holds no {MARKER} and no runs: no ledger used it", field="archive")
    ledger_id = _one_ledger(found)
    runs = _by_age(found)
    simulated = _one_kind(found, runs)

    def restore(connection: Connection) -> Rebuilt:
        if ledger_id is not None:
            connection.execute(update(meta).where(meta.c.key == "ledger_id").values(value=ledger_id))
        identity.set_kind(connection, identity.SIMULATED if simulated else identity.REAL)
        done = Rebuilt()
        for run in runs:
            restore_run(connection, run, simulated, done)
        return done

    ledger = open_ledger(ledger_url, create=True)
    done = None
    try:
        done = ledger.write_now(restore)
        _finish(ledger, found, simulated, done)
        return done
    finally:
        ledger.close()
        if done is None:
            _undo(ledger_url)


def merge(given: Sequence[Archive], ledger_url: str) -> Rebuilt:
    """Add to a ledger what only the archives know. Raises ConfigurationError, LedgerMismatch, KindMismatch."""
    if not exists(ledger_url):
        raise ConfigurationError(
            f"there is no ledger at {shown_url(ledger_url)}", field="ledger", hint="without --merge one is made"
        )
    ledger = open_ledger(ledger_url, create=False)
    try:
        take_in_rescued(ledger, pairing.rescue_folder(ledger_url))
        ledger.write_now(transitions.overdue_intents)
        own = ledger.read_now(identity.ledger_id)
        found = [_look(archive) for archive in given]
        for each in found:
            if each.marker is not None and each.marker["ledger_id"] != own:
                raise pairing.belongs_elsewhere(ledger, each.archive, str(each.marker["ledger_id"]), own)
            each.archive.name = pairing.name_to_take_in(ledger, each.archive, each.marker, each.runs)
        known = ledger.read_now(
            lambda connection: archives.marked(connection, [run for each in found for run in each.runs])
        )
        runs = _by_age(found, known)
        kind = ledger.read_now(identity.kind)
        simulated = _one_kind(found, runs, kind)

        def add(connection: Connection) -> Rebuilt:
            identity.set_kind(connection, identity.SIMULATED if simulated else identity.REAL)
            done = Rebuilt()
            for run in runs:
                restore_run(connection, run, simulated, done)
            return done

        done = ledger.write_now(add)
        _finish(ledger, found, simulated, done)
        return done
    finally:
        ledger.close()


def _one_ledger(found: Sequence[_Given]) -> str | None:
    """The ledger id that the archives name; None if none is named any more. Raises LedgerMismatch."""
    ids = {str(each.marker["ledger_id"]) for each in found if each.marker is not None}
    if not ids:
        ids = {mark.ledger_id for each in found for mark in each.marks.values() if mark.ledger_id is not None}
    if len(ids) > 1:
        raise LedgerMismatch(
            f"these archives belong to {len(ids)} ledgers ({', '.join(sorted(ids))})",
            field="archive",
            hint="rebuild each ledger from its own archives",
        )
    return next(iter(ids), None)


def _one_kind(found: Sequence[_Given], runs: Iterable[Remains], kind: str | None = None) -> bool:
    """Whether all of it is simulated. Raises KindMismatch, LedgerMismatch."""
    kinds = {each.marker.get("kind") == identity.SIMULATED for each in found if each.marker is not None}
    kinds |= {kind == identity.SIMULATED} if kind is not None else set()
    kinds |= {run.simulated for run in runs if run.simulated is not None}
    if len(kinds) > 1:
        raise KindMismatch("some of this is real, the rest simulated: one ledger holds either", field="archive")
    if not kinds:
        raise LedgerMismatch(
            "neither archive.json nor a run says whether this archive is real or simulated", field="archive"
        )
    return bool(kinds.pop())


def _by_age(found: Sequence[_Given], known: dict[str, int] | None = None) -> list[Remains]:
    """The runs that the ledger does not know, or not completely, oldest first. Raises ArchiveFault."""
    runs = []
    for each in found:
        for run_id in each.runs:
            mark = each.marks.get(run_id)
            before = None if known is None else known.get(run_id)
            if before is None or (mark is not None and mark.number > before):
                runs.append(Remains(each.archive, run_id, mark))
    latest = datetime.max.replace(tzinfo=UTC)
    return sorted(runs, key=lambda run: run.began or latest)


def _finish(ledger: Ledger, found: Sequence[_Given], simulated: bool, done: Rebuilt) -> None:
    """Record names, addresses and marks of the archives, and images known only by their names."""
    for each in found:
        highest = max((mark.number for mark in each.marks.values() if mark.number < marks.UNREADABLE), default=0)

        def know(connection: Connection, archive: Archive = each.archive, number: int = highest) -> None:
            archives.know(connection, archive.name, archive.root)
            archives.catch_up(connection, number)

        ledger.write_now(know)
        take_in_named(ledger, each.archive, simulated, done)
        if each.marker is None or each.marker.get("archive_id") != archive_id(each.archive.name):
            pairing.write_marker(ledger, each.archive, each.marker)
        for run_id, mark in each.marks.items():
            if mark.ledger_id is None:
                marks.renew(ledger, each.archive, run_id)


def _undo(ledger_url: str) -> None:
    """Delete a half-built ledger, which would block the next try."""
    url = parse_url(ledger_url)
    if url.get_backend_name() == "sqlite":
        for tail in ("", "-wal", "-shm"):
            Path(f"{url.database}{tail}").unlink(missing_ok=True)
    else:
        ledger = open_ledger(ledger_url, create=False)
        try:
            ledger.drop()
        finally:
            ledger.close()
