"""Before buying into a used archive: is the image for a slot already there?

A restored ledger may lack what a run did after its last mark. Images it bought and archived since are found here, verified,
and adopted instead of being bought again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection

from ..core.jobs import Job
from ..core.stored_images import Stored
from ..images.image_store import ImageStore
from ..ledger import orphans, queries
from ..ledger.claims import know_job
from ..ledger.writer import Ledger
from ..runs.archive_contents import IMAGES, named
from ..storage.archive import Archive, safe_key
from .progress import Progress

logger = logging.getLogger("seedream_tasks.engine")


class Finder:
    """Searches for one run, listing a row's folder once per job; skips an archive that no other run has used."""

    def __init__(self, ledger: Ledger, archive: Archive, run_id: str, progress: Progress, in_full: bool) -> None:
        self._ledger = ledger
        self._archive = archive
        self._run_id = run_id
        self._progress = progress
        self._keeper = ImageStore(archive, in_full)
        self._used = True

    async def prepare(self) -> None:
        """Find out whether another run has used the archive. Call before any job, so that jobs keep their order."""
        runs = await asyncio.to_thread(self._archive.list_runs)
        self._used = any(run_id != self._run_id for run_id in runs)

    async def take_in(self, job: Job, slots: Collection[int], usd: Decimal) -> bool:
        """Fill these free slots with images found in the archive; True if there were any.

        `usd`: the most one of them may have cost; it is at risk. Raises ArchiveFault, LedgerFault.
        """
        if not slots or not self._used:
            return False
        first = await self._ledger.read(lambda connection: queries.is_first_of_case(connection, job.row_key))
        stand = await asyncio.to_thread(self._stand, job, safe_key(job.row_key, first), slots)
        if not stand:
            return False
        paths = [path for several in stand.values() for path in several]
        new = await self._ledger.read(lambda connection: orphans.unknown_among(connection, self._archive.name, paths))
        taken = [
            await self._take(job, slot, sorted(path for path in several if path in new), usd)
            for slot, several in stand.items()
        ]
        return any(taken)

    def _stand(self, job: Job, folder: str, slots: Collection[int]) -> Mapping[int, Sequence[str]]:
        """Slot -> the files that are for it by their names."""
        of_job = folder, job.shot, job.fingerprint[:8]
        stand: dict[int, list[str]] = defaultdict(list)
        for name in self._archive.names_in(f"{IMAGES}/{folder}"):
            image = named(f"{IMAGES}/{folder}/{name}")
            if image is not None and image.of_job == of_job and image.slot in slots:
                stand[image.slot].append(image.path)
        return stand

    async def _take(self, job: Job, slot: int, paths: Sequence[str], usd: Decimal) -> bool:
        for path in paths:
            stored = await asyncio.to_thread(self._keeper.verified, path)
            if stored is None:
                continue

            def take(connection: Connection, what: Stored = stored) -> bool | None:
                know_job(connection, job, self._run_id, datetime.now(UTC))
                return orphans.image(connection, self._run_id, job.job_key, job.model, slot, what, usd)

            if await self._ledger.write(take):
                self._progress.tell("found", job.row_key, job.shot, f"{path} was found in the archive and adopted")
            return True  # or another process took the slot a moment ago
        return False
