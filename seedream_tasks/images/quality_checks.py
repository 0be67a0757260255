"""Checks of an image by its thumbnail: whether it is blank, or an edit that changed nothing."""

import io

from PIL import Image, ImageChops, ImageStat

# Of 255 levels. A white product on white has shadows and edges well above this; a canvas of one colour has none.
_BLANK_BELOW = 2.0
# Two of a thumbnail's 1,024 block averages this far apart put the whole above that, whatever the others are.
_APART = 96
_SIDE = 32  # px, of both images when they are compared
# Re-encoding a photograph changes averaged pixels by less than this on average, and none of them by much.
_SAME_MEAN = 2.5
_SAME_FAR = 24
_SAME_ASPECT = 0.02


def is_blank(thumbnail: bytes) -> bool:
    """Whether an image is a single colour."""
    with Image.open(io.BytesIO(thumbnail)) as image:
        # A JPEG stores the averages of 8x8 px: they decide most images, in a tenth of the time.
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        if any(high - low >= _APART for low, high in ImageStat.Stat(image.convert("RGB")).extrema):
            return False
    with Image.open(io.BytesIO(thumbnail)) as image:
        return max(ImageStat.Stat(image.convert("RGB")).stddev) < _BLANK_BELOW


def looks_the_same(one: bytes, other: bytes) -> bool:
    """Whether two images show the same in the same frame, whatever their sizes: an edit that did nothing."""
    with Image.open(io.BytesIO(one)) as first, Image.open(io.BytesIO(other)) as second:
        aspects = first.width / first.height, second.width / second.height
        if abs(aspects[0] / aspects[1] - 1) > _SAME_ASPECT:
            return False
        size = (_SIDE, _SIDE)
        apart = ImageChops.difference(
            first.convert("RGB").resize(size, Image.Resampling.BOX),
            second.convert("RGB").resize(size, Image.Resampling.BOX),
        )
        stat = ImageStat.Stat(apart)
        return max(stat.mean) < _SAME_MEAN and max(high for _, high in stat.extrema) < _SAME_FAR
