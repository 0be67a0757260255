"""An archive and the ledger that belongs to it: opened together, or not at all.

An archive's `archive.json` says whose it is: the ledger's id, and which of its archives it is. So a moved archive is recognized
wherever it is, and another one in its old place is not mistaken for it.
"""

import logging
import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

from sqlalchemy import Connection

from ..core.errors import (
    ArchiveFault,
    ConfigurationError,
    KindMismatch,
    LedgerMismatch,
    SeedreamError,
)
from ..ledger import archives, identity, known_runs, transitions
from ..ledger.rescue_intake import take_in_rescued
from ..ledger.store import exists, open_ledger
from ..ledger.urls import parse_url, shown_url
from ..ledger.writer import Ledger
from ..runs import marks
from ..storage.archive import MARKER, Archive, archive_id
from .settings import Locations

logger = logging.getLogger("seedream_tasks.config")

Marker = Mapping[str, Any]


def rescue_folder(ledger_url: str) -> Path:
    """The folder of rescue files: beside an SQLite ledger, else the working folder."""
    url = parse_url(ledger_url)
    return Path(str(url.database)).parent if url.get_backend_name() == "sqlite" else Path.cwd()


def open_pair(place: Locations, create: bool = True, migrates: bool | None = None) -> Ledger:
    """Open the ledger that belongs to an archive. Raises LedgerMismatch (exit 2) when they do not belong together.

    `migrates`: whether an older version's ledger may be changed, see `open_ledger`.
    """
    there = exists(place.ledger_url)
    marker, run_ids = _look(place, there)
    used = marker is not None or bool(run_ids)
    if used and not there:
        raise _no_ledger(place)
    if not there and not create:
        raise ConfigurationError(f"there is no ledger at {shown_url(place.ledger_url)}", field="ledger")
    ledger = open_ledger(place.ledger_url, create=not there, migrates=migrates)
    try:
        # Before comparing it with the archive: rescued answers are what it may lack.
        take_in_rescued(ledger, rescue_folder(place.ledger_url))
        if used:
            belong_together(ledger, place.archive, marker, run_ids)
            _say_where(ledger, place.archive)
        else:
            place.archive.name = _new_name(ledger, place.archive)
        ledger.write_now(transitions.overdue_intents)
    except BaseException:
        ledger.close()
        raise
    return ledger


def open_known(place: Locations) -> Ledger | None:
    """An archive's ledger for reading only; None if neither has been used. Raises LedgerMismatch."""
    there = exists(place.ledger_url)
    marker, run_ids = _look(place, there)
    used = marker is not None or bool(run_ids)
    if not there:
        if used:
            raise _no_ledger(place)
        return None
    ledger = open_ledger(place.ledger_url, create=False, read_only=True)
    try:
        if used:
            belong_together(ledger, place.archive, marker, run_ids)
        else:
            place.archive.name = _new_name(ledger, place.archive)
    except BaseException:
        ledger.close()
        raise
    return ledger


def _look(place: Locations, there: bool) -> tuple[Marker | None, list[str]]:
    """archive.json, and the runs with files in the archive. Read before the ledger, which records each run first."""
    try:
        return place.archive.marker(), place.archive.list_runs()
    except ArchiveFault as fault:
        if not fault.facts.get("damaged"):
            raise
        way = marks.merge_command(place.archive, place.ledger_url) if there else _rebuild_command(place)
        raise LedgerMismatch(fault.message, field="archive", hint=f"restore it, or write it anew: {way}") from None


def _rebuild_command(place: Locations) -> str:
    return (
        f"seedream ledger rebuild --archive {quote(place.archive.root)} --ledger {quote(shown_url(place.ledger_url))}"
    )


def _no_ledger(place: Locations) -> LedgerMismatch:
    return LedgerMismatch(
        f"the archive {place.archive.root} was used with a ledger that is not at {shown_url(place.ledger_url)};"
        " a new one would buy its images again",
        field="ledger",
        hint=f"give the right --ledger, or restore it: {_rebuild_command(place)}",
    )


