"""What can be told of an image by looking at its thumbnail: that it shows nothing, or nothing new."""

import io

from PIL import Image, ImageChops, ImageStat

# Of 255 levels. A white product on white has shadows and edges well above this; a canvas of one colour has none.
_BLANK_BELOW = 2.0
# Averages of blocks that are this far apart, among the 1,024 of a thumbnail, take the whole above that whatever the others are.
_APART = 96
_SIDE = 32  # px, of both images when they are compared
# Encoding a photograph again moves averaged pixels by less than this on the whole, and none of them far.
_SAME_MEAN = 2.5
_SAME_FAR = 24
_SAME_ASPECT = 0.02


def is_blank(thumbnail: bytes) -> bool:
    """Whether an image is one colour all over."""
    with Image.open(io.BytesIO(thumbnail)) as image:
        # The averages of 8x8 px are in a JPEG as they are: most images are told by them, at a tenth of the time.
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
