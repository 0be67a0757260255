"""Telling a picture from what only looks like one: type by content, full decode, size in pixels."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image

from ..core.errors import UndecodableImage

# Twice what the largest tier makes (4K: 16.8 Mpx); anything far above is a decompression bomb, not a delivery.
MOST_PIXELS = 40_000_000
# Picture formats only: others that Pillow opens (EPS, for one) hand the file to programs of their own.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "TIFF": "tiff", "BMP": "bmp", "AVIF": "avif"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file's bytes are."""

    format: str  # Pillow's name
    mime_type: str
    width: int  # px
    height: int  # px


def inspect(content: bytes, most_pixels: int = MOST_PIXELS) -> Picture:
    """Type and size from the header, nothing decoded. Raises UndecodableImage."""
    with open_image(content, most_pixels) as image:
        return _described(image)


def decode(content: bytes, most_pixels: int = MOST_PIXELS) -> Picture:
    """Decode every pixel: a truncated or damaged file does not pass. CPU-bound, releases the GIL. Raises UndecodableImage."""
    with open_image(content, most_pixels) as image:
        try:
            image.load()
        except Exception as error:  # as above
            raise UndecodableImage(f"a damaged {image.format}: {type(error).__name__}: {error}") from error
        return _described(image)


def open_image(content: bytes, most_pixels: int) -> Image.Image:
    """An opened picture of a known format, not decoded yet. Raises UndecodableImage."""
    try:
        with warnings.catch_warnings():
            # Pillow's own bomb check warns at its limit; ours below is stricter and names the figures.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UndecodableImage(str(error)) from None
    except Exception as error:  # a decoder fed with garbage raises whatever it likes; all of it means: no picture
        start = content[:24].decode("latin-1")
        raise UndecodableImage(f"no picture: {len(content):,} bytes that begin with {start!r}") from error
    if image.width * image.height > most_pixels:
        image.close()
        raise UndecodableImage(f"{image.width}x{image.height} px is more than {most_pixels:,} pixels")
    return image


def _described(image: Image.Image) -> Picture:
    # A camera's MPO is a JPEG with further pictures behind the first.
    name = "JPEG" if image.format == "MPO" else image.format or ""
    return Picture(name, Image.MIME.get(name, "application/octet-stream"), image.width, image.height)
