"""Sizes: the published ratio -> pixel table, pixel sizes as text, and the size of `auto`.

Sources: the first party's current table for 2K, 4K and 1K; 4:5, 5:4 and 9:21 are in no table (some
gateways offer them), so they are laid out here at the same number of pixels.
"""

import math
import re

Size = tuple[int, int]

EIGHT_RATIOS = ("1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "21:9")

_PIXELS: dict[str, dict[str, Size]] = {
    "1K": {
        "1:1": (1024, 1024),
        "4:3": (1152, 864),
        "3:4": (864, 1152),
        "16:9": (1280, 720),
        "9:16": (720, 1280),
        "3:2": (1248, 832),
        "2:3": (832, 1248),
        "21:9": (1512, 648),
        "9:21": (648, 1512),
        "4:5": (896, 1120),
        "5:4": (1120, 896),
    },
    "2K": {
        "1:1": (2048, 2048),
        "4:3": (2304, 1728),
        "3:4": (1728, 2304),
        "16:9": (2848, 1600),
        "9:16": (1600, 2848),
        "3:2": (2496, 1664),
        "2:3": (1664, 2496),
        "21:9": (3136, 1344),
        "9:21": (1344, 3136),
        "4:5": (1792, 2240),
        "5:4": (2240, 1792),
    },
    "4K": {
        "1:1": (4096, 4096),
        "4:3": (4704, 3520),
        "3:4": (3520, 4704),
        "16:9": (5504, 3040),
        "9:16": (3040, 5504),
        "3:2": (4992, 3328),
        "2:3": (3328, 4992),
        "21:9": (6240, 2656),
        "9:21": (2656, 6240),
        "4:5": (3584, 4480),
        "5:4": (4480, 3584),
    },
}

_WXH = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")


def pixels(ratio: str, tier: str) -> Size:
    """Width and height in px of a ratio in a tier (`1K`, `2K`, `4K`)."""
    return _PIXELS[tier][ratio]


def parse_pixels(text: str) -> Size | None:
    """`2048x1536` as (2048, 1536); None for anything else."""
    match = _WXH.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def auto_size(tier: str, like: Size | None) -> Size:
    """The size of `auto`: the first reference's aspect at the tier's number of pixels, square without a reference."""
    square = _PIXELS[tier]["1:1"]
    if like is None:
        return square
    ratio = min(max(like[0] / like[1], 1 / 16), 16.0)
    width = math.sqrt(square[0] * square[1] * ratio)
    return _rounded(width), _rounded(width / ratio)


def fit(size: Size, longest: int) -> Size:
    """The size scaled down so that its longest side is `longest` px; smaller ones are left alone."""
    scale = longest / max(size)
    if scale >= 1:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _rounded(length: float) -> int:
    # Images come in blocks of 16 px.
    return max(16, round(length / 16) * 16)
