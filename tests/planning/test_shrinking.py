"""A catalog that lost most of its products is said so, before a prune by its manifest takes their images for removed."""

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner
from runs import products, run
from sandbox_process import Sandbox

from seedream_tasks.cli.plan import plan
from seedream_tasks.planning.forecast import Forecast
from seedream_tasks.planning.shrunken_catalog import Shrunk


@pytest.mark.usefixtures("gateways")
@pytest.mark.parametrize(("left", "warned"), [(0.4, True), (0.5, False), (1.2, False)])
def test_fewer_than_half_of_the_last_runs_products_are_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: float, warned: bool
) -> None:
    """Two of five are worth a word, half of them and more are not; rows without a place in the last run do not count."""
    run(products(tmp_path / "before.csv", 10), tmp_path / "a", gateways=["evolink"])
    with caplog.at_level(logging.WARNING, "seedream_tasks"):
        run(products(tmp_path / "after.csv", int(10 * left)), tmp_path / "a", gateways=["evolink"])
    said = [each for each in caplog.messages if "was the export cut off?" in each]
    assert bool(said) is warned
    if warned:
        assert "4 of the 10 products of the last run" in said[0]
        assert "before.csv" in said[0]


def test_another_catalog_in_the_same_archive_is_one_that_lost_everything(gateways: Sandbox, tmp_path: Path) -> None:
    """`plan` says it too, on stderr, and sends nothing for it."""
    run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"])
    (tmp_path / "other.csv").write_text("sku,prompt\nx,A lamp\n")
    sent = gateways.bill()["submissions"]
    answer = CliRunner().invoke(
        plan, [str(tmp_path / "other.csv"), "--archive", str(tmp_path / "a"), "--json"], standalone_mode=False
    )
    assert "holds 0 of the 3 products" in answer.stderr
    assert json.loads(answer.stdout)["rows"] == 1
    assert gateways.bill()["submissions"] == sent


@pytest.mark.usefixtures("gateways")
def test_a_manifest_that_cannot_be_read_stops_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is only compared with: the run says that it could not be, and buys what is new."""
    run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"])
    (tmp_path / "a" / "manifest.parquet").write_bytes(b"PAR1 no table")
    with caplog.at_level(logging.WARNING, "seedream_tasks"):
        again = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"])
    assert again.statuses() == {"archived": 3}
    assert any("cannot be compared" in each for each in caplog.messages)


def test_a_resumed_run_still_knows_it() -> None:
    """What the forecast found is kept with the frozen run."""
    figures = Forecast(shrunk=Shrunk(10, 4, "before.csv"))
    assert Forecast.from_kept(figures.kept(), None).shrunk == Shrunk(10, 4, "before.csv")
    assert Forecast.from_kept(Forecast().kept(), None).shrunk is None
