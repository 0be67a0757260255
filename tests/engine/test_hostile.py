"""What a run stands on gives way: full, locked or read-only disks, an archive that goes, a machine that sleeps.

Each time: a clear error, nothing paid twice, every cent accounted for, and the next run picks up.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from balance import balance, listed
from crashing import Ended, Moment, Runs, order
from runs import products, run
from sandbox_process import Sandbox
from waiting import until
from witness import assert_files, leases_end, ledger, submissions

from seedream_tasks.core.errors import LedgerMismatch
from seedream_tasks.ledger.rescue import private_folder

ACCEPTED = Moment("submit", "after")  # the gateway has taken it, and nobody has written that down
# Small files still fit, a ledger does not: what is written beyond fails, whatever the file.
NO_ROOM = ["no_room", 8192]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that may lose its rights; it has them back afterwards."""
    path = tmp_path / "place"
    path.mkdir()
    yield path
    for each in [path, *path.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)


def _mounted(folder: Path) -> bool:
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    return (
        os.geteuid() == 0
        and shutil.which("mount") is not None
        and not subprocess.run(mount, capture_output=True).returncode
    )


def _may_mount() -> bool:
    folder = Path(tempfile.mkdtemp())
    try:
        if not _mounted(folder):
            return False
        subprocess.run(["umount", str(folder)], check=True)
        return True
    finally:
        folder.rmdir()


@pytest.fixture(params=["limit", *(["disk"] if _may_mount() else [])])
def full(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Path, list[Any]]]:
    """A place and the deed that fills it: a real small disk where one may be mounted, and a limit on files anywhere."""
    if request.param == "limit":
        yield folder, ["no_room", 0]
        return
    assert _mounted(folder)
    try:
        yield folder, ["fill", str(folder)]
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def assert_fault(ended: Ended, kind: str, *words: str) -> None:
    """The run failed with this error of ours, last line of what it said, and nothing else did."""
    assert ended.status == 1, ended.said
    last = ended.said.strip().splitlines()[-1]
    assert last.startswith(f"seedream_tasks.core.errors.{kind}: "), ended.said
    for word in words:
        assert word in last


def assert_finishes(
    sandbox: Sandbox, catalog: Path, archive: Path, ledger_url: str | None = None, **expected: int
) -> None:
    """The next run ends with these statuses, and bill and ledger agree."""
    leases_end(archive, ledger_url)
    last = run(catalog, archive, gateways=["evolink"], **({"ledger": ledger_url} if ledger_url else {}))
    assert last.statuses() == expected
    assert_files(last)
    found = balance(sandbox.bill(), listed(archive, ledger_url))
    assert found.lawful, found


@pytest.mark.outside_the_law("the ledger lies on a disk of its own; compared below")
def test_a_full_ledger_disk_before_the_claim_sends_nothing(
    gateways: Sandbox, processes: Runs, tmp_path: Path, full: tuple[Path, list[Any]]
) -> None:
    """An intent that is not on disk is no intent: the run ends with a fault, and the bill is empty."""
    place, deed = full
    catalog = products(tmp_path / "c.csv", 2)
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": f"sqlite:///{place}/ledger.db"}
    ended = processes.ended(order(catalog, tmp_path / "a", Moment("publish", "after"), deeds=[deed], **options))
    assert_fault(ended, "LedgerFault", "the ledger cannot be written")
    assert submissions(gateways) == 0
    (place / "filler").unlink(missing_ok=True)
    assert_finishes(gateways, catalog, tmp_path / "a", options["ledger"], archived=2)


