"""A gateway's words that nothing can store: they end one record at most, and no run, no later run, no collect."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from balance import balance, listed
from runs import products, run
from sandbox_process import Sandbox
from witness import ASYNCHRONOUS, assert_files, leases_end

from seedream_tasks.config.settings import locations
from seedream_tasks.engine.progress import Progress
from seedream_tasks.gateways.http import Answer, HttpClients
from seedream_tasks.maintenance.collect import collect

INSTEAD = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_half_a_character_pair_in_a_status_spoils_no_run(
    gateways: Sandbox, tmp_path: Path, ledger_url: str, gateway: str
) -> None:
    """A failed task says it and is failed, a finished one says it and is archived; the runs and collects after it go on."""
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    gateways.faults(
        [
            {"gateway": "*", "kind": "task_cancelled", "match": "number 0"},
            {"gateway": "*", "kind": "surrogate", "match": "number 0"},
            {"gateway": "*", "kind": "surrogate", "match": "number 1"},
        ]
    )
    first = run(catalog, archive, gateways=[gateway], ledger=ledger_url)
    assert first.statuses() == {"archived": 2, "cancelled": 1}
    assert INSTEAD in first.one("p0")["error_message"]
    asyncio.run(collect(locations(str(archive), ledger_url, simulated=True), Progress()))
    again = run(catalog, archive, gateways=[gateway], ledger=ledger_url)
    assert again.statuses() == {"archived": 2, "cancelled": 1}
    assert_files(again)


NASTY = "x \\ud83d \\u0000 y"


@pytest.mark.parametrize("place", ["submit", "status"])
def test_odd_text_in_any_field_ends_one_record(
    gateways: Sandbox, tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Every text of an answer but links and words ends in NUL and half a pair: what is paid for is archived, the bill agrees."""
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    name = "send_paid" if place == "submit" else "send_free"
    send: Any = getattr(HttpClients, name)

    async def odd(self: HttpClients, *rest: Any, **more: Any) -> Answer:
        answer: Answer = await send(self, *rest, **more)
        content = answer.content
        for field in ("model", "message", "type", "object", "code"):
            for blank in (b"", b" "):
                content = content.replace(f'"{field}":'.encode() + blank + b'"', f'"{field}": "{NASTY}'.encode())
        return Answer(answer.status, answer.headers, content)

    with monkeypatch.context() as patch:
        patch.setattr(HttpClients, name, odd)
        gateways.faults([{"gateway": "*", "kind": "reject_content", "match": "number 0"}])
        first = run(catalog, archive, gateways=["evolink"], ledger=ledger_url)
    assert first.statuses() == {"archived": 2, "failed": 1}
    leases_end(archive, ledger_url)
    again = run(catalog, archive, gateways=["evolink"], ledger=ledger_url)
    assert again.statuses() == {"archived": 2, "failed": 1}
    found = balance(gateways.bill(), listed(archive, ledger_url))
    assert found.lawful, found
