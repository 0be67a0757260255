"""A worker that ends the process: the flow runs in the main thread, where Prefect answers SIGTERM by raising."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from prefect.settings import PREFECT_API_URL
from runs import products
from sandbox_process import Sandbox
from waiting import until
from witness import ledger

from seedream_tasks.orchestration.shutdown import in_order

PROGRAM = """
import asyncio, sys
from seedream_tasks import catalog_images
asyncio.run(catalog_images(sys.argv[1], archive=sys.argv[2], gateways=["getimg"], return_state=True))
"""


def test_an_open_synchronous_call_is_recorded_before_the_process_leaves(gateways: Sandbox, tmp_path: Path) -> None:
    """SIGTERM cancels the run: nothing new is bought, and the answer that was on its way stands in the ledger."""
    gateways.faults([{"gateway": "getimg", "kind": "slow", "rate": 1, "value": 3600}])
    catalog = products(tmp_path / "c.csv", 3)
    environment = {
        **os.environ,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "SEEDREAM_IN_FLIGHT": "1",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(catalog), str(tmp_path / "a")], env=environment
    ) as process:
        try:
            until(lambda: gateways.bill()["accepted"] or process.poll() is not None, "a call that is paid for", 300)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            gateways.advance(3600)  # only now the call is answered
            process.wait(300)
        finally:
            process.kill()
    states = [row["state"] for row in ledger(tmp_path / "a", "SELECT state FROM attempts")]
    assert states == ["delivered"] or states == ["archived"]
    assert gateways.bill()["submissions"] == 1


def test_of_flow_runs_that_overlap_each_is_stopped() -> None:
    """Whichever began or ended first, SIGTERM cancels all that are at work; afterwards the signal is whose it was."""

    async def work(inside: asyncio.Event, leave: asyncio.Event) -> str:
        try:
            with in_order():
                inside.set()
                await leave.wait()
        except asyncio.CancelledError:
            return "stopped"
        return "done"

    async def overlap(ended_first: int) -> list[str]:
        events = [(asyncio.Event(), asyncio.Event()) for _ in range(3)]
        tasks = [asyncio.create_task(work(*each)) for each in events]
        for inside, _ in events:
            await inside.wait()
        events[ended_first][1].set()
        await tasks[ended_first]
        os.kill(os.getpid(), signal.SIGTERM)
        return await asyncio.gather(*tasks)

    def before(*_: object) -> None:
        """A signal that nobody took while runs were at work ends up here."""

    outside = signal.signal(signal.SIGTERM, before)
    try:
        for ended_first in range(3):
            ends = asyncio.run(asyncio.wait_for(overlap(ended_first), 120))
            assert ends == ["done" if number == ended_first else "stopped" for number in range(3)]
            assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, outside)
