"""The archive in S3, against a real server: whole files or none, nothing overwritten, clear faults, no secret said."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from s3_server import KEY_ID, S3, SECRET

from seedream_tasks.core.errors import ArchiveFault, ConfigurationError
from seedream_tasks.storage.archive import Archive

ROOT = "s3://shop/images"
HERO = "images/p1/hero-abcdef01-0.jpg"
LARGE = 101 * 2**20  # bytes; s3fs sends what is above 100 MiB in parts


@pytest.fixture
def archive(s3: S3) -> Archive:
    """An empty archive in the bucket."""
    return Archive(ROOT)


def test_a_stored_file_is_there_for_anybody(archive: Archive, s3: S3) -> None:
    """Another client sees it under the archive's root, whole."""
    assert archive.store(HERO, b"image") == HERO
    assert s3.body(f"images/{HERO}") == b"image"
    assert archive.read(HERO) == b"image"
    assert archive.store(HERO, b"image") == HERO
    other = archive.store(HERO, b"other")
    assert other != HERO
    assert s3.objects() == sorted([f"images/{HERO}", f"images/{other}"])


def test_two_writers_at_once_lose_nothing(archive: Archive, s3: S3) -> None:
    """Both saw a free name before either wrote: the store itself refuses the second (If-None-Match)."""
    contents = [f"image {number}".encode() for number in range(12)]
    with ThreadPoolExecutor(6) as threads:
        paths = list(threads.map(lambda content: archive.store(HERO, content), contents))
    assert len(set(paths)) == len(contents)
    assert [s3.body(f"images/{path}") for path in paths] == contents


def test_a_name_taken_between_look_and_write_is_not_overwritten(archive: Archive, s3: S3) -> None:
    """Somebody else's file appears in that moment and stays."""

    def meanwhile(method: str, path: str) -> None:
        if method == "PUT" and path.endswith(HERO):
            s3.hook = None
            s3.client().put_object(Bucket="shop", Key=f"images/{HERO}", Body=b"theirs")

    s3.hook = meanwhile
    other = archive.store(HERO, b"ours")
    assert s3.body(f"images/{HERO}") == b"theirs"
    assert (other != HERO, s3.body(f"images/{other}")) == (True, b"ours")


def test_an_answer_that_got_lost_stores_one_file(archive: Archive, s3: S3) -> None:
    """The write happened, the answer said 503: asked again, the file that stands there is ours."""
    s3.fail(503, "ServiceUnavailable", "PUT", HERO, count=1, after=True)
    assert archive.store(HERO, b"image") == HERO
    assert s3.objects() == [f"images/{HERO}"]


def test_a_store_without_conditional_writes_is_looked_at_first(archive: Archive, s3: S3) -> None:
    """Some answer 501 to If-None-Match; what they hold is kept all the same."""
    s3.fail(501, "NotImplemented", "PUT", HERO, count=1)
    assert archive.store(HERO, b"first") == HERO
    assert archive.store(HERO, b"second") != HERO
    assert s3.body(f"images/{HERO}") == b"first"


def test_what_another_process_wrote_is_seen_at_once(archive: Archive, s3: S3) -> None:
    """No listing or absence is remembered."""
    assert not archive.exists(HERO)
    assert archive.list_runs() == []
    assert list(archive.list_files("images")) == []
    s3.client().put_object(Bucket="shop", Key=f"images/{HERO}", Body=b"image")
    for run in ("r1", "r2"):
        s3.client().put_object(Bucket="shop", Key=f"images/runs/{run}/jobs.parquet", Body=b"x")
        assert archive.list_runs() == ["r1", "r2"][: int(run[1])]
    assert archive.exists(HERO)
    assert list(archive.list_files("images")) == [(HERO, 5)]
    s3.client().delete_object(Bucket="shop", Key=f"images/{HERO}")
    assert not archive.exists(HERO)
    assert list(archive.list_files("images")) == []


def test_a_listing_goes_by_pages(archive: Archive, s3: S3) -> None:
    """1,000 objects a request, and only those of the folder asked for."""
    client = s3.client()
    for number in range(1100):
        client.put_object(Bucket="shop", Key=f"images/images/p{number}/a.jpg", Body=b"x")
    client.put_object(Bucket="shop", Key="images/images-of-others/a.jpg", Body=b"x")
    s3.requests.clear()
    found = dict(archive.list_files("images"))
    assert found == {f"images/p{number}/a.jpg": 1 for number in range(1100)}
    assert s3.requests == {"LIST": 2}


def test_large_files_go_in_parts(archive: Archive, s3: S3, tmp_path: Path) -> None:
    """A manifest or an image above the part size arrives whole, and no upload is left open."""
    source = tmp_path / "manifest.parquet"
    with source.open("wb") as file:
        for number in range(101):
            file.write(bytes([number]) * 2**20)
    archive.publish("manifest.parquet", source)
    assert s3.requests["POST"] == 2  # begun, completed
    assert archive.store(HERO, source.read_bytes()) == HERO
    assert s3.requests["POST"] == 4
    for key in ("images/manifest.parquet", f"images/{HERO}"):
        assert s3.client().head_object(Bucket="shop", Key=key)["ContentLength"] == LARGE
    assert s3.body(f"images/{HERO}") == source.read_bytes()
    assert s3.unfinished_uploads() == []
    assert archive.store(HERO, source.read_bytes()[::-1]) != HERO


