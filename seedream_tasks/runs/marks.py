"""Marks: the ledger's position, kept by each run beside its files in the archive.

A ledger restored from a backup, a lagging replica, a second ledger: each knows less than the archive, and would buy the missing
images again. So a run renews its mark while it buys and at its end, and a ledger is refused when it does not know a run of the
archive, or when a mark is ahead of it.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote

from ..core.errors import ArchiveFault, LedgerBehind, LedgerFault
from ..ledger import archives, identity
from ..ledger.urls import shown_url
from ..ledger.writer import Ledger
from ..storage.archive import Archive

logger = logging.getLogger("seedream_tasks.runs")

# The most that a restored ledger may lack without being noticed at the start.
RENEW_EVERY_S = 45.0
_AT_ONCE = 16
_NAMED = 5
# A run's folder holds one of these, or a mark.
_LEFT = frozenset({"jobs.parquet", "manifest.parquet"})
# The number of an unreadable mark: it may have been any.
UNREADABLE = 2**62


@dataclass(frozen=True, slots=True)
class Mark:
    """A run's mark: the position of the ledger that wrote it."""

    number: int  # commits it had had
    ledger_id: str | None = None  # None: the mark cannot be read
    simulated: bool | None = None


def mark_path(run_id: str) -> str:
    """The path of a run's mark below the archive's root."""
    return f"runs/{run_id}/mark.json"


def renew(ledger: Ledger, archive: Archive, run_id: str) -> None:
    """Write the ledger's position for a run that it knows; the ledger is written first, so no mark is ahead of its own. Blocks.

    Raises LedgerFault, ArchiveFault.
    """
    number = ledger.write_now(lambda connection: archives.mark(connection, run_id))
    if number is None:
        return  # it only follows purchases of others
    archive.publish_json(
        mark_path(run_id),
        {
            "ledger_id": ledger.read_now(identity.ledger_id),
            "number": number,
            "simulated": ledger.read_now(identity.kind) == identity.SIMULATED,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


@asynccontextmanager
async def marking(ledger: Ledger, archive: Archive, run_id: str) -> AsyncIterator[None]:
    """Keep a run's mark fresh while this is open, and renew it at the end."""

    async def go_on() -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await _try(ledger, archive, run_id)

    await asyncio.to_thread(renew, ledger, archive, run_id)
    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _try(ledger, archive, run_id)


async def _try(ledger: Ledger, archive: Archive, run_id: str) -> None:
    try:
        await asyncio.to_thread(renew, ledger, archive, run_id)
    except (ArchiveFault, LedgerFault) as fault:
        # Work in progress uses ledger and archive itself, and fails itself if it must.
        logger.warning("the mark of run %s could not be renewed: %s", run_id, fault)


def read_marks(archive: Archive, run_ids: Collection[str]) -> dict[str, Mark]:
    """Run -> its mark; runs without one are omitted. Raises ArchiveFault."""
    if archive.is_local or not run_ids:
        found = {run_id: _read(archive, run_id) for run_id in run_ids}
    else:
        with ThreadPoolExecutor(_AT_ONCE, "seedream-marks") as readers:
            found = dict(zip(run_ids, readers.map(lambda run_id: _read(archive, run_id), run_ids), strict=True))
    return {run_id: mark for run_id, mark in found.items() if mark is not None}


def _read(archive: Archive, run_id: str) -> Mark | None:
    content = archive.read_if_there(mark_path(run_id))
    if content is None:
        return None
    try:
        stated = json.loads(content)
        return Mark(int(stated["number"]), str(stated["ledger_id"]), bool(stated["simulated"]))
    except (ValueError, LookupError, TypeError):
        return Mark(UNREADABLE)


def left_by_runs(archive: Archive, run_ids: Collection[str], marks: Mapping[str, Mark]) -> list[str]:
    """The folders among these that a run has left files in: it started to buy, or might have. Raises ArchiveFault."""
    return [run_id for run_id in run_ids if run_id in marks or not _LEFT.isdisjoint(archive.names_in(f"runs/{run_id}"))]


def check(ledger: Ledger, archive: Archive, run_ids: Collection[str]) -> None:
    """Raises LedgerBehind when the archive knows more than the ledger. `run_ids` were listed before."""
    marks = read_marks(archive, run_ids)
    known = ledger.read_now(lambda connection: archives.marked(connection, run_ids))
    unknown = left_by_runs(archive, [run_id for run_id in run_ids if run_id not in known], marks)
    ahead = [run_id for run_id, mark in marks.items() if run_id in known and mark.number > known[run_id]]
    if unknown or ahead:
        raise behind(ledger, archive, unknown, ahead)


def behind(ledger: Ledger, archive: Archive, unknown: Collection[str], ahead: Collection[str]) -> LedgerBehind:
    """The error that names the runs missing or incomplete in the ledger, and the remedy."""
    told = []
    if unknown:
        told.append(f"it knows nothing of {_runs(unknown)}")
    if ahead:
        told.append(f"it does not know all of {_runs(ahead)}")
    what = " and ".join(told) or "it does not know this archive"
    return LedgerBehind(
        f"the ledger {shown_url(ledger.url)} is behind the archive {archive.root}: {what}. It may be a restored backup, or a"
        " replica that lags; with it, images that are paid for would be bought again",
        field="ledger",
        hint=f"give the right --ledger, or let it catch up: {merge_command(archive, ledger.url)}",
    )


def merge_command(archive: Archive, ledger_url: str) -> str:
    """The command that merges an archive's contents into an existing ledger."""
    return f"seedream ledger rebuild --merge --archive {quote(archive.root)} --ledger {quote(shown_url(ledger_url))}"


def _runs(run_ids: Collection[str]) -> str:
    first = sorted(run_ids)[:_NAMED]
    more = len(run_ids) - len(first)
    return f"the run{'s' if len(run_ids) > 1 else ''} {', '.join(first)}" + (f" and {more} more" if more else "")
