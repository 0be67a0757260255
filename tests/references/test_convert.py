"""Converted copies: whatever comes in, the copy keeps to the gateway's limits, or there is none and the reason is said."""

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_offer import CAPABILITIES
from PIL import Image, ImageCms

from seedream_tasks.core.capabilities import Capability, Transport
from seedream_tasks.core.errors import UndecodableImage
from seedream_tasks.core.jobs import Reference
from seedream_tasks.core.reference_transport import Fits, presentation
from seedream_tasks.images.decode import examine
from seedream_tasks.references.convert import Converted, convert

JPEG_PNG = frozenset({"JPEG", "PNG"})


def fits(**fields: Any) -> Fits:
    """What most gateways take."""
    values = {"formats": JPEG_PNG, "most_bytes": 10_000_000, "most_pixels": 36_000_000, "side_above": 14}
    return Fits(**{**values, "aspect": (1 / 3, 3.0), **fields})  # type: ignore[arg-type]


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    """As a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def halves(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return image.convert(mode)


def opened(copy: Converted) -> Image.Image:
    """The copy, decoded."""
    image = Image.open(io.BytesIO(copy.content))
    image.load()
    assert image.format == copy.format
    return image


def near(found: Any, wanted: tuple[int, ...], by: int = 12) -> bool:
    """The same color, but for what JPEG does to it."""
    return all(abs(one - other) <= by for one, other in zip(found, wanted, strict=True))


KINDS: list[tuple[str, bytes, str]] = [
    ("WebP", saved(halves(), "WEBP"), "JPEG"),
    ("AVIF", saved(halves(), "AVIF"), "JPEG"),
    ("TIFF", saved(halves(), "TIFF"), "PNG"),
    ("BMP", saved(halves(), "BMP"), "PNG"),
    ("GIF", saved(halves("P"), "GIF"), "PNG"),
    ("GIF with frames", saved(halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40))]), "PNG"),
    ("palette PNG", saved(halves("P"), "PNG"), "PNG"),
    ("CMYK JPEG", saved(halves("CMYK"), "JPEG"), "JPEG"),
    ("CMYK TIFF", saved(halves("CMYK"), "TIFF"), "PNG"),
    ("YCbCr TIFF", saved(halves("YCbCr"), "TIFF"), "PNG"),
]


@pytest.mark.parametrize(("content", "kind"), [each[1:] for each in KINDS], ids=[each[0] for each in KINDS])
def test_each_kind_becomes_what_is_taken(content: bytes, kind: str) -> None:
    """Exact pixels stay exact as PNG, the others become a fine JPEG; the colors stay, the first frame counts."""
    image = opened(convert(content, fits()))
    assert (image.format, image.mode, image.size) == (kind, "RGB", (60, 40))
    assert near(image.getpixel((8, 20)), (255, 0, 0))
    assert near(image.getpixel((52, 20)), (0, 0, 255))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF"])
def test_transparency_is_kept(kind: str) -> None:
    """As PNG, which every gateway takes."""
    image = halves("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda value: 255 if value > 127 else 0))
    copy = opened(convert(saved(image, kind), fits()))
    assert (copy.format, copy.mode) == ("PNG", "RGBA")
    assert [copy.getpixel((8, y))[3] for y in (2, 38)] == [0, 255]  # type: ignore[index]


def test_transparency_survives_being_scaled_down() -> None:
    """A transparent image with too many bytes stays transparent, and smaller."""
    image = Image.effect_noise((600, 400), 90).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    copy = convert(saved(image, "PNG"), fits(most_bytes=60_000))
    assert len(copy.content) <= 60_000
    assert opened(copy).mode == "RGBA"


def test_transparency_that_hides_nothing_is_no_reason_for_a_png() -> None:
    """A photo with an unused alpha channel becomes a JPEG."""
    assert convert(saved(halves("RGBA"), "WEBP", lossless=True), fits()).format == "JPEG"


def test_where_only_jpeg_is_taken_transparency_becomes_white() -> None:
    """As on every shop's page."""
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    copy = opened(convert(saved(image, "PNG"), fits(formats=frozenset({"JPEG"}))))
    assert near(copy.getpixel((20, 20)), (255, 255, 255))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    """Upright pixels, no EXIF: where the photo was taken goes no further either. Its measures are those upright, too."""
    upright = halves()
    upright.paste("lime", (0, 0, 60, 10))
    turns = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    turn = turns[orientation]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    content = saved(upright if turn is None else upright.transpose(turn), kind, exif=exif, quality=95)
    image, flaw = examine(content)
    assert (image.width, image.height) == (60, 40)
    assert flaw == (None if orientation == 1 else "turned by EXIF")
    copy = opened(convert(content, fits()))
    assert not copy.getexif()
    assert near(copy.getpixel((4, 4)), (0, 255, 0), 40)
    assert near(copy.getpixel((4, 36)), (255, 0, 0), 40)
    assert near(copy.getpixel((56, 36)), (0, 0, 255), 40)


