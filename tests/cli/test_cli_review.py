"""`seedream review apply`: the way from the page back into the ledger, as a user goes it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from runs import products
from sandbox_process import Sandbox
from test_cli import records, seedream


def test_a_review_is_taken_back_and_the_next_run_buys_what_was_rejected(gateways: Sandbox, tmp_path: Path) -> None:
    """apply says what it did, twice is once, another ledger's file is exit 2; the sheet shows it; the run costs one image."""
    products(tmp_path / "c.csv", 2)
    arguments = ("--archive", "out", "--gateway", "evolink")
    first = seedream("run", "c.csv", *arguments, cwd=tmp_path)
    page = Path(first["contact_sheet"])
    ledger_id = re.search(r'"ledger_id":"([0-9a-f]+)"', page.read_text())
    assert ledger_id is not None
    reviews = [
        {
            "attempt_id": record["images"][0]["attempt_id"],
            "slot": 0,
            "verdict": verdict,
            "note": None,
            "prompt": None,
            "decided_at": datetime.now(UTC).isoformat(),
        }
        for record, verdict in zip(records(first), ("approved", "rejected"), strict=True)
    ]
    given = {
        "format": "seedream-review",
        "version": 1,
        "run_id": first["run_id"],
        "ledger_id": ledger_id[1],
        "reviewer": "Ada",
        "reviews": reviews,
    }
    (tmp_path / "r.json").write_text(json.dumps(given))
    done = seedream("review", "apply", "r.json", "--archive", "out", cwd=tmp_path)
    expected = {"run_id": first["run_id"], "approved": 1, "rejected": 1, "new": 2, "cost_of_rejected_usd": "0.031"}
    assert done == expected
    assert seedream("review", "apply", "r.json", "--archive", "out", cwd=tmp_path) == expected | {"new": 0}
    assert '"verdict":"approved","note":null,"reviewer":"Ada"' in page.read_text()
    planned = seedream("plan", "c.csv", *arguments, cwd=tmp_path)
    assert (planned["usd"], planned["by_status"]) == ("0.031", {"archived": 1, "planned": 1})
    second = seedream("run", "c.csv", *arguments, cwd=tmp_path)
    assert (second["billed_usd"], second["reused"]) == ("0.031", 1)
    summary = json.loads((Path(second["manifest"]).parent / "summary.json").read_text())
    assert summary["rework_usd"] == "0.031"
    (tmp_path / "r.json").write_text(json.dumps(given | {"ledger_id": "0" * 32}))
    refused = seedream("review", "apply", "r.json", "--archive", "out", cwd=tmp_path, code=2)
    assert refused["error"]["field"] == "ledger_id"
    assert gateways.bill()["images"] == 3
