"""Marks: how far the ledger had come, kept by each run beside what it left in the archive.

A ledger that was restored from a backup, a replica that lags, a second one: each says less than the archive knows, and would buy
again what it does not know of. So a run renews its mark while it buys and at its end, and nobody goes on with a ledger that
does not know a run of the archive, or that a mark is ahead of.
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

# What a ledger that is restored may not know of at most, without anybody noticing at the start.
RENEW_EVERY_S = 45.0
_AT_ONCE = 16
_NAMED = 5
# Without one of these, or a mark, a folder is not a run's.
_LEFT = frozenset({"jobs.parquet", "manifest.parquet"})
# What a mark that cannot be read states: it may have said anything.
UNREADABLE = 2**62


@dataclass(frozen=True, slots=True)
class Mark:
    """What a run's mark says of the ledger that wrote it."""

    number: int  # commits it had had
    ledger_id: str | None = None  # None: the mark cannot be read
    simulated: bool | None = None


def mark_path(run_id: str) -> str:
    """Where a run's mark stands below the archive's root."""
    return f"runs/{run_id}/mark.json"


def renew(ledger: Ledger, archive: Archive, run_id: str) -> None:
    """Write how far the ledger has come, for a run that it knows; the ledger first: no mark is ahead of its own. Blocks.

    Raises LedgerFault, ArchiveFault.
    """
    number = ledger.write_now(lambda connection: archives.mark(connection, run_id))
    if number is None:
        return  # it buys nothing: it only follows what others bought
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
        # What is under way has its own dealings with both, and ends by them if it must.
        logger.warning("the mark of run %s could not be renewed: %s", run_id, fault)


def read_marks(archive: Archive, run_ids: Collection[str]) -> dict[str, Mark]:
    """Run -> its mark; those without one are left out. Raises ArchiveFault."""
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
    """Those of these folders that a run has left something in: it began to buy, or might have. Raises ArchiveFault."""
    return [run_id for run_id in run_ids if run_id in marks or not _LEFT.isdisjoint(archive.names_in(f"runs/{run_id}"))]


def check(ledger: Ledger, archive: Archive, run_ids: Collection[str]) -> None:
    """Raises LedgerBehind where the archive knows more than the ledger. `run_ids` were listed before."""
    marks = read_marks(archive, run_ids)
    known = ledger.read_now(lambda connection: archives.marked(connection, run_ids))
    unknown = left_by_runs(archive, [run_id for run_id in run_ids if run_id not in known], marks)
    ahead = [run_id for run_id, mark in marks.items() if run_id in known and mark.number > known[run_id]]
    if unknown or ahead:
        raise behind(ledger, archive, unknown, ahead)


def behind(ledger: Ledger, archive: Archive, unknown: Collection[str], ahead: Collection[str]) -> LedgerBehind:
    """The error that says which runs the ledger does not know, or not to their end, and the way out."""
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
    """The command that takes what an archive says into a ledger that is there."""
    return f"seedream ledger rebuild --merge --archive {quote(archive.root)} --ledger {quote(shown_url(ledger_url))}"


def _runs(run_ids: Collection[str]) -> str:
    first = sorted(run_ids)[:_NAMED]
    more = len(run_ids) - len(first)
    return f"the run{'s' if len(run_ids) > 1 else ''} {', '.join(first)}" + (f" and {more} more" if more else "")
