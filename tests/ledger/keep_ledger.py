"""Makes a ledger to keep: attempts in every state, images, caps, reviews, all by real runs against the sandbox.

    python tests/ledger/keep_ledger.py > tests/ledger/kept/v<schema version>.sql

Kept once for each released version of the ledger, and never made anew: later versions are tried on what that one wrote.
"""

import json
import os
import re
import sqlite3
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import conftest
from click.testing import CliRunner
from crashing import Moment, Runs
from runs import run, write_catalog
from sandbox_process import Sandbox, start_sandbox
from witness import ledger

from seedream_tasks.cli.main import seedream

assert conftest
# Row key -> what happens to its attempt.
FAULTS = {
    "unknown": "drop_response",
    "given-up": "drop_response",
    "failed": "task_failed_billed",
    "refused": "reject_content",
    "cancelled": "task_cancelled",
    "expired": "expired_link",
    "quarantined": "corrupt_image",
    "fewer": "fewer_images",
    "in-flight": "stuck",
}


def command(*words: str) -> None:
    """One `seedream` command that must succeed."""
    done = CliRunner().invoke(seedream, words, standalone_mode=False, catch_exceptions=False)
    assert not done.return_value, done.output


def rows(folder: Path, *names: str) -> Path:
    """A catalog of these rows; `fewer` asks for two images."""
    return write_catalog(
        folder / "products.csv",
        *({"sku": name, "prompt": f"A studio image of {name}", "n": 2 if name == "fewer" else 1} for name in names),
    )


def fill(folder: Path, sandbox: Sandbox) -> Path:
    """Buy, fail, lose, cap and review; returns the ledger's file."""
    archive = folder / "out"
    os.environ["LOGNAME"] = "operator"
    for name, base in sandbox.bases.items():
        os.environ[f"SEEDREAM_{name.upper()}_API_KEY"] = f"key-of-{name}"
        os.environ[f"SEEDREAM_{name.upper()}_BASE_URL"] = base
    faults = [{"gateway": "*", "kind": kind, "match": f"of {name}", "rate": 1} for name, kind in FAULTS.items()]
    sandbox.faults([*faults, {"gateway": "*", "kind": "reject_429", "match": "of fine", "count": 1, "value": 0}])
    where = ("--archive", str(archive))
    command("cap", "set", "25", "--gateway", "evolink", "--zone", "Europe/Berlin", *where)
    bought = run(
        rows(folder, "fine", "disputed", *FAULTS), archive, gateways=["evolink"], wait_s=3, max_usd=Decimal("5")
    )
    run(rows(folder, "disputed-price"), archive, gateways=["apiin"])
    (given_up,) = ledger(archive, "SELECT attempt_id FROM attempts WHERE state = 'unknown' AND job_key LIKE 'given%'")
    command("resolve", *where, given_up["attempt_id"], "--as", "lost", "--yes")
    (mine,) = ledger(archive, "SELECT value FROM meta WHERE key = 'ledger_id'")
    (image,) = bought.one("fine")["images"]
    verdict = {"row_key": "fine", "shot": "image", "verdict": "approved", "note": "as it should be"}
    told = {"slot": 0, "attempt_id": image["attempt_id"], "decided_at": "2026-11-28T12:00:00+00:00"}
    review = {"format": "seedream-review", "version": 1, "run_id": bought.run_id, "ledger_id": mine["value"]}
    path = folder / "review.json"
    path.write_text(json.dumps({**review, "reviewer": "a person", "reviews": [{**verdict, **told}]}), "utf-8")
    command("review", "apply", str(path), *where)
    with Runs() as processes:
        processes.one(rows(folder, "delivered"), archive, Moment("download", "before"), gateways=["evolink"])
        processes.one(rows(folder, "intent"), archive, Moment("submit", "before"), gateways=["evolink"])
    return archive / "ledger.db"


def main() -> None:
    """Print the ledger as SQL."""
    with tempfile.TemporaryDirectory() as place, start_sandbox("--seconds", "0.05", "--image-px", "32") as sandbox:
        database = sqlite3.connect(fill(Path(place), sandbox))
        database.execute(
            "UPDATE runs SET alive_until = 0"
        )  # its processes are gone, as they will be for whoever reads it
        database.commit()
        text = "\n".join(database.iterdump()) + "\n"
        database.close()
        for mine, neutral in ((place, "/srv/shop"), (sandbox.url, "http://127.0.0.1:8787")):
            text = text.replace(mine, neutral)
        sys.stdout.write(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8787", text))


if __name__ == "__main__":
    main()
