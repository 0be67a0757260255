"""A decoder that is short of memory: the image stays delivered and is archived once there is some; nothing is bought again."""

from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFile
from runs import assert_bill, products, run
from sandbox_process import Sandbox
from witness import submissions


def test_an_image_that_cannot_be_decoded_for_want_of_memory_is_archived_later(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times short of memory, more often than an undecodable image is fetched: archived in the same run, not quarantined."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    load: Any = ImageFile.ImageFile.load
    left = [MemoryError()] * 5

    def short(self: ImageFile.ImageFile) -> Any:
        if left:
            raise left.pop()
        return load(self)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", short)
        ran = run(catalog, archive, gateways=["evolink"])
    assert left == []
    assert ran.statuses() == {"archived": 1}
    assert not list(archive.glob("quarantine/*"))
    assert submissions(gateways) == 1
    assert_bill(gateways, ran)
