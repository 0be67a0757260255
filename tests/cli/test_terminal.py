"""What the command line prints acts on no terminal, whatever keys, cells and gateways say."""

import json
from pathlib import Path

from command_line import seedream
from runs import write_catalog

HOSTILE = "a\nforged: 48 archived\r\x1b[2J\x1b[31m\u202e\x9b1m"
ACTS = "\x1b\r\x9b\u202e"


def test_a_hostile_key_is_escaped_on_the_terminal_and_kept_as_data(tmp_path: Path) -> None:
    """Lines, errors, prompts and JSON: nothing forges a line, JSON and manifest have the key as it is."""
    write_catalog(
        tmp_path / "c.csv",
        {"sku": HOSTILE, "prompt": f"A cup {HOSTILE}", "ratio": "1:1"},
        {"sku": f"{HOSTILE}2", "prompt": "x", "ratio": f"9:{HOSTILE}"},
    )
    planned = seedream("plan", "c.csv", "--sandbox", cwd=tmp_path)
    ran = seedream("run", "c.csv", "--sandbox", cwd=tmp_path)
    listed = seedream("attempts", cwd=tmp_path)
    for each in (planned, ran, listed):
        told = each.stdout + each.stderr
        assert not set(ACTS) & set(told), told
        assert not any(line.startswith("forged") for line in told.splitlines()), told
    assert r"a\nforged: 48 archived\r\x1b[2J" in planned.stdout
    assert r"a\nforged: 48 archived\r[2J" in listed.stdout  # a key loses what nobody sees, before anything is bought
    as_json = seedream("attempts", "--json", cwd=tmp_path).stdout
    assert not set(ACTS) & set(as_json)
    assert json.loads(as_json)["attempts"][0]["row_key"].startswith("a\nforged: 48 archived")


def test_what_was_typed_is_escaped(tmp_path: Path) -> None:
    """An option, a file's name and an address may come from somewhere else."""
    for arguments in (("run", f"--{HOSTILE}"), ("plan", f"{HOSTILE}.csv"), ("run", "c.csv", "--gateway", HOSTILE)):
        told = seedream(*arguments, cwd=tmp_path)
        assert told.returncode == 2
        assert not set(ACTS) & set(told.stderr), told.stderr
        assert not any(line.startswith("forged") for line in told.stderr.splitlines()), told.stderr
    told = seedream("plan", "https://me:SECRET@shop.example/a.csv?sig=SECRET", cwd=tmp_path)
    assert (told.returncode, "SECRET" in told.stderr, "password" in told.stderr) == (2, False, True)
