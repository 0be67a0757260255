"""Thumbnails: made once, kept in the archive under the sha256 of the original."""

import io
import logging

from PIL import Image, ImageOps

from ..core.errors import ArchiveFault, ResourceFault, UndecodableImage
from ..storage.archive import Archive
from .decode import (
    MOST_REFERENCE_PIXELS,
    DecodedImage,
    decode,
    open_image,
    room_for,
)

logger = logging.getLogger("seedream_tasks.images")

LONG_SIDE = 256  # px
_QUALITY = 75
_JPEG = b"\xff\xd8\xff"


def thumbnail_path(sha256: str) -> str:
    """The thumbnail's path below the archive's root."""
    return f"thumbnails/{sha256[:2]}/{sha256}.jpg"


def decode_with_thumbnail(content: bytes) -> tuple[DecodedImage, bytes | None]:
    """`decode`, plus a thumbnail; None when it cannot be made. Raises UndecodableImage."""
    made: list[bytes | None] = []
    image = decode(content, also=lambda image: made.append(_attempted(image, LONG_SIDE)))
    return image, made[0]


def thumbnail(content: bytes, long_side: int = LONG_SIDE) -> bytes | None:
    """A JPEG of at most `long_side` px of any image; None when it cannot be made. CPU-bound, releases the GIL."""
    try:
        with open_image(content, MOST_REFERENCE_PIXELS) as image, room_for(image):
            image.draft("RGB", (2 * long_side, 2 * long_side))
            return _attempted(image, long_side)
    except (UndecodableImage, ResourceFault) as error:
        logger.info("no thumbnail: %s", error.message)
        return None


def _attempted(image: Image.Image, long_side: int) -> bytes | None:
    try:
        return _small(image, long_side)
    except Exception as error:  # noqa: BLE001 - errors of rare modes must not block a paid image
        logger.warning("no thumbnail of a %s %s: %s", image.format, image.mode, error)
        return None


def _small(image: Image.Image, long_side: int) -> bytes:
    if image.mode.startswith(("I", "F")):
        image = image.convert("F").point(lambda value: value * (1 / 257)).convert("L")  # 16 bits a channel
    if image.mode == "1":
        image = image.convert("L")  # 1-bit pixels cannot be averaged
    if image.mode in ("P", "PA", "LA", "La", "RGBa", "RGBA"):
        image = image.convert("RGBA")
    small = image.copy() if max(image.size) <= long_side else _scaled(image, long_side)
    if small.mode == "RGBA":
        ground = Image.new("RGB", small.size, "white")
        ground.paste(small, mask=small.getchannel("A"))
        small = ground
    small = ImageOps.exif_transpose(small).convert("RGB")
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _scaled(image: Image.Image, long_side: int) -> Image.Image:
    share = long_side / max(image.size)
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    # Average whole pixels first: most of the reduction, in a third of the time of a filter over all of them.
    scaled = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)
    scaled.info = {name: value for name, value in image.info.items() if name == "exif"}
    return scaled


def keep_thumbnail(archive: Archive, sha256: str, content: bytes) -> None:
    """Keep a thumbnail; failures are only logged, since it can be made again from the image."""
    try:
        archive.put(thumbnail_path(sha256), content)
    except ArchiveFault as fault:
        logger.warning("no thumbnail: %s", fault.message)


def read_thumbnail(archive: Archive, sha256: str) -> bytes | None:
    """A kept thumbnail; None when missing or truncated. Raises ArchiveFault."""
    try:
        with archive.open(thumbnail_path(sha256)) as file:
            content = file.read()
    except FileNotFoundError:
        return None
    except Exception as error:  # each store's library has its own errors
        raise ArchiveFault(f"{archive.uri(thumbnail_path(sha256))}: {type(error).__name__}: {error}") from error
    return content if content.startswith(_JPEG) and content.endswith(b"\xff\xd9") else None
