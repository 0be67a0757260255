"""A worker that ends the process: the flow runs in the main thread, where Prefect answers SIGTERM by raising."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from prefect.settings import PREFECT_API_URL
from runs import products
from sandbox_process import Sandbox
from witness import ledger

PROGRAM = """
import asyncio, sys
from seedream_tasks import catalog_images
asyncio.run(catalog_images(sys.argv[1], archive=sys.argv[2], gateways=["getimg"], return_state=True))
"""


def test_an_open_synchronous_call_is_recorded_before_the_process_leaves(gateways: Sandbox, tmp_path: Path) -> None:
    """SIGTERM cancels the run: nothing new is bought, and the answer that was on its way stands in the ledger."""
    gateways.faults([{"gateway": "getimg", "kind": "slow", "rate": 1, "value": 3}])
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
            until = time.monotonic() + 90
            while not gateways.bill()["accepted"]:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
    states = [row["state"] for row in ledger(tmp_path / "a", "SELECT state FROM attempts")]
    assert states == ["delivered"] or states == ["archived"]
    assert gateways.bill()["submissions"] == 1
