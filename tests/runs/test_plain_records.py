"""Manifest records that are made column by column are those that are made one by one."""

from pathlib import Path

from runs import Ran, run, write_catalog
from sandbox_process import Sandbox
from witness import photo

from seedream_tasks.config.pairing import open_known
from seedream_tasks.config.settings import locations
from seedream_tasks.ledger.queries import job_views, known_jobs
from seedream_tasks.runs.frozen import FrozenRun
from seedream_tasks.runs.records import RunFacts, record

ROWS = [
    {"sku": "one", "prompt": "A lamp"},
    {"sku": "three", "prompt": "A vase", "n": "3"},
    {"sku": "photo", "prompt": "On a table", "operation": "edit", "references": "lamp.png"},
    {"sku": "fewer", "prompt": "A fewer bowl", "n": "3"},
    {"sku": "charged", "prompt": "A charged cup"},
    {"sku": "other", "prompt": "Another model"},
    {"sku": "busy", "prompt": "A busy desk"},
    {"sku": "no", "prompt": "A failed chair"},
    {"sku": "blank", "prompt": " "},
    {"sku": "one", "prompt": "A lamp"},
    {"sku": "spring", "prompt": "A garden", "edition": "spring"},
]


def one_by_one(ran: Ran) -> list[dict[str, object]]:
    """Every record of a run as the rules for one record have it."""
    place = locations(str(ran.archive), None, simulated=False)
    ledger = open_known(place)
    assert ledger is not None
    frozen = FrozenRun(place.archive, ran.run_id)
    rows = frozen.rows(0, len(frozen))
    frozen.close()
    keys = [row["job_key"] for row in rows if row["job_key"] and row["_settled"] is None]
    views = ledger.read_now(lambda connection: job_views(connection, keys))
    names = [(row["row_key"], row["shot"]) for row in rows if row["row_key"]]
    known = ledger.read_now(lambda connection: known_jobs(connection, names))
    assert all(len(jobs) == 1 for jobs in known.values())  # so no record shows the images of an earlier job
    ledger.close()
    facts = RunFacts.of(ledger, place.archive, ran.run_id, ran.summary.simulated)
    return [record(row, facts, views.get(row["job_key"]) if row["_settled"] is None else None) for row in rows]


def test_records_made_together_are_those_made_one_by_one(tmp_path: Path, gateways: Sandbox) -> None:
    """In the run that bought them and in one that takes them over, beside records of every other kind."""
    photo(tmp_path / "lamp.png", "teal")
    catalog = write_catalog(tmp_path / "catalog.csv", *ROWS)
    gateways.faults(
        [
            {"gateway": "*", "kind": "fewer_images", "match": "fewer", "rate": 1},
            {"gateway": "*", "kind": "other_price", "match": "charged", "rate": 1},
            {"gateway": "*", "kind": "other_model", "match": "Another model", "rate": 1},
            {"gateway": "*", "kind": "reject_content", "match": "failed", "rate": 1},
        ]
    )
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    again = run(catalog, tmp_path / "a", gateways=["evolink"])
    for ran in (first, again):
        singly = one_by_one(ran)
        assert len(singly) == len(ran.records)
        for together, alone in zip(ran.records, singly, strict=True):
            assert {name: together[name] for name in alone} == alone
        assert ran.summary.images == sum(each["image_count"] for each in ran.records)
        for name in ("quoted_usd", "billed_usd", "cost_usd", "at_risk_usd"):
            assert getattr(ran.summary, name) == sum(each[name] for each in ran.records)
        assert ran.summary.reused == sum(each["reused"] for each in ran.records)
    assert first.one("charged")["warnings"] != []
    assert first.one("other")["warnings"] != []
    assert again.one("three")["reused"]
