"""The command line takes the blocks that flows take: keys and the ledger's URL come out of Prefect, and stand in no option."""

import asyncio
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from command_line import seedream
from prefect.settings import PREFECT_API_URL, temporary_settings
from runs import products
from sandbox_process import Sandbox
from test_cli_s3 import flow_parameters

from seedream_tasks import SeedreamGateway, SeedreamLedger

KEY = "sk-evo-4f1d9a77c0ffee-never-shown"


@pytest.fixture
def saved(_fast_sandbox: Sandbox, tmp_path: Path) -> Sandbox:
    """An account and a ledger as blocks; nothing in the environment."""
    _fast_sandbox.reset()
    account = SeedreamGateway(gateway="evolink", api_key=KEY, base_url=_fast_sandbox.bases["evolink"])
    ledger = SeedreamLedger(url=f"sqlite:///{tmp_path}/kept/ledger.db")
    with temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}):
        asyncio.run(account.asave("of-the-cli", overwrite=True))
        asyncio.run(ledger.asave("of-the-cli", overwrite=True))
    return _fast_sandbox


def _said(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = seedream(*arguments, "--json", cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_plan_run_and_collect_take_block_names(saved: Sandbox, tmp_path: Path) -> None:
    """Planned, bought and collected with the block's key into the block's ledger; the bill is equal, the key is nowhere."""
    catalog = str(products(tmp_path / "c.csv", 2))
    at = ["--gateway", "seedream-gateway/of-the-cli"]
    place = ["--archive", str(tmp_path / "out"), "--ledger", "seedream-ledger/of-the-cli"]
    assert _said(tmp_path, "plan", catalog, *at, *place)["by_gateway"]["evolink"]["usd"] == "0.062"
    saved.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    left = _said(tmp_path, "run", catalog, *at, *place, "--wait", "0", code=3)
    assert left["by_status"] == {"in_flight": 2}
    assert (tmp_path / "kept" / "ledger.db").exists()
    saved.faults([])
    saved.advance(4000)
    collected = _said(tmp_path, "collect", *at, *place)
    assert collected["archived"] == 2
    assert Decimal(collected["billed_usd"]) == Decimal(saved.bill()["usd"])
    assert KEY not in flow_parameters()


def test_a_block_that_is_not_there_is_a_wrong_option(saved: Sandbox, tmp_path: Path) -> None:
    """Exit 2 with what to do, before anything is sent."""
    catalog = str(products(tmp_path / "c.csv", 1))
    error = _said(tmp_path, "run", catalog, "--gateway", "seedream-gateway/nobodys", code=2)["error"]
    assert "seedream-gateway/nobodys cannot be loaded" in error["message"]
    assert "prefect block ls" in error["hint"]
    error = _said(tmp_path, "attempts", "--ledger", "seedream-ledger/nobodys", code=2)["error"]
    assert "seedream-ledger/nobodys cannot be loaded" in error["message"]
    assert saved.bill()["submissions"] == 0
