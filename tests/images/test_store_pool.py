"""Images that are decoded and stored by a process beside the run: the same files, errors and warnings as by its own threads."""

import asyncio
import io
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from balance import balance, listed
from crashing import Moment, Runs
from PIL import Image
from process_family import kill_family
from runs import assert_bill, products, run
from s3_server import S3
from sandbox_process import Sandbox
from waiting import until
from witness import assert_files, leases_end

from seedream_tasks.core.errors import ArchiveFault, SeedreamError
from seedream_tasks.engine.archiver import AT_ONCE, Archiver
from seedream_tasks.images.image_store import ImageStore, StoreRequest
from seedream_tasks.images.store_pool import Keeping
from seedream_tasks.storage.archive import Archive

MANY = 3 * AT_ONCE
STARTED = "keeps the images from now on"
GONE = "the process that kept images is gone; threads go on"
PARENT = """
import asyncio, logging, sys
from seedream_tasks.images.store_pool import Keeping
from seedream_tasks.storage.archive import Archive
from seedream_tasks.images.image_store import ImageStore
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
async def main():
    keeping = Keeping(ImageStore(Archive(sys.argv[1])))
    keeping.expect_many()
    await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the package logs, from `info` on."""
    caplog.set_level(logging.INFO, "seedream_tasks")
    return caplog


