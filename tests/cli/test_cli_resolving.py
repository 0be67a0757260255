"""`collect` and `resolve` as a script meets them: their one object, their exit code, and the manifests they leave behind."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from runs import Ran, products, read, run
from sandbox_process import Sandbox
from witness import ledger

from seedream_tasks.cli.main import main

COLLECTED = {"polled", "archived", "still_in_flight", "unknown", "expired", "billed_usd", "manifests"}
RESOLVED = {"resolved", "as", "at_risk_usd", "evidence"}

Told = tuple[int, dict[str, Any]]


@pytest.fixture
def seedream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """A command with --json, in this process: its exit code and its object."""

    def call(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["seedream", *map(str, arguments), "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return int(ended.value.code or 0), told

    return call


def unknown(gateways: Sandbox, tmp_path: Path) -> tuple[Ran, str]:
    """A run of two rows; the answer to the second one's order got lost. The run and the unknown attempt."""
    gateways.faults([{"gateway": "*", "kind": "drop_response", "match": "number 1"}])
    ran = run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"])
    gateways.faults([])
    (attempt,) = ledger(ran.archive, "SELECT attempt_id FROM attempts WHERE state = 'unknown'")
    return ran, str(attempt["attempt_id"])


def test_collect_says_what_it_left_and_ends_with_3_until_nothing_is_left(
    gateways: Sandbox, tmp_path: Path, seedream: Callable[..., Told]
) -> None:
    """In flight: 3; archived by the pass: 0, billed what it settled, and every manifest it wrote by its URI."""
    gateways.faults([{"gateway": "*", "kind": "slow", "match": "number 1", "value": 3600}])
    ran = run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"], wait_s=4)
    code, told = seedream("collect", "--archive", ran.archive)
    assert (code, set(told)) == (3, COLLECTED)
    assert (told["polled"], told["archived"], told["still_in_flight"], told["billed_usd"]) == (1, 0, 1, "0")
    ledger(ran.archive, "UPDATE attempts SET next_look_at = NULL")  # its next look is due
    gateways.advance(3600)
    code, told = seedream("collect", "--archive", ran.archive)
    manifest = f"{ran.archive}/runs/{ran.run_id}/manifest.parquet"
    assert (code, told) == (
        0,
        {
            "polled": 1,
            "archived": 1,
            "still_in_flight": 0,
            "unknown": 0,
            "expired": 0,
            "billed_usd": "0.031",
            "manifests": [manifest],
        },
    )
    assert [each["status"] for each in read(ran.archive, ran.run_id)] == ["archived"] * 2


def test_an_unknown_payment_keeps_collect_at_3_until_it_is_resolved(
    gateways: Sandbox, tmp_path: Path, seedream: Callable[..., Told]
) -> None:
    """`resolve --as paid` names attempts, amount and evidence; the pass after it archives and bills the image: 0."""
    ran, attempt_id = unknown(gateways, tmp_path)
    code, told = seedream("collect", "--archive", ran.archive)
    assert (code, told["unknown"], told["polled"]) == (3, 1, 0)
    task_id = next(each["task_id"] for each in gateways.bill()["entries"] if each["prompt"] == "Product number 1")
    code, told = seedream("resolve", attempt_id, "--as", "paid", "--task-id", task_id, "--archive", ran.archive)
    assert (code, set(told)) == (0, RESOLVED)
    assert (told["resolved"], told["as"], told["at_risk_usd"]) == ([attempt_id], "paid", "0.031")
    (evidence,) = told["evidence"]
    assert set(evidence) == {"account", "text"}
    assert evidence["text"].startswith("4.5 credits used in all, the ledger knows of 2.25 credits")
    code, told = seedream("collect", "--archive", ran.archive)
    assert (code, told["archived"], told["billed_usd"], told["unknown"]) == (0, 1, "0.031", 0)
    assert sum(each["billed_usd"] for each in read(ran.archive, ran.run_id)) == 2 * ran.one("p0")["billed_usd"]


def test_what_is_given_up_stands_as_lost_in_the_manifests_that_the_next_pass_writes(
    gateways: Sandbox, tmp_path: Path, seedream: Callable[..., Told]
) -> None:
    """`resolve --as lost`: status lost, not billed, still at risk, in the run's manifest and in the archive's newest."""
    ran, attempt_id = unknown(gateways, tmp_path)
    code, told = seedream("resolve", attempt_id, "--as", "lost", "--archive", ran.archive)
    assert (code, set(told), told["as"]) == (0, RESOLVED, "lost")
    code, told = seedream("collect", "--archive", ran.archive)
    assert (code, told["manifests"]) == (0, [f"{ran.archive}/runs/{ran.run_id}/manifest.parquet"])
    newest = pq.read_table(ran.archive / "manifest.parquet").to_pylist()
    assert newest == read(ran.archive, ran.run_id)
    (given_up,) = [each for each in newest if each["row_key"] == "p1"]
    assert (given_up["status"], given_up["billed_usd"], str(given_up["at_risk_usd"])) == ("lost", 0, "0.031000")
    summary = json.loads((ran.archive / "runs" / ran.run_id / "summary.json").read_text())
    assert (summary["by_status"], summary["at_risk_usd"]) == ({"archived": 1, "lost": 1}, "0.031")


