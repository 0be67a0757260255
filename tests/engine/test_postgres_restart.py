"""A PostgreSQL ledger whose server restarts, or goes away, in the middle of a run."""

from decimal import Decimal
from pathlib import Path

import pytest
from crashing import Runs, order
from postgres_server import Postgres
from runs import products, read, run
from sandbox_process import Sandbox
from sqlalchemy import create_engine, text
from waiting import until
from witness import bought, leases_end

from seedream_tasks.ledger.urls import parse_url

ROWS = 24
# Four rows of the middle take all places and keep them until the clock is moved: however slow this machine is, there is a rest.
STANDS_STILL = [{"gateway": "*", "kind": "slow", "match": f"number {row}", "value": 3600} for row in range(10, 14)] + [
    {"gateway": "*", "kind": "slow", "value": 0.2}
]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_run_goes_on_after_a_restart(
    gateways: Sandbox,
    processes: Runs,
    tmp_path: Path,
    postgres_server: Postgres,
    postgres_ledger: str,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections ended or the server crashed, with calls and tasks open: it waits and finishes, each row bought once."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "4")
    gateways.faults(STANDS_STILL)
    catalog, archive = products(tmp_path / "c.csv", ROWS), tmp_path / "a"
    processes.begin(order(catalog, archive, run_id="run", gateways=["evolink"], ledger=postgres_ledger))
    until(lambda: gateways.bill()["accepted"] >= ROWS // 3, "a run in its middle")
    postgres_server.stop(mode)
    assert gateways.bill()["accepted"] < ROWS
    gateways.faults([])
    gateways.advance(3600)
    postgres_server.start()
    (ended,) = processes.ends()
    assert ended.status == 0, ended.said
    records = read(archive, "run")
    assert [each["status"] for each in records] == ["archived"] * ROWS
    assert sum((each["billed_usd"] for each in records), Decimal(0)) == Decimal(gateways.bill()["usd"])
    assert set(bought(gateways).values()) == {1}


def test_a_server_that_stays_away_ends_the_run_and_the_next_one_finishes_it(
    gateways: Sandbox,
    processes: Runs,
    tmp_path: Path,
    postgres_server: Postgres,
    postgres_ledger: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line says so, exit 1, acceptances are rescued; the next run takes them in, pays nothing twice, and the bill agrees."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "4")
    monkeypatch.chdir(tmp_path)  # where the rescue file is
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 0.4}])
    catalog, archive = products(tmp_path / "c.csv", ROWS), tmp_path / "a"
    options = {"gateways": ["evolink"], "ledger": postgres_ledger, "cwd": str(tmp_path)}
    processes.begin(order(catalog, archive, run_id="run", outage_s=1.0, **options))
    until(lambda: gateways.bill()["accepted"] >= ROWS // 3, "a run in its middle")
    postgres_server.stop("fast")
    try:
        (ended,) = processes.ends()
    finally:
        postgres_server.start()
    assert ended.status == 1
    assert "LedgerFault: the ledger cannot be" in ended.said
    leases_end(archive, postgres_ledger)
    last = run(catalog, archive, gateways=["evolink"], ledger=postgres_ledger)
    assert set(bought(gateways).values()) == {1}
    assert last.statuses() == {"archived": ROWS}
    engine = create_engine(parse_url(postgres_ledger))
    with engine.connect() as connection:
        billed, at_risk = connection.execute(text("SELECT sum(billed_usd), sum(at_risk_usd) FROM attempts")).one()
    engine.dispose()
    assert (billed, at_risk) == (Decimal(gateways.bill()["usd"]) * 1_000_000, 0)
