"""The archive: names that every store can hold, and files that are never lost, overwritten or half there."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import example, given
from hypothesis import strategies as st

from seedream_tasks.core.errors import ArchiveFault, ConfigurationError
from seedream_tasks.storage.archive import Archive, safe_key

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120) | st.from_regex(
    r"\A(con|NUL|com1|lpt9|aux|prn)(\.[a-z]{0,4})?\Z"
)
RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}


@given(st.lists(KEYS, unique=True, min_size=2, max_size=20))
@example(["a/b", "a-b", "a b", "a\\b", "a~b"])
@example(["x" * 80, "x" * 81, "x" * 300])
@example(["p1", "p1 ", " p1", "p1.", "p1\n", "p1\t"])
def test_two_keys_never_share_a_folder(keys: list[str]) -> None:
    """Images of two products cannot land in one place."""
    assert len({safe_key(key) for key in keys}) == len(keys)


@given(KEYS)
@example("..")
@example(".")
@example("../../etc/passwd")
@example('a/b\\c:d*e?f"g<h>i|j')
@example("p1\n")
@example("ü" * 300)
@example("x" * 300)
def test_a_folders_name_fits_every_store(key: str) -> None:
    """No separators, no control characters, no dots in front or behind, at most 255 bytes."""
    name = safe_key(key)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", name)
    assert len(name.encode()) <= 255
    assert not name.startswith(".")
    assert not name.endswith(".")


@given(KEYS)
@example("con")
@example("NUL.txt")
@example("com1.a.b")
def test_no_name_is_reserved(key: str) -> None:
    """A share that Windows reads too cannot hold CON, NUL or COM1, with whatever extension."""
    assert safe_key(key).split(".")[0].lower() not in RESERVED


@given(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,79}\Z").filter(lambda key: key.lower() not in RESERVED))
@example("SKU-00.7_b")
@example("v1.2")
def test_a_plain_key_stays_as_it_is(key: str) -> None:
    """People find their products by their own names."""
    assert safe_key(key) == key


def test_a_hashed_name_can_still_be_read() -> None:
    """Part of the key stands in front of the hash."""
    assert safe_key("Größe 10/blau").startswith("Gr-e-10-blau~")
    assert safe_key("价格").startswith("row~")


# Storing


@pytest.fixture(params=["local", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    """An empty archive, in a folder and in a store that is none."""
    if request.param == "local":
        yield Archive(str(tmp_path / "archive"))
        return
    root = f"memory://{tmp_path.name}"
    yield Archive(root)
    store = fsspec.filesystem("memory")
    if store.exists(root):
        store.rm(root, recursive=True)


def files(archive: Archive) -> list[str]:
    """Every file of an archive, below its root."""
    _, path = fsspec.core.url_to_fs(archive.root)
    return sorted(str(each).removeprefix(str(path)).lstrip("/") for each in archive.fs.find(path))


HERO = "images/p1/hero-abcdef01-0.jpg"


def test_a_stored_file_reads_back(archive: Archive) -> None:
    """Under the path it was given, and its address below the root."""
    assert archive.store(HERO, b"image") == HERO
    assert archive.exists(HERO)
    assert archive.read(HERO) == b"image"
    assert archive.uri(HERO) == f"{archive.root}/{HERO}"
    with archive.open(HERO) as file:
        assert file.read(3) == b"ima"


def test_the_same_bytes_are_the_same_file(archive: Archive) -> None:
    """A copy repeated after a crash changes nothing."""
    assert [archive.store(HERO, b"image") for _ in range(3)] == [HERO] * 3
    assert files(archive) == [HERO]


def test_other_bytes_get_another_name_and_the_first_file_stays(archive: Archive) -> None:
    """Paid bytes are never overwritten; the new name holds the beginning of their own sum."""
    archive.store(HERO, b"first")
    other = archive.store(HERO, b"second")
    digest = hashlib.sha256(b"second").hexdigest()
    assert other == f"images/p1/hero-abcdef01-0-{digest[:12]}.jpg"
    assert (archive.read(HERO), archive.read(other)) == (b"first", b"second")
    assert archive.store(HERO, b"second") == other
    assert files(archive) == sorted([HERO, other])


def test_a_name_that_is_taken_twice_is_a_fault(archive: Archive) -> None:
    """Rather no copy than a lost one: somebody else's file under the second name stays too."""
    archive.store(HERO, b"first")
    other = archive.store(HERO, b"second")
    archive.fs.pipe_file(archive.uri(other) if not archive.is_local else str(archive.local_path(other)), b"stranger")
    with pytest.raises(ArchiveFault, match="taken by other files"):
        archive.store(HERO, b"second")
    assert (archive.read(HERO), archive.read(other)) == (b"first", b"stranger")


