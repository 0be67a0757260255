"""The flow that watches a place where catalogs are put, on a real Prefect server."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_events import events_about
from prefect_listener import PrefectListener

from seedream_tasks import emit_catalog_uploaded, watch_uploads
from seedream_tasks.core.errors import InputError
from seedream_tasks.uploads.announce import PrefectUnreachable

UPLOADED = "seedream.catalog.uploaded"


def look(folder: Path | str, archive: Path, **parameters: Any) -> dict[str, Any]:
    """One look; returns what it says of itself."""
    state: State[Any] = asyncio.run(watch_uploads(str(folder), archive=str(archive), **parameters, return_state=True))
    assert state.is_completed(), state.message
    result: dict[str, Any] = asyncio.run(state.aresult())
    return result | {"state": state.name}


def test_each_content_is_announced_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    """Two looks at an unchanged file announce it; the same content again does not, another content does."""
    folder, archive = tmp_path / "in", tmp_path / "archive"
    folder.mkdir()
    file = folder / "Sommer 2026.csv"
    file.write_text("sku,prompt\n")
    assert look(folder, archive)["unsettled"] == ["Sommer 2026.csv"]
    file.write_text("sku,prompt\na,x\n")
    assert look(folder, archive)["unsettled"] == ["Sommer 2026.csv"]  # it grew since
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert look(folder, archive)["announced"] == [str(file)]
    expected = {"uri": str(file), "digest": digest, "size": 15, "name": "Sommer 2026.csv"}
    assert events_about(UPLOADED, 1, uri=str(file)) == [expected]
    assert look(folder, archive)["known"] == 1
    file.write_text(file.read_text())  # touched: another time, the same content
    look(folder, archive)
    assert (look(folder, archive)["announced"], look(folder, archive)["known"]) == ([], 1)
    file.write_text("sku,prompt\na,y\n")
    look(folder, archive)
    assert look(folder, archive)["announced"] == [str(file)]
    assert len(events_about(UPLOADED, 2, uri=str(file))) == 2


def test_only_catalogs_that_fit_are_looked_at(tmp_path: Path) -> None:
    """Other endings, hidden files and what the pattern leaves out are passed over; folders below count."""
    folder, archive = tmp_path / "in", tmp_path / "archive"
    for name in ("a/one.csv", "a/_SUCCESS", "a/.two.csv", "b/three.csv", "notes.txt.part", "photo.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("sku\n")
    assert look(folder, archive, pattern="a/*")["unsettled"] == ["one.csv"]
    assert look(folder, archive)["unsettled"] == ["three.csv"]
    assert look(tmp_path / "nothing", archive)["announced"] == []


def test_one_unreadable_file_does_not_hide_the_others(tmp_path: Path) -> None:
    """The flow run is Incomplete and names it; what can be read is announced."""
    folder, archive = tmp_path / "in", tmp_path / "archive"
    folder.mkdir()
    (folder / "good.csv").write_text("sku\n")
    (folder / "bad.csv").symlink_to(tmp_path / "gone.csv")
    look(folder, archive)
    found = look(folder, archive)
    assert found["announced"] == [str(folder / "good.csv")]
    assert (list(found["unreadable"]), found["state"]) == ([str(folder / "bad.csv")], "Incomplete")


def test_what_could_not_be_announced_is_announced_by_the_next_look(tmp_path: Path) -> None:
    """A process that dies between keeping and announcing loses nothing."""
    archive, file = tmp_path / "archive", tmp_path / "goods.csv"
    file.write_text("sku\n")
    with PrefectListener() as listener:
        listener.refuses = True
        with temporary_settings({PREFECT_API_URL: listener.url}), pytest.raises(PrefectUnreachable):
            emit_catalog_uploaded(str(file), archive=str(archive))
    assert look(tmp_path / "nothing", archive)["announced"] == [str(file)]
    assert not emit_catalog_uploaded(str(file), archive=str(archive))


def test_announcing_from_anywhere(tmp_path: Path) -> None:
    """In a coroutine of somebody's flow, without a ledger: one event, the digest read from the file; repeats count once."""
    file = tmp_path / "goods.csv"
    file.write_text("sku\n")

    @flow
    async def makes_a_catalog() -> None:
        for _ in range(5):
            emit_catalog_uploaded(str(file))

    asyncio.run(makes_a_catalog())
    (payload,) = events_about(UPLOADED, 1, uri=str(file))
    assert payload["digest"] == hashlib.sha256(b"sku\n").hexdigest()
    with pytest.raises(InputError):
        emit_catalog_uploaded("goods.csv")
