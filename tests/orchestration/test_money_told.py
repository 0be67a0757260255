"""What a flow tells about money before it spends any, and about payments of unknown fate."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect_events import events_about, read_events
from runs import products
from sandbox_process import Sandbox
from witness import ledger, submissions_at

from seedream_tasks import Job, catalog_images, submit_job
from seedream_tasks.core.errors import ConfigurationError
from seedream_tasks.gateways.client import Account
from seedream_tasks.orchestration.artifacts import forecast_markdown
from seedream_tasks.planning.forecast import Forecast

UNKNOWN = "seedream.attempt.unknown"


def go(**parameters: Any) -> dict[str, Any]:
    """A run of the flow; its result."""
    state = asyncio.run(catalog_images(**parameters, return_state=True))
    result: dict[str, Any] = asyncio.run(state.aresult())
    return result


def artifacts(run_id: str) -> dict[str, str]:
    """A flow run's artifacts by key."""

    async def read() -> dict[str, str]:
        async with get_client() as client:
            found = await client.read_artifacts(
                artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
            )
        return {str(each.key): str(each.data) for each in found}

    return asyncio.run(read())


def test_each_unknown_payment_is_an_event_once_and_stands_in_an_artifact_until_it_is_settled(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Gateway, time, amount and what to do; a second run lists them again and sends no second event."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "rate": 1, "match": "number 1"}])
    parameters: dict[str, Any] = {
        "catalog": str(products(tmp_path / "c.csv", 3)),
        "archive": str(tmp_path / "a"),
        "gateways": ["evolink"],
    }
    first = go(**parameters)
    assert (first["exit_status"], first["by_status"]) == (3, {"archived": 2, "unknown": 1})
    (payload,) = events_about(UNKNOWN, 1, run_id=first["run_id"])
    (attempt,) = ledger(tmp_path / "a", "SELECT attempt_id, account FROM attempts WHERE state = 'unknown'")
    assert payload.pop("sent_at").startswith("20")
    assert "seedream resolve" in payload.pop("what_to_do")
    assert payload == {
        "attempt_id": attempt["attempt_id"],
        "run_id": first["run_id"],
        "row_key": "p1",
        "shot": "image",
        "gateway": "evolink",
        "account": attempt["account"],
        "at_risk_usd": "0.031",
    }
    second = go(**parameters)
    events_about("seedream.run.completed", 1, run_id=second["run_id"])  # the last that it says
    assert len(events_about(UNKNOWN, 1, attempt_id=attempt["attempt_id"])) == 1
    for run_id in (first["run_id"], second["run_id"]):
        text = artifacts(run_id)["seedream-unknown"]
        assert "# 1 payment of unknown fate, $0.031 at risk" in text
        assert all(word in text for word in (attempt["attempt_id"], "p1", "evolink", "seedream resolve"))


def test_an_unknown_payment_is_told_though_its_artifact_could_not_be_shown(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is too busy for what is only looked at is given longer for what somebody has to act on."""
    monkeypatch.setattr("seedream_tasks.orchestration.notifications._SHOWN_WITHIN_S", 0.0)
    gateways.faults([{"gateway": "*", "kind": "drop_response", "rate": 1}])
    done = go(catalog=str(products(tmp_path / "c.csv", 1)), archive=str(tmp_path / "a"), gateways=["evolink"])
    assert "seedream-unknown" not in artifacts(done["run_id"])
    (payload,) = events_about(UNKNOWN, 1, run_id=done["run_id"])
    assert payload["at_risk_usd"] == done["at_risk_usd"] == "0.031"


def test_an_unknown_payment_that_the_server_did_not_take_is_told_by_the_next_run(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Told is what the server has answered for, and nothing else: until then every run and pass tries again."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "rate": 1}])
    same = {
        "catalog": str(products(tmp_path / "c.csv", 1)),
        "archive": str(tmp_path / "a"),
        "gateways": ["evolink"],
    }
    with monkeypatch.context() as away:
        away.setattr("seedream_tasks.orchestration.events._TAKEN_WITHIN_S", 0.0)
        first = go(**same)
    assert f"did not take {UNKNOWN}, the next run or pass tells it" in caplog.text
    events_about("seedream.run.completed", 1, run_id=first["run_id"])
    second = go(**same)
    events_about("seedream.run.completed", 1, run_id=second["run_id"])
    (stored,) = [each for each in read_events(UNKNOWN) if each["payload"]["run_id"] == first["run_id"]]
    assert f"prefect.flow-run.{second['run_id']}" in {each["prefect.resource.id"] for each in stored["related"]}


def test_a_forecast_above_the_balance_is_a_warning_with_both_figures(
    gateways: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Said before anything is bought, on the log and in the forecast's artifact; it stops nothing."""
    # The sandbox's accounts are full: a price that nobody could pay makes the forecast larger than the balance.
    (tmp_path / "prices.yaml").write_text('getimg: {seedream-4.5: {"*": {usd: 9999}}}\n')
    result = go(
        catalog=str(products(tmp_path / "c.csv", 30)),
        archive=str(tmp_path / "a"),
        gateways=["getimg"],
        prices=str(tmp_path / "prices.yaml"),
    )
    text = artifacts(result["run_id"])["seedream-forecast"]
    (line,) = [line for line in text.splitlines() if "is above its balance" in line]
    assert "getimg: the forecast of $299970.00 is above its balance of $" in line
    assert line.strip("*") in caplog.text
    assert result["by_status"] == {"archived": 30}
    assert Decimal(result["billed_usd"]) == Decimal(gateways.bill()["usd"])


def test_a_balance_that_is_enough_is_shown_and_no_warning(gateways: Sandbox, tmp_path: Path) -> None:
    """The artifact has the balance beside the forecast; apiin states none."""
    result = go(catalog=str(products(tmp_path / "c.csv", 1)), archive=str(tmp_path / "a"))
    assert "not stated" in artifacts(result["run_id"])["seedream-forecast"]
    other = go(catalog=str(products(tmp_path / "d.csv", 2)), archive=str(tmp_path / "b"), gateways=["evolink"])
    text = artifacts(other["run_id"])["seedream-forecast"]
    assert "credits |" in text
    assert "above" not in text


def refuse_the_key(monkeypatch: pytest.MonkeyPatch, archive: Path, gateway: str, base: str) -> None:
    """The key has gone bad since the account was first known: the ledger knows it, the gateway refuses it."""
    monkeypatch.setenv(f"SEEDREAM_{gateway.upper()}_API_KEY", "invalid-now")
    ledger(
        archive,
        "UPDATE accounts SET account = ? WHERE gateway = ?",
        Account(gateway, base, "invalid-now").name,
        gateway,
    )


def test_a_key_that_has_gone_bad_takes_its_gateway_out_before_the_first_intent(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next gateway in price buys; not one submission goes to the one that refuses the key."""
    archive = tmp_path / "a"
    chosen = {"archive": str(archive), "gateways": ["evolink", "getimg"]}
    go(catalog=str(products(tmp_path / "c.csv", 1)), **chosen)
    before = submissions_at(gateways, "evolink")
    refuse_the_key(monkeypatch, archive, "evolink", gateways.bases["evolink"])
    result = go(catalog=str(products(tmp_path / "c.csv", 3)), **chosen)
    assert result["by_status"] == {"archived": 3}
    assert submissions_at(gateways, "evolink") == before
    assert submissions_at(gateways, "getimg") == 2


def test_without_another_gateway_a_bad_key_defers_everything(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, the records wait for the next run: exit 3."""
    archive = tmp_path / "a"
    chosen = {"archive": str(archive), "gateways": ["evolink"]}
    go(catalog=str(products(tmp_path / "c.csv", 1)), **chosen)
    refuse_the_key(monkeypatch, archive, "evolink", gateways.bases["evolink"])
    before = gateways.bill()["submissions"]
    result = go(catalog=str(products(tmp_path / "c.csv", 3)), **chosen)
    assert (result["exit_status"], result["by_status"]) == (3, {"archived": 1, "deferred": 2})
    assert gateways.bill()["submissions"] == before


def test_a_rerun_that_buys_nothing_asks_for_no_balance(gateways: Sandbox, tmp_path: Path) -> None:
    """No purchase, no request of any kind."""
    parameters: dict[str, Any] = {"catalog": str(products(tmp_path / "c.csv", 2)), "archive": str(tmp_path / "a")}
    go(**parameters)
    before = gateways.bill()["requests"]
    assert go(**parameters)["reused"] == 2
    assert gateways.bill()["requests"] == before


def test_the_forecast_says_what_will_not_stay() -> None:
    """A warning about the archive's place stands where the money is told, before any is spent."""
    text = forecast_markdown(Forecast(), False, {}, ["the archive /app/out is in this container"])
    assert "**the archive /app/out is in this container**" in text


def test_an_archive_in_memory_is_refused_by_flows_and_tasks(gateways: Sandbox, tmp_path: Path) -> None:
    """Sixty images were bought into a process's own memory once, and were gone with it."""
    place: dict[str, Any] = {"archive": "memory://x", "ledger": f"sqlite:///{tmp_path}/l.db"}
    for simulated in (True, False):
        state = asyncio.run(
            catalog_images(str(products(tmp_path / "c.csv", 1)), **place, sandbox=simulated, return_state=True)
        )
        error = asyncio.run(state.aresult(raise_on_failure=False))
        assert error.as_json()["code"] == "archive_not_durable"
    job = Job(row_key="a", shot="image", operation="generate", model="seedream-4.5", prompt="A mug")
    with pytest.raises(ConfigurationError, match="memory"):
        asyncio.run(submit_job.fn(job, **place))
    assert gateways.bill()["submissions"] == 0