@pytest.mark.outside_the_law("the ledger lies on a disk of its own; compared below")
def test_a_full_ledger_disk_after_the_acceptance_keeps_it_elsewhere(
    gateways: Sandbox, processes: Runs, tmp_path: Path, full: tuple[Path, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written beside the ledger either: the other folder takes it, or else the terminal alone."""
    place, deed = full
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    catalog = products(tmp_path / "c.csv", 1)
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": f"sqlite:///{place}/ledger.db"}
    ended = processes.ended(order(catalog, tmp_path / "a", ACCEPTED, deeds=[deed], **options))
    (entry,) = gateways.bill()["entries"]
    assert f"task_id='{entry['task_id']}'" in ended.said
    (place / "filler").unlink(missing_ok=True)
    if deed[0] == "fill":
        assert_fault(ended, "LedgerFault", "full", str(private_folder()))
        assert_finishes(gateways, catalog, tmp_path / "a", options["ledger"], archived=1)
        assert not list(private_folder().glob("*.jsonl"))
    else:
        # Not a byte anywhere: it is unknown until somebody reads the line, which says what to type.
        assert_fault(ended, "LedgerFault", f"--as paid --task-id {entry['task_id']}")
        assert_finishes(gateways, catalog, tmp_path / "a", options["ledger"], unknown=1)


def test_an_acceptance_reaches_the_rescue_file_though_the_terminal_is_a_log_on_the_full_disk(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """Small files still fit, the ledger and the log do not: the line that cannot be printed does not stop the rescue."""
    catalog, log = products(tmp_path / "c.csv", 1), tmp_path / "run.log"
    log.write_bytes(bytes(NO_ROOM[1]))
    wanted = order(catalog, tmp_path / "a", ACCEPTED, gateways=["evolink"], deeds=[["into_log", str(log)], NO_ROOM])
    ended = processes.ended(wanted)
    assert (ended.status, ended.said) == (1, "")
    assert list((tmp_path / "a").glob("rescue-*.jsonl"))
    assert_finishes(gateways, catalog, tmp_path / "a", archived=1)


def test_a_ledger_that_is_locked_after_the_acceptance_keeps_it_in_the_rescue_file(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """Somebody holds the database longer than anyone waits: a fault, and the acceptance beside it, taken in by the next run."""
    catalog, database = products(tmp_path / "c.csv", 2), str(tmp_path / "a" / "ledger.db")
    wanted = order(
        catalog, tmp_path / "a", ACCEPTED, gateways=["evolink"], deeds=[["lock", database]], lock_wait_s=0.05
    )
    ended = processes.ended(wanted)
    assert_fault(ended, "LedgerFault", "database is locked", "rescue-")
    assert_finishes(gateways, catalog, tmp_path / "a", archived=2)


def test_an_image_reaches_the_archive_though_the_ledger_takes_no_more_records(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """What is paid for and downloaded is stored before its record fails: its link may be dead when the ledger is back."""
    catalog, database = products(tmp_path / "c.csv", 1), str(tmp_path / "a" / "ledger.db")
    downloaded = Moment("download", "after")
    options: dict[str, Any] = {"gateways": ["evolink"], "deeds": [["lock", database]], "lock_wait_s": 0.05}
    assert_fault(
        processes.ended(order(catalog, tmp_path / "a", downloaded, **options)), "LedgerFault", "database is locked"
    )
    assert [path.suffix for path in (tmp_path / "a" / "images").rglob("*") if path.is_file()] == [".jpg"]
    assert_finishes(gateways, catalog, tmp_path / "a", archived=1)


def test_a_ledger_that_is_locked_from_the_start_is_a_fault_and_nothing_is_sent(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """No run goes on past a ledger that it cannot write."""
    catalog = products(tmp_path / "c.csv", 2)
    run(products(tmp_path / "first.csv", 1), tmp_path / "a", gateways=["evolink"])
    held = sqlite3.connect(tmp_path / "a" / "ledger.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    ended = processes.ended(order(catalog, tmp_path / "a", gateways=["evolink"], lock_wait_s=0.1))
    held.close()
    assert_fault(ended, "LedgerFault", "database is locked")
    assert submissions(gateways) == 1
    assert_finishes(gateways, catalog, tmp_path / "a", archived=2)


@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_a_read_only_ledger_is_a_fault_and_nothing_is_sent(
    gateways: Sandbox, processes: Runs, tmp_path: Path, folder: Path, what: str
) -> None:
    """Before the first intent the run proves that it can write to the ledger."""
    ledger_url = f"sqlite:///{folder}/ledger.db"
    run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"], ledger=ledger_url)
    (folder / "ledger.db" if what == "the file" else folder).chmod(0o555)
    catalog = products(tmp_path / "c.csv", 2)
    wanted = order(catalog, tmp_path / "a", gateways=["evolink"], ledger=ledger_url, powerless=True)
    assert_fault(processes.ended(wanted), "LedgerFault", "ledger")
    assert submissions(gateways) == 1
    (folder / "ledger.db").chmod(0o644)
    folder.chmod(0o755)
    assert_finishes(gateways, catalog, tmp_path / "a", ledger_url, archived=2)


def test_a_read_only_archive_is_a_fault_and_nothing_is_sent(
    gateways: Sandbox, processes: Runs, tmp_path: Path, folder: Path
) -> None:
    """Money is not spent on images that cannot be kept."""
    catalog, ledger_url = products(tmp_path / "c.csv", 2), f"sqlite:///{tmp_path}/ledger.db"
    folder.chmod(0o555)
    wanted = order(catalog, folder, gateways=["evolink"], ledger=ledger_url, powerless=True)
    assert_fault(processes.ended(wanted), "ArchiveFault", str(folder), "Permission denied")
    assert submissions(gateways) == 0
    folder.chmod(0o755)
    assert_finishes(gateways, catalog, folder, ledger_url, archived=2)


def test_an_archive_that_becomes_read_only_keeps_what_is_paid_as_delivered(
    gateways: Sandbox, processes: Runs, tmp_path: Path, folder: Path
) -> None:
    """The run ends with a fault; the next one copies what the first one paid for."""
    catalog, ledger_url = products(tmp_path / "c.csv", 2), f"sqlite:///{tmp_path}/ledger.db"
    deeds = [["read_only", str(folder)]]
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": ledger_url}
    ended = processes.ended(order(catalog, folder, ACCEPTED, deeds=deeds, powerless=True, **options))
    assert_fault(ended, "ArchiveFault", str(folder), "Permission denied")
    for each in [folder, *folder.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)
    assert_finishes(gateways, catalog, folder, ledger_url, archived=2)


def test_an_archive_whose_disk_is_full_keeps_what_is_paid_as_delivered(
    gateways: Sandbox, processes: Runs, tmp_path: Path, postgres_ledger: str
) -> None:
    """Not a byte fits any more, and the ledger is elsewhere: a fault, nothing half-written, and the next run copies."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": postgres_ledger}
    ended = processes.ended(order(catalog, archive, ACCEPTED, deeds=[["no_room", 0]], **options))
    assert_fault(ended, "ArchiveFault", "File too large")
    assert not [
        path for path in archive.rglob("*") if path.suffix == ".part" or ("images" in path.parts and path.is_file())
    ]
    assert_finishes(gateways, catalog, archive, postgres_ledger, archived=2)


@pytest.mark.parametrize("moment", [ACCEPTED, Moment("download", "after"), Moment("store", "after")], ids=str)
def test_an_archive_that_goes_away_is_not_made_anew(
    gateways: Sandbox, processes: Runs, tmp_path: Path, moment: Moment
) -> None:
    """A disk unmounted in mid-run: images written where it was would be hidden once it is back. A fault, not a new folder."""
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    options: dict[str, Any] = {"gateways": ["evolink"], "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    ended = processes.ended(order(catalog, archive, moment, deeds=[["vanish", str(archive)]], **options))
    assert_fault(ended, "ArchiveFault", str(archive))
    assert not archive.exists()
    Path(f"{archive}.away").rename(archive)
    assert_finishes(gateways, catalog, archive, options["ledger"], archived=3)


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_an_archive_that_is_not_mounted_is_not_taken_for_a_new_one(
    gateways: Sandbox, tmp_path: Path, left: str
) -> None:
    """The ledger knows runs in it: a new run there would show images that it does not hold. Nothing is sent or written."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    ledger_url = f"sqlite:///{tmp_path}/ledger.db"
    run(catalog, archive, gateways=["evolink"], ledger=ledger_url)
    archive.rename(tmp_path / "away")
    if left == "an empty folder":
        archive.mkdir()
    catalog = products(tmp_path / "c.csv", 2)
    with pytest.raises(LedgerMismatch, match="empty or not there"):
        run(catalog, archive, gateways=["evolink"], ledger=ledger_url)
    assert submissions(gateways) == 1
    assert not list(archive.glob("*"))
    if left == "an empty folder":
        archive.rmdir()
    (tmp_path / "away").rename(archive)
    assert_finishes(gateways, catalog, archive, ledger_url, archived=2)


def test_a_process_that_slept_past_its_lease_does_not_send(gateways: Sandbox, processes: Runs, tmp_path: Path) -> None:
    """Asleep between claim and request, its intent called unknown meanwhile: awake, it gives the slots back over that."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    processes.begin(
        order(catalog, archive, Moment("send", "before"), deeds=[["sleep"]], lease_s=4.0, gateways=["evolink"])
    )
    pid = processes.asleep()
    assert [row["state"] for row in ledger(archive, "SELECT state FROM attempts")] == ["intent"]
    overdue = "SELECT 1 FROM attempts WHERE lease_until < (julianday('now') - 2440587.5) * 86400000000.0"
    until(lambda: ledger(archive, overdue), "the end of the lease: by the clock, asleep or not")
    between = run(catalog, archive, gateways=["evolink"])
    assert between.statuses() == {"unknown": 1}
    os.kill(pid, signal.SIGCONT)
    (ended,) = processes.ends()
    assert ended.status == 0, ended.said
    states = [row["state"] for row in ledger(archive, "SELECT state FROM attempts ORDER BY attempt_id")]
    assert states[0] == "not_sent"
    assert_finishes(gateways, catalog, archive, archived=1)
    assert submissions(gateways) == 1


def test_a_process_that_slept_while_its_request_was_open_records_the_answer(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """A lease decides who may send, never who may record: called unknown meanwhile, the acceptance is written over that."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    processes.begin(order(catalog, archive, ACCEPTED, deeds=[["sleep"]], gateways=["evolink"]))
    pid = processes.asleep()
    leases_end(archive)
    between = run(catalog, archive, gateways=["evolink"])
    assert between.statuses() == {"unknown": 1}
    os.kill(pid, signal.SIGCONT)
    (ended,) = processes.ends()
    assert ended.status == 0, ended.said
    assert_finishes(gateways, catalog, archive, archived=1)
    assert submissions(gateways) == 1
