"""Damage: what a link answers with where a fault struck the image. The same image gives the same bytes again."""

import struct
import zlib
from functools import cache

from seedream_tasks.sandbox.orders import Trouble

_BOMB_PX = 20_000


def damaged(trouble: Trouble, data: bytes, mime_type: str) -> tuple[bytes, str]:
    """The bytes and the media type that are sent instead of the image's own."""
    if trouble.kind == "wrong_type":
        return _PAPER, "application/pdf"
    if trouble.kind == "huge_image":
        return _bomb(), "image/png"
    # corrupt_image: it begins like the image and ends in the middle.
    return data[: len(data) // 2], mime_type


_PAPER = b"""%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [] /Count 0 >> endobj
% This paper stands where the image should be (a fault of the sandbox).
trailer << /Root 1 0 R >>
%%EOF
"""


@cache
def _bomb() -> bytes:
    """A PNG of 400 million white pixels in 50 kB: who decodes it without looking needs gigabytes."""
    row = b"\x00" + b"\xff" * (_BOMB_PX // 8)
    packer = zlib.compressobj(9)
    rows = row * 100
    packed = b"".join(packer.compress(rows) for _ in range(_BOMB_PX // 100)) + packer.flush()
    # One bit per pixel, greyscale.
    header = struct.pack(">IIBBBBB", _BOMB_PX, _BOMB_PX, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
