"""Killed amid faults, at any time, on both databases: a few of `benchmarks/kills.py` in every test run."""

from pathlib import Path
from random import Random

import pytest
from crashing import Moment, Runs
from killing import FAULTS, Round, assert_lawful, faults
from sandbox_process import Sandbox
from witness import EVERY_GATEWAY

# Three or four kinds of fault at a time: every kind of FAULTS at every gateway.
GROUPS = [tuple(sorted(FAULTS))[number::6] for number in range(6)]
# Where a fault and a death meet: after the call, after its record, while the task is asked for, while images are copied.
AMID_FAULTS = [Moment("submit", "after"), Moment("record", "after", 7), Moment("store", "after", 2)]


@pytest.mark.parametrize("kinds", GROUPS, ids="-".join)
@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_kills_amid_faults_keep_the_law_of_money(
    gateways: Sandbox, processes: Runs, tmp_path: Path, gateway: str, kinds: tuple[str, ...]
) -> None:
    """Whatever the gateway does and wherever the process dies: no slot is paid twice, every cent billed is accounted for."""
    gateways.faults(faults(kinds))
    this = Round(processes, gateways, tmp_path, {"gateways": [gateway], "wait_s": 20.0}, images=2)
    for moment in AMID_FAULTS:
        this.kill(moment)
    assert_lawful(this.finish())


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_kills_at_any_time_keep_the_law_of_money(
    gateways: Sandbox, processes: Runs, tmp_path: Path, gateway: str
) -> None:
    """Not only between two statements: six runs are killed whenever it happens to be."""
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.2}])
    this = Round(processes, gateways, tmp_path, {"gateways": [gateway], "wait_s": 20.0}, images=3)
    random = Random(gateway)
    for _ in range(6):
        this.kill(random.uniform(0.05, 0.5))
    found = this.finish()
    assert found.kills
    assert_lawful(found)


@pytest.mark.parametrize("gateway", ["evolink", "getimg"])
def test_kills_keep_the_law_of_money_on_both_databases(
    gateways: Sandbox, processes: Runs, tmp_path: Path, ledger_url: str, gateway: str
) -> None:
    """What a dead client of PostgreSQL had not committed is gone, as it is with SQLite."""
    this = Round(processes, gateways, tmp_path, {"gateways": [gateway], "wait_s": 20.0, "ledger": ledger_url})
    moments = [
        *(Moment("record", when, number) for number in (3, 6) for when in ("before", "after")),
        *(Moment("commit", "before", number) for number in (3, 4)),
        Moment("submit", "after"),
        Moment("copy", "after"),
    ]
    for moment in moments:
        this.kill(moment)
    found = this.finish()
    assert found.kills == [str(moment) for moment in moments]
    assert found.balance.unknown >= 1
    assert_lawful(found)
