"""Thumbnails: small JPEGs of whatever decodes, kept under the sha256 of what they show."""

import io
from pathlib import Path

import pytest
from PIL import Image

from seedream_tasks.images.thumbnails import (
    LONG_SIDE,
    decode_with_thumbnail,
    keep_thumbnail,
    read_thumbnail,
    thumbnail,
    thumbnail_path,
)
from seedream_tasks.storage.archive import Archive

MODES = [
    *(("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("I;16", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("LA", "PNG")),
    *(("1", "PNG"), ("RGBA", "WEBP"), ("RGB", "TIFF"), ("RGB", "BMP")),
]


def drawn(mode: str, kind: str, size: tuple[int, int] = (900, 500)) -> bytes:
    """An image of a mode and a format."""
    image = Image.linear_gradient("L").resize(size).convert("L" if mode == "I;16" else "RGB")
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("mode", "kind"), MODES)
def test_every_kind_of_image_has_a_small_jpeg(mode: str, kind: str) -> None:
    """At most 256 px on its long side, a few kB, the same made on the way through decoding as by itself."""
    content = drawn(mode, kind)
    image, small = decode_with_thumbnail(content)
    assert (image.width, image.height) == (900, 500)
    for made in (small, thumbnail(content)):
        assert made is not None
        assert len(made) < 12_000
        with Image.open(io.BytesIO(made)) as opened:
            assert (opened.format, opened.mode, max(opened.size)) == ("JPEG", "RGB", LONG_SIDE)


def test_a_photo_stands_upright_and_what_shines_through_lies_on_white() -> None:
    """The camera's orientation is applied; transparent is white, as in a shop."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (400, 200), "teal").save(buffer, "JPEG", exif=exif)
    with Image.open(io.BytesIO(thumbnail(buffer.getvalue()) or b"")) as image:
        assert image.size == (128, 256)
    buffer = io.BytesIO()
    Image.new("RGBA", (300, 300), (0, 0, 0, 0)).save(buffer, "PNG")
    with Image.open(io.BytesIO(thumbnail(buffer.getvalue()) or b"")) as image:
        assert image.getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("content", [b"", b"<svg/>", drawn("RGB", "JPEG")[:3000]])
def test_what_does_not_decode_has_none(content: bytes) -> None:
    """No error: the page shows a link instead."""
    assert thumbnail(content) is None


def test_half_a_thumbnail_counts_as_none(tmp_path: Path) -> None:
    """It is not flushed when it is written; a power cut may leave half of it, and then it is made again."""
    archive = Archive(str(tmp_path))
    whole = thumbnail(drawn("RGB", "JPEG")) or b""
    assert read_thumbnail(archive, "ab12") is None
    keep_thumbnail(archive, "ab12", whole)
    assert read_thumbnail(archive, "ab12") == whole
    archive.local_path(thumbnail_path("ab12")).write_bytes(whole[:400])
    assert read_thumbnail(archive, "ab12") is None
