"""What automations are told of a run: events with the figures and what to do. Read from the ledger, so it is the same whoever
did the work, in this process or another.
"""

from typing import Any

from prefect.events import emit_event
from sqlalchemy import Connection

from ..core.advice import advice
from ..core.money import plain
from ..core.states import Reason, RecordStatus
from ..ledger import alerts, transitions
from ..ledger.store import Ledger
from ..planning.shrunken_catalog import Shrunk
from ..runs.manifest import Summary

COMPLETED, BUDGET, DRIFT = "seedream.run.completed", "seedream.budget.reached", "seedream.price.drift"
SHRANK = "seedream.catalog.shrank"
_DRIFT_TODO = (
    "Compare it with the gateway's own bill, then name the price in a price file (`prices`);"
    " until then every run stops buying there."
)


def run_resource(run_id: str) -> dict[str, str]:
    """The resource of events about a run."""
    return {"prefect.resource.id": f"seedream.run.{run_id}", "prefect.resource.name": f"run {run_id}"}


def tell_shrunk(run_id: str, shrunk: Shrunk) -> None:
    """The catalog lost most of the last run's products: told before anything is bought."""
    payload = {
        "run_id": run_id,
        "products_before": shrunk.before,
        "products_still_there": shrunk.still,
        "catalog_before": shrunk.catalog_uri,
        "what_to_do": "Compare the catalog with its source; until it is whole, do not prune.",
    }
    emit_event(SHRANK, resource=run_resource(run_id), payload=payload)


async def tell_end(ledger: Ledger, summary: Summary, manifest: str) -> None:
    """A run has ended: its figures; where a cap held it back, by how much; what gateways charged above the reservation."""
    run_id = summary.run_id
    held = await ledger.read(lambda connection: alerts.held_back(connection, run_id))
    if held is not None:
        payload = {
            "run_id": run_id,
            "jobs": held.jobs,
            "deferred_usd": plain(held.usd),
            "what": held.message,
            "what_to_do": advice(RecordStatus.DEFERRED, Reason.OVER_CAP, None),
        }
        emit_event(BUDGET, resource=run_resource(run_id), payload=payload)
    await _tell_drift(ledger, run_id)
    emit_event(COMPLETED, resource=run_resource(run_id), payload={**summary.as_json(), **_end(summary, manifest)})


def _end(summary: Summary, manifest: str) -> dict[str, Any]:
    return {"manifest": manifest, "complete": summary.complete, "by_gateway": summary.gateways()}


async def _tell_drift(ledger: Ledger, run_id: str) -> None:
    """Each charge above its reservation, once, whichever run bought it."""
    found = await ledger.read(alerts.untold_drift)

    def told(connection: Connection) -> None:
        for each in found:
            transitions.note(connection, alerts.TOLD_DRIFT, "", each.attempt_id, run_id)

    for each in found:
        payload = {
            "attempt_id": each.attempt_id,
            "run_id": each.run_id,
            "row_key": each.row_key,
            "shot": each.shot,
            "gateway": each.gateway,
            "model": each.model,
            "reserved_usd": plain(each.reserved_usd),
            "billed_usd": plain(each.billed_usd),
            "what_to_do": _DRIFT_TODO,
        }
        emit_event(DRIFT, resource=run_resource(each.run_id), payload=payload)
    if found:
        await ledger.write(told)