def test_many_at_once_store_one_file(archive: Archive) -> None:
    """Threads that store the same bytes agree on the path."""
    with ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(lambda _: archive.store(HERO, b"image"), range(32)))
    assert paths == {HERO}
    assert files(archive) == [HERO]


def test_threads_with_different_bytes_lose_nothing(tmp_path: Path) -> None:
    """In a folder, whoever comes second for one name keeps his bytes under another."""
    archive = Archive(str(tmp_path))
    contents = [f"image {number}".encode() for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(lambda content: archive.store(HERO, content), contents))
    assert len(set(paths)) == len(contents)
    assert [archive.read(path) for path in paths] == contents


def test_a_store_that_cannot_be_written_is_a_fault_without_remains(tmp_path: Path) -> None:
    """A file where a folder must be: the message names the place, and nothing half-written is left."""
    archive = Archive(str(tmp_path))
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(ArchiveFault, match=re.escape(archive.uri(HERO))):
        archive.store(HERO, b"image")
    assert files(archive) == ["images"]


def test_what_is_not_there_is_a_fault_to_read(archive: Archive) -> None:
    """Every store's own error becomes one kind."""
    assert not archive.exists(HERO)
    with pytest.raises(ArchiveFault, match=re.escape(archive.uri(HERO))):
        archive.read(HERO)


def test_a_published_file_replaces_the_last_one(archive: Archive, tmp_path: Path) -> None:
    """The newest manifest is one file, whole, and nothing else is left behind."""
    for content in (b"first", b"second"):
        source = tmp_path / "finished.parquet"
        source.write_bytes(content)
        archive.publish("manifest.parquet", source)
        assert archive.read("manifest.parquet") == content
    archive.publish_json("runs/r1/summary.json", {"größe": 1})
    assert archive.read("runs/r1/summary.json").decode().startswith('{\n  "größe": 1')
    assert files(archive) == ["manifest.parquet", "runs/r1/summary.json"]


def test_an_archive_lists_its_runs(archive: Archive) -> None:
    """By their ids, in order; none before the first."""
    assert archive.list_runs() == []
    archive.store("runs/r2/jobs.parquet", b"x")
    archive.store("runs/r1/jobs.parquet", b"x")
    assert archive.list_runs() == ["r1", "r2"]


def test_the_marker_names_the_ledger(archive: Archive) -> None:
    """None in a new archive; damaged it is a fault, never a new archive."""
    assert archive.marker() is None
    archive.publish_json("archive.json", {"ledger_id": "l1", "simulated": True})
    assert archive.marker() == {"ledger_id": "l1", "simulated": True}
    for damaged in ({"simulated": True}, ["l1"], "l1"):
        archive.publish_json("archive.json", damaged)
        with pytest.raises(ArchiveFault, match="damaged"):
            archive.marker()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_an_unreadable_marker_is_a_fault(content: bytes, archive: Archive) -> None:
    """An archive that cannot say whose it is belongs to nobody new."""
    archive.store("archive.json", content)
    with pytest.raises(ArchiveFault, match="damaged"):
        archive.marker()


def test_the_proof_of_writing_leaves_nothing(archive: Archive) -> None:
    """It is made before money is spent, and cleaned up."""
    archive.prove_writable()
    assert files(archive) == []


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_spent(tmp_path: Path) -> None:
    """The proof fails with a fault that names the archive."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArchiveFault, match="file/archive"):
        Archive(str(tmp_path / "file" / "archive")).prove_writable()


def test_a_folder_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is reached: relative, absolute, as a URI, with a slash behind it."""
    monkeypatch.chdir(tmp_path)
    roots = {Archive(given).root for given in ("out", "./out", "out/", str(tmp_path / "out"), f"file://{tmp_path}/out")}
    assert roots == {str(tmp_path / "out")}


@pytest.mark.parametrize(
    "given", ["a/../b", "b/", "./b", "b/c/..", "../{here}/b", "file://{there}/a/../b", "{there}//b"]
)
def test_a_detour_is_no_other_archive(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`a/../b` is `b`, whether `a` exists or not: two names would be two archives, and two purchases."""
    monkeypatch.chdir(tmp_path)
    archive = Archive(given.format(here=tmp_path.name, there=tmp_path))
    assert archive.root == str(tmp_path / "b")
    archive.store(HERO, b"x")
    assert (tmp_path / "b" / HERO).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


HOSTILE = [
    "../x",
    "images/../../x",
    "/etc/passwd",
    "images//x",
    "images/./x",
    "images/p1/",
    "images\\..\\x",
    "images/p1/a\0b",
    "..",
    "",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_path_leads_out_of_the_root(path: str, archive: Archive, tmp_path: Path) -> None:
    """Paths are read back from manifests and ledgers, which others may have written: read, written, deleted is nothing else."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    for work in (
        lambda: archive.store(path, b"x"),
        lambda: archive.read(path),
        lambda: archive.open(path),
        lambda: archive.exists(path),
        lambda: archive.delete(path),
        lambda: archive.size(path),
        lambda: archive.publish(path, source),
        lambda: archive.publish_json(path, 1),
    ):
        with pytest.raises(ArchiveFault, match="not a path below"):
            work()
    assert files(archive) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["source"]


