"""An archive is where its archive.json is: moved, mounted elsewhere or copied, its images are neither lost nor bought again."""

import asyncio
import json
import logging
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from runs import Ran, products, run
from sandbox_process import Sandbox
from witness import assert_files, ledger, submissions

from seedream_tasks.cli.ledger import ledger as ledger_commands
from seedream_tasks.config.settings import locations
from seedream_tasks.core.errors import LedgerMismatch
from seedream_tasks.engine.progress import Progress
from seedream_tasks.maintenance.collect import collect
from seedream_tasks.storage.archive import Archive

ZERO = Decimal(0)
LONG_AFTER_S = 8 * 86_400  # no link lives that long


def beside(tmp_path: Path) -> str:
    """A ledger that is not in its archive."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def assert_all_there(again: Ran, archive: Path | str, count: int) -> None:
    """Every record is archived, nothing was billed, and the manifest names the place that was given."""
    assert again.statuses() == {"archived": count}
    assert again.summary.billed_usd == ZERO
    uris = [image["uri"] for each in again.records for image in each["images"]]
    assert uris
    assert all(uri.startswith(f"{archive}/images/") for uri in uris)


def older(archive: Path) -> None:
    """archive.json as versions wrote it that did not name the archive."""
    stated = json.loads((archive / "archive.json").read_text())
    (archive / "archive.json").write_text(json.dumps({key: stated[key] for key in stated if key != "archive_id"}))


@pytest.mark.parametrize("written_by", ["this version", "an older one"])
@pytest.mark.parametrize("kept", ["inside", "beside"])
def test_a_renamed_archive_is_the_same_one(
    gateways: Sandbox, tmp_path: Path, kept: str, written_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With its ledger or without: said in one line, reused whole, and its manifests name the new place."""
    catalog, url = products(tmp_path / "c.csv", 3), None if kept == "inside" else beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    if written_by == "an older one":
        older(tmp_path / "a")
    gateways.advance(LONG_AFTER_S)
    (tmp_path / "a").rename(tmp_path / "b")
    with caplog.at_level(logging.WARNING, "seedream_tasks"):
        again = run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url)
    assert_all_there(again, tmp_path / "b", 3)
    assert submissions(gateways) == 3
    assert [each.getMessage() for each in caplog.records if "moved from" in each.getMessage()] == [
        f"the archive moved from {tmp_path / 'a'} to {tmp_path / 'b'}"
    ]
    assert len(caplog.records) == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING, "seedream_tasks"):
        assert_all_there(run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url), tmp_path / "b", 3)
    assert caplog.records == []


def test_a_moved_archive_is_bought_into_pruned_and_moved_back(gateways: Sandbox, tmp_path: Path) -> None:
    """Whatever is done with it at its new place is known at any other."""
    url = beside(tmp_path)
    run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"], ledger=url)
    (tmp_path / "a").rename(tmp_path / "b")
    more = run(products(tmp_path / "c.csv", 5), tmp_path / "b", gateways=["evolink"], ledger=url)
    assert (more.statuses(), submissions(gateways)) == ({"archived": 5}, 5)
    assert_files(more)
    (tmp_path / "b").rename(tmp_path / "a")
    assert_all_there(run(tmp_path / "c.csv", tmp_path / "a", gateways=["evolink"], ledger=url), tmp_path / "a", 5)
    (tmp_path / "a").rename(tmp_path / "c")
    catalog = products(tmp_path / "c.csv", 4)
    assert_all_there(run(catalog, tmp_path / "c", gateways=["evolink"], ledger=url), tmp_path / "c", 4)
    words = ["prune", "--archive", str(tmp_path / "c"), "--ledger", url, "--yes", "--at-most", "1"]
    CliRunner().invoke(ledger_commands, words, standalone_mode=False, catch_exceptions=False)
    assert not list((tmp_path / "c").glob("images/p4/*"))
    assert submissions(gateways) == 5


def test_what_was_in_flight_is_collected_into_the_moved_archive(gateways: Sandbox, tmp_path: Path) -> None:
    """Runs belong to the archive, not to the place where they began."""
    catalog, url = products(tmp_path / "c.csv", 2), beside(tmp_path)
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 3600, "rate": 1}])
    first = run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url, wait_s=0.2)
    assert first.statuses() == {"in_flight": 2}
    (tmp_path / "a").rename(tmp_path / "b")
    gateways.faults([])
    gateways.advance(3600)
    done = asyncio.run(collect(locations(str(tmp_path / "b"), url, simulated=False), Progress()))
    assert (done.archived, done.still_in_flight) == (2, 0)
    assert not (tmp_path / "a").exists()
    assert_all_there(run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url), tmp_path / "b", 2)


def test_a_fresh_archive_of_another_ledger_under_the_old_name_loses_nothing(gateways: Sandbox, tmp_path: Path) -> None:
    """Whose archive.json it is, is compared; the images stand in the archive that was given."""
    catalog, url = products(tmp_path / "c.csv", 3), beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    gateways.advance(LONG_AFTER_S)
    (tmp_path / "a").rename(tmp_path / "b")
    run(products(tmp_path / "other.csv", 1, model="seedream-4.0"), tmp_path / "a", gateways=["evolink"])
    again = run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url)
    assert_all_there(again, tmp_path / "b", 3)
    # And a third archive gets its copies from where the images are, not from where they were.
    third = run(catalog, tmp_path / "c", gateways=["evolink"], ledger=url)
    assert_all_there(third, tmp_path / "c", 3)
    assert_files(third)
    assert submissions(gateways) == 4


