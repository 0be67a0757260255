"""Converted copies of references: deterministic conversion to what a gateway accepts.

The fingerprint stays that of the source. A copy is upright, in 8-bit gray or RGB, of the first frame, and without EXIF (which
would also hold where the photo was taken). Transparency is kept.
"""

import io
import math
from dataclasses import dataclass

from PIL import Image, ImageCms, ImageOps

from ..core.errors import UndecodableImage
from ..core.reference_transport import Fits
from ..images.decode import (
    MOST_REFERENCE_PIXELS,
    blame_this_machine,
    open_image,
    room_for,
)

_QUALITY = 95
# Lossless formats: their copies are PNG unless that is too large.
_EXACT = frozenset({"PNG", "BMP", "TIFF", "GIF"})
_MOST_TRIES = 12
_16_TO_8 = 1 / 257


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted copy."""

    content: bytes
    format: str  # Pillow's name


def convert(content: bytes, fits: Fits) -> Converted:
    """A copy within a gateway's limits. CPU-bound. Raises UndecodableImage when none is possible."""
    with open_image(content, MOST_REFERENCE_PIXELS) as opened, room_for(opened):
        exact = opened.format in _EXACT
        if fits.most_pixels and opened.width * opened.height > fits.most_pixels:
            scale = math.sqrt(fits.most_pixels / (opened.width * opened.height))
            # Decode a JPEG at a half, a quarter or an eighth, but never below the wanted size.
            opened.draft(opened.mode, (int(opened.width * scale), int(opened.height * scale)))
        try:
            profile = opened.info.get("icc_profile")
            image = ImageOps.exif_transpose(opened)
            plain, keeps_profile = _plain(image, profile)
        except Exception as error:  # each decoder raises its own errors
            blame_this_machine(error)
            raise UndecodableImage(f"cannot be converted: {type(error).__name__}: {error}") from error
        return _fitted(plain, exact, profile if keeps_profile else None, fits)


def _plain(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bool]:
    """The image in L, RGB, LA or RGBA; and whether its color profile is still valid."""
    image.load()
    mode = image.mode
    if mode in ("CMYK", "LAB"):
        return _from_ink(image, profile), False
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _eight_bits(image), False
    if mode in ("L", "RGB") and "transparency" not in image.info:
        return image, True
    if mode == "1":
        return image.convert("L"), False
    if mode == "LA" or (mode == "L" and "transparency" in image.info):
        return _without_empty_alpha(image.convert("LA")), True
    if mode in ("RGBA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _without_empty_alpha(image.convert("RGBA")), mode != "La"
    return image.convert("RGB"), mode in ("P", "RGBX")


def _from_ink(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converted by its own profile when usable: without it print colors become garish."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            done = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            done = None  # a damaged profile, or one of another color space: ignored
        if done is not None:
            return done
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        done = ImageCms.profileToProfile(image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB")
        if done is None:
            raise ValueError("no way from LAB to RGB")
        return done
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    _, highest = image.getextrema()
    if image.mode == "F":
        # Floating-point images are written in 0 to 1, or in one of the whole-number ranges.
        scale = 255.0 if float(str(highest)) <= 1 else (1.0 if float(str(highest)) <= 255 else _16_TO_8)
        return image.point(lambda value: value * scale + 0.5).convert("L")
    whole = image.convert("I")
    return whole.point(lambda value: value * _16_TO_8 + 0.5).convert("L")


def _without_empty_alpha(image: Image.Image) -> Image.Image:
    """Drop an alpha channel that is fully opaque."""
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("L" if image.mode == "LA" else "RGB")
    return image


def _fitted(image: Image.Image, exact: bool, profile: bytes | None, fits: Fits) -> Converted:
    """Encoded within the limits: in full size unless that is too large."""
    transparent = image.mode in ("LA", "RGBA")
    if "PNG" in fits.formats and (transparent or exact or "JPEG" not in fits.formats):
        shrunk = _scaled(image, fits.most_pixels, fits)
        content = _encoded(shrunk, "PNG", profile)
        if len(content) <= fits.most_bytes:
            return Converted(content, "PNG")
        if transparent or "JPEG" not in fits.formats:
            return _shrunk(image, "PNG", profile, fits)
    if transparent:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return _shrunk(image, "JPEG", profile, fits)


def _shrunk(image: Image.Image, kind: str, profile: bytes | None, fits: Fits) -> Converted:
    """Scaled down until it has few enough bytes."""
    pixels = fits.most_pixels or image.width * image.height
    for _ in range(_MOST_TRIES):
        scaled = _scaled(image, pixels, fits)
        content = _encoded(scaled, kind, profile)
        if len(content) <= fits.most_bytes:
            return Converted(content, kind)
        # Bytes grow roughly with pixels; aim a little lower, so that one step is usually enough.
        pixels = int(scaled.width * scaled.height * min(0.9, 0.95 * fits.most_bytes / len(content)))
    raise UndecodableImage(f"cannot be brought to {fits.most_bytes:,} bytes")


def _scaled(image: Image.Image, most_pixels: int | None, fits: Fits) -> Image.Image:
    width, height = image.size
    if most_pixels is None or width * height <= most_pixels:
        size = (width, height)
    else:
        scale = math.sqrt(most_pixels / (width * height))
        size = (int(width * scale), int(height * scale))
        if fits.aspect:
            # Rounding must not push an image at the limit beyond it.
            low, high = fits.aspect
            size = (min(size[0], int(size[1] * high)), min(size[1], int(size[0] / low)))
    if min(size) <= (fits.side_above or 0):
        raise UndecodableImage(f"would be {size[0]}x{size[1]} px when it is small enough")
    return image if size == (width, height) else image.resize(size, Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, kind: str, profile: bytes | None) -> bytes:
    buffer = io.BytesIO()
    more = {"quality": _QUALITY, "subsampling": 0, "optimize": False} if kind == "JPEG" else {}
    image.save(buffer, kind, icc_profile=profile, **more)
    return buffer.getvalue()
