"""Checks that a run can store what it buys, before anything is started for it; leaves nothing behind."""

import tempfile
from pathlib import Path

from ..core.errors import ArchiveFault, ConfigurationError
from ..ledger.urls import parse_url
from ..storage.archive import Archive
from .settings import Locations


def check_room(place: Locations) -> None:
    """Raises ConfigurationError, with what to do, for an archive or an SQLite ledger that cannot be written."""
    _check_archive(place.archive)
    url = parse_url(place.ledger_url)
    if url.get_backend_name() == "sqlite":
        why = why_not_writable(Path(str(url.database)).parent)
        if why:
            raise ConfigurationError(
                f"no ledger can be written at {url.database}: {why}",
                field="ledger",
                code="ledger_unwritable",
                hint="give --ledger or --archive in a folder that you may write to",
            )


def _check_archive(archive: Archive) -> None:
    if archive.is_local:
        why = why_not_writable(archive.local_path())
    else:
        try:
            archive.prove_writable()
        except ArchiveFault as fault:
            if fault.facts.get("passing"):
                raise
            why = fault.message
        else:
            return
    if why:
        raise ConfigurationError(
            f"the archive {archive.root} cannot be written: {why}",
            field="archive",
            code="archive_unwritable",
            hint="give --archive a folder that you may write to, or a store whose credentials this process has",
        )


def why_not_writable(folder: Path) -> str | None:
    """Why a folder cannot be written or created; None if it can."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        return f"{there} is a file"
    try:
        # An unnamed temporary file where the system supports it.
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return f"{there}: {error.strerror or error}"
