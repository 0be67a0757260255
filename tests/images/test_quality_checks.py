"""What a thumbnail gives away: nothing on it, or nothing new on it."""

import io

import pytest
from hypothesis import given
from hypothesis.strategies import integers, tuples
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps, ImageStat

from seedream_tasks.images.quality_checks import is_blank, looks_the_same
from seedream_tasks.images.thumbnails import thumbnail


def product(size: tuple[int, int] = (900, 600), ground: str = "#8a6f4d") -> Image.Image:
    """A bottle on a table."""
    image = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, size[1] * 2 // 3, size[0], size[1]), fill="#5c4a33")
    draw.ellipse((size[0] // 3, size[1] // 5, size[0] * 2 // 3, size[1] * 4 // 5), fill="#2e6e5c")
    return image


def small(image: Image.Image, kind: str = "JPEG", **more: object) -> bytes:
    """Its thumbnail, made of an encoded file as in a run."""
    file = io.BytesIO()
    image.save(file, kind, **more)
    made = thumbnail(file.getvalue())
    assert made is not None
    return made


@pytest.mark.parametrize("colour", ["black", "white", "#7f7f7f", "#f0f1ef"])
def test_one_colour_all_over_is_blank(colour: str) -> None:
    """Whatever the colour, nothing is on it."""
    assert is_blank(small(Image.new("RGB", (1024, 1024), colour)))


def test_a_white_product_on_white_is_not_blank() -> None:
    """The palest of studio shots has a shadow."""
    image = Image.new("RGB", (1024, 1024), "#ffffff")
    ImageDraw.Draw(image).ellipse((300, 300, 700, 700), fill="#f4f4f2", outline="#e2e2e0", width=12)
    assert not is_blank(small(image))


@given(
    ground=integers(0, 255),
    mark=integers(0, 255),
    box=tuples(integers(0, 255), integers(0, 255), integers(1, 256), integers(1, 256)),
    size=tuples(integers(1, 256), integers(1, 256)),
)
def test_an_image_is_blank_where_no_channel_varies(
    ground: int, mark: int, box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    """What its averages tell beforehand is what all of its pixels tell: a standard deviation of two levels or more."""
    image = Image.new("RGB", size, (ground, ground, 128))
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[0] + box[2], box[1] + box[3]), fill=(mark, ground, 128))
    file = io.BytesIO()
    image.save(file, "JPEG")
    with Image.open(io.BytesIO(file.getvalue())) as kept:
        varies = max(ImageStat.Stat(kept.convert("RGB")).stddev) >= 2
    assert is_blank(file.getvalue()) is not varies


@pytest.mark.parametrize(("width", "kind", "quality"), [(900, "JPEG", 60), (450, "JPEG", 90), (1800, "WEBP", 80)])
def test_encoding_and_scaling_make_no_new_image(width: int, kind: str, quality: int) -> None:
    """A gateway that hands the photograph back, in another size and format, has edited nothing."""
    back = product().resize((width, width * 2 // 3))
    assert looks_the_same(small(product()), small(back, kind, quality=quality))


@pytest.mark.parametrize("edit", ["ground", "mirrored", "darker", "blurred", "cropped", "other frame"])
def test_an_edit_is_seen(edit: str) -> None:
    """Another ground, another light, another frame: something was done."""
    image = product()
    edited = {
        "ground": lambda: product(ground="#ffffff"),
        "mirrored": lambda: ImageOps.flip(image),
        "darker": lambda: ImageEnhance.Brightness(image).enhance(0.8),
        "blurred": lambda: image.filter(ImageFilter.GaussianBlur(60)),
        "cropped": lambda: image.crop((90, 60, 810, 540)),
        "other frame": lambda: product((600, 600)),
    }[edit]()
    assert not looks_the_same(small(image), small(edited))
