"""What a run says before it buys, and that on a terminal it asks where nothing bounds what it spends."""

import json
import os
import pty
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from command_line import begun, seedream
from real_gateway import real
from runs import products, run, write_catalog
from sandbox_process import Sandbox

RUN = ("run", "c.csv")


@pytest.fixture
def door(gateways: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """EvoLink, not known to be a sandbox."""
    for name in list(os.environ):
        if name.startswith("SEEDREAM_") and name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
    with real(gateways.url) as url:
        monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "sk-real")
        monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", f"{url}/evolink")
        monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", "127.0.0.1,localhost")
        yield gateways


def on_a_terminal(answer: str, *options: str, cwd: Path) -> tuple[int, str]:
    """Run it on a terminal where `answer` is typed; exit code and all that the terminal shows."""
    ours, theirs = pty.openpty()
    command = begun(*RUN, *options, cwd=cwd, streams=(theirs, theirs, theirs))
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # Linux: the other side is closed
            break
        if not block:
            break
        shown += block
    os.close(ours)
    return command.wait(), shown.decode()


@pytest.mark.parametrize("answer", ["no\n", "\n", "yess\n", "\x04"])
def test_anything_but_yes_spends_nothing(answer: str, door: Sandbox, tmp_path: Path) -> None:
    """It says what, where and for how much; exit 2, nothing sent, nothing made."""
    products(tmp_path / "c.csv", 3, n=2)
    code, shown = on_a_terminal(answer, cwd=tmp_path)
    assert code == 2, shown
    assert "$0.186 for 6 images (6 at evolink for $0.186)" in shown
    assert str(tmp_path / "seedream-out") in shown
    assert "--max-usd" in shown
    assert door.bill()["submissions"] == 0
    assert [each.name for each in tmp_path.iterdir()] == ["c.csv"]


def test_yes_buys(door: Sandbox, tmp_path: Path) -> None:
    """What was said is what it costs."""
    products(tmp_path / "c.csv", 1)
    code, shown = on_a_terminal("yes\n", cwd=tmp_path)
    assert code == 0, shown
    assert door.bill()["usd"] == "0.031"
    assert "1 archived" in shown


@pytest.mark.parametrize("options", [("--yes",), ("--max-usd", "0.05")])
def test_who_has_said_yes_or_how_much_is_not_asked(options: tuple[str, ...], door: Sandbox, tmp_path: Path) -> None:
    """Not on a terminal either."""
    products(tmp_path / "c.csv", 1)
    code, shown = on_a_terminal("", *options, cwd=tmp_path)
    assert (code, "Only `yes` buys" in shown) == (0, False), shown
    assert "forecast: $0.031 for 1 image (1 at evolink for $0.031)" in shown
    assert door.bill()["accepted"] == 1


def test_without_a_terminal_it_says_so_and_goes_on(door: Sandbox, tmp_path: Path) -> None:
    """What it does stands on stderr, line by line and in this order; with --json stdout is the object alone."""
    write_catalog(
        tmp_path / "c.csv",
        {"sku": "a", "prompt": "A cup", "ratio": "1:1"},
        *({"sku": f"b{n}", "prompt": "A cup", "ratio": "9:99"} for n in range(3)),
    )
    ended = seedream(*RUN, "--json", cwd=tmp_path)
    assert ended.returncode == 3, ended.stderr
    lines = ended.stderr.splitlines()
    assert lines[:2] == ["starting", "reading c.csv"]
    places = [
        next(number for number, line in enumerate(lines) if line.startswith(words))
        for words in (
            "no --max-usd is given and there is no terminal to ask",
            "starting Prefect",
            "planning 0 of 4 rows",
            "invalid: line 3 (b0), shot image: ratio: ",
            "forecast: $0.031 for 1 image",
            "buying",
            "writing the manifest",
        )
    ]
    assert places == sorted(places), ended.stderr
    assert sum(line.startswith("invalid: ") for line in lines) == 1
    assert "(and 2 more like it, up to line 5)" in ended.stderr
    result = json.loads(ended.stdout)
    assert result["by_status"] == {"archived": 1, "invalid": 3}
    assert Decimal(result["billed_usd"]) == Decimal(door.bill()["usd"])


def test_the_sandbox_is_not_asked_for(gateways: Sandbox, tmp_path: Path) -> None:
    """Neither embedded nor by its address: nothing is charged."""
    products(tmp_path / "c.csv", 1)
    code, shown = on_a_terminal("", "--gateway", "evolink", cwd=tmp_path)
    assert (code, "Only `yes` buys" in shown) == (0, False), shown
    assert "simulated: nothing is charged" in shown


def test_a_limit_buys_for_the_first_that_still_want_something(gateways: Sandbox, tmp_path: Path) -> None:
    """Rerun, it moves on; all records are written; what cannot be bought takes nobody's place; fingerprints stay."""
    catalog = write_catalog(
        tmp_path / "c.csv",
        {"sku": "bad", "prompt": "A cup", "ratio": "9:99"},
        *({"sku": f"p{n}", "prompt": f"Cup {n}", "ratio": "1:1", "shot": shot} for n in range(5) for shot in "xy"),
    )
    archive = tmp_path / "a"
    statuses = []
    for _ in range(4):
        ran = run(catalog, archive, gateways=["evolink"], limit=2)
        statuses.append(ran.statuses())
        assert len(ran.records) == 11
        reasons = {(each["row_key"], each["reason"]) for each in ran.records if each["status"] == "skipped"}
        assert {reason for _, reason in reasons} <= {"not_selected"}
    assert statuses == [
        {"invalid": 1, "archived": 4, "skipped": 6},
        {"invalid": 1, "archived": 8, "skipped": 2},
        {"invalid": 1, "archived": 10},
        {"invalid": 1, "archived": 10},
    ]
    assert (gateways.bill()["accepted"], gateways.bill()["usd"]) == (10, "0.31")
    again = run(catalog, archive, gateways=["evolink"])
    assert again.summary.reused == 10
