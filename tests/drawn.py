"""Small images that tests draw, where it does not matter what is on them."""

import io

from PIL import Image


def image(color: str = "red", kind: str = "JPEG", width: int = 60, height: int = 40) -> bytes:
    """An image of one color, as a file."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()