@pytest.mark.parametrize("match", ["partNumber=2", "partNumber=3"])
def test_an_upload_that_breaks_off_leaves_no_file(match: str, archive: Archive, s3: S3, tmp_path: Path) -> None:
    """Nothing under the name (or what stood there before), and the parts are taken back."""
    source = tmp_path / "manifest.parquet"
    source.write_bytes(b"\0" * LARGE)
    archive.publish_json("manifest.parquet", "the last one")
    s3.fail(403, "AccessDenied", "PUT", match)
    with pytest.raises(ArchiveFault, match=r"shop/images/manifest\.parquet"):
        archive.publish("manifest.parquet", source)
    with pytest.raises(ArchiveFault, match=HERO):
        archive.store(HERO, source.read_bytes())
    assert s3.objects() == ["images/manifest.parquet"]
    assert s3.body("images/manifest.parquet") == b'"the last one"\n'
    assert s3.unfinished_uploads() == []


@pytest.mark.parametrize("kind", ["publish", "publish_json"])
def test_a_replacement_that_fails_keeps_the_last_one(kind: str, archive: Archive, s3: S3, tmp_path: Path) -> None:
    """Readers of the newest manifest find a whole one at any time."""
    archive.publish_json("manifest.parquet", 1)
    s3.fail(403, "AccessDenied", "PUT", "manifest.parquet")
    source = tmp_path / "x"
    source.write_bytes(b"2")
    publish = {
        "publish": lambda: archive.publish("manifest.parquet", source),
        "publish_json": lambda: archive.publish_json("manifest.parquet", 2),
    }[kind]
    with pytest.raises(ArchiveFault) as caught:
        publish()
    assert not caught.value.facts["passing"]
    assert s3.body("images/manifest.parquet") == b"1\n"


def test_the_proof_of_writing_says_what_is_wrong(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is not there, credentials that are wrong or none: told before anything is spent, without the secret."""
    with pytest.raises(ArchiveFault, match=r"s3://nobodys/x.*(?i:bucket)") as caught:
        Archive("s3://nobodys/x").prove_writable()
    s3.fail(403, "SignatureDoesNotMatch", "PUT")
    with pytest.raises(ArchiveFault, match="s3://shop/images: PermissionError") as refused:
        Archive(ROOT).prove_writable()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(ArchiveFault, match=r"s3://shop/images: .*(?i:credentials)") as without:
        Archive(ROOT).prove_writable()
    for fault in (caught.value, refused.value, without.value):
        assert not fault.facts["passing"]
        assert SECRET.encode() not in pickle.dumps(fault)
        assert KEY_ID.encode() not in pickle.dumps(fault)


@pytest.mark.parametrize(("status", "code"), [(503, "ServiceUnavailable"), (503, "SlowDown"), (500, "InternalError")])
def test_a_bad_moment_is_told_from_a_no(status: int, code: str, archive: Archive, s3: S3) -> None:
    """Whoever stores an image may then ask again; the library's own tries were in vain already."""
    archive.fs.retries = 1
    s3.fail(status, code, "PUT", HERO)
    with pytest.raises(ArchiveFault) as caught:
        archive.store(HERO, b"image")
    assert caught.value.facts["passing"]
    s3.troubles.clear()
    assert archive.store(HERO, b"image") == HERO


def test_a_store_that_is_not_there_is_a_bad_moment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection refused: it may be back in a minute."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    archive = Archive(ROOT)
    archive.fs.retries = 1
    with pytest.raises(ArchiveFault) as caught:
        archive.store(HERO, b"image")
    assert caught.value.facts["passing"]


@pytest.mark.parametrize(
    "root",
    [
        f"s3://{KEY_ID}:{SECRET}@shop/images",
        "s3://key:pass@shop",
        "sftp://user:hunter2@host/share",
        "https://x:hunter2@host",
        "abfs://container@account.dfs.core.windows.net/x?sig=hunter2",
        "s3://shop/x?X-Amz-Signature=hunter2",
    ],
)
def test_an_address_with_a_secret_in_it_is_refused_and_not_repeated(root: str) -> None:
    """It would stand in the ledger and in every manifest."""
    with pytest.raises(ConfigurationError, match="archive's address") as caught:
        Archive(root)
    said = f"{caught.value.message} {caught.value.facts}"
    assert not any(secret in said for secret in (SECRET, "pass@", "hunter2", KEY_ID))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("s3://shop/images/", ROOT),
        ("s3://shop//images", ROOT),
        ("s3://shop/./a/../images", ROOT),
        ("s3a://shop/images", ROOT),
        ("S3://shop/images", ROOT),
        ("s3://shop/", "s3://shop"),
    ],
)
def test_one_place_has_one_name(given: str, name: str, s3: S3) -> None:
    """However it is written, it is the same archive."""
    archive = Archive(given)
    assert archive.root == name
    archive.store(HERO, b"x")
    assert s3.objects() == [f"{name.removeprefix('s3://shop').strip('/')}/{HERO}".lstrip("/")]


@pytest.mark.parametrize("root", ["s3://shop/../other", "s3://shop/a/../../other", "simplecache::s3://shop/x"])
def test_an_address_that_leaves_its_bucket_or_is_a_chain_is_refused(root: str) -> None:
    """Neither is one place."""
    with pytest.raises(ConfigurationError):
        Archive(root)
