"""Keys and prompts that look the same are bought once, whatever nobody sees in them, and what was bought so stays."""

import asyncio
from pathlib import Path

import pytest
from runs import assert_bill, run, settings, write_catalog
from sandbox_process import Sandbox

from seedream_tasks.core.jobs import Job
from seedream_tasks.orchestration.session import session


def test_a_key_or_a_prompt_that_looks_the_same_is_not_bought_again(gateways: Sandbox, tmp_path: Path) -> None:
    """The next export has a zero-width space here and a byte order mark there: nothing is bought, and one line says so."""
    archive = tmp_path / "a"
    clean = write_catalog(
        tmp_path / "c.csv", {"sku": "SKU 1", "prompt": "A mug"}, {"sku": "b", "prompt": "Caf\u00e9 chair"}
    )
    first = run(clean, archive)
    write_catalog(
        tmp_path / "c.csv",
        {"sku": "SKU\u00a01\u200b", "prompt": "A m\u00adug\ufeff"},
        {"sku": "\u202ab\u202c", "prompt": "Cafe\u0301\u200b chair"},
    )
    second = run(clean, archive)
    assert gateways.bill()["accepted"] == 2
    assert [record["row_key"] for record in second.records] == ["SKU 1", "b"]
    assert [record["reason"] for record in second.records] == ["unchanged", "unchanged"]
    assert_bill(gateways, first, second)


def test_two_rows_whose_keys_become_one_follow_the_rules_for_duplicates(gateways: Sandbox, tmp_path: Path) -> None:
    """The same job is skipped, another one is invalid, and each names the line of the first."""
    catalog = write_catalog(
        tmp_path / "c.csv",
        {"sku": "a", "prompt": "A mug"},
        {"sku": "a\u200b", "prompt": "A mug"},
        {"sku": "\ufeffa", "prompt": "A chair"},
    )
    ran = run(catalog, tmp_path / "a")
    assert [(record["status"], record["reason"]) for record in ran.records] == [
        ("archived", "new"),
        ("skipped", "duplicate_row"),
        ("invalid", "duplicate_key"),
    ]
    assert gateways.bill()["accepted"] == 1


@pytest.mark.parametrize(("key", "prompt"), [("a\u200b", "A mug"), ("a", "A m\u00adug"), ("cafe\u0301", "A mug\u200b")])
def test_what_was_bought_with_what_nobody_sees_stays_bought(
    key: str, prompt: str, gateways: Sandbox, tmp_path: Path
) -> None:
    """An older ledger knows the job as it was written then: the same catalog is the same job there."""
    written = Job.made(row_key=key, shot="image", model="seedream-4.5", operation="generate", prompt=prompt)

    async def buy() -> None:
        async with session("older", settings(tmp_path / "none.csv", tmp_path / "a", gateways=["evolink"])) as opened:
            await opened.begin()
            engine = await opened.engine()
            await engine.archive(await engine.wait(await engine.submit(written)))

    asyncio.run(buy())
    catalog = write_catalog(tmp_path / "c.csv", {"sku": key, "prompt": prompt})
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert [(record["status"], record["row_key"]) for record in ran.records] == [("archived", key)]
    assert gateways.bill()["accepted"] == 1
