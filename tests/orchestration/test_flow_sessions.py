"""What tasks of one run share: one session per event loop, held as long as anybody needs it."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from prefect import flow, unmapped
from runs import products, settings
from sandbox_process import Sandbox

from seedream_tasks import Job, archive_job, submit_job, wait_for_job
from seedream_tasks.orchestration import session as sessions
from seedream_tasks.orchestration.session import Session, session


def _jobs(count: int) -> list[Job]:
    return [
        Job(row_key=f"p{n}", shot="hero", model="seedream-4.5", operation="generate", prompt=f"Mug number {n}")
        for n in range(count)
    ]


def test_submit_and_map_of_a_sync_flow_share_a_run_across_threads_and_pay_once(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Each task gets a thread and a loop of its own there; the same jobs submitted twice at once are bought once."""
    place: dict[str, Any] = {"archive": str(tmp_path / "a"), "gateways": ["evolink"]}
    jobs = _jobs(4)

    @flow
    def mine() -> list[list[str]]:
        submitted = submit_job.map(jobs, archive=unmapped(place["archive"]), gateways=unmapped(place["gateways"]))
        again = [submit_job.submit(job, **place) for job in jobs]
        bought = [each.result() for each in submitted]
        assert [each.result() for each in again] == bought
        for waiting in [wait_for_job.submit(ids, **place) for ids in bought]:
            waiting.result()
        return [each.result() for each in [archive_job.submit(ids, **place) for ids in bought]]

    uris = mine()
    assert [len(each) for each in uris] == [1, 1, 1, 1]
    assert gateways.bill()["images"] == 4
    assert sessions._shared == []


def test_a_session_lives_until_its_last_holder_leaves(gateways: Sandbox, tmp_path: Path) -> None:
    """Whoever opened it may leave first: the others still buy and write; after the last one it is closed."""
    wanted = settings(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])

    async def go() -> None:
        first, second = session("run", wanted), session("run", wanted)
        one, two = await first.__aenter__(), await second.__aenter__()
        assert one is two
        engine = await one.engine()
        await first.__aexit__(None, None, None)
        assert not engine.stopping
        await two.begin()
        assert len(await engine.submit(_jobs(1)[0])) == 1
        await second.__aexit__(None, None, None)
        assert engine.stopping
        async with session("run", wanted) as new:
            assert new is not one

    asyncio.run(go())
    assert gateways.bill()["images"] == 1


def test_a_session_is_not_found_from_another_loop_or_for_another_account(gateways: Sandbox, tmp_path: Path) -> None:
    """Connections belong to a loop, lanes to the gateways that were asked for: both make it another session."""
    catalog = products(tmp_path / "c.csv", 1)
    wanted = settings(catalog, tmp_path / "a", gateways=["evolink"])
    other = settings(catalog, tmp_path / "a", gateways=["getimg"])
    elsewhere: list[Session] = []

    async def look() -> None:
        async with session("run", wanted) as theirs:
            elsewhere.append(theirs)

    async def go() -> None:
        async with session("run", wanted) as mine:
            thread = threading.Thread(target=lambda: asyncio.run(look()))
            thread.start()
            await asyncio.to_thread(thread.join)
            async with session("run", other) as another, session("run", wanted) as same:
                assert another is not mine
                assert list(another.around.lanes) == ["getimg"]
                assert same is mine
            assert elsewhere[0] is not mine
            await mine.begin()

    asyncio.run(go())


def test_a_session_that_cannot_be_opened_leaves_nothing_behind(gateways: Sandbox, tmp_path: Path) -> None:
    """The error reaches everyone who asked, and the next one who asks begins anew."""
    wanted = settings(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"], prices="no-such-file.yaml")

    async def ask() -> None:
        async with session("run", wanted):
            raise AssertionError("there is no price file")

    async def go() -> list[Any]:
        return await asyncio.gather(ask(), ask(), return_exceptions=True)

    assert [type(each).__name__ for each in asyncio.run(go())] == ["InputError", "InputError"]
    assert sessions._shared == []
