"""Stamps: a comment inside an image file that says what it is, without encoding the image again.

It makes the bytes of every image unique, also where one rendering serves thousands of tasks.
"""

import struct
import zlib

_LONGEST = 4000


def stamp(data: bytes, image_format: str, comment: str) -> bytes:
    """The same image with a comment in it."""
    text = comment.encode(errors="replace")[:_LONGEST]
    if image_format == "png":
        return _stamp_png(data, text)
    if image_format == "webp":
        return _stamp_webp(data, text)
    # JPEG: a comment segment right after the start marker's JFIF segment.
    end = 4 + struct.unpack(">H", data[4:6])[0]
    return b"".join((data[:end], b"\xff\xfe", struct.pack(">H", len(text) + 2), text, data[end:]))


def _stamp_png(data: bytes, text: bytes) -> bytes:
    # After the signature (8 bytes) and the header chunk (25): an international text chunk, uncompressed.
    body = b"iTXtComment\x00\x00\x00\x00\x00" + text.decode(errors="ignore").encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def _stamp_webp(data: bytes, text: bytes) -> bytes:
    # A chunk of an unknown kind behind the image: readers pass over it.
    chunk = b"NOTE" + struct.pack("<I", len(text)) + text + b"\x00" * (len(text) % 2)
    size = struct.unpack("<I", data[4:8])[0] + len(chunk)
    return data[:4] + struct.pack("<I", size) + data[8:] + chunk