def belong_together(ledger: Ledger, archive: Archive, marker: Marker | None, run_ids: Collection[str]) -> None:
    """Check that a used archive is this ledger's. Raises LedgerMismatch for another ledger's, LedgerBehind."""
    own = ledger.read_now(identity.ledger_id)
    if marker is None:
        raise LedgerMismatch(
            f"the archive {archive.root} was used, but its {MARKER} is missing: nothing says whether it is"
            f" {shown_url(ledger.url)}'s",
            field="archive",
            hint=f"restore the file, or take the archive into this ledger: {marks.merge_command(archive, ledger.url)}",
        )
    if marker["ledger_id"] != own:
        raise belongs_elsewhere(ledger, archive, str(marker["ledger_id"]), own)
    name = _known_as(ledger, archive, marker, run_ids)
    if name is None:
        raise marks.behind(ledger, archive, marks.left_by_runs(archive, run_ids, {}), ())
    archive.name = name
    marks.check(ledger, archive, run_ids)


def belongs_elsewhere(ledger: Ledger, archive: Archive, other: str, own: str) -> LedgerMismatch:
    """The error for an archive whose archive.json names another ledger."""
    url = parse_url(ledger.url)
    beside = "URL_OF_A_NEW_LEDGER"
    if url.get_backend_name() == "sqlite":
        database = Path(str(url.database))
        beside = quote(f"sqlite:///{database.with_name(f'{database.stem}-{other[:8]}{database.suffix}')}")
    return LedgerMismatch(
        f"the archive {archive.root} belongs to the ledger {other}, not to {shown_url(ledger.url)} ({own})",
        field="ledger",
        hint="give the right --ledger, or restore it beside this one:"
        f" seedream ledger rebuild --archive {quote(archive.root)} --ledger {beside}",
    )


def _known_as(ledger: Ledger, archive: Archive, marker: Marker, run_ids: Collection[str]) -> str | None:
    """This ledger's name for the archive; None if it does not know it."""
    known = ledger.read_now(archives.places)
    stated = marker.get("archive_id")
    name = next((each for each in known if archive_id(each) == stated), None)
    if stated is None:
        # Written by an older version: identify it by its runs, or if there are none, by its address.
        name = ledger.read_now(lambda connection: archives.of_runs(connection, run_ids))
        name = name or next((each for each, place in known.items() if place == archive.root), None)
        if name is None and not run_ids and not archive.exists("images"):
            return _free_name(known, archive)  # nothing was ever kept there
    if name is None:
        return None
    place = known.get(name, name)
    if place != archive.root and is_archive_at(place, marker) and not _is_same(place, archive):
        # A copy while the original is still in its place: two archives from now on.
        return _free_name(known, archive)
    return name


def name_to_take_in(ledger: Ledger, archive: Archive, marker: Marker | None, run_ids: Collection[str]) -> str:
    """This ledger's name for an archive that may be new to it."""
    if marker is not None:
        name = _known_as(ledger, archive, marker, run_ids)
        if name is not None:
            return name
    known = ledger.read_now(archives.places)
    name = ledger.read_now(lambda connection: archives.of_runs(connection, run_ids))
    return name if name is not None and known.get(name) == archive.root else _free_name(known, archive)


def is_archive_at(root: str, marker: Marker) -> bool:
    """Whether the archive at this root has this archive.json; False if it cannot be read."""
    try:
        there = Archive(root).marker()
    except SeedreamError:
        return False
    return there is not None and all(there.get(key) == marker.get(key) for key in ("ledger_id", "archive_id"))


def _is_same(root: str, archive: Archive) -> bool:
    """Whether two addresses are the same folder."""
    if not archive.is_local or "://" in root:
        return False
    return Path(root).samefile(archive.local_path())


def _new_name(ledger: Ledger, archive: Archive) -> str:
    known = ledger.read_now(archives.places)
    return next((name for name, place in known.items() if place == archive.root), _free_name(known, archive))


def _free_name(known: Mapping[str, str], archive: Archive) -> str:
    return archive.root if archive.root not in known else f"{archive.root}#{secrets.token_hex(4)}"


