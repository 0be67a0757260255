"""Images that are taken over are looked for first: what has gone is fetched again or lost, and never bought by itself."""

import shutil
from pathlib import Path

import pytest
from runs import Ran, assert_bill, products, run
from s3_server import S3
from sandbox_process import Sandbox
from witness import assert_files, submissions

COUNT = 4


@pytest.fixture
def first(tmp_path: Path, gateways: Sandbox) -> Ran:
    """Four products bought into the archive `a`; its ledger stands beside it."""
    return again(tmp_path)


def again(folder: Path, archive: str = "a", **options: object) -> Ran:
    """A run over the four products."""
    catalog = products(folder / "catalog.csv", COUNT)
    url = f"sqlite:///{folder / 'ledger.db'}"
    return run(catalog, folder / archive, gateways=["evolink"], ledger=url, **options)


def file_of(ran: Ran, row_key: str) -> Path:
    """The one image of a record."""
    (image,) = ran.one(row_key)["images"]
    return ran.archive / str(image["path"])


def downloads(sandbox: Sandbox) -> int:
    """How often images were fetched."""
    return sum(each["downloads"] for each in sandbox.bill()["entries"])


def test_a_missing_image_is_fetched_again_while_its_link_lives(tmp_path: Path, first: Ran, gateways: Sandbox) -> None:
    """One download more, nothing bought; the record is what it was."""
    before = downloads(gateways)
    file_of(first, "p1").unlink()
    second = again(tmp_path)
    assert second.statuses() == {"archived": COUNT}
    assert second.summary.reused == COUNT
    assert (submissions(gateways), downloads(gateways)) == (COUNT, before + 1)
    assert second.one("p1")["images"] == first.one("p1")["images"]
    assert_files(second)
    assert_bill(gateways, first, second)


@pytest.mark.parametrize("content", [b"", b"half"])
def test_a_file_of_another_size_is_not_the_image(content: bytes, tmp_path: Path, first: Ran, gateways: Sandbox) -> None:
    """It stays where it is, and the image gets another name."""
    file_of(first, "p1").write_bytes(content)
    second = again(tmp_path)
    assert second.statuses() == {"archived": COUNT}
    assert file_of(second, "p1") != file_of(first, "p1")
    assert file_of(first, "p1").read_bytes() == content
    assert_files(second)
    assert submissions(gateways) == COUNT
    assert again(tmp_path).one("p1")["images"] == second.one("p1")["images"]


def test_a_missing_image_with_a_dead_link_is_lost_and_bought_on_request(
    tmp_path: Path, first: Ran, gateways: Sandbox
) -> None:
    """Two runs leave it lost, at no cost; `--retry lost` buys it, and only it."""
    gateways.advance(25 * 3600)
    file_of(first, "p1").unlink()
    second, third = again(tmp_path), again(tmp_path)
    for ran in (second, third):
        assert ran.statuses() == {"archived": COUNT - 1, "lost": 1}
        record = ran.one("p1")
        assert (record["images"], record["error_code"], record["cost_usd"]) == ([], "missing", 0)
        assert not ran.summary.complete
    assert submissions(gateways) == COUNT
    last = again(tmp_path, retry=("lost",))
    assert last.statuses() == {"archived": COUNT}
    assert last.one("p1")["reason"] == "retried"
    assert submissions(gateways) == COUNT + 1
    assert_files(last)
    assert_bill(gateways, first, second, third, last)


def test_a_lost_image_that_is_there_again_counts_again(tmp_path: Path, first: Ran, gateways: Sandbox) -> None:
    """A disk that was not mounted, a backup put back: nothing is bought, even when asked to."""
    gateways.advance(25 * 3600)
    shutil.move(first.archive / "images", tmp_path / "aside")
    assert again(tmp_path).statuses() == {"lost": COUNT}
    shutil.move(tmp_path / "aside", first.archive / "images")
    last = again(tmp_path, retry=("lost",))
    assert last.statuses() == {"archived": COUNT}
    assert [each["images"] for each in last.records] == [each["images"] for each in first.records]
    assert last.one("p1")["error_code"] is None
    assert submissions(gateways) == COUNT