@given(KEYS, KEYS)
@example("ABC", "abc")
@example("../../x", "..")
@example("é", "e\u0301")
@example("Sku-1", "SKU-1")
def test_two_keys_differ_on_every_store_once_one_is_known_to_be_first(one: str, two: str) -> None:
    """Case and Unicode forms ignored, as file systems may: only plain keys need to know which of them was first."""
    if one == two:
        return

    def told(name: str) -> str:
        return unicodedata.normalize("NFC", name).casefold()

    plain = safe_key(one).lower() == safe_key(two).lower()
    assert told(safe_key(one)) != told(safe_key(two, first=False))
    assert plain or told(safe_key(one)) != told(safe_key(two))
    if plain:
        assert one.lower() == two.lower()


@given(KEYS, st.from_regex(r"\A[a-z0-9-]{1,40}\Z"), st.booleans())
def test_a_path_is_not_too_long(key: str, shot: str, first: bool) -> None:
    """Folder and file below 255 bytes each, with a sum in the name, and together below S3's 1,024."""
    file = f"{shot}-{'0' * 8}-14-{'0' * 12}.jpeg"
    folder = safe_key(key, first)
    assert len(file.encode()) <= 255
    assert len(folder.encode()) <= 255
    assert len(f"images/{folder}/{file}".encode()) <= 300


class GrowingFiles(MemoryFileSystem):  # type: ignore[misc]
    """A store like SFTP or SMB: what is written is seen while it grows."""

    protocol = "growing"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fails = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("growing://", "memory://")))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if GrowingFiles.fails:
            super().pipe_file(path, value[: len(value) // 2])
            raise OSError("connection lost")
        super().pipe_file(path, value)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())


@pytest.fixture
def growing() -> Iterator[Archive]:
    """An archive in such a store."""
    fsspec.register_implementation("growing", GrowingFiles, clobber=True)
    GrowingFiles.store.clear()
    GrowingFiles.fails = False
    yield Archive("growing://share/archive")
    GrowingFiles.store.clear()


def test_files_that_grow_do_so_under_another_name(growing: Archive, tmp_path: Path) -> None:
    """No half file under its final name, none left behind, and what stood there stays."""
    source = tmp_path / "manifest"
    source.write_bytes(b"second")
    growing.publish_json("manifest.parquet", "first")
    GrowingFiles.fails = True
    for work in (
        lambda: growing.store(HERO, b"image"),
        lambda: growing.publish("manifest.parquet", source),
        lambda: growing.publish_json("manifest.parquet", "second"),
    ):
        with pytest.raises(ArchiveFault, match="connection lost"):
            work()
    assert files(growing) == ["manifest.parquet"]
    assert growing.read("manifest.parquet") == b'"first"\n'
    GrowingFiles.fails = False
    assert growing.store(HERO, b"image") == HERO
    assert growing.store(HERO, b"other") != HERO
    growing.publish("manifest.parquet", source)
    assert growing.read("manifest.parquet") == b"second"
    assert not any(".part" in name for name in GrowingFiles.store)


def test_sizes_listings_and_deletion(archive: Archive) -> None:
    """What is there, how large; what is deleted is gone, twice is as good as once."""
    archive.store(HERO, b"image")
    archive.store("images/p2/a.jpg", b"x")
    assert dict(archive.list_files("images")) == {HERO: 5, "images/p2/a.jpg": 1}
    assert (archive.size(HERO), archive.size("images/p3/a.jpg")) == (5, None)
    archive.delete(HERO)
    archive.delete(HERO)
    assert dict(archive.list_files("images")) == {"images/p2/a.jpg": 1}
    if archive.is_local:
        assert [path.name for path in archive.local_path("images").iterdir()] == ["p2"]


def test_a_store_nobody_knows_is_a_configuration_error() -> None:
    """It names the archive."""
    with pytest.raises(ConfigurationError, match="nowhere://x") as caught:
        Archive("nowhere://x")
    assert caught.value.facts["field"] == "archive"
