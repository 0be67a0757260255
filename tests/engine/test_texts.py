"""Text of any script goes through everything as it is."""

import json
import unicodedata
from pathlib import Path

import pytest
from runs import assert_bill, run, write_catalog
from sandbox_process import Sandbox

TEXTS = {
    "han": "一盏红色的台灯，白色背景",
    "arabic": "مصباح طاولة أحمر",
    "devanagari": "लाल टेबल लैंप",
    "emoji": "Lamp 🪔 by a 👩🏽‍🎨, flag 🇩🇪",
    "decomposed": unicodedata.normalize("NFD", "Größe für Ärmel"),
    "quotes": 'A "5\'" lamp \\ with {braces} & <tags> % $',
    "beyond": "𠮷野家 𝕊𝕥𝕦𝕕𝕚𝕠",
}


@pytest.mark.parametrize("gateway", ["evolink", "gccai", "getimg", "apiin"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_any_script_reaches_the_gateway_and_the_manifest(
    gateway: str, encoding: str, gateways: Sandbox, tmp_path: Path
) -> None:
    """The prompt that was billed, and the one in the manifest, are the catalog's, in NFC; keys are kept as they stand."""
    rows = [{"sku": f"{key}-{text[:3]}", "prompt": text} for key, text in TEXTS.items()]
    catalog = write_catalog(tmp_path / "c.csv", *rows)
    catalog.write_bytes(catalog.read_text("utf-8").encode(encoding))
    ran = run(catalog, tmp_path / "out", gateways=(gateway,))
    assert ran.statuses() == {"archived": len(TEXTS)}
    expected = [unicodedata.normalize("NFC", text) for text in TEXTS.values()]
    assert [record["prompt"] for record in ran.records] == expected
    assert sorted(entry["prompt"] for entry in gateways.bill()["entries"]) == sorted(expected)
    assert [record["row_key"] for record in ran.records] == [row["sku"] for row in rows]
    assert [record["sku"] for record in ran.records] == [row["sku"] for row in rows]
    assert_bill(gateways, ran)


def test_texts_survive_every_step_of_a_shot_list(gateways: Sandbox, tmp_path: Path) -> None:
    """A template puts them into a prompt; the catalog's own text is never read as a template."""
    rows = [{"sku": key, "title": f"{text} {{{{ sku }}}}"} for key, text in TEXTS.items()]
    catalog = write_catalog(tmp_path / "c.csv", *rows)
    shots = tmp_path / "s.yaml"
    shots.write_text(json.dumps({"shots": [{"name": "hero", "prompt": "Bild von {{ title }} — 写真"}]}), "utf-8")
    ran = run(catalog, tmp_path / "out", shots=str(shots), gateways=("evolink",))
    expected = [f"Bild von {unicodedata.normalize('NFC', row['title'])} — 写真" for row in rows]
    assert [record["prompt"] for record in ran.records] == expected
    assert sorted(entry["prompt"] for entry in gateways.bill()["entries"]) == sorted(expected)
