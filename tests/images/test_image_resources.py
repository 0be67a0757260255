"""Want of memory or file handles is a fault of this machine: only an image's own bytes condemn it."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from seedream_tasks.core.errors import ResourceFault, UndecodableImage
from seedream_tasks.images.decode import decode, examine, read_header
from seedream_tasks.images.image_store import ImageStore, StoreRequest
from seedream_tasks.storage.archive import Archive


def image(kind: str = "PNG") -> bytes:
    """A small good image."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), "teal").save(buffer, kind)
    return buffer.getvalue()


WANTS: dict[str, Exception] = {
    "memory": MemoryError(),
    "no more files": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    "no more files on the machine": OSError(errno.ENFILE, os.strerror(errno.ENFILE)),
    "no memory, says the system": OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    "no room for a temporary file": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "no memory, says the decoder": OSError("out of memory error when reading image file"),
    "a plug-in that does not load": ImportError("failed to map segment from shared object"),
    "no thread": RuntimeError("can't start new thread"),
}


def _raises(error: Exception) -> Any:
    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


@pytest.mark.parametrize("want", WANTS)
@pytest.mark.parametrize("place", ["opening", "loading"])
def test_a_machine_that_lacks_something_condemns_no_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, want: str, place: str
) -> None:
    """Opened or loaded, as a delivery or as a reference: a ResourceFault, and the same bytes are good afterwards."""
    content = image()
    with monkeypatch.context() as patch:
        if place == "opening":
            patch.setattr(Image, "open", _raises(WANTS[want]))
        else:
            patch.setattr(ImageFile.ImageFile, "load", _raises(WANTS[want]))
        for work in (decode, examine, *([read_header] if place == "opening" else [])):
            with pytest.raises(ResourceFault, match="this machine"):
                work(content)
        with pytest.raises(ResourceFault):
            ImageStore(Archive(str(tmp_path))).keep(StoreRequest("images/a/b"), content)
    assert decode(content).width == 32
    assert ImageStore(Archive(str(tmp_path))).keep(StoreRequest("images/a/b"), content).width == 32


@pytest.mark.parametrize("content", [b"", b"no image", image()[:60], image("JPEG")[:200]], ids=range(4))
def test_bytes_that_are_no_image_are_condemned_all_the_same(content: bytes) -> None:
    """What is wrong with the bytes is an UndecodableImage, as ever."""
    with pytest.raises(UndecodableImage):
        decode(content)