def _say_where(ledger: Ledger, archive: Archive) -> None:
    """Record where an archive is now, and log a move."""
    before = ledger.read_now(archives.places).get(archive.name)
    if before == archive.root:
        return
    ledger.write_now(lambda connection: archives.know(connection, archive.name, archive.root))
    if before is not None:
        logger.warning("the archive moved from %s to %s", before, archive.root)


def check_others(ledger: Ledger, archive: Archive) -> None:
    """Raises LedgerBehind if another archive of this ledger knows more: what was bought into it would be bought again here.

    Checks archives in the same kind of store; those that cannot be reached from here are skipped.
    """
    own = ledger.read_now(identity.ledger_id)
    for name, place in ledger.read_now(archives.places).items():
        if name == archive.name or _store_of(place) != _store_of(archive.root):
            continue
        try:
            other = Archive(place)
            marker, run_ids = other.marker(), other.list_runs()
        except SeedreamError as fault:
            logger.info("the archive at %s is not compared: %s", place, fault)
            continue
        stated = None if marker is None else (marker["ledger_id"], marker.get("archive_id", archive_id(name)))
        if stated == (own, archive_id(name)):
            marks.check(ledger, other, run_ids)


def _store_of(root: str) -> str:
    return root.partition("://")[0] if "://" in root else ""


def still_there(ledger: Ledger, archive: Archive) -> None:
    """Raises LedgerMismatch if an archive known to this ledger is empty: its images would count as archived."""
    if archive.marker() is None and ledger.read_now(lambda connection: known_runs.has_run_in(connection, archive.name)):
        raise LedgerMismatch(
            f"the archive {archive.root} holds images by the ledger {shown_url(ledger.url)}, but it is empty or not there",
            field="archive",
            hint="mount or restore it, or give the place it was moved to; another --archive gets copies of what can still be"
            " read here",
        )


def check_kind(ledger: Ledger, archive: Archive, simulated: bool) -> None:
    """Refuse to mix real and simulated; writes nothing. Raises KindMismatch."""
    _check_archive(archive, simulated)
    has = ledger.read_now(identity.kind)
    if has is not None:
        _check_ledger(ledger, has, simulated)


def _check_archive(archive: Archive, simulated: bool) -> Marker | None:
    kind = identity.SIMULATED if simulated else identity.REAL
    marker = archive.marker()
    if marker is not None and marker.get("kind") != kind:
        raise KindMismatch(
            f"this run is {kind}, but the archive {archive.root} holds {marker.get('kind')} images",
            field="archive",
            hint="give another --archive" + ("" if simulated else ", or --sandbox"),
        )
    return marker


def _check_ledger(ledger: Ledger, has: str, simulated: bool) -> None:
    kind = identity.SIMULATED if simulated else identity.REAL
    if has != kind:
        raise KindMismatch(
            f"this run is {kind}, but the ledger {shown_url(ledger.url)} is {has}",
            field="ledger",
            hint="give another --ledger",
        )


def settle_kind(ledger: Ledger, archive: Archive, simulated: bool) -> None:
    """Set the kind and names of ledger and archive, or refuse to mix. Raises KindMismatch."""
    kind = identity.SIMULATED if simulated else identity.REAL
    marker = _check_archive(archive, simulated)

    def know(connection: Connection) -> str:
        archives.know(connection, archive.name, archive.root)
        return identity.set_kind(connection, kind)

    _check_ledger(ledger, ledger.write_now(know), simulated)
    if marker is None or marker.get("archive_id") != archive_id(archive.name):
        write_marker(ledger, archive, marker)


def write_marker(ledger: Ledger, archive: Archive, before: Marker | None = None) -> None:
    """Write archive.json, which says whose the archive is; `before`: its previous content."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    stated = {
        "ledger_id": ledger.read_now(identity.ledger_id),
        "kind": ledger.read_now(identity.kind),
        "created_at": now,
    }
    archive.publish_json(MARKER, {**stated, **(before or {}), "archive_id": archive_id(archive.name)})
