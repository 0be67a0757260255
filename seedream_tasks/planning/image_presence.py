"""Checks whether the images that a run would reuse are still in its archive."""

import logging
from collections.abc import Iterable, Mapping

from ..core.digests import Digests
from ..core.states import Closed
from ..core.trash import path_before
from ..ledger import missing_images
from ..ledger.settled_jobs import File
from ..ledger.values import ImageRecord, JobView
from ..ledger.writer import Ledger
from ..storage.archive import Archive

logger = logging.getLogger("seedream_tasks.planning")

_IMAGES = "images"


class Presence:
    """Checks the images of jobs against the archive: file by file in a folder, in a store by one listing for all of them.

    An image that is missing or has another size is fetched again while its link is valid, copied from another archive that has
    it, or lost; none of that buys anything. A lost image that is there again counts again; a pruned image that is wanted again
    is restored from the trash.
    """

    def __init__(self, ledger: Ledger, archive: Archive) -> None:
        self._ledger = ledger
        self._archive = archive
        self._listed: Digests | None = None
        self.gone = 0

    @property
    def archive(self) -> str:
        """The archive's name, as the ledger knows it."""
        return self._archive.name

    def holds(self, files: Iterable[File]) -> bool:
        """Whether all these files are in the archive. Raises ArchiveFault."""
        return all(self._is_there(each.path, each.bytes) for each in files)

    def settle(self, views: Mapping[str, JobView]) -> bool:
        """Record missing and restored images; True if there were any. Raises ArchiveFault, LedgerFault."""
        name = self._archive.name
        standing = [each for view in views.values() for each in view.standing() if name in each.copies]
        lost = [each for view in views.values() for each in view.images if each.state == "lost" and name in each.copies]
        gone = [(each.attempt_id, each.ordinal) for each in standing if not self._stands(each)]
        back = {
            (each.attempt_id, each.ordinal): each.copies[name] for each in lost if self._stands(each)
        } | self._out_of_the_trash(views)
        if gone:
            self.gone += len(gone)
            self._ledger.write_now(lambda connection: missing_images.gone(connection, name, gone))
        if back:
            self._ledger.write_now(lambda connection: missing_images.found_again(connection, name, back))
        return bool(gone or back)

    def _out_of_the_trash(self, views: Mapping[str, JobView]) -> dict[tuple[str, int], str]:
        """Pruned images that are wanted again, with their restored paths."""
        name, back = self._archive.name, {}
        for view in views.values():
            open_to_them = {(each.slot, each.attempt_id) for each in view.slots if each.closed is Closed.PRUNED}
            for each in view.images:
                if name not in each.copies or (each.slot, each.attempt_id) not in open_to_them:
                    continue
                path = each.copies[name]
                before = path_before(path) or path  # itself: the prune was interrupted before it moved the file
                if before != path and self._archive.size(path) == each.bytes and self._archive.size(before) is None:
                    self._archive.move(path, before)
                if self._archive.size(before) == each.bytes:
                    back[each.attempt_id, each.ordinal] = before
        return back

    def tell(self) -> None:
        """Log what was missing."""
        if self.gone:
            logger.warning(
                "%s archived images are not in %s any more: fetched again while their links live, else lost",
                self.gone,
                self._archive.root,
            )

    def _stands(self, image: ImageRecord) -> bool:
        return self._is_there(image.copies[self._archive.name], image.bytes)

    def _is_there(self, path: str, size: int | None) -> bool:
        if self._archive.is_local or not path.startswith(f"{_IMAGES}/"):
            return self._archive.size(path) == size
        if self._listed is None:
            self._listed = Digests(f"{path}\n{size}" for path, size in self._archive.list_files(_IMAGES))
        return f"{path}\n{size}" in self._listed
