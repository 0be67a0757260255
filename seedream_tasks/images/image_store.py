"""From the bytes of a paid image to a file in the archive: decoded in full, checked, stored, with its thumbnail."""

import hashlib
import logging
from dataclasses import dataclass

from ..core.errors import ArchiveFault, UndecodableImage
from ..core.stored_images import Stored
from ..storage.archive import Archive
from .decode import EXTENSIONS, DecodedImage, read_header
from .quality_checks import is_blank, looks_the_same
from .thumbnails import decode_with_thumbnail, keep_thumbnail, read_thumbnail

logger = logging.getLogger("seedream_tasks.images")

_RATIO_TOLERANCE = 0.02
_PHOTOGRAPHS_KEPT = 500


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """Where and how to store an image."""

    stem: str  # path below the root, up to its extension
    aspect: float | None = None  # width / height, where one was asked for
    edits: tuple[str, ...] = ()  # sha256 of the photographs it is an edit of
    warnings: tuple[str, ...] | None = None  # None: check the image for them


class ImageStore:
    """Stores images in one archive. Methods block; thread-safe."""

    def __init__(self, archive: Archive, in_full: bool = True) -> None:
        self.archive = archive
        self.in_full = in_full  # decode every pixel; otherwise the header is trusted
        self._photographs: dict[str, bytes] = {}

    def __reduce__(self) -> tuple[type["ImageStore"], tuple[Archive, bool]]:
        return ImageStore, (self.archive, self.in_full)

    def keep(self, wanted: StoreRequest, content: bytes) -> Stored:
        """Check an image and store it. Raises UndecodableImage, ArchiveFault."""
        image, small = decode_with_thumbnail(content) if self.in_full else (read_header(content), None)
        warnings = wanted.warnings
        if warnings is None:
            warnings = _size_warnings(wanted, image)
            if small is not None:
                warnings += self._looked_at(wanted, small)
        path = self.archive.store(f"{wanted.stem}.{EXTENSIONS.get(image.format, 'img')}", content)
        digest = hashlib.sha256(content).hexdigest()
        if small is not None:
            keep_thumbnail(self.archive, digest, small)
        return Stored(
            self.archive.name,
            path,
            digest,
            len(content),
            image.mime_type,
            image.width,
            image.height,
            warnings,
        )

    def keep_undecodable(self, stem: str, content: bytes) -> Stored:
        """Quarantine a paid file that is not an image. Raises ArchiveFault."""
        path = self.archive.store(f"{stem}.bin", content)
        return Stored(self.archive.name, path, hashlib.sha256(content).hexdigest(), len(content), None, None, None)

    def verified(self, path: str) -> Stored | None:
        """An image already in the archive, decoded like any other; None when damaged. Raises ArchiveFault."""
        content = self.archive.read(path)
        try:
            return self.keep(StoreRequest(path.rpartition(".")[0]), content)
        except UndecodableImage as error:
            logger.warning("%s: %s", self.archive.uri(path), error.message)
            return None

    def _looked_at(self, wanted: StoreRequest, small: bytes) -> tuple[str, ...]:
        found: tuple[str, ...] = ("blank",) if is_blank(small) else ()
        try:
            photographs = [self._photograph(sha256) for sha256 in wanted.edits]
        except ArchiveFault as fault:
            logger.info("an edit cannot be compared with its photograph: %s", fault.message)
            photographs = []
        if any(each is not None and looks_the_same(each, small) for each in photographs):
            found += ("no_op_edit",)
        return found

    def _photograph(self, sha256: str) -> bytes | None:
        """The thumbnail of a reference, where one is kept; many records may share it."""
        small = self._photographs.get(sha256) or read_thumbnail(self.archive, sha256)
        if small is not None:
            if len(self._photographs) >= _PHOTOGRAPHS_KEPT:
                self._photographs.clear()
            self._photographs[sha256] = small
        return small


def _size_warnings(wanted: StoreRequest, image: DecodedImage) -> tuple[str, ...]:
    if wanted.aspect is None:
        return ()
    got = image.width / image.height
    return ("ratio_off",) if abs(got / wanted.aspect - 1) > _RATIO_TOLERANCE else ()
