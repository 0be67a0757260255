"""Makes files from archived images by a shot's output profile. Costs nothing, so it is redone whenever the profile changes."""

import asyncio
import hashlib
import logging

from ..core.errors import ArchiveFault, ResourceFault, UndecodableImage
from ..core.jobs import Job
from ..core.output_profiles import OUTPUT_FORMATS
from ..images.derivatives import make_output
from ..ledger import image_records
from ..ledger.image_records import Derived
from ..ledger.values import ImageRecord, JobView
from ..ledger.writer import Ledger
from ..storage.archive import Archive
from .progress import Progress

logger = logging.getLogger("seedream_tasks.engine")

_AT_ONCE = 4


class Deriver:
    """Makes the files of one run in one archive."""

    def __init__(self, ledger: Ledger, archive: Archive, progress: Progress) -> None:
        self._ledger = ledger
        self._archive = archive
        self._progress = progress
        self._failed: set[tuple[str, int]] = set()
        self._free = asyncio.Semaphore(_AT_ONCE)

    def missing(self, job: Job, view: JobView) -> list[ImageRecord]:
        """Current images of this archive whose file is missing, or was made with another profile."""
        if job.output is None:
            return []
        name, profile = self._archive.name, job.output.digest
        return [
            each
            for each in view.standing()
            if name in each.copies
            and view.derived.get((each.attempt_id, each.ordinal, name)) != profile
            and (each.attempt_id, each.ordinal) not in self._failed
        ]

    async def make(self, job: Job, view: JobView) -> None:
        """Make what is missing; an image that cannot be converted is reported and skipped in this run."""
        for image in self.missing(job, view):
            try:
                async with self._free:
                    file = await asyncio.to_thread(self._made, job, image)
            except (ArchiveFault, ResourceFault, UndecodableImage) as fault:
                self._failed.add((image.attempt_id, image.ordinal))
                self._progress.tell("no_output", job.row_key, job.shot, fault.message)
                continue
            await self._ledger.write(lambda connection, made=file: image_records.made(connection, made))  # type: ignore[misc]

    def _made(self, job: Job, image: ImageRecord) -> Derived:
        if job.output is None:
            raise AssertionError("only jobs with an output profile come here")
        path = image.copies[self._archive.name]
        made = make_output(self._archive.read(path), job.output, edited=job.operation == "edit")
        target = output_path(path, OUTPUT_FORMATS[job.output.format])
        self._archive.publish_bytes(target, made.content)
        return Derived(
            image.attempt_id,
            image.ordinal,
            self._archive.name,
            job.output.digest,
            target,
            hashlib.sha256(made.content).hexdigest(),
            len(made.content),
            made.width,
            made.height,
            made.mime_type,
        )


def output_path(path: str, extension: str) -> str:
    """The path beside the original: images/p1/hero-1f2e3d4c-0.jpg has images/p1/hero-1f2e3d4c-0.out.webp."""
    return f"{path.rpartition('.')[0]}.out.{extension}"