def sixteen_bit(channels: int) -> bytes:
    """A PNG of one mid-bright color with 16 bits a channel (Pillow writes no colored one)."""
    width = height = 20
    rows = b"".join(b"\x00" + struct.pack(">H", 0x8000) * (channels * width) for _ in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    color = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_sixteen_bits_become_eight(channels: int, mode: str) -> None:
    """At the same brightness, and known as such though Pillow reads colors as if they had eight."""
    content = sixteen_bit(channels)
    assert examine(content)[1] == "more than 8 bits a channel"
    copy = opened(convert(content, fits()))
    assert copy.mode == mode
    pixel = copy.getpixel((5, 5))
    assert abs((pixel if isinstance(pixel, int) else pixel[0]) - 128) <= 1  # type: ignore[index, operator]


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_grays_become_eight_bits(mode: str) -> None:
    """Whole numbers and floating point, as scanners write them."""
    image = Image.new(mode, (20, 20), 0.5 if mode == "F" else 0x8000)
    content = saved(image, "TIFF")
    assert examine(content)[1] == "more than 8 bits a channel"
    assert abs(int(opened(convert(content, fits())).getpixel((5, 5))) - 128) <= 1  # type: ignore[arg-type]


def test_a_color_profile_goes_along() -> None:
    """A wide-gamut photo keeps its colors; one from print is brought to sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert opened(convert(saved(halves(), "WEBP", icc_profile=profile), fits())).info["icc_profile"] == profile
    damaged = saved(halves("CMYK"), "JPEG", icc_profile=b"no profile at all")
    assert opened(convert(damaged, fits())).mode == "RGB"


def test_too_many_pixels_are_scaled_down() -> None:
    """To what is taken, in the same shape."""
    copy = opened(convert(saved(halves(size=(900, 600)), "JPEG"), fits(most_pixels=150_000)))
    assert copy.size[0] * copy.size[1] <= 150_000
    assert abs(copy.size[0] / copy.size[1] - 1.5) < 0.01


def test_too_many_bytes_are_brought_down() -> None:
    """A noisy PNG becomes a JPEG first, and smaller only when that is not enough."""
    noise = Image.effect_noise((700, 500), 30).convert("RGB")
    content = saved(noise, "PNG")
    as_jpeg = convert(content, fits(most_bytes=len(content) - 1))
    assert (as_jpeg.format, opened(as_jpeg).size) == ("JPEG", (700, 500))
    small = convert(content, fits(most_bytes=50_000))
    assert len(small.content) <= 50_000
    assert opened(small).size[0] < 700


def test_the_same_source_makes_the_same_copy() -> None:
    """A retry presents the same bytes, and they are uploaded once."""
    content = saved(halves("CMYK", (301, 203)), "TIFF")
    assert convert(content, fits(most_pixels=20_000)) == convert(content, fits(most_pixels=20_000))


@pytest.mark.parametrize("limits", [fits(most_bytes=200), fits(most_pixels=150)], ids=["bytes", "pixels"])
def test_what_cannot_be_made_small_enough_is_refused(limits: Fits) -> None:
    """With the figure, rather than an image that the gateway refuses too."""
    with pytest.raises(UndecodableImage, match=r"200 bytes|px when it is small enough"):
        convert(saved(Image.effect_noise((100, 80), 100), "PNG"), limits)


# Whatever comes in

MODES = {
    "JPEG": ["RGB", "L", "CMYK"],
    "PNG": ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"],
    "TIFF": ["RGB", "RGBA", "L", "CMYK", "I;16", "F", "1", "P"],
    "WEBP": ["RGB", "RGBA"],
    "GIF": ["P", "L"],
    "BMP": ["RGB", "L", "P", "1"],
    "AVIF": ["RGB", "RGBA"],
}
SIDES = st.integers(1, 260)


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """Some file of some size, mode and orientation, with something on it."""
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[kind]))
    size = (draw(SIDES), draw(SIDES))
    gray = Image.effect_noise(size, draw(st.integers(1, 120)))
    if mode in ("I;16", "F"):
        image = Image.new(mode, size, draw(st.integers(0, 60_000)))
    elif mode == "LA":
        image = Image.merge("LA", (gray, gray))
    else:
        image = gray.convert("RGB").convert(mode)
        if mode == "RGBA" and draw(st.booleans()):
            image.putalpha(gray)
    more: dict[str, Any] = {}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and draw(st.booleans()):
        exif = Image.Exif()
        exif[0x0112] = draw(st.integers(0, 9))
        more["exif"] = exif
    return saved(image, kind, **more)


@given(
    images(),
    st.sampled_from(CAPABILITIES),
    st.sampled_from([2_000, 20_000, 10_000_000]),
    st.sampled_from([2_000, 40_000]),
)
@settings(max_examples=250)
def test_a_copy_keeps_to_the_row_or_is_refused(
    content: bytes, row: Capability, most_bytes: int, most_pixels: int
) -> None:
    """Type by content, bytes, pixels, sides and shape: what preflight lets through, the gateway's own limits let through too."""
    image, flaw = examine(content)
    source = Reference("a", "0", image.format, image.width, image.height, len(content), flaw, public=False)
    way = presentation(source, row, most_bytes)
    if way is None:
        assert row.references.transports == (Transport.URL,)
        return
    if not way.changes:
        assert image.format in way.fits.formats
        assert flaw is None
        assert len(content) <= row.references.bytes.value
        return
    limits = Fits(way.fits.formats, most_bytes, most_pixels, way.fits.side_above, way.fits.aspect)
    if limits.aspect and not limits.aspect[0] <= image.width / image.height <= limits.aspect[1]:
        return  # preflight refuses it
    try:
        copy = convert(content, limits)
    except UndecodableImage:
        return
    made, left = examine(copy.content)
    assert made.format == copy.format
    assert made.format in limits.formats
    assert len(copy.content) <= most_bytes
    assert made.width * made.height <= most_pixels
    assert left is None
    if limits.side_above:
        assert min(made.width, made.height) > limits.side_above
    if limits.aspect:
        assert limits.aspect[0] <= made.width / made.height <= limits.aspect[1]


@pytest.mark.parametrize("aspect", [(1 / 3, 3.0), (1 / 16, 16.0)])
@given(side=st.integers(15, 120), most=st.integers(3_000, 30_000), wide=st.booleans())
def test_rounding_does_not_push_an_image_out_of_shape(
    aspect: tuple[float, float], side: int, most: int, wide: bool
) -> None:
    """At the very end of what is taken, scaled down, it is still taken."""
    long = int(side * aspect[1])
    size = (long, side) if wide else (side, long)
    try:
        copy = opened(convert(saved(halves(size=size), "PNG"), fits(aspect=aspect, most_pixels=most)))
    except UndecodableImage:
        return
    assert aspect[0] <= copy.size[0] / copy.size[1] <= aspect[1]
