"""Whole commands that are killed, or lose the Prefect server: what is paid stands in the ledger, and the next run goes on."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import pytest
from balance import balance, listed
from crashing import Moment, Runs, command
from killing import Round, assert_lawful
from runs import products
from sandbox_process import Sandbox
from witness import leases_end, submissions


@pytest.fixture(scope="module")
def commands(prefect_api: str) -> Iterator[Runs]:
    """Whole commands in processes that may fail, over the one Prefect server of these tests."""
    with Runs(PREFECT_API_URL=prefect_api) as started:
        yield started


def test_whole_commands_killed_at_any_time_keep_the_law_of_money(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """`seedream run`, Prefect included, killed four times: what is done afterwards is paid once, and all of it is there."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 1.0}])
    this = Round(processes, gateways, tmp_path, {"gateways": ["evolink", "apiin"], "wait_s": 20.0}, images=2)
    for after_s in (1.5, 2.0, 2.5, 3.0):
        this.kill_command(after_s)
    found = this.finish()
    assert found.kills
    assert_lawful(found)


class Line:
    """A line to a server, as an address of its own, that is cut for good as soon as certain bytes go over it."""

    def __init__(self, url: str, cut_at: bytes) -> None:
        self._to = urlsplit(url)
        self._cut_at = cut_at
        self._loop = asyncio.new_event_loop()
        self._ends: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.is_cut = False

    @property
    def url(self) -> str:
        """The server's address by this line."""
        return self._to._replace(netloc=f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}").geturl()

    async def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._ends |= {writer, forth}
        await asyncio.gather(self._carry(reader, forth), self._carry(back, writer), return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._cut_at in data:
                self.is_cut = True
                self._server.close()
                for end in self._ends:
                    end.transport.abort()
                return
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> Self:
        self._server = self._loop.run_until_complete(asyncio.start_server(self._open, "127.0.0.1", 0))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_a_prefect_server_that_goes_away_in_mid_run_takes_nothing_with_it(
    gateways: Sandbox, processes: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is bought is followed, archived and written to the manifest all the same; then a fault, said in one line (exit 1)."""
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    arguments = [sys.executable, "-m", "seedream_tasks", "run", str(catalog), "--archive", str(archive)]
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    with Line(os.environ["PREFECT_API_URL"], cut_at=b"seedream-progress") as line:
        monkeypatch.setenv("PREFECT_API_URL", line.url)
        ended = subprocess.run([*arguments, "--gateway", "evolink"], capture_output=True, text=True, timeout=240)
    assert line.is_cut
    assert ended.returncode == 1, ended.stderr
    *_, error, hint = [each for each in ended.stderr.splitlines() if not each.startswith("WARNING Prefect")]
    assert error.startswith("Error: Prefect's server cannot be used")
    assert "run it again" in hint
    assert list(archive.glob("runs/*/manifest.parquet"))
    found = balance(gateways.bill(), listed(archive))
    assert found.lawful, found
    assert found.images == 3
    assert processes.one(catalog, archive, gateways=["evolink"]) == 0
    assert submissions(gateways) == 3


@pytest.mark.parametrize("what", ["ledger", "archive"])
def test_a_disk_that_gives_way_ends_the_command_with_its_reason(
    gateways: Sandbox, commands: Runs, tmp_path: Path, what: str
) -> None:
    """In mid-run: exit 1 and one line that says why, not a page of it; the next command finishes, and nothing is bought twice."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    arguments = ("run", str(catalog), "--archive", str(archive), "--ledger", ledger, "--gateway", "evolink")
    deed = ["no_room", 8192] if what == "ledger" else ["vanish", str(archive)]
    ended = commands.ended(command(*arguments, moment=Moment("submit", "after"), deeds=[deed]))
    assert ended.status == 1, ended.said
    told = [line for line in ended.said.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert ("the ledger" if what == "ledger" else str(archive)) in told[0]
    assert ("ACCEPTED BUT NOT IN THE LEDGER" in ended.said) == (what == "ledger")
    assert "Traceback" not in ended.said
    if what == "archive":
        Path(f"{archive}.away").rename(archive)
    leases_end(archive, ledger)
    again = commands.ended(command(*arguments))
    assert again.status == 0, again.said
    found = balance(gateways.bill(), listed(archive, ledger))
    assert found.lawful, found
    assert found.images == 2
