"""What is an image and what only looks like one."""

import io
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from seedream_tasks.core.errors import UndecodableImage
from seedream_tasks.images.decode import EXTENSIONS, DecodedImage, decode, examine

Look = Callable[[bytes], DecodedImage]


def looked(content: bytes) -> DecodedImage:
    """As references are looked at."""
    return examine(content)[0]


def image(kind: str, width: int = 60, height: int = 40) -> bytes:
    """An image with something on it."""
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


IMAGES = {kind: image(kind) for kind in EXTENSIONS}


@pytest.mark.parametrize("kind", EXTENSIONS)
@pytest.mark.parametrize("look", [looked, decode])
def test_an_image_is_known_by_its_content(kind: str, look: Look) -> None:
    """Format, type and size in pixels, whatever the file was called."""
    assert look(IMAGES[kind]) == DecodedImage(kind, f"image/{kind.lower()}", 60, 40)


@pytest.mark.parametrize("kind", EXTENSIONS)
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.9])
def test_a_truncated_image_does_not_pass(kind: str, kept: float) -> None:
    """A download that broke off is no image, though its header says so."""
    content = IMAGES[kind]
    with pytest.raises(UndecodableImage):
        decode(content[: int(len(content) * kept)])


NO_IMAGES = [
    b"",
    b"\x00" * 2000,
    b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    b'{"error": {"code": 404, "message": "expired"}}',
    b"<Error><Code>AccessDenied</Code></Error>",
    b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"></svg>',
    b"%PDF-1.7\n",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x00\x00\x00\x00WEBP",
]


@pytest.mark.parametrize("content", NO_IMAGES, ids=lambda content: repr(content[:12]))
@pytest.mark.parametrize("look", [looked, decode])
def test_what_is_no_image_is_told_as_what_it_begins_with(content: bytes, look: Look) -> None:
    """An error page behind an image's link is recognised; the message shows its first characters."""
    with pytest.raises(UndecodableImage) as caught:
        look(content)
    assert caught.value.message


def test_the_message_shows_the_beginning() -> None:
    """So that a person sees at once that it is a web page."""
    with pytest.raises(UndecodableImage, match="no image: 54 bytes that begin with '<!DOCTYPE html>"):
        decode(NO_IMAGES[2])


def bomb(width: int, height: int) -> bytes:
    """A small file of a huge image."""
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(("width", "height"), [(6400, 6401), (20_000, 20_000)])
def test_a_bomb_is_not_unpacked(width: int, height: int) -> None:
    """A few kilobytes must not become gigabytes: the size in the header decides, without a warning on the side."""
    content = bomb(width, height)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UndecodableImage, match=r"pixels"):
            decode(content)


def test_the_largest_tier_is_no_bomb() -> None:
    """4096x4096 is what the models deliver."""
    assert decode(bomb(4096, 4096)).width == 4096


def test_references_may_be_larger() -> None:
    """They are scaled down where a gateway takes less; a bomb among them is one all the same."""
    assert examine(bomb(8000, 8000)) == (DecodedImage("PNG", "image/png", 8000, 8000), None)
    with pytest.raises(UndecodableImage, match="120,000,000"):
        examine(bomb(12_000, 12_000))


def outcome(content: bytes) -> DecodedImage | UndecodableImage:
    """What decoding ends with."""
    try:
        return decode(content)
    except UndecodableImage as error:
        return error


@given(
    st.sampled_from(sorted(EXTENSIONS)),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damage_is_either_an_image_or_undecodable(kind: str, damage: list[tuple[int, int]]) -> None:
    """Whatever bytes a gateway delivers, there are two outcomes: an image, or one kind of error."""
    content = bytearray(IMAGES[kind])
    for place, value in damage:
        content[place % len(content)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = outcome(bytes(content))
    assert found.message if isinstance(found, UndecodableImage) else found.width * found.height > 0


def test_only_kinds_of_images_are_decoded() -> None:
    """A delivery or a reference is a raster image; documents that a decoder would run a program for are none."""
    postscript = io.BytesIO()
    Image.new("RGB", (10, 10)).save(postscript, "EPS")
    with pytest.raises(UndecodableImage):
        examine(postscript.getvalue())


def damaged_dds() -> bytes:
    """A texture whose header names a pixel format that does not exist."""
    content = bytearray(image("DDS"))
    content[80:84] = bytes(4)
    return bytes(content)


def damaged_avif() -> bytes:
    """A modern image with its item table torn out."""
    content = image("AVIF")
    at = content.index(b"iinf")
    return content[:at] + b"free" + content[at + 4 :]


@pytest.mark.parametrize(
    "damaged",
    [damaged_dds, pytest.param(damaged_avif, marks=pytest.mark.skipif(not features.check("avif"), reason="no AVIF"))],
)
@pytest.mark.parametrize("look", [looked, decode])
def test_damage_in_a_rare_format_is_undecodable_too(damaged: Callable[[], bytes], look: Look) -> None:
    """Each decoder raises errors of its own; a paid file must reach the quarantine whatever they are."""
    with pytest.raises(UndecodableImage):
        look(damaged())


def chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


BOMB = zlib.compress(b"\x00" * 200_000_000)
CHUNKS = {
    "color profile": chunk(b"iCCP", b"icc\x00\x00" + BOMB),
    "text": chunk(b"zTXt", b"Comment\x00\x00" + BOMB),
    "international text": chunk(b"iTXt", b"Comment\x00\x01\x00\x00\x00" + BOMB),
}


@pytest.mark.parametrize("where", CHUNKS)
def test_a_bomb_beside_the_pixels_is_not_unpacked(where: str) -> None:
    """A small image with 200 kB of zeros' zeros in its profile or texts: refused, and never 200 MB."""
    plain = image("PNG")
    at = 8 + 25  # behind the header
    content = plain[:at] + CHUNKS[where] + plain[at:]
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableImage):
            examine(content)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\xef\xbb\xbf\n <HTML lang='en'>", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?><!-- logo --><svg/>", "an SVG drawing"),
        (b"<Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x00\x00\x00\x24ftypheic", "a HEIC image"),
    ],
)
def test_what_is_often_taken_for_an_image_is_named(content: bytes, words: str) -> None:
    """Whoever has to find the right file is told what this one is."""
    with pytest.raises(UndecodableImage, match=words):
        examine(content)
