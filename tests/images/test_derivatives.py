"""Files made of images by an output profile: what a shop is to get, and the mark that a model made it."""

import io

import pytest
from PIL import Image, ImageCms

from seedream_tasks.core.errors import UndecodableImage
from seedream_tasks.core.output_profiles import OutputProfile
from seedream_tasks.images.derivatives import EDITED, GENERATED, make_output


def image(mode: str = "RGB", size: tuple[int, int] = (400, 200), kind: str = "PNG", **more: object) -> bytes:
    """An image with a red left half; the right half is see-through where the mode allows it."""
    shown = Image.new("RGBA", size, (0, 0, 255, 0))
    shown.paste((255, 0, 0, 255), (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    shown.convert(mode).save(file, kind, **more)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    """Decoded."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(("edited", "source"), [(False, GENERATED), (True, EDITED)])
def test_every_format_says_that_a_model_made_it(name: str, edited: bool, source: str) -> None:
    """DigitalSourceType stands in the file's XMP: trained media for words alone, composite for edits of a photograph."""
    made = make_output(image(), OutputProfile(name), edited)
    shown = opened(made.content)
    assert shown.format == name.upper()
    assert made.mime_type == f"image/{name}"
    xmp = shown.info.get("xmp") or shown.info["XML:com.adobe.xmp"].encode()
    assert f'Iptc4xmpExt:DigitalSourceType="{source}"'.encode() in xmp


def test_the_longest_side_is_bounded_and_nothing_is_enlarged() -> None:
    """max_px scales down in proportion; a smaller image keeps its size."""
    assert opened(make_output(image(), OutputProfile("png", max_px=100), False).content).size == (100, 50)
    made = make_output(image(), OutputProfile("png", max_px=4000), False)
    assert opened(made.content).size == (made.width, made.height) == (400, 200)


def test_transparency_is_kept_where_the_format_holds_it() -> None:
    """Without a background png and webp stay see-through."""
    for name in ("png", "webp"):
        assert (
            opened(make_output(image("RGBA"), OutputProfile(name), False).content).convert("RGBA").getpixel((399, 0))[3]
            == 0
        )


@pytest.mark.parametrize(("output", "expected"), [
    (OutputProfile("jpeg"), (255, 255, 255)), (OutputProfile("png", background="#00ff00"), (0, 255, 0)),
    (OutputProfile("jpeg", background="#102030"), (16, 32, 48)),
])  # fmt: skip
def test_the_background_stands_behind_what_is_transparent(
    output: OutputProfile, expected: tuple[int, int, int]
) -> None:
    """White for jpeg, which holds no transparency; the colour that was asked for otherwise."""
    found = opened(make_output(image("RGBA"), output, False).content).convert("RGB").getpixel((395, 5))
    assert all(abs(a - b) <= 6 for a, b in zip(found, expected, strict=True))


def test_quality_decides_the_size_of_the_file() -> None:
    """A lower quality makes a smaller file of the same image."""
    noise = Image.effect_noise((256, 256), 80).convert("RGB")
    file = io.BytesIO()
    noise.save(file, "PNG")
    low, high = (
        len(make_output(file.getvalue(), OutputProfile("webp", quality=each), False).content) for each in (20, 95)
    )
    assert low < high


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "I;16", "1", "YCbCr"])
def test_every_colour_model_becomes_one_that_a_browser_shows(mode: str) -> None:
    """Whatever came, the file is RGB or RGBA."""
    kind = "TIFF" if mode in ("CMYK", "YCbCr", "I;16") else "PNG"
    if mode == "I;16":
        file = io.BytesIO()
        Image.new("I;16", (40, 20), 60000).save(file, kind)
        content = file.getvalue()
    else:
        content = image(mode, kind=kind)
    for name in ("jpeg", "png", "webp"):
        assert opened(make_output(content, OutputProfile(name), False).content).mode in ("RGB", "RGBA")


def test_the_camera_orientation_is_applied() -> None:
    """An image that is stored lying down stands upright in the file, and no tag turns it again."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = make_output(image(kind="JPEG", exif=exif), OutputProfile("jpeg"), False)
    shown = opened(made.content)
    assert shown.size == (200, 400)
    assert shown.getexif().get(0x0112, 1) == 1


def test_an_rgb_profile_is_kept() -> None:
    """The colour profile goes along: without it the colours would be others."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    made = make_output(image(icc_profile=profile), OutputProfile("webp"), False)
    assert opened(made.content).info["icc_profile"] == profile


def test_a_damaged_image_is_refused() -> None:
    """Nothing is made of bytes that do not decode."""
    with pytest.raises(UndecodableImage):
        make_output(image()[:200], OutputProfile("jpeg"), False)
