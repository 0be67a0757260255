"""The command line as a user meets it: a process of its own, its exit code, its one JSON object."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import command_line
import pyarrow.parquet as pq
import pytest
from runs import products, write_catalog
from sandbox_process import Sandbox

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def seedream(*arguments: str, cwd: Path, code: int = 0) -> dict[str, Any]:
    """Run a command with --json; asserts its exit code and that stdout is one JSON object."""
    ended = command_line.seedream(*arguments, "--json", cwd=cwd)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def records(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A run's manifest."""
    rows: list[dict[str, Any]] = pq.read_table(result["manifest"]).to_pylist()
    return rows


def test_the_sample_catalog_becomes_images_and_a_second_run_buys_nothing(tmp_path: Path) -> None:
    """The demo: everything archived (exit 0), manifest = bill exactly, and the same command again is billed 0."""
    arguments = (
        "run",
        str(SAMPLES / "catalog.csv"),
        "--shots",
        str(SAMPLES / "shots.yaml"),
        "--sandbox",
        "--archive",
        "out",
    )
    first = seedream(*arguments, cwd=tmp_path)
    assert first["by_status"] == {"archived": 46, "skipped": 2}
    assert (first["rows"], first["jobs"], first["images"]) == (24, 46, 48)
    sheet = Path(first["contact_sheet"]).read_text("utf-8")
    assert "$2.496 if API in One charges what its site says" in sheet
    bill = json.loads((Path(first["manifest"]).parent / "sandbox-bill.json").read_text())
    assert Decimal(first["billed_usd"]) == Decimal(bill["usd"]) == sum(row["billed_usd"] for row in records(first))
    for row in records(first):
        for image in row["images"]:
            assert (tmp_path / "out" / image["path"]).stat().st_size == image["bytes"]
    second = seedream(*arguments, cwd=tmp_path)
    again = json.loads((Path(second["manifest"]).parent / "sandbox-bill.json").read_text())
    assert (second["billed_usd"], second["reused"], second["cost_usd"]) == ("0", 46, first["cost_usd"])
    assert again["submissions"] == bill["submissions"]
    # The archive is a simulated one: a run that is not simulated must not take its images for real ones.
    environment = {**os.environ, "SEEDREAM_EVOLINK_API_KEY": "sk", "SEEDREAM_EVOLINK_BASE_URL": "http://127.0.0.1:9"}
    arguments = ("attempts", "--archive", "out", "--json")
    known = json.loads(command_line.seedream(*arguments, cwd=tmp_path, environment=environment).stdout)
    assert {each["simulated"] for each in known["attempts"]} == {True}


def test_the_awkward_catalog_has_the_statuses_that_are_written_beside_it(tmp_path: Path) -> None:
    """Quotes, newlines, scripts, emoji, missing files, doubled and empty keys: no row is lost, none is guessed (exit 3)."""
    result = seedream(
        *("run", str(SAMPLES / "awkward.csv"), "--shots", str(SAMPLES / "shots.yaml"), "--sandbox"),
        cwd=tmp_path,
        code=3,
    )
    expected = json.loads((SAMPLES / "awkward.expected.json").read_text("utf-8"))
    found = [
        {name: row[name] for name in ("row_number", "row_key", "shot", "status", "reason")} for row in records(result)
    ]
    wanted = [
        {name: row[name] or None for name in ("row_number", "row_key", "shot", "status", "reason")} for row in expected
    ]
    assert found == wanted
    for row, told in zip(records(result), expected, strict=True):
        assert told["error_code"] is None or row["error_code"] == told["error_code"]
        if row["status"] == "invalid":
            assert f"line {told['line']} " in row["error_message"]


