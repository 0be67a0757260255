"""A paid image in an archive."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """An image in the archive."""

    archive: str  # root URI
    path: str  # below the root
    sha256: str
    bytes: int
    mime_type: str | None
    width: int | None  # px
    height: int | None  # px
    warnings: tuple[str, ...] = ()
