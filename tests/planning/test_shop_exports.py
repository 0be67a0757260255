"""A shop's export through whole runs: what is not for sale is not bought, and what was bought before stays."""

from pathlib import Path

from runs import assert_bill, run
from sandbox_process import Sandbox

SHOTS = "shots: [{name: hero, prompt: 'Studio photograph of {{ title }}'}]"
HEADER = "Handle,Title,Vendor,Status\n"


def test_a_product_that_becomes_a_draft_keeps_its_images_and_is_not_bought_again(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Skipped while it is a draft, with the images of before; taken over whole when it is for sale again."""
    catalog, shots = tmp_path / "products.csv", tmp_path / "shots.yaml"
    shots.write_text(SHOTS, encoding="utf-8")
    runs = []
    for status in ("active", "draft", "active"):
        catalog.write_text(f"{HEADER}mug,Mug,Hus,active\nbowl,Bowl,Hus,{status}\n", encoding="utf-8")
        wanted = {"shots": str(shots), "preset": "shopify", "gateways": ["evolink"]}
        runs.append(run(catalog, tmp_path / "archive", **wanted))
    first, second, third = (ran.one("bowl", "hero") for ran in runs)
    assert (first["status"], second["status"], third["status"]) == ("archived", "skipped", "archived")
    assert (second["reason"], second["error_code"], second["stale"]) == ("not_for_sale", "not_for_sale", True)
    assert second["images"] == third["images"] == first["images"]
    assert third["reused"]
    assert [len(ran.records) for ran in runs] == [2, 2, 2]
    assert gateways.bill()["submissions"] == 2
    assert_bill(gateways, *runs)