def test_nothing_is_lost_while_its_archive_cannot_be_told_from_another(gateways: Sandbox, tmp_path: Path) -> None:
    """Another ledger's archive stands in its place meanwhile: a third one gets no copies, but nothing is lost."""
    catalog, url = products(tmp_path / "c.csv", 2), beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    gateways.advance(LONG_AFTER_S)
    (tmp_path / "a").rename(tmp_path / "away")
    run(products(tmp_path / "other.csv", 1, model="seedream-4.0"), tmp_path / "a", gateways=["evolink"])
    run(catalog, tmp_path / "c", gateways=["evolink"], ledger=url)
    (tmp_path / "a").rename(tmp_path / "others")
    (tmp_path / "away").rename(tmp_path / "a")
    again = run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    assert_all_there(again, tmp_path / "a", 2)
    assert submissions(gateways) == 3


def test_a_fresh_archive_of_this_ledger_under_the_old_name_is_another_one(gateways: Sandbox, tmp_path: Path) -> None:
    """It gets copies, and neither is taken for the other afterwards."""
    catalog, url = products(tmp_path / "c.csv", 2), beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    gateways.advance(LONG_AFTER_S)
    (tmp_path / "a").rename(tmp_path / "b")
    run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url)
    for archive in (tmp_path / "a", tmp_path / "b", tmp_path / "a"):
        again = run(catalog, archive, gateways=["evolink"], ledger=url)
        assert_all_there(again, archive, 2)
        assert_files(again)
    names = {json.loads((tmp_path / each / "archive.json").read_text())["archive_id"] for each in "ab"}
    assert len(names) == 2
    assert submissions(gateways) == 2


def test_an_empty_place_is_not_taken_for_the_archive_that_was_moved_from_it(gateways: Sandbox, tmp_path: Path) -> None:
    """An unmounted disk: refused, and the hint says that it may have been moved."""
    catalog, url = products(tmp_path / "c.csv", 1), beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(LedgerMismatch, match="moved"):
        run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    assert_all_there(run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url), tmp_path / "b", 1)


def test_two_paths_to_one_folder_are_one_archive(gateways: Sandbox, tmp_path: Path) -> None:
    """As seen from a container, or by a link: it goes on under either path, with one name."""
    catalog, url = products(tmp_path / "c.csv", 2), beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    (tmp_path / "mnt").symlink_to(tmp_path / "a")
    for archive in (tmp_path / "mnt", tmp_path / "a", tmp_path / "mnt"):
        assert_all_there(run(catalog, archive, gateways=["evolink"], ledger=url), archive, 2)
    with_names = Path(beside(tmp_path).removeprefix("sqlite:///")).parent
    assert len(ledger(with_names, "SELECT * FROM archives")) == 1
    assert submissions(gateways) == 2


def test_a_copy_beside_its_original_is_an_archive_of_its_own(gateways: Sandbox, tmp_path: Path) -> None:
    """Both go on with the one ledger: what either buys, the other gets as a copy; nothing is lost in either."""
    catalog, url = products(tmp_path / "c.csv", 2), beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    gateways.advance(LONG_AFTER_S)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert_all_there(run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url), tmp_path / "b", 2)
    more = run(products(tmp_path / "c.csv", 3), tmp_path / "b", gateways=["evolink"], ledger=url)
    assert submissions(gateways) == 3
    again = run(tmp_path / "c.csv", tmp_path / "a", gateways=["evolink"], ledger=url)
    assert_all_there(again, tmp_path / "a", 3)
    assert_files(again)
    assert_files(more)
    # The original may go: the copy has all it needs.
    shutil.rmtree(tmp_path / "a")
    last = run(tmp_path / "c.csv", tmp_path / "b", gateways=["evolink"], ledger=url)
    assert_all_there(last, tmp_path / "b", 3)
    assert submissions(gateways) == 3


def test_what_an_older_version_called_lost_counts_again(gateways: Sandbox, tmp_path: Path) -> None:
    """Its file stands in the archive that was given, wherever that is now."""
    catalog, url = products(tmp_path / "c.csv", 2), beside(tmp_path)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    gateways.advance(LONG_AFTER_S)
    ledger(tmp_path, "UPDATE pictures SET state = 'lost'")
    ledger(tmp_path, "UPDATE slots SET state = 'closed', closed = 'lost'")
    (tmp_path / "a").rename(tmp_path / "b")
    assert_all_there(run(catalog, tmp_path / "b", gateways=["evolink"], ledger=url), tmp_path / "b", 2)


def test_a_bucket_that_was_moved(gateways: Sandbox, tmp_path: Path, s3: object) -> None:
    """The same in a store: another prefix, the same archive."""
    catalog, url = products(tmp_path / "c.csv", 2), beside(tmp_path)
    run(catalog, "s3://shop/old", gateways=["evolink"], ledger=url)
    gateways.advance(LONG_AFTER_S)
    fs = Archive("s3://shop/old").fs
    for path in fs.find("shop/old"):
        fs.mv(path, path.replace("shop/old", "shop/new", 1))
    assert_all_there(run(catalog, "s3://shop/new", gateways=["evolink"], ledger=url), "s3://shop/new", 2)
    assert submissions(gateways) == 2