def test_a_rebuilt_payment_of_which_nobody_knows_the_gateway_cannot_be_followed(
    gateways: Sandbox, tmp_path: Path, seedream: Callable[..., Told]
) -> None:
    """`--as paid` has no account to ask and is refused with the way out; `--as lost` gives it up at its quote."""
    ran = run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    for pattern in ("ledger.db*", "**/manifest.parquet", "images/**/*.*"):
        for path in ran.archive.glob(pattern):
            path.unlink()
    assert seedream("ledger", "rebuild", "--archive", ran.archive)[1]["unknown"] == 1
    (attempt,) = ledger(ran.archive, "SELECT attempt_id, gateway FROM attempts")
    assert attempt["gateway"] == ""
    word = ("resolve", attempt["attempt_id"], "--archive", ran.archive, "--as")
    code, told = seedream(*word, "paid", "--task-id", gateways.bill()["entries"][0]["task_id"])
    assert (code, told["error"]["field"]) == (2, "attempt_id")
    assert "nobody knows where it was sent" in told["error"]["message"]
    assert "--as lost" in told["error"]["hint"]
    assert seedream("collect", "--archive", ran.archive)[0] == 3
    code, told = seedream(*word, "lost")
    assert (code, told["at_risk_usd"]) == (0, "0.031")
    assert seedream("collect", "--archive", ran.archive)[0] == 0
    (record,) = read(ran.archive, ran.run_id)
    assert (record["status"], str(record["at_risk_usd"])) == ("lost", "0.031000")
    assert gateways.bill()["submissions"] == 1


@pytest.mark.parametrize(
    ("environment", "field", "says"),
    [
        ({"SEEDREAM_CALLBACK_URL": "http://shop.example.com"}, "SEEDREAM_CALLBACK_URL", "https"),
        ({"SEEDREAM_CALLBACK_URL": "shop.example.com"}, "SEEDREAM_CALLBACK_URL", "https"),
        ({"SEEDREAM_CALLBACK_URL": "https://10.0.0.7/hooks"}, "SEEDREAM_CALLBACK_URL", "public"),
        ({"SEEDREAM_CALLBACK_URL": "https://[::1]/hooks"}, "SEEDREAM_CALLBACK_URL", "public"),
        ({"SEEDREAM_CALLBACK_URL": "https://localhost:8080"}, "SEEDREAM_CALLBACK_URL", "public"),
        # With "/callbacks/" and 43 characters of token: one more than 2048.
        ({"SEEDREAM_CALLBACK_URL": "https://example.com/" + "x" * 1975}, "SEEDREAM_CALLBACK_URL", "2048"),
        ({"SEEDREAM_POLLING": "sometimes"}, "SEEDREAM_POLLING", "on or off"),
        ({"SEEDREAM_POLLING": "off"}, "SEEDREAM_POLLING", "SEEDREAM_CALLBACK_URL"),
    ],
)
def test_callback_settings_that_cannot_work_are_refused_before_anything_is_sent(
    gateways: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seedream: Callable[..., Told],
    environment: dict[str, str],
    field: str,
    says: str,
) -> None:
    """Exit 2 with the variable's name and what is wrong with it; no request, no archive."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    products(tmp_path / "c.csv", 1)
    code, told = seedream("run", tmp_path / "c.csv", "--archive", tmp_path / "a", "--gateway", "evolink")
    assert (code, told["error"]["field"]) == (2, field)
    assert says in told["error"]["message"]
    assert gateways.bill()["requests"] == {}
    assert not (tmp_path / "a").exists()


def test_a_callback_address_may_be_as_long_as_its_token_leaves_room_for(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seedream: Callable[..., Told]
) -> None:
    """The longest that fits is taken: what the gateway is given has 2048 characters."""
    monkeypatch.setenv("SEEDREAM_CALLBACK_URL", "https://example.com/" + "x" * 1974)
    ran = run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    (entry,) = gateways.bill()["entries"]
    assert (ran.statuses(), len(entry["callback_url"])) == ({"archived": 1}, 2048)
