"""Manifests of runs that somebody else finished: written again from the frozen jobs and the ledger."""

from collections.abc import Collection

from sqlalchemy import Connection

from ..catalog.frozen import frozen_path
from ..catalog.manifest import manifest_path, write_manifest
from ..ledger import facts
from ..ledger.facts import Run
from ..ledger.store import Ledger
from ..media.archive import Archive


def publish_concerned(ledger: Ledger, archive: Archive, settled: Collection[str], by: str | None = None) -> list[str]:
    """Write the manifests that what happened makes out of date; returns their run ids, oldest run first.

    These are the runs whose attempts were `settled` by somebody else, those that left none, and the archive's newest, which
    speaks for all of them. `by`: the run that asks for it; it has written its own, and others at work will. Raises
    ArchiveFault, LedgerFault.
    """

    def out_of_date(connection: Connection) -> list[Run]:
        found = {run.run_id: run for run in facts.unfinished_runs(connection, archive.root)}
        others = [facts.find_run(connection, run_id) for run_id in settled]
        if any(run is not None and run.archive == archive.root for run in others):
            others.append(facts.newest_run(connection, archive.root))
        found.update({run.run_id: run for run in others if run is not None and run.archive == archive.root})
        return sorted(found.values(), key=lambda run: run.created_at)

    written = []
    for run in ledger.read_now(out_of_date):
        if run.run_id == by or (by is not None and run.alive) or not archive.exists(frozen_path(run.run_id)):
            continue
        write_manifest(ledger, archive, run.run_id, provisional=run.alive)
        if not run.alive:
            ledger.write_now(lambda connection, over=run.run_id: facts.finish_run(connection, over))  # type: ignore[misc]
        written.append(run.run_id)
    return written


def manifest_uris(archive: Archive, run_ids: Collection[str]) -> list[str]:
    """Where these runs' manifests stand."""
    return [archive.uri(manifest_path(run_id)) for run_id in run_ids]