def test_another_archives_copy_comes_first(tmp_path: Path, first: Ran, gateways: Sandbox) -> None:
    """Nothing is downloaded while an archive of this ledger has the image."""
    other = again(tmp_path, "b")
    before = downloads(gateways)
    file_of(first, "p1").unlink()
    second = again(tmp_path)
    assert second.statuses() == {"archived": COUNT}
    assert downloads(gateways) == before
    assert_files(second)
    assert_files(other)


def test_gone_from_every_archive_it_is_fetched_again_or_lost(tmp_path: Path, first: Ran, gateways: Sandbox) -> None:
    """That the other archive has it no more is found when it is asked."""
    other = again(tmp_path, "b")
    for row_key in ("p1", "p2"):
        file_of(first, row_key).unlink()
        file_of(other, row_key).unlink()
    second = again(tmp_path)
    assert second.statuses() == {"archived": COUNT}
    assert_files(second)
    gateways.advance(25 * 3600)
    file_of(first, "p3").unlink()
    file_of(other, "p3").unlink()
    assert again(tmp_path).statuses() == {"archived": COUNT - 1, "lost": 1}
    assert submissions(gateways) == COUNT


def test_an_archive_that_is_not_there_is_not_one_without_the_image(
    tmp_path: Path, first: Ran, gateways: Sandbox
) -> None:
    """Another archive whose disk is not mounted keeps its copy in the ledger."""
    other = again(tmp_path, "b")
    gateways.advance(25 * 3600)
    shutil.move(other.archive, tmp_path / "aside")
    file_of(first, "p1").unlink()
    second = again(tmp_path)
    assert "lost" not in second.statuses()
    shutil.move(tmp_path / "aside", other.archive)
    last = again(tmp_path)
    assert last.statuses() == {"archived": COUNT}
    assert_files(last)
    assert submissions(gateways) == COUNT


def test_keys_that_differ_in_case_have_folders_that_differ_without(tmp_path: Path, gateways: Sandbox) -> None:
    """Same prompt, same fingerprint, same slot: on a store that ignores case they would be one file."""
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("sku,prompt\nSKU-a,The same\nsku-A,The same\nsku-a,The same\np1,The same\n")
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    paths = [str(image["path"]) for record in ran.records for image in record["images"]]
    assert len({path.lower() for path in paths}) == 4
    assert any(path.startswith("images/p1/") for path in paths)
    plain = [path for path in paths if "~" not in path]
    assert len(plain) == 2
    assert run(catalog, tmp_path / "a", gateways=["evolink"]).summary.reused == 4
    assert_bill(gateways, ran)


def test_a_store_is_listed_once_however_many_images_are_taken_over(tmp_path: Path, gateways: Sandbox, s3: S3) -> None:
    """No request for each image; what is gone is found all the same, and fetched again."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    catalog = products(tmp_path / "catalog.csv", 30)
    root = "s3://shop/out"
    first = run(catalog, root, gateways=["evolink"], ledger=url)
    assert first.statuses() == {"archived": 30}
    s3.requests.clear()
    asked: list[str] = []
    s3.hook = lambda method, path: asked.append(path)
    assert run(catalog, root, gateways=["evolink"], ledger=url).summary.reused == 30
    s3.hook = None
    assert not any("/images/" in path for path in asked)
    assert s3.requests["LIST"] < 30
    for path in ("images/p3/", "images/p17/"):
        (key,) = s3.objects(f"out/{path}")
        s3.client().delete_object(Bucket="shop", Key=key)
    last = run(catalog, root, gateways=["evolink"], ledger=url)
    assert last.statuses() == {"archived": 30}
    assert len(s3.objects("out/images/")) == 30
    assert submissions(gateways) == 30
