"""A named pipe, a device, a socket or a folder where a file is expected is said at once: opening one would wait for ever."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from runs import run, write_catalog
from sandbox_process import Sandbox

from seedream_tasks.cli.main import seedream
from seedream_tasks.core.errors import ArchiveFault, SeedreamError
from seedream_tasks.storage.archive import Archive
from seedream_tasks.uploads.scan import find_files


def pipe(path: Path) -> None:
    """Nobody will ever write to it."""
    os.mkfifo(path)


def device(path: Path) -> None:
    """A link to one that never ends."""
    path.symlink_to("/dev/zero")


def listener(path: Path) -> None:
    """A socket, left by a process that has ended."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def call(*arguments: str) -> Result:
    """A command; its error stands in the result's exception."""
    return CliRunner().invoke(seedream, list(arguments), standalone_mode=False)


@pytest.mark.parametrize(("make", "kind"), [(pipe, "a named pipe"), (device, "a device"), (listener, "a socket")])
@pytest.mark.parametrize("what", ["catalog", "shots", "prices", "review"])
def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, make: Callable[[Path], None], kind: str
) -> None:
    """By its name and kind, before anything is opened."""
    monkeypatch.chdir(tmp_path)
    make(Path("odd.csv"))
    Path("good.csv").write_text("sku,title\na,A lamp\n")
    answer = {
        "catalog": lambda: call("plan", "odd.csv", "--sandbox"),
        "shots": lambda: call("plan", "good.csv", "--shots", "odd.csv", "--sandbox"),
        "prices": lambda: call("plan", "good.csv", "--prices", "odd.csv", "--sandbox"),
        "review": lambda: call("review", "apply", "odd.csv", "--archive", "out"),
    }[what]()
    assert isinstance(answer.exception, SeedreamError)
    assert f"odd.csv: {kind}, not a regular file" in str(answer.exception)


def test_a_reference_that_is_a_pipe_makes_its_row_invalid(gateways: Sandbox, tmp_path: Path) -> None:
    """The others are bought."""
    pipe(tmp_path / "r.png")
    rows = [{"sku": "a", "prompt": "x", "operation": "edit", "references": "r.png"}, {"sku": "b", "prompt": "y"}]
    catalog = write_catalog(tmp_path / "c.csv", *({"operation": "generate", "references": ""} | row for row in rows))
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"invalid": 1, "archived": 1}
    assert "r.png is a named pipe" in ran.one("a")["error_message"]


def test_a_watched_folder_passes_over_what_is_no_file(tmp_path: Path) -> None:
    """It would be read for its digest."""
    pipe(tmp_path / "pipe.csv")
    (tmp_path / "goods.csv").write_text("sku\n")
    assert [each.name for each in find_files(str(tmp_path), "*")] == ["goods.csv"]


def test_an_archive_reads_files_only(tmp_path: Path) -> None:
    """Whoever can make a pipe in an archive cannot make a run wait."""
    pipe(tmp_path / "archive.json")
    with pytest.raises(ArchiveFault, match="a named pipe"):
        Archive(str(tmp_path)).marker()
