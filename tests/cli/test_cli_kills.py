"""Whole commands that are killed, or lose the Prefect server: what is paid stands in the ledger, and the next run goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing import Runs
from killing import Round, assert_lawful
from sandbox_process import Sandbox


@pytest.fixture(scope="module")
def processes() -> Iterator[Runs]:
    """Runs in processes of their own, without Prefect."""
    with Runs() as started:
        yield started


def test_whole_commands_killed_at_any_time_keep_the_law_of_money(
    gateways: Sandbox, processes: Runs, tmp_path: Path
) -> None:
    """`seedream run`, Prefect included, killed four times: what is done afterwards is paid once, and all of it is there."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 1.0}])
    this = Round(processes, gateways, tmp_path, {"gateways": ["evolink", "apiin"], "wait_s": 20.0}, pictures=2)
    for after_s in (1.5, 2.0, 2.5, 3.0):
        this.kill_command(after_s)
    found = this.finish()
    assert found.kills
    assert_lawful(found)