def test_plan_forecasts_and_leaves_no_trace(tmp_path: Path) -> None:
    """`plan` pays, sends, creates and writes nothing."""
    answer = seedream(
        "plan", str(SAMPLES / "catalog.csv"), "--shots", str(SAMPLES / "shots.yaml"), "--sandbox", cwd=tmp_path
    )
    assert answer["by_status"] == {"planned": 46, "skipped": 2}
    assert answer["by_gateway"] == {
        "apiin": {"images": 26, "jobs": 24, "usd": "0.624"},
        "evolink": {"images": 22, "jobs": 22, "usd": "0.682"},
    }
    assert answer["usd"] == "1.306"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (("run", "nothing.csv", "--sandbox"), {}, "no_catalog", "nothing.csv"),
        (("run", "c.csv", "--gateway", "evolink"), {}, "bad_configuration", "not configured"),
        (("run", "c.csv", "--gateway", "nobody"), {}, "bad_configuration", "unknown gateway"),
        (("run", "c.csv"), {"SEEDREAM_EVOLINK_BASE_URL": "http://x"}, "bad_configuration", "SEEDREAM_EVOLINK_API_KEY"),
        (("run", "c.csv"), {"SEEDREAM_GCCAI_API_KEY": "k"}, "bad_configuration", "SEEDREAM_GCCAI_BASE_URL"),
        (("run", "c.csv", "--max-usd", "much"), {}, "bad_configuration", "--max-usd: 'much' is not an amount"),
        (("run", "c.csv", "--retry", "all"), {}, "bad_configuration", "--retry"),
        (("run", "c.csv", "--key", "nope", "--sandbox"), {}, "bad_input", "nope"),
        (("run", "c.csv", "--preset", "etsy", "--sandbox"), {}, "bad_input", "etsy"),
        (("run", "c.csv", "--shots", "s.yaml", "--sandbox"), {}, "bad_input", "did you mean 'prompt'"),
        (("run", "plain.csv", "--sandbox"), {}, "bad_input", "prompt"),
        (("run", "c.csv", "--archive", "memory://x", "--sandbox"), {}, "archive_not_durable", "this process's memory"),
        (("plan", "c.docx"), {}, "bad_input", "a Word document"),
        (("attempts", "--state", "gone"), {}, "bad_input", "--state"),
        (("run",), {}, "usage", "Missing argument"),
    ],
)
def test_wrong_input_exits_2_with_a_code_and_nothing_written(
    tmp_path: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    code: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Input and configuration are checked before anything is opened: exit 2, a code, the name of what is wrong."""
    write_catalog(tmp_path / "c.csv", {"sku": "a", "prompt": "x"})
    write_catalog(tmp_path / "plain.csv", {"sku": "a"})
    (tmp_path / "c.docx").write_text("x")
    (tmp_path / "s.yaml").write_text("shots: [{name: a, promt: x}]")
    before = set(tmp_path.iterdir())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    answer = seedream(*arguments, cwd=tmp_path, code=2)
    assert answer["error"]["code"] == code
    assert (
        says in answer["error"]["message"]
        or says in str(answer["error"]["hint"])
        or says in str(answer["error"]["field"])
    )
    assert set(tmp_path.iterdir()) == before


def test_attempts_lists_what_was_paid_for(gateways: Sandbox, tmp_path: Path) -> None:
    """`attempts` shows each paid submission with its task, its state and its amounts; they add up to the bill."""
    catalog = products(tmp_path / "c.csv", 3, n=2)
    result = seedream("run", str(catalog), "--archive", "out", "--gateway", "evolink", cwd=tmp_path)
    answer = seedream("attempts", "--archive", "out", "--run", result["run_id"], cwd=tmp_path)
    assert answer["by_state"] == {"archived": 3}
    assert sum(Decimal(each["billed_usd"]) for each in answer["attempts"]) == Decimal(gateways.bill()["usd"])
    assert {each["task_id"] for each in answer["attempts"]} == {each["task_id"] for each in gateways.bill()["entries"]}
    assert {tuple(each["slots"]) for each in answer["attempts"]} == {(0, 1)}


def test_gateways_names_a_source_for_every_limit_and_price(tmp_path: Path) -> None:
    """`gateways` needs no key and gives each limit and price with its source and date."""
    answer = seedream("gateways", cwd=tmp_path)
    assert Counter(each["gateway"] for each in answer["gateways"]) == {
        "evolink": 2,
        "gccai": 1,
        "getimg": 1,
        "apiin": 1,
    }
    for each in answer["gateways"]:
        assert all(limit["source"] for limit in each["limits"].values())
        assert all(price["source"] and price["as_of"] for price in each["prices"])


def test_a_stopped_run_is_taken_up_by_the_next(gateways: Sandbox, tmp_path: Path) -> None:
    """SIGTERM: exit 143, nothing lost; the next run finishes what was in flight and nothing is bought twice."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    catalog = products(tmp_path / "c.csv", 5)
    command = [sys.executable, "-m", "seedream_tasks", "run", str(catalog), "--archive", "out", "--gateway", "evolink"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while gateways.bill()["accepted"] < 5:  # each look is a request to the sandbox, not a wait
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    gateways.faults([])
    gateways.advance(4000)
    result = seedream("run", str(catalog), "--archive", "out", "--gateway", "evolink", cwd=tmp_path)
    assert result["by_status"] == {"archived": 5}
    assert gateways.bill()["accepted"] == 5


def test_a_lost_ledger_is_refused_and_can_be_rebuilt(gateways: Sandbox, tmp_path: Path) -> None:
    """A used archive without its ledger buys nothing (exit 2); after `ledger rebuild` everything is reused."""
    catalog = products(tmp_path / "c.csv", 4, n=2)
    first = seedream("run", str(catalog), "--archive", "out", "--gateway", "evolink", cwd=tmp_path)
    for path in (tmp_path / "out").glob("ledger.db*"):
        path.unlink()
    refused = seedream("run", str(catalog), "--archive", "out", "--gateway", "evolink", cwd=tmp_path, code=2)
    assert refused["error"]["code"] == "ledger_mismatch"
    assert "seedream ledger rebuild" in refused["error"]["hint"]
    restored = seedream("ledger", "rebuild", "--archive", "out", cwd=tmp_path)
    assert (restored["runs"], restored["attempts"], restored["pictures"], restored["unknown"]) == (1, 4, 8, 0)
    second = seedream("run", str(catalog), "--archive", "out", "--gateway", "evolink", cwd=tmp_path)
    assert (second["billed_usd"], second["reused"], second["cost_usd"]) == ("0", 4, first["cost_usd"])
    assert gateways.bill()["images"] == 8


def test_an_unchanged_parquet_and_jsonl_of_the_same_table_buy_nothing_more(gateways: Sandbox, tmp_path: Path) -> None:
    """One table has one set of fingerprints, whatever file it comes in."""
    import pandas as pd

    table = pd.DataFrame({"sku": ["a", "b"], "prompt": ["A red mug", "A blue mug"], "n": [1, 2], "price": [19.9, 10.0]})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    answers = [
        seedream("run", f"t.{kind}", "--archive", "out", "--gateway", "getimg", cwd=tmp_path)
        for kind in ("csv", "parquet", "jsonl")
    ]
    assert [each["billed_usd"] for each in answers] == ["0.12", "0", "0"]
    assert gateways.bill()["images"] == 3


def _unknown(gateways: Sandbox, tmp_path: Path) -> str:
    """A run whose one payment got lost on its way back: accepted and billed, but nobody here knows its task."""
    gateways.faults([{"gateway": "evolink", "kind": "drop_response", "rate": 1, "count": 1}])
    catalog = products(tmp_path / "c.csv", 1)
    result = seedream("run", str(catalog), "--archive", "out", "--gateway", "evolink", cwd=tmp_path, code=3)
    assert (result["by_status"], result["at_risk_usd"]) == ({"unknown": 1}, "0.031")
    (attempt,) = seedream("attempts", "--archive", "out", "--state", "unknown", cwd=tmp_path)["attempts"]
    return str(attempt["attempt_id"])


def test_an_unknown_payment_that_is_resolved_as_paid_is_followed_to_its_image(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """`resolve --as paid --task-id` makes it accepted; the next run archives it and buys nothing."""
    attempt_id = _unknown(gateways, tmp_path)
    task_id = gateways.bill()["entries"][0]["task_id"]
    refused = seedream("resolve", attempt_id, "--as", "not-sent", "--archive", "out", cwd=tmp_path, code=2)
    assert "could still be under way" in refused["error"]["message"]
    seedream("resolve", attempt_id, "--as", "paid", "--task-id", task_id, "--archive", "out", cwd=tmp_path)
    result = seedream("run", "c.csv", "--archive", "out", "--gateway", "evolink", cwd=tmp_path)
    assert (result["billed_usd"], result["at_risk_usd"], result["by_status"]) == ("0", "0", {"archived": 1})
    assert gateways.bill()["accepted"] == 1
    (attempt,) = seedream("attempts", "--archive", "out", cwd=tmp_path)["attempts"]
    assert Decimal(attempt["billed_usd"]) == Decimal(gateways.bill()["usd"])


def test_an_unknown_payment_that_is_given_up_is_bought_again_only_when_asked(gateways: Sandbox, tmp_path: Path) -> None:
    """`resolve --as lost` keeps the amount at risk and the slot closed until `--retry lost`."""
    attempt_id = _unknown(gateways, tmp_path)
    seedream("resolve", attempt_id, "--as", "lost", "--archive", "out", cwd=tmp_path)
    arguments = ("run", "c.csv", "--archive", "out", "--gateway", "evolink")
    waiting = seedream(*arguments, cwd=tmp_path, code=3)
    assert (waiting["by_status"], waiting["at_risk_usd"], waiting["billed_usd"]) == ({"lost": 1}, "0.031", "0")
    bought = seedream(*arguments, "--retry", "lost", cwd=tmp_path)
    assert (bought["by_status"], bought["billed_usd"], bought["at_risk_usd"]) == ({"archived": 1}, "0.031", "0.031")
    assert Decimal(gateways.bill()["usd"]) == Decimal("0.062")


def test_a_standing_cap_holds_over_runs(gateways: Sandbox, tmp_path: Path) -> None:
    """`cap set` bounds a day's spending of all runs: 0.10 buys three images of 0.031 in two runs, then nothing."""
    products(tmp_path / "c.csv", 2)
    products(tmp_path / "more.csv", 9)
    arguments = ("--archive", "out", "--gateway", "evolink")
    seedream("run", "c.csv", *arguments, cwd=tmp_path)
    shown = seedream("cap", "set", "0.10", "--archive", "out", cwd=tmp_path)
    assert [(each["gateway"], each["usd_per_day"], each["zone"]) for each in shown["caps"]] == [(None, "0.1", "UTC")]
    result = seedream("run", "more.csv", *arguments, cwd=tmp_path, code=3)
    assert result["by_status"] == {"archived": 5, "deferred": 4}
    assert gateways.bill()["images"] == 5
    seedream("cap", "set", "none", "--archive", "out", cwd=tmp_path)
    assert seedream("run", "more.csv", *arguments, cwd=tmp_path)["by_status"] == {"archived": 9}


def test_the_price_list_that_the_sandbox_prints_is_a_price_file(tmp_path: Path) -> None:
    """`seedream sandbox --prices` > file, `--prices file`: every dispute and every missing price is settled by it."""
    (tmp_path / "p.yaml").write_text(command_line.seedream("sandbox", "--prices", cwd=tmp_path).stdout)
    products(tmp_path / "c.csv", 2, model="seedream-4.0")
    answer = seedream("plan", "c.csv", "--prices", "p.yaml", "--sandbox", cwd=tmp_path)
    assert answer["by_gateway"] == {"evolink": {"images": 2, "jobs": 2, "usd": "0.0496"}}


def test_a_ledger_is_rebuilt_from_runs_with_retries_and_reuse(gateways: Sandbox, tmp_path: Path) -> None:
    """Whatever the runs were like, a rebuilt ledger bills each attempt once and leaves no half-made file behind."""
    products(tmp_path / "c.csv", 3)
    products(tmp_path / "more.csv", 5)
    gateways.faults([{"gateway": "*", "kind": "corrupt_image", "match": "number 1", "rate": 1, "count": 1}])
    arguments = ("--archive", "out", "--gateway", "evolink")
    seedream("run", "c.csv", *arguments, cwd=tmp_path, code=3)
    gateways.faults([])
    seedream("run", "c.csv", *arguments, "--retry", "failed", cwd=tmp_path)
    seedream("run", "more.csv", *arguments, cwd=tmp_path)
    before = seedream("attempts", "--archive", "out", cwd=tmp_path)
    for path in (tmp_path / "out").glob("ledger.db*"):
        path.unlink()
    restored = seedream("ledger", "rebuild", "--archive", "out", cwd=tmp_path)
    after = seedream("attempts", "--archive", "out", cwd=tmp_path)
    assert restored["attempts"] == len(before["attempts"]) == 6
    billed = [sum(Decimal(each["billed_usd"]) for each in told["attempts"]) for told in (before, after)]
    assert billed[0] == billed[1] == Decimal(gateways.bill()["usd"])
    again = seedream("run", "more.csv", *arguments, cwd=tmp_path)
    assert (again["billed_usd"], again["reused"]) == ("0", 5)
