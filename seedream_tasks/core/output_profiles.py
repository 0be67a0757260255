"""Output profiles: the file derived for a shop, kept beside the original image. They do not affect buying."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from .errors import BadValue

# Extension by format.
OUTPUT_FORMATS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
MOST_PX = 20_000
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class OutputProfile:
    """How a file is derived from an image. None: unchanged."""

    format: str = "jpeg"
    max_px: int | None = None  # longest side; smaller images are not enlarged
    quality: int | None = None  # 1 to 100, of jpeg and webp
    background: str | None = None  # #rrggbb, replaces transparency

    @property
    def digest(self) -> str:
        """Names this profile; a file made with another one is made again."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def read_output(value: Any) -> OutputProfile:
    """A checked profile. Raises BadValue naming what is wrong."""
    if not isinstance(value, dict):
        raise BadValue("expected fields such as {format: webp, max_px: 1600}")
    known = ("format", "max_px", "quality", "background")
    stray = sorted(set(map(str, value)) - set(known))
    if stray:
        raise BadValue(f"unknown {stray[0]!r}; known: {', '.join(known)}")
    given = {name: each for name, each in value.items() if each is not None}
    made = OutputProfile(
        format=_format(given.get("format", "jpeg")),
        max_px=_whole(given, "max_px", MOST_PX),
        quality=_whole(given, "quality", 100),
        background=_colour(given.get("background")),
    )
    if made.quality is not None and made.format == "png":
        raise BadValue("quality is for jpeg and webp; png is lossless")
    return made


def _format(value: Any) -> str:
    if value not in OUTPUT_FORMATS:
        raise BadValue(f"format is one of {', '.join(OUTPUT_FORMATS)}, not {value!r}")
    return str(value)


def _whole(given: dict[str, Any], name: str, most: int) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadValue(f"{name} is a whole number from 1 to {most}, not {value!r}")
    return value


def _colour(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise BadValue(f"background is a colour such as #ffffff, not {value!r}")
    return value.lower()
