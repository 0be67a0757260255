"""Publishing runs: the manifest with its contact sheet, also for runs that another process finished."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from ..ledger import known_runs, last_words
from ..ledger.known_runs import Run
from ..ledger.writer import Ledger
from ..storage.archive import Archive
from . import marks
from .contact_sheet import write_contact_sheet
from .frozen import frozen_path
from .manifest import manifest_path, write_manifest
from .manifest_parts import Range
from .summary import Summary


def publish(
    ledger: Ledger, archive: Archive, run_id: str, provisional: bool = False, parts: Sequence[Range] = ()
) -> Summary:
    """Write a run's manifest, from `parts` where shards have written some, and its contact sheet.

    Raises ManifestMismatch, ArchiveFault, LedgerFault.
    """
    summary = write_manifest(ledger, archive, run_id, provisional, parts)
    write_contact_sheet(ledger, archive, run_id)
    marks.renew(ledger, archive, run_id)
    return summary


def publish_own(ledger: Ledger, archive: Archive, run_id: str, parts: Sequence[Range] = ()) -> Summary:
    """Write the manifest of a finished run, and record its end in the ledger.

    A provisional one, started by another process while the run was active, may overwrite it: then it is written again.
    Raises ManifestMismatch, ArchiveFault, LedgerFault.
    """
    while True:
        seen = ledger.read_now(lambda connection: last_words.provisional_ones(connection, run_id))
        summary = publish(ledger, archive, run_id, parts=parts)
        if ledger.write_now(lambda connection, seen=seen: last_words.finish(connection, run_id, seen)):  # type: ignore[misc]
            return summary
        parts = ()  # they are joined and deleted


def publish_concerned(ledger: Ledger, archive: Archive, settled: Collection[str], by: str | None = None) -> list[str]:
    """Rewrite the manifests that are out of date; returns their run ids, oldest run first.

    These are the runs whose attempts were `settled` by somebody else, those that left none, and the archive's newest, which
    speaks for all of them. What a process may still be at work on is written too, as provisional: it may have been killed a
    moment ago. `by`: the run that asks for it; it has written its own. Raises ArchiveFault, LedgerFault.
    """

    def out_of_date(connection: Connection) -> list[Run]:
        found = {run.run_id: run for run in known_runs.unfinished_runs(connection, archive.name)}
        others = [known_runs.find_run(connection, run_id) for run_id in settled]
        found.update({run.run_id: run for run in others if run is not None and run.archive == archive.name})
        # A process that settled attempts may have died before writing the newest one: it is written whenever another is.
        newest = known_runs.newest_run(connection, archive.name) if found else None
        if newest is not None:
            found[newest.run_id] = newest
        return sorted(found.values(), key=lambda run: run.created_at)

    written = []
    for run in ledger.read_now(out_of_date):
        if run.run_id != by and archive.exists(frozen_path(run.run_id)):
            _publish(ledger, archive, run)
            written.append(run.run_id)
    return written


def _publish(ledger: Ledger, archive: Archive, run: Run) -> None:
    publish(ledger, archive, run.run_id, provisional=run.alive)
    if not run.alive:
        ledger.write_now(lambda connection: known_runs.finish_run(connection, run.run_id))
        return
    if not ledger.write_now(lambda connection: last_words.wrote_provisional(connection, run.run_id)):
        # The run wrote its final manifest while this one was written: which of the two is in the archive is unknown.
        publish(ledger, archive, run.run_id)


def manifest_uris(archive: Archive, run_ids: Collection[str]) -> list[str]:
    """The addresses of these runs' manifests."""
    return [archive.uri(manifest_path(run_id)) for run_id in run_ids]
