"""Pruning gives up images, never money, and nothing that the newest manifest shows."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import Ran, assert_bill, run, write_catalog
from s3_server import S3
from sandbox_process import Sandbox
from witness import assert_files, ledger_money, submissions

from seedream_tasks.config.settings import locations
from seedream_tasks.core.errors import ConfigurationError
from seedream_tasks.ledger import known_runs
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.maintenance.prune import Pruned, prune


def buy(folder: Path, archive: Path | str | None = None, **rows: str) -> Ran:
    """A run over these products, key -> prompt."""
    catalog = write_catalog(folder / "catalog.csv", *({"sku": key, "prompt": prompt} for key, prompt in rows.items()))
    url = f"sqlite:///{folder / 'a' / 'ledger.db'}"
    return run(catalog, archive or folder / "a", gateways=["evolink"], ledger=url)


def pruned(folder: Path, archive: Path | str | None = None, **options: Any) -> Pruned:
    """Prune the archive; of so few images a fifth is none."""
    place = locations(str(archive or folder / "a"), f"sqlite:///{folder / 'a' / 'ledger.db'}", False)
    return prune(place, **({"at_most": 100} | options))


def images(ran: Ran) -> list[str]:
    """The paths of a run's images."""
    return [str(image["path"]) for record in ran.records for image in record["images"]]


def files(folder: Path) -> list[str]:
    """Every image in the archive."""
    return sorted(str(path.relative_to(folder)) for path in (folder / "images").rglob("*") if path.is_file())


@pytest.fixture
def runs(tmp_path: Path, gateways: Sandbox) -> list[Ran]:
    """a, b, c are bought; then b is asked for otherwise and c is no longer sold."""
    return [buy(tmp_path, a="one", b="two", c="three"), buy(tmp_path, a="one", b="two, newer", d="four")]


def test_a_dry_run_says_what_would_go_and_touches_nothing(tmp_path: Path, runs: list[Ran]) -> None:
    """Count, bytes, cost and paths: of the removed product and of the replaced image."""
    first, second = runs
    before, money = files(tmp_path / "a"), ledger_money(tmp_path / "a")
    ledger = (tmp_path / "a" / "ledger.db").read_bytes()
    found = pruned(tmp_path, delete=False)
    going = {row_key: first.one(row_key)["images"][0] for row_key in ("b", "c")}
    assert sorted(found.paths) == sorted(image["path"] for image in going.values())
    assert found.as_json() | {"paths": []} == {
        "deleted": False,
        "manifest_run_id": second.run_id,
        "catalog_uri": str(tmp_path / "catalog.csv"),
        "images": 2,
        "bytes": sum(image["bytes"] for image in going.values()),
        "cost_usd": "0.062",
        "by_reason": {
            "removed": {"images": 1, "bytes": going["c"]["bytes"], "cost_usd": "0.031"},
            "superseded": {"images": 1, "bytes": going["b"]["bytes"], "cost_usd": "0.031"},
        },
        "by_catalog": {str(tmp_path / "catalog.csv"): 2},
        "of_images": 5,
        "emptied": 0,
        "paths": [],
    }
    assert (files(tmp_path / "a"), ledger_money(tmp_path / "a")) == (before, money)
    assert (tmp_path / "a" / "ledger.db").read_bytes() == ledger


def test_what_is_pruned_is_gone_and_what_is_shown_stays(tmp_path: Path, gateways: Sandbox, runs: list[Ran]) -> None:
    """The ledger keeps jobs and costs; a second prune finds nothing; the next run takes over what stayed."""
    money = ledger_money(tmp_path / "a")
    done = pruned(tmp_path, delete=True)
    assert done.total.images == 2
    assert files(tmp_path / "a") == sorted(images(runs[1]))
    assert ledger_money(tmp_path / "a") == money
    assert pruned(tmp_path, delete=True).total.images == 0
    third = buy(tmp_path, a="one", b="two, newer", d="four")
    assert third.summary.reused == 3
    assert_files(third)
    assert_bill(gateways, *runs, third)


def in_trash(folder: Path) -> list[Path]:
    """Every file in the trash."""
    return sorted(path for path in (folder / "trash").rglob("*") if path.is_file())


def emptied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pruned:
    """A prune after the week in which images can be brought back."""
    with monkeypatch.context() as patch:
        patch.setattr("seedream_tasks.core.trash.KEPT_FOR", timedelta(0))
        return pruned(folder, delete=True)


def test_a_pruned_image_that_is_wanted_again_within_the_week_comes_back(
    tmp_path: Path, gateways: Sandbox, runs: list[Ran]
) -> None:
    """A catalog that had been cut off is whole again: nothing is bought, the trash is empty, the images stand as they did."""
    pruned(tmp_path, delete=True)
    assert len(in_trash(tmp_path / "a")) == 2
    count = submissions(gateways)
    back = buy(tmp_path, a="one", b="two", c="three")
    assert back.statuses() == {"archived": 3}
    assert submissions(gateways) == count
    assert images(back) == images(runs[0])
    assert in_trash(tmp_path / "a") == []
    assert_files(back)
    assert_bill(gateways, *runs, back)


