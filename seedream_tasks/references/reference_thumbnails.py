"""Thumbnails of references, shown beside the results."""

import asyncio
import logging

from ..core.errors import ArchiveFault, ReferenceFault
from ..core.jobs import Job, Reference
from ..images.thumbnails import keep_thumbnail, thumbnail, thumbnail_path
from ..storage.archive import Archive
from .reader import References

logger = logging.getLogger("seedream_tasks.references")

_AT_ONCE = 4


class ReferenceThumbnails:
    """Makes each reference's thumbnail once per archive, beside the purchase that uses it."""

    def __init__(self, references: References, archive: Archive) -> None:
        self._references = references
        self._archive = archive
        self._seen: set[str] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def keep(self, job: Job) -> None:
        """Make the thumbnails of a job's references that are missing. Without one the contact sheet shows the link."""
        for reference in job.references:
            if reference.sha256 is not None and reference.sha256 not in self._seen:
                self._seen.add(reference.sha256)
                async with self._turns:
                    await asyncio.to_thread(self._make, reference, reference.sha256)

    def _make(self, reference: Reference, sha256: str) -> None:
        try:
            if self._archive.exists(thumbnail_path(sha256)):
                return
            content = self._references.content(reference)
        except (ArchiveFault, ReferenceFault) as fault:
            logger.info("no thumbnail of a reference: %s", fault.message)
            return
        small = thumbnail(content)
        if small is not None:
            keep_thumbnail(self._archive, sha256, small)
