"""What a run was to cost and what it did, by gateway: in its summary file, in the manifest, and on Prefect's page."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from runs import read, write_catalog
from sandbox_process import Sandbox

from seedream_tasks import catalog_images


async def result_artifact(run_id: str) -> str:
    """What the page shows after a run."""
    async with get_client() as client:
        (found,) = await client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]), key=ArtifactFilterKey(any_=["seedream-result"])
            )
        )
    return str(found.data)


def test_forecast_and_actual_stand_side_by_side_for_each_gateway(gateways: Sandbox, tmp_path: Path) -> None:
    """Fewer images cost less than quoted, another price more, another model the same; each sum is the gateway's own bill."""
    faults = {"Fewer": "fewer_images", "Model": "other_model", "Dear": "other_price"}
    gateways.faults([{"gateway": "*", "kind": kind, "match": word} for word, kind in faults.items()])
    catalog = write_catalog(
        tmp_path / "c.csv",
        {"sku": "a", "prompt": "Fewer", "n": 3, "gateways": "evolink"},
        {"sku": "b", "prompt": "Model", "n": 1, "gateways": "evolink"},
        {"sku": "c", "prompt": "Dear", "n": 1, "gateways": "getimg"},
    )
    state: Any = asyncio.run(catalog_images(str(catalog), archive=str(tmp_path / "a"), return_state=True))
    result = asyncio.run(state.aresult())
    records = {row["row_key"]: row for row in read(tmp_path / "a", result["run_id"])}
    assert [records[key]["warnings"] for key in "abc"] == [["fewer_images"], ["other_model"], ["price_drift"]]
    assert records["b"]["model_reported"] != records["b"]["model"]
    summary = json.loads((tmp_path / "a" / "runs" / result["run_id"] / "summary.json").read_text())
    amounts = {"evolink": ("0.124", "0.093"), "getimg": ("0.04", "0.08")}
    counts = {"evolink": (2, 3), "getimg": (1, 1)}
    assert summary["by_gateway"] == {
        name: {
            "attempts": counts[name][0],
            "images": counts[name][1],
            "quoted_usd": quoted,
            "billed_usd": billed,
            "at_risk_usd": "0",
        }
        for name, (quoted, billed) in amounts.items()
    }
    bill = gateways.bill()["by_gateway"]
    assert {name: Decimal(bill[name]["usd"]) for name in amounts} == {n: Decimal(b) for n, (_, b) in amounts.items()}
    told = asyncio.run(result_artifact(result["run_id"]))
    for line in (
        "| gateway | attempts | images | quoted | billed | difference | at risk |",
        "| evolink | 2 | 3 | $0.124 | $0.093 | -$0.031 | $0.00 |",
        "| getimg | 1 | 1 | $0.04 | $0.08 | $0.04 | $0.00 |",
        "| quoted for it | $0.164 |",
        "| billed in this run | $0.173 |",
    ):
        assert line in told
