"""Whole runs into S3: what breaks there breaks before money moves, or costs nothing but time."""

from pathlib import Path

import pytest
from runs import assert_bill, products, run
from s3_server import BUCKET, S3
from sandbox_process import Sandbox
from witness import submissions

from seedream_tasks.core.errors import ArchiveFault, SeedreamError
from seedream_tasks.engine import archiver
from seedream_tasks.storage.archive import Archive

ROOT = "s3://shop/out"
COUNT = 6


def test_a_run_into_a_bucket_leaves_whole_files_and_the_next_one_takes_them_over(
    tmp_path: Path, gateways: Sandbox, s3: S3, ledger_url: str
) -> None:
    """Images, frozen jobs, manifest and marker, as in a folder; a second run buys nothing; another root gets copies."""
    catalog = products(tmp_path / "catalog.csv", COUNT)
    first = run(catalog, ROOT, gateways=["evolink"], ledger=ledger_url)
    assert first.statuses() == {"archived": COUNT}
    paths = [str(image["path"]) for record in first.records for image in record["images"]]
    assert {f"out/{path}" for path in paths} == set(s3.objects("out/images/"))
    assert {"out/archive.json", "out/manifest.parquet"} < set(s3.objects())
    assert all(image["uri"] == f"{ROOT}/{image['path']}" for record in first.records for image in record["images"])
    assert not any("probe" in key for key in s3.objects())
    second = run(catalog, f"{ROOT}/", gateways=["evolink"], ledger=ledger_url)
    assert second.summary.reused == COUNT
    copied = run(catalog, "s3://shop/other", gateways=["evolink"], ledger=ledger_url)
    assert copied.summary.reused == COUNT
    assert len(s3.objects("other/images/")) == COUNT
    assert submissions(gateways) == COUNT
    assert_bill(gateways, first, second, copied)


@pytest.mark.parametrize("root", ["s3://nobodys/out", ROOT])
def test_an_archive_that_cannot_be_written_is_told_before_anything_is_bought(
    root: str, tmp_path: Path, gateways: Sandbox, s3: S3
) -> None:
    """No bucket, or no right to write: the fault names the archive."""
    s3.fail(403, "AccessDenied", "PUT")
    with pytest.raises(ArchiveFault, match=root):
        run(products(tmp_path / "c.csv", 1), root, gateways=["evolink"], ledger=f"sqlite:///{tmp_path / 'l.db'}")
    assert submissions(gateways) == 0
    assert s3.objects() == []


def test_a_store_with_a_bad_moment_costs_nothing_but_time(
    tmp_path: Path, gateways: Sandbox, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 for some dozens of requests in the middle of a run: every image is stored in the end, once bought."""
    monkeypatch.setattr(archiver, "_STORE_AGAIN_S", 0.05)
    monkeypatch.setattr(type(Archive(ROOT).fs), "retries", 1)
    s3.fail(503, "ServiceUnavailable", "PUT", "/images/", count=30)
    ran = run(products(tmp_path / "c.csv", COUNT), ROOT, gateways=["evolink"], ledger=f"sqlite:///{tmp_path / 'l.db'}")
    assert ran.statuses() == {"archived": COUNT}
    assert s3.troubles[0].count == 0
    assert len(s3.objects("out/images/")) == COUNT
    assert_bill(gateways, ran)


@pytest.mark.parametrize(("status", "code"), [(503, "ServiceUnavailable"), (403, "AccessDenied")])
def test_what_could_not_be_stored_is_stored_by_the_next_run(
    status: int, code: str, tmp_path: Path, gateways: Sandbox, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with a fault and buys no more; what it had bought is archived later, and not bought again."""
    monkeypatch.setattr(archiver, "_STORE_WITHIN_S", 0.2)
    monkeypatch.setattr(archiver, "_STORE_AGAIN_S", 0.05)
    monkeypatch.setattr(type(Archive(ROOT).fs), "retries", 1)
    catalog, url = products(tmp_path / "c.csv", COUNT), f"sqlite:///{tmp_path / 'l.db'}"
    s3.fail(status, code, "PUT", "/images/")
    with pytest.raises(SeedreamError, match="images/p"):
        run(catalog, ROOT, gateways=["evolink"], ledger=url)
    s3.troubles.clear()
    last = run(catalog, ROOT, gateways=["evolink"], ledger=url)
    assert last.statuses() == {"archived": COUNT}
    assert submissions(gateways) == COUNT
    assert len(s3.objects("out/images/")) == COUNT


def test_an_answer_that_never_comes_is_a_bad_moment(
    tmp_path: Path, gateways: Sandbox, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image was written, the answer was lost: it is one file, bought once."""
    monkeypatch.setattr(archiver, "_STORE_AGAIN_S", 0.05)
    s3.fail(500, "InternalError", "PUT", "/images/", count=COUNT, after=True)
    ran = run(products(tmp_path / "c.csv", COUNT), ROOT, gateways=["evolink"], ledger=f"sqlite:///{tmp_path / 'l.db'}")
    assert ran.statuses() == {"archived": COUNT}
    assert len(s3.objects("out/images/")) == COUNT
    assert s3.client().list_buckets()["Buckets"][0]["Name"] == BUCKET
    assert_bill(gateways, ran)
