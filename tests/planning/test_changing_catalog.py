"""A catalog that somebody writes while a run is being frozen: nothing is bought by it, and the next run buys once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import assert_bill, run
from sandbox_process import Sandbox
from web_server import Web, serving
from witness import photo, submissions

from seedream_tasks.core.errors import InputError

COUNT = 700  # more than are planned at once, and with their notes more than a reader takes at once


def write(path: Path, word: str, count: int = COUNT) -> None:
    """Rows with long notes; the reference of the first one is looked at when the first of them are planned."""
    rows = [
        {"sku": f"p{number}", "prompt": f"A {word} lamp {number}", "references": "", "notes": word * 500}
        for number in range(count)
    ]
    rows[0]["references"] = os.environ["PHOTO"]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    lines = [",".join(row.values()) for row in rows]
    path.write_text("\n".join(["sku,prompt,references,notes", *lines]) + "\n")


class Telling(list[tuple[str, dict[str, str]]]):
    """A web server's list of requests that does something when the first one comes."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act

    def append(self, asked: tuple[str, dict[str, str]]) -> None:
        if not self:
            self._act()
        super().append(asked)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with the one photo, which may be read."""
    monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", "127.0.0.1")
    photo(tmp_path / "lamp.png", "teal")
    with serving() as server:
        monkeypatch.setenv("PHOTO", server.serve("/lamp.png", (tmp_path / "lamp.png").read_bytes()))
        yield server


def appended(path: Path) -> None:
    """A row more."""
    with path.open("a") as file:
        file.write("p-new,Another lamp,,\n")


def truncated(path: Path) -> None:
    """Its last rows have gone, in the middle of one."""
    os.truncate(path, path.stat().st_size - 1700)


def replaced(path: Path) -> None:
    """Another table under its name, in one step."""
    other = path.with_name(f"other{path.suffix}")
    write(other, "blue")
    other.replace(path)


@pytest.mark.parametrize(
    ("name", "change"),
    [("a.csv", appended), ("a.csv", truncated), ("a.parquet", replaced)],
    ids=["appended", "truncated", "replaced"],
)
def test_nothing_is_bought_by_a_catalog_that_changes(
    name: str, change: Callable[[Path], None], tmp_path: Path, gateways: Sandbox, web: Web
) -> None:
    """The run ends as refused, before any purchase; with the catalog at rest again each image is bought once."""
    path = tmp_path / name
    write(path, "red")
    web.asked = Telling(lambda: change(path))
    with pytest.raises(InputError) as caught:
        run(path, tmp_path / "a", gateways=["evolink"])
    assert (caught.value.facts["code"], caught.value.facts["field"]) == ("catalog_changed", "catalog")
    assert submissions(gateways) == 0
    assert not list((tmp_path / "a").glob("runs/*/jobs.parquet"))
    write(path, "red", count=3)
    first = run(path, tmp_path / "a", gateways=["evolink"])
    again = run(path, tmp_path / "a", gateways=["evolink"])
    assert (first.statuses(), again.summary.reused) == ({"archived": 3}, 3)
    assert submissions(gateways) == 3
    assert_bill(gateways, first, again)
