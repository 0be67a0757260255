"""Recognizing real images: type by content, full decode, size in pixels."""

import errno
import io
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from ..core.errors import ResourceFault, UndecodableImage

# Loaded now: if Pillow cannot load a plug-in later, for lack of memory or file handles, its images look like garbage.
_PLUGINS = (
    *(AvifImagePlugin, BmpImagePlugin, GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin),
    *(TiffImagePlugin, WebPImagePlugin),
)

# Twice what the largest tier makes (4K: 16.8 Mpx); anything far above is a decompression bomb, not a delivery.
MOST_PIXELS = 40_000_000
# References are scaled down where a gateway takes less: the largest cameras have about this.
MOST_REFERENCE_PIXELS = 120_000_000
# Image formats only: for others (EPS, for one) Pillow passes the file to external programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "TIFF": "tiff", "BMP": "bmp", "AVIF": "avif"}


# Decoded at full size these are hundreds of megabytes each.
_LARGE_PIXELS = 30_000_000
_one_large = threading.Lock()
_FULL_CIRCLE = (None, 1)
_WANTING = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EIO})
_WANTING_WORDS = (
    "out of memory",
    "cannot allocate",
    "not enough memory",
    "memory allocation",
    "can't start new thread",
)


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Format and size of an image."""

    format: str  # Pillow's name
    mime_type: str
    width: int  # px
    height: int  # px


def decode(
    content: bytes, most_pixels: int = MOST_PIXELS, also: Callable[[Image.Image], None] | None = None
) -> DecodedImage:
    """Decode every pixel: a truncated or damaged file does not pass. `also` is called with the decoded image.

    CPU-bound, releases the GIL. Raises UndecodableImage.
    """
    with open_image(content, most_pixels) as image:
        try:
            image.load()
        except Exception as error:  # each decoder raises errors of its own
            blame_this_machine(error)
            raise UndecodableImage(f"a damaged {image.format}: {type(error).__name__}: {error}") from error
        if also is not None:
            also(image)
        return _described(image)


def read_header(content: bytes) -> DecodedImage:
    """Type and size as the header states them: a truncated or damaged file passes. Raises UndecodableImage."""
    with open_image(content, MOST_PIXELS) as image:
        return _described(image)


def examine(content: bytes) -> tuple[DecodedImage, str | None]:
    """A reference, decoded in full: its upright measures, and what only conversion fixes. Raises UndecodableImage."""
    with open_image(content, MOST_REFERENCE_PIXELS) as image, room_for(image):
        found = _described(image)
        if image.width * image.height > _LARGE_PIXELS:
            # A JPEG is decoded at half the size or less; all of its data is still read.
            image.draft(image.mode, (image.width // 2, image.height // 2))
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation)
            flaws = _flaws(image, content)
            image.load()
        except Exception as error:  # each decoder raises errors of its own
            blame_this_machine(error)
            raise UndecodableImage(f"a damaged {found.format}: {type(error).__name__}: {error}") from error
        if orientation not in _FULL_CIRCLE:
            flaws.append("turned by EXIF")
            # Pillow rotates a TIFF itself on load.
            sideways = (found.height, found.width) if orientation in (5, 6, 7, 8) else (found.width, found.height)
            upright = image.size if found.format == "TIFF" else sideways
            found = DecodedImage(found.format, found.mime_type, *upright)
        return found, ", ".join(flaws) or None


def blame_this_machine(error: Exception) -> None:
    """Raises ResourceFault for an error of this machine: an image is rejected only because of its own bytes."""
    number = error.errno if isinstance(error, OSError) else None
    words = str(error).lower()
    # Decoders only say it in the message; a plug-in that cannot be loaded is not the image's fault.
    wanting = isinstance(error, MemoryError | ImportError) or number in _WANTING
    if wanting or any(each in words for each in _WANTING_WORDS):
        raise ResourceFault(
            f"this machine lacks what it takes to decode an image: {type(error).__name__}: {error}",
            hint="give it more memory, file handles or temporary space; the image is tried again",
        ) from error


def room_for(image: Image.Image) -> AbstractContextManager[Any]:
    """A context for decoding an image: large ones are decoded one at a time, whatever the number of threads."""
    return _one_large if image.width * image.height > _LARGE_PIXELS else nullcontext()


def _flaws(image: Image.Image, content: bytes) -> list[str]:
    """Properties that image models may misread although the format is common."""
    flaws = []
    if image.mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        flaws.append(f"in {image.mode} colors")
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    # Pillow reads 16-bit color as 8 bits; the file's own header has the depth.
    deep |= image.format == "PNG" and content[24:25] == b"\x10"
    if image.format == "TIFF":
        deep |= max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))) > 8  # type: ignore[attr-defined]
    if deep:
        flaws.append("more than 8 bits a channel")
    return flaws


def open_image(content: bytes, most_pixels: int) -> Image.Image:
    """An opened image of a known format, not decoded yet. Raises UndecodableImage."""
    try:
        with warnings.catch_warnings():
            # Pillow's own bomb check warns at its limit; ours below is stricter and names the figures.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UndecodableImage(str(error)) from None
    except Exception as error:  # decoders may raise anything on garbage; it always means: not an image
        blame_this_machine(error)
        raise UndecodableImage(_why_not(content, error)) from error
    if image.width * image.height > most_pixels:
        image.close()
        raise UndecodableImage(f"{image.width}x{image.height} px is more than {most_pixels:,} pixels")
    return image


def _known_as(start: bytes) -> str | None:
    """The kind of a file often mistaken for an image, by its first bytes in lower case."""
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"<svg" in start:
        return "an SVG drawing, which has no pixels: export it as PNG"
    if start.startswith(b"<"):
        return "an XML document"
    if start.startswith(b"%pdf"):
        return "a PDF document"
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "a HEIC image, which cannot be read here: export it as JPEG"
    return None


def _why_not(content: bytes, error: Exception) -> str:
    """Describes bytes that are not an image, by their first bytes."""
    begins = f"{len(content):,} bytes that begin with {content[:24].decode('latin-1')!r}"
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = _known_as(start)
    if known is not None:
        return f"no image: {begins} ({known})"
    if isinstance(error, UnidentifiedImageError):
        return f"no image: {begins}"
    return f"no image that can be read: {begins}: {error}"


def _described(image: Image.Image) -> DecodedImage:
    # A camera's MPO is a JPEG with further images after the first.
    name = "JPEG" if image.format == "MPO" else image.format or ""
    return DecodedImage(name, Image.MIME.get(name, "application/octet-stream"), image.width, image.height)