def test_a_file_that_stands_where_a_pruned_one_stood_is_not_overwritten(
    tmp_path: Path, gateways: Sandbox, runs: list[Ran]
) -> None:
    """Somebody put another file there: the pruned one stays in the trash, and its record is lost."""
    pruned(tmp_path, delete=True)
    (image,) = runs[0].one("c")["images"]
    place = tmp_path / "a" / image["path"]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"another file")
    count = submissions(gateways)
    assert buy(tmp_path, a="one", c="three").one("c")["status"] == "lost"
    assert (place.read_bytes(), len(in_trash(tmp_path / "a"))) == (b"another file", 2)
    assert submissions(gateways) == count


def test_after_a_week_a_prune_empties_the_trash(
    tmp_path: Path, gateways: Sandbox, runs: list[Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From then on what is wanted again is lost until `--retry lost` buys it: never bought a second time without a word."""
    pruned(tmp_path, delete=True)
    assert pruned(tmp_path, delete=True).emptied == []
    assert len(emptied(tmp_path, monkeypatch).emptied) == 2
    assert in_trash(tmp_path / "a") == []
    count = submissions(gateways)
    back = buy(tmp_path, a="one", c="three")
    record = back.one("c")
    assert (record["status"], record["error_code"], record["images"]) == ("lost", "pruned", [])
    assert "--retry lost" in record["error_message"]
    assert submissions(gateways) == count
    url = f"sqlite:///{tmp_path / 'a' / 'ledger.db'}"
    again = run(tmp_path / "catalog.csv", tmp_path / "a", gateways=["evolink"], ledger=url, retry=("lost",))
    assert again.statuses() == {"archived": 2}
    assert submissions(gateways) == count + 1
    assert_files(again)
    assert_bill(gateways, *runs, back, again)


def test_more_than_a_fifth_at_once_wants_a_bound(tmp_path: Path, runs: list[Ran]) -> None:
    """Two of five images: refused with the figure and the option; a bound that covers them lets them go."""
    assert pruned(tmp_path, delete=False, at_most=None).total.images == 2
    for bound in (None, 1):
        with pytest.raises(ConfigurationError, match="2 of the 5 images would go") as refused:
            pruned(tmp_path, delete=True, at_most=bound)
        assert refused.value.facts["code"] == "prunes_too_much"
        assert "--at-most 2" in str(refused.value.facts["hint"])
    assert len(files(tmp_path / "a")) == 5
    assert pruned(tmp_path, delete=True, at_most=2).total.images == 2


def test_a_fifth_may_go_without_a_word(tmp_path: Path, gateways: Sandbox) -> None:
    """One of five."""
    buy(tmp_path, a="1", b="2", c="3", d="4", e="5")
    buy(tmp_path, a="1", b="2", c="3", d="4")
    assert pruned(tmp_path, delete=True, at_most=None).total.images == 1


def test_a_stale_record_keeps_what_it_shows(tmp_path: Path, gateways: Sandbox) -> None:
    """Its new job has no image yet, so the old one is not replaced by anything."""
    first = buy(tmp_path, a="one")
    gateways.faults(
        [{"gateway": "*", "kind": "reject_content", "match": "newer", "rate": 1, "count": None, "value": None}]
    )
    second = buy(tmp_path, a="one, newer")
    assert second.one("a")["stale"]
    assert pruned(tmp_path, delete=True).paths == []
    assert files(tmp_path / "a") == images(first)


def test_a_path_that_a_record_shows_stays_however_it_is_spelled(tmp_path: Path, runs: list[Ran]) -> None:
    """On a disk that ignores case, the removed product's file may be the one that another record shows."""
    newest = tmp_path / "a" / "manifest.parquet"
    table = pq.read_table(newest)
    records = table.to_pylist()
    (gone,) = runs[0].one("c")["images"]
    records[0]["images"][0]["path"] = gone["path"].upper()
    pq.write_table(pa.Table.from_pylist(records, schema=table.schema), newest)
    assert gone["path"] not in pruned(tmp_path, delete=True).paths
    assert (tmp_path / "a" / gone["path"]).exists()


def test_a_file_that_another_archive_has_too_goes_from_this_one_only(tmp_path: Path, runs: list[Ran]) -> None:
    """The image itself is not given up: who wants it again gets a copy."""
    (image,) = runs[0].one("c")["images"]
    there = buy(tmp_path, tmp_path / "other", c="three")
    assert there.summary.reused == 1
    assert image["path"] in pruned(tmp_path, delete=True).paths
    back = buy(tmp_path, c="three")
    assert back.statuses() == {"archived": 1}
    assert_files(back)


def test_what_was_made_of_an_image_goes_with_it(tmp_path: Path, gateways: Sandbox) -> None:
    """The shop's file beside it, counted in bytes and listed; that of an image that stays stays."""
    shots = tmp_path / "shots.yaml"
    shots.write_text(
        'shots: [{name: hero, prompt: "Product {{ sku }}", operation: generate, output: {format: webp}}]\n'
    )

    def of(*keys: str) -> Ran:
        catalog = write_catalog(tmp_path / "c.csv", *({"sku": key} for key in keys))
        return run(catalog, tmp_path / "a", gateways=["evolink"], shots=str(shots))

    of("a", "b")
    assert len(files(tmp_path / "a")) == 4
    of("a")
    sizes = sum(path.stat().st_size for path in (tmp_path / "a" / "images" / "b").iterdir())
    done = pruned(tmp_path, delete=True)
    assert (done.total.images, done.total.bytes, len(done.paths)) == (1, sizes, 2)
    assert len(files(tmp_path / "a")) == 2
    assert not (tmp_path / "a" / "images" / "b").exists()


def test_a_prune_that_was_stopped_is_finished_by_the_next(
    tmp_path: Path, runs: list[Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger has let go already; the files are found again."""
    with monkeypatch.context() as patch:
        patch.setattr("seedream_tasks.storage.archive.Archive.move", _stopped)
        with pytest.raises(KeyboardInterrupt):
            pruned(tmp_path, delete=True)
    assert len(files(tmp_path / "a")) == 5
    assert pruned(tmp_path, delete=True).total.images == 2
    assert files(tmp_path / "a") == sorted(images(runs[1]))


def test_a_prune_that_was_stopped_after_a_move_is_finished_by_the_next(
    tmp_path: Path, gateways: Sandbox, runs: list[Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are in the trash and the ledger does not know where: the next prune tells it, and they can be brought back."""
    with monkeypatch.context() as patch:
        patch.setattr("seedream_tasks.maintenance.prune.moved_to_trash", _stopped)
        with pytest.raises(KeyboardInterrupt):
            pruned(tmp_path, delete=True)
    assert len(in_trash(tmp_path / "a")) == 2
    pruned(tmp_path, delete=True)
    count = submissions(gateways)
    assert buy(tmp_path, a="one", b="two", c="three").statuses() == {"archived": 3}
    assert submissions(gateways) == count


def _stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_quarantine_stays_unless_it_is_named(tmp_path: Path, gateways: Sandbox) -> None:
    """Paid bytes that never were an image."""
    gateways.faults(
        [{"gateway": "*", "kind": "corrupt_image", "match": "two", "rate": 1, "count": None, "value": None}]
    )
    ran = buy(tmp_path, a="one", b="two")
    assert ran.statuses() == {"archived": 1, "failed": 1}
    (kept,) = (tmp_path / "a" / "quarantine").iterdir()
    assert pruned(tmp_path, delete=True).total.images == 0
    assert kept.exists()
    done = pruned(tmp_path, delete=True, quarantine=True)
    assert (done.paths, kept.exists()) == ([f"quarantine/{kept.name}"], False)
    again = buy(tmp_path, a="one", b="two")
    assert again.statuses() == {"archived": 1, "failed": 1}
    assert_bill(gateways, ran, again)


def test_a_manifest_that_is_not_the_last_word_says_nothing_of_what_stays(tmp_path: Path, runs: list[Ran]) -> None:
    """None at all, a run still at work, a newer run without a manifest: refused, whatever --yes says."""
    newest = tmp_path / "a" / "manifest.parquet"
    content = newest.read_bytes()
    newest.unlink()
    with pytest.raises(ConfigurationError, match="nothing says what stays"):
        pruned(tmp_path, delete=True)
    newest.write_bytes((tmp_path / "a" / "runs" / runs[0].run_id / "manifest.parquet").read_bytes())
    with pytest.raises(ConfigurationError, match="not the last word"):
        pruned(tmp_path, delete=True)
    newest.write_bytes(content)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'a' / 'ledger.db'}", create=False)
    ledger.write_now(lambda c: known_runs.open_run(c, "r-new", str(tmp_path / "a"), "x.csv", True, None))
    with pytest.raises(ConfigurationError, match="r-new is at work"):
        pruned(tmp_path, delete=True)
    ledger.write_now(lambda c: known_runs.keep_alive(c, "r-new", alive=False))
    ledger.close()
    assert pruned(tmp_path, delete=False).total.images == 2  # it failed before it froze anything
    frozen = tmp_path / "a" / "runs" / "r-new" / "jobs.parquet"
    frozen.parent.mkdir()
    frozen.write_bytes(b"x")
    with pytest.raises(ConfigurationError, match="not the last word"):
        pruned(tmp_path, delete=True)
    assert len(files(tmp_path / "a")) == 5


def test_a_bucket_is_pruned_like_a_folder(tmp_path: Path, gateways: Sandbox, s3: S3) -> None:
    """Objects go, those shown stay."""
    (tmp_path / "a").mkdir()
    root = "s3://shop/out"
    buy(tmp_path, root, a="one", b="two")
    second = buy(tmp_path, root, a="one")
    assert pruned(tmp_path, root, delete=False).total.images == 1
    assert len(s3.objects("out/images/")) == 2
    pruned(tmp_path, root, delete=True)
    assert s3.objects("out/images/") == [f"out/{path}" for path in images(second)]
