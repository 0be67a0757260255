"""`seedream new` writes a shot list that plans, and `seedream check` says in one screen whether a run could work."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import seedream
from runs import products, run, write_catalog
from sandbox_process import Sandbox

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def planned(catalog: Path, cwd: Path) -> dict[str, Any]:
    """Make a shot list for a catalog, and run the first of the two commands that it says."""
    made = seedream("new", "shop", "--catalog", str(catalog), "--json", cwd=cwd)
    assert made.returncode == 0, made.stderr
    first, second = json.loads(made.stdout)["next"]
    assert second.startswith("seedream run ")
    told = seedream(*shlex.split(first)[1:], "--sandbox", "--json", cwd=cwd)
    assert told.returncode == 0, told.stderr + told.stdout + (cwd / "shop/shots.yaml").read_text()
    figures: dict[str, Any] = json.loads(told.stdout)
    return figures


@pytest.mark.parametrize(
    ("name", "shots"),
    [("catalog.csv", 2), ("shopify.csv", 2), ("woocommerce.csv", 2), ("merchant.tsv", 2), ("merchant.xml", 2)],
)
def test_a_new_shot_list_plans(name: str, shots: int, tmp_path: Path) -> None:
    """For the columns of that catalog and the preset that fits it; nothing is invalid."""
    figures = planned(SAMPLES / name, tmp_path)
    text = (tmp_path / "shop/shots.yaml").read_text("utf-8")
    assert text.count("\n  - name: ") == shots
    assert figures["by_status"]["planned"] > 0
    assert "invalid" not in figures["by_status"]


def test_a_catalog_with_awkward_columns(tmp_path: Path) -> None:
    """No title, no key of a known name, names that are no identifiers, empty cells, photos that are not there."""
    rows = [{"Artikel-Nr.": f"A{n}", "2. Name}}": "" if n else 'A "cup"', "image": f"gone/{n}.jpg"} for n in range(3)]
    figures = planned(write_catalog(tmp_path / "c.csv", *rows), tmp_path)
    assert figures["by_status"] == {"planned": 3}
    text = (tmp_path / "shop/shots.yaml").read_text("utf-8")
    assert "# " + "  - name: lifestyle" in text


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stays; exit 2. The only catalog of a folder is taken by itself."""
    products(tmp_path / "c.csv", 2)
    first = seedream("new", cwd=tmp_path)
    assert (first.returncode, "seedream plan c.csv --shots shots.yaml" in first.stdout) == (0, True)
    (tmp_path / "shots.yaml").write_text("mine")
    second = seedream("new", cwd=tmp_path)
    assert (second.returncode, (tmp_path / "shots.yaml").read_text()) == (2, "mine")


def checked(cwd: Path, code: int, *arguments: str, **environment: str) -> dict[str, tuple[bool, str]]:
    """What `check` found; asserts that it left nothing behind."""
    before = sorted(cwd.rglob("*"))
    ended = seedream("check", *arguments, "--json", cwd=cwd, environment={**os.environ, **environment})
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert sorted(cwd.rglob("*")) == before
    return {each["what"]: (each["ok"], each["said"]) for each in json.loads(ended.stdout)["checks"]}


def test_check_says_what_is_there(gateways: Sandbox, tmp_path: Path) -> None:
    """Keys, balances, archive, ledger, Prefect; nothing is spent or written."""
    found = checked(tmp_path, 0)
    assert all(ok for ok, _ in found.values())
    assert "key accepted, the sandbox" in found["evolink"][1]
    assert "balance" in found["evolink"][1]
    assert found["ledger"][1].endswith("new")
    run(products(tmp_path / "c.csv", 1), tmp_path / "seedream-out", gateways=["evolink"])
    found = checked(tmp_path, 0)
    assert (found["archive"][1].endswith("simulated images"), "simulated" in found["ledger"][1]) == (True, True)
    assert gateways.bill()["submissions"] == 1


@pytest.mark.outside_the_law("the ledger that bought is put away")
def test_check_says_what_is_wrong(gateways: Sandbox, tmp_path: Path) -> None:
    """Exit 2: an address where no gateway is, an archive without its ledger, a server that does not answer."""
    run(products(tmp_path / "c.csv", 1), tmp_path / "seedream-out", gateways=["evolink"])
    (tmp_path / "seedream-out" / "ledger.db").unlink()
    found = checked(
        tmp_path,
        2,
        SEEDREAM_GETIMG_BASE_URL=f"{gateways.url}/nowhere",
        SEEDREAM_GETIMG_API_KEY="k",
        PREFECT_API_URL="http://127.0.0.1:9/api",
    )
    assert {name for name, (ok, _) in found.items() if not ok} == {"getimg", "ledger", "prefect"}
    assert "seedream ledger rebuild" in found["ledger"][1]
