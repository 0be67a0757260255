"""Pictures are looked at while they are archived: shapes, dead links and the depth of the check in whole runs."""

from pathlib import Path

import pytest
from runs import products, run, write_catalog
from sandbox_process import Sandbox
from witness import photo


def test_an_expired_picture_says_by_how_much_it_was_missed(gateways: Sandbox, tmp_path: Path) -> None:
    """The record of a link that died before the copy names its end and the hours since."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    catalog = products(tmp_path / "c.csv", 1)
    run(catalog, tmp_path / "a", gateways=["evolink"], wait_s=0.2)
    gateways.advance(3700)
    gateways.faults([{"gateway": "*", "kind": "expired_link", "rate": 1}])
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"expired": 1}
    assert "the link answers HTTP" in ran.one("p0")["error_message"]


@pytest.mark.parametrize(("depth", "status"), [("full", "failed"), ("header", "archived")])
def test_the_depth_of_the_check_is_a_setting(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: str, status: str
) -> None:
    """A damaged picture does not pass a full check; where the header is believed, it does."""
    monkeypatch.setenv("SEEDREAM_VERIFY", depth)
    gateways.faults([{"gateway": "*", "kind": "corrupt_image", "rate": 1}])
    ran = run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {status: 1}


def test_what_the_sandbox_draws_is_neither_blank_nor_its_photograph(gateways: Sandbox, tmp_path: Path) -> None:
    """No warning where there is nothing to warn of."""
    photo(tmp_path / "p.png", side=400)
    catalog = write_catalog(
        tmp_path / "c.csv", {"sku": "a", "prompt": "On white", "operation": "edit", "references": "p.png"}
    )
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert ran.one("a")["warnings"] == []
