"""Output profiles in whole runs: made beside the image, made again when the profile changes, never a purchase."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image
from runs import Ran, products, run
from sandbox_process import Sandbox

from seedream_tasks.images.derivatives import GENERATED


def shots(path: Path, output: str) -> str:
    """A shot list with an output profile."""
    path.write_text(f'shots: [{{name: hero, prompt: "{{{{ prompt }}}}", n: 2, output: {output}}}]', "utf-8")
    return str(path)


def outputs(ran: Ran) -> list[dict[str, Any]]:
    """The run's list of made files."""
    rows: list[dict[str, Any]] = pq.read_table(ran.archive / "runs" / ran.run_id / "outputs.parquet").to_pylist()
    return rows


def test_a_file_is_made_beside_every_image(gateways: Sandbox, tmp_path: Path) -> None:
    """The list names each file with its row, slot and sha256; the image as it came keeps its bytes and its place."""
    catalog = products(tmp_path / "c.csv", 2)
    profile = shots(tmp_path / "s.yaml", "{format: webp, max_px: 50}")
    ran = run(catalog, tmp_path / "a", shots=profile, gateways=["evolink"])
    made = outputs(ran)
    assert [(each["row_key"], each["slot"]) for each in made] == [("p0", 0), ("p0", 1), ("p1", 0), ("p1", 1)]
    originals = {image["path"]: image for record in ran.records for image in record["images"]}
    for each in made:
        content = (ran.archive / each["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
        assert each["path"] == each["picture_path"].rpartition(".")[0] + ".out.webp"
        with Image.open(ran.archive / each["path"]) as image:
            assert max(image.size) == 50 == max(each["width"], each["height"])
            assert GENERATED.encode() in image.info["xmp"]
        original = (ran.archive / each["picture_path"]).read_bytes()
        assert hashlib.sha256(original).hexdigest() == originals[each["picture_path"]]["sha256"]


def test_another_profile_makes_other_files_and_buys_nothing(gateways: Sandbox, tmp_path: Path) -> None:
    """The profile is no part of the fingerprint: the same images serve, no gateway is asked."""
    catalog = products(tmp_path / "c.csv", 2)
    first = run(catalog, tmp_path / "a", shots=shots(tmp_path / "s.yaml", "{format: webp}"), gateways=["evolink"])
    requests = gateways.bill()["requests"]
    again = run(catalog, tmp_path / "a", shots=shots(tmp_path / "s.yaml", "{format: png}"), gateways=["evolink"])
    assert gateways.bill()["requests"] == requests
    assert again.summary.billed_usd == 0
    assert {each["mime_type"] for each in outputs(again)} == {"image/png"}
    assert len(outputs(again)) == len(outputs(first)) == 4


def test_an_unchanged_profile_makes_nothing_again(gateways: Sandbox, tmp_path: Path) -> None:
    """A rerun leaves the files as they are."""
    catalog = products(tmp_path / "c.csv", 1)
    profile = shots(tmp_path / "s.yaml", "{format: jpeg, quality: 70}")
    ran = run(catalog, tmp_path / "a", shots=profile, gateways=["evolink"])
    (path, *_) = [ran.archive / each["path"] for each in outputs(ran)]
    before = path.stat().st_mtime_ns
    assert len(outputs(run(catalog, tmp_path / "a", shots=profile, gateways=["evolink"]))) == 2
    assert path.stat().st_mtime_ns == before