def image(colour: str = "red", size: tuple[int, int] = (64, 48), edge: str | None = "white") -> bytes:
    """A JPEG; without an edge it is blank."""
    image = Image.new("RGB", size, colour)
    if edge:
        image.paste(edge, (0, 0, size[0] // 3, size[1]))
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def pids(told: pytest.LogCaptureFixture) -> list[int]:
    """The processes that were started."""
    found = (re.search(r"process (\d+) ", message) for message in told.messages if STARTED in message)
    return [int(each[1]) for each in found if each]


def held_until_beside(patch: pytest.MonkeyPatch) -> None:
    """Let a run download no second image before the process beside it has started, however fast or slow this machine is.

    The first one shows that the gateway's links are of use: without it few would be bought.
    """
    runs, first = asyncio.Event(), True
    start, download = Keeping._start, Archiver._download

    async def started(self: Keeping) -> None:
        await start(self)
        runs.set()

    async def held(self: Archiver, fetch: Any) -> Any:
        nonlocal first
        if not first:
            async with asyncio.timeout(120):
                await runs.wait()
        first = False
        return await download(self, fetch)

    patch.setattr(Keeping, "_start", started)
    patch.setattr(Archiver, "_download", held)


@asynccontextmanager
async def beside(archive: Archive, told: pytest.LogCaptureFixture, in_full: bool = True) -> AsyncIterator[Keeping]:
    """A keeping whose process runs."""
    keeping = Keeping(ImageStore(archive, in_full))
    try:
        keeping.expect_many()
        await asyncio.to_thread(until, lambda: pids(told), "the start of the process")
        yield keeping
    finally:
        await keeping.close()


async def outcomes(keeping: Keeping, wanted: list[tuple[StoreRequest, bytes]]) -> list[Any]:
    """What became of each: its facts, or the error's kind, message and facts."""

    async def one(want: StoreRequest, content: bytes) -> Any:
        try:
            return await keeping.keep(want, content)
        except SeedreamError as error:
            return type(error), error.message, error.facts

    return [await one(*each) for each in wanted]


@pytest.mark.parametrize("in_full", [True, False])
def test_a_process_keeps_images_as_threads_do(tmp_path: Path, told: pytest.LogCaptureFixture, in_full: bool) -> None:
    """Same paths, digests, sizes, warnings, thumbnails and errors, whoever does it."""
    taken = b"something else stands there"
    wanted = [
        (StoreRequest("images/a/front-0", 4 / 3), image()),
        (StoreRequest("images/b/front-0", 1.0), image("green")),
        (StoreRequest("images/c/front-0"), image("blue", edge=None)),
        (StoreRequest("images/d/front-0", warnings=("kept",)), image("blue", edge=None)),
        (StoreRequest("images/taken/front-0"), image()),
        (StoreRequest("images/e/front-0"), b"no image at all"),
        (StoreRequest("images/f/front-0"), image()[:-100]),
        (StoreRequest("images/../g/front-0"), image()),
        (StoreRequest("images/h/front-0"), bytes(20_000_000)),
    ]

    async def work(root: Path, in_process: bool) -> list[Any]:
        archive = Archive(str(root))
        archive.prove_writable()
        archive.store("images/taken/front-0.jpg", taken)
        if in_process:
            async with beside(archive, told, in_full) as keeping:
                return await outcomes(keeping, wanted)
        keeping = Keeping(ImageStore(archive, in_full))
        found = await outcomes(keeping, wanted)
        await keeping.close()
        return found

    def files(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    apart = asyncio.run(work(tmp_path / "one", in_process=True))
    here = asyncio.run(work(tmp_path / "two", in_process=False))
    assert str(apart).replace(f"{tmp_path}/one", f"{tmp_path}/two") == str(here)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert [type(each).__name__ for each in here].count("Stored") == (5 if in_full else 6)


def test_its_process_ends_with_the_run(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    """Nothing is left behind."""

    async def work() -> int:
        async with beside(Archive(str(tmp_path)), told) as keeping:
            await keeping.keep(StoreRequest("images/a/front-0"), image())
            (pid,) = pids(told)
            os.kill(pid, 0)
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(work()), 0)
    assert GONE not in told.text


def test_its_process_knows_no_key_of_a_gateway(
    tmp_path: Path, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decodes what somebody else has made, and pays for nothing."""
    monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "secret-of-evolink")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-archive")

    async def work() -> bytes:
        async with beside(Archive(str(tmp_path)), told):
            return Path(f"/proc/{pids(told)[0]}/environ").read_bytes()

    environment = asyncio.run(work())
    assert b"secret-of-evolink" not in environment
    assert b"of-the-archive" in environment


def test_its_process_imports_what_the_run_imports(
    tmp_path: Path, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the folder where it is started is no module of Python's."""
    (tmp_path / "logging.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)

    async def work() -> str:
        async with beside(Archive(str(tmp_path / "a")), told) as keeping:
            return (await keeping.keep(StoreRequest("images/a/front-0"), image())).path

    assert asyncio.run(work()) == "images/a/front-0.jpg"


def test_what_a_killed_process_had_is_kept_all_the_same(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    """Killed with images in hand: threads take them over and all that follow, and a warning says so once."""

    async def work() -> list[Any]:
        async with beside(Archive(str(tmp_path)), told) as keeping:
            first = [asyncio.create_task(keeping.keep(StoreRequest(f"images/{n}/front-0"), image())) for n in range(8)]
            await asyncio.sleep(0)  # they are on their way
            os.kill(pids(told)[0], signal.SIGKILL)
            kept = await asyncio.gather(*first)
            return [*kept, await keeping.keep(StoreRequest("images/8/front-0"), image())]

    stored = asyncio.run(work())
    assert [each.path for each in stored] == [f"images/{n}/front-0.jpg" for n in range(9)]
    assert all((tmp_path / each.path).read_bytes() == image() for each in stored)
    assert [record.message for record in told.records].count(GONE) == 1


def test_its_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """A killed run leaves no process that nobody talks to."""
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        said = parent.stdout.readline()
        assert STARTED in said
        parent.kill()

    def is_gone() -> bool:
        # Whoever took it over may not have buried it yet.
        try:
            return "\nState:\tZ" in Path(f"/proc/{said.split()[1]}/status").read_text()
        except FileNotFoundError:
            return True

    until(is_gone, "the end of the process")


def test_a_disk_that_was_unmounted_is_noticed_by_the_process_too(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    """What the archive was when the run began is what counts, not what it was when the process did."""
    place = tmp_path / "place"
    archive = Archive(str(place))
    archive.prove_writable()
    place.rename(tmp_path / "away")
    place.mkdir()

    async def work() -> None:
        async with beside(archive, told) as keeping:
            await keeping.keep(StoreRequest("images/a/front-0"), image())

    with pytest.raises(ArchiveFault, match="not the folder any more"):
        asyncio.run(work())
    assert list(place.iterdir()) == []


def test_what_the_process_logs_is_logged_by_the_run(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    """A thumbnail that cannot be written is said where everything else is said."""
    (tmp_path / "thumbnails").write_text("a file where a folder should be")

    async def work() -> None:
        async with beside(Archive(str(tmp_path)), told) as keeping:
            await keeping.keep(StoreRequest("images/a/front-0"), image())

    asyncio.run(work())
    (said,) = [record for record in told.records if "no thumbnail" in record.message]
    assert (said.name, said.levelno) == ("seedream_tasks.images", logging.WARNING)


def test_an_archive_that_no_other_process_sees_is_left_to_the_threads(told: pytest.LogCaptureFixture) -> None:
    """What is in this process's memory is in no other's."""

    async def work() -> str:
        keeping = Keeping(ImageStore(Archive("memory://keeping")))
        keeping.expect_many()
        stored = await keeping.keep(StoreRequest("images/a/front-0"), image())
        await keeping.close()
        return stored.path

    assert asyncio.run(work()) == "images/a/front-0.jpg"
    assert pids(told) == []


def test_an_archive_that_cannot_be_sent_is_left_to_the_threads(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    """A file system of one's own need not be known to a new process."""
    archive = Archive(str(tmp_path))

    class Local(type(archive.fs)):  # type: ignore[misc]
        """Cannot be pickled, being known here only."""

    archive.fs = Local()

    async def work() -> str:
        keeping = Keeping(ImageStore(archive))
        keeping.expect_many()
        stored = await keeping.keep(StoreRequest("images/a/front-0"), image())
        await keeping.close()
        return stored.path

    assert asyncio.run(work()) == "images/a/front-0.jpg"
    assert pids(told) == []
    assert "threads keep all images" in told.text


def test_a_small_run_starts_no_process(gateways: Sandbox, tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    """It would take longer to start than it helps."""
    assert run(products(tmp_path / "c.csv", 4), tmp_path / "a", gateways=["evolink"]).statuses() == {"archived": 4}
    assert pids(told) == []


def test_many_images_are_kept_beside_the_run_and_the_damaged_set_aside(
    gateways: Sandbox, tmp_path: Path, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than fit at once: every one is archived whole or quarantined, each bought once, and the process is gone."""
    held_until_beside(monkeypatch)
    gateways.faults([{"gateway": "*", "kind": "corrupt_image", "rate": 0.2}])
    ran = run(products(tmp_path / "c.csv", MANY), tmp_path / "a", gateways=["evolink"])
    (pid,) = pids(told)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert sum(ran.statuses().values()) == MANY
    assert ran.statuses()["archived"] > MANY // 2
    assert_files(ran)
    assert gateways.bill()["accepted"] == MANY
    assert balance(gateways.bill(), listed(tmp_path / "a")).lawful


def test_many_images_go_into_a_bucket_beside_the_run(
    gateways: Sandbox, tmp_path: Path, s3: S3, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has the run's credentials, and a store's bad moments cost time there too."""
    held_until_beside(monkeypatch)
    s3.fail(503, "ServiceUnavailable", "PUT", "/images/", count=3)
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": f"sqlite:///{tmp_path / 'l.db'}"}
    ran = run(products(tmp_path / "c.csv", MANY), "s3://shop/out", **options)
    assert ran.statuses() == {"archived": MANY}
    assert len(pids(told)) == 1
    assert len(s3.objects("out/images/")) == MANY
    assert_bill(gateways, ran)


@pytest.mark.parametrize("number", [150, 190])
def test_a_run_killed_while_a_process_keeps_its_images_loses_nothing(
    gateways: Sandbox, processes: Runs, tmp_path: Path, number: int
) -> None:
    """What the process stores after the run's death is found, not paid for and not stored twice."""
    catalog = products(tmp_path / "c.csv", 200)
    moment = Moment("copy", "before", number)  # its process has long been at work by then
    assert processes.one(catalog, tmp_path / "a", moment, gateways=["evolink"]) == -signal.SIGKILL
    leases_end(tmp_path / "a")
    last = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert_files(last)
    assert last.statuses().get("archived", 0) + last.statuses().get("unknown", 0) == 200
    files = list((tmp_path / "a" / "images").rglob("[!.]*.jpg"))
    assert len(files) == last.statuses()["archived"]
    assert balance(gateways.bill(), listed(tmp_path / "a")).lawful


def test_a_process_family_that_dies_at_once_leaves_what_the_next_run_finishes(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """As when a container is killed: the run and the process beside it go together."""
    catalog = products(tmp_path / "c.csv", MANY)
    script = (
        "import sys; sys.path[:0] = sys.argv[1:2]\n"
        "from pathlib import Path\nfrom runs import run\n"
        "run(Path(sys.argv[2]), Path(sys.argv[3]), gateways=['evolink'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(Path(__file__).parents[1]), str(catalog), str(tmp_path / "a")]
    ) as started:
        images = tmp_path / "a" / "images"
        until(lambda: images.exists() and len(list(images.iterdir())) > MANY // 3, "a third of the images")
        kill_family(started.pid)
    leases_end(tmp_path / "a")
    last = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert_files(last)
    assert last.statuses().get("archived", 0) + last.statuses().get("unknown", 0) == MANY
    assert balance(gateways.bill(), listed(tmp_path / "a")).lawful
