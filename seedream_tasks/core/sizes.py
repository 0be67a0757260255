"""Image sizes: ratios, tiers and their pixels.

The tables are the upstream model's own (its image API page, section "size"). Ratios that only a gateway offers (4:5, 5:4, 9:21)
are computed to the tier's area. Results are not required to match them: gateways return slightly different pixels for a ratio,
so an image is compared by ratio with a tolerance.
"""

import math
import re
from dataclasses import dataclass

BASE_RATIOS = ("1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "21:9")
AUTO = "auto"
TIERS = ("1K", "2K", "4K")

_TABLE: dict[str, dict[str, tuple[int, int]]] = {
    "1K": {
        "1:1": (1024, 1024),
        "4:3": (1152, 864),
        "3:4": (864, 1152),
        "16:9": (1280, 720),
        "9:16": (720, 1280),
        "3:2": (1248, 832),
        "2:3": (832, 1248),
        "21:9": (1512, 648),
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
    },
}
_TIER_AREA = {"1K": 1024 * 1024, "2K": 2048 * 2048, "4K": 4096 * 4096}
_RATIO = re.compile(r"([1-9][0-9]{0,3}):([1-9][0-9]{0,3})")
_PIXELS = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class PixelRange:
    """Which explicit sizes a gateway takes: total pixels and width/height, ends included."""

    least: int
    most: int
    narrowest: float = 1 / 16
    widest: float = 16.0

    def holds(self, width: int, height: int) -> bool:
        """Whether width x height (px) is inside."""
        return self.least <= width * height <= self.most and self.narrowest <= width / height <= self.widest

    def __str__(self) -> str:
        least_aspect = f"1/{round(1 / self.narrowest)}"
        return f"{self.least:,} to {self.most:,} pixels in all, width/height from {least_aspect} to {self.widest:g}"


def parse_ratio(text: str) -> tuple[int, int] | None:
    """`16:9` -> (16, 9); None when the text is not a ratio."""
    match = _RATIO.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def parse_pixels(text: str) -> tuple[int, int] | None:
    """`2048x1024` -> (2048, 1024) px; None when the text is not a size."""
    match = _PIXELS.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def pixels_for(ratio: str, tier: str) -> tuple[int, int]:
    """Width and height (px) of a ratio at a tier; computed to the tier's area when the table has none."""
    listed = _TABLE[tier].get(ratio)
    if listed:
        return listed
    parts = parse_ratio(ratio)
    if parts is None:
        raise ValueError(f"not a ratio: {ratio!r}")
    scale = math.sqrt(_TIER_AREA[tier] / (parts[0] * parts[1]))
    # Multiples of 8, each rounded down or up: the nearest ratio whose area does not exceed the tier's, the model's limit at 4K.
    low = [int(part * scale) // 8 * 8 for part in parts]
    sizes = [(width, height) for width in (low[0], low[0] + 8) for height in (low[1], low[1] + 8)]
    fitting = [size for size in sizes if size[0] * size[1] <= _TIER_AREA[tier]]
    return min(fitting, key=lambda size: abs(math.log(size[0] / size[1] * parts[1] / parts[0])))


def asked_aspect(ratio: str | None, pixels: str | None) -> float | None:
    """Width/height that was asked for; None for `auto`, where the model decides."""
    if pixels:
        size = parse_pixels(pixels)
        return size[0] / size[1] if size else None
    parts = parse_ratio(ratio) if ratio else None
    return parts[0] / parts[1] if parts else None
