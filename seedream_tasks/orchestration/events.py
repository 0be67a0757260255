"""Events of a run for automations, with the figures and what to do. Read from the ledger, so they are the same whichever
process did the work.

Prefect's own `emit_event` sends in the background and drops what it cannot send. An event that must be sent exactly once is an
`Alert` instead: it counts as sent when Prefect's server has accepted it, and until then each run and pass tries again.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.events import Event, Resource, emit_event
from prefect.events.related import related_resources_from_run_context
from prefect.exceptions import ObjectNotFound
from sqlalchemy import Connection

from ..core.advice import advice
from ..core.money import plain
from ..core.states import Reason, RecordStatus
from ..ledger import alerts, attempt_rows
from ..ledger.writer import Ledger
from ..planning.shrunken_catalog import Shrunk
from ..runs.summary import Summary

COMPLETED, BUDGET, DRIFT = "seedream.run.completed", "seedream.budget.reached", "seedream.price.drift"
SHRANK = "seedream.catalog.shrank"
_DRIFT_TODO = (
    "Compare it with the gateway's own bill, then name the price in a price file (`prices`);"
    " until then every run stops buying there."
)

logger = logging.getLogger("seedream_tasks.orchestration")

_NAMESPACE = uuid.UUID("0d0f4f0e-6c1c-4f4e-8f0a-6a1d2b7c9e35")
# A server whose database is busy answers late, and the next run may be a week away.
_TAKEN_WITHIN_S = 60.0
_AT_ONCE = 50


@dataclass(frozen=True)
class Alert:
    """An event that is sent once. `key`: distinguishes it from others of its name."""

    event: str
    key: str
    run_id: str  # that bought
    payload: dict[str, Any]

    def as_event(self) -> Event:
        """As a Prefect event: a repeat has the same id and counts once."""
        return Event(
            id=uuid.uuid5(_NAMESPACE, f"{self.event}\n{self.key}"),
            event=self.event,
            resource=Resource(run_resource(self.run_id)),
            payload=self.payload,
        )


async def are_told(alerts: Sequence[Alert]) -> bool:
    """Post these to Prefect's server as events of the current flow run; returns whether it confirmed them."""
    try:
        async with asyncio.timeout(_TAKEN_WITHIN_S), get_client() as client:
            related = await related_resources_from_run_context(client)
            for start in range(0, len(alerts), _AT_ONCE):
                events = [each.as_event() for each in alerts[start : start + _AT_ONCE]]
                body = [each.model_copy(update={"related": related}).model_dump(mode="json") for each in events]
                await client.request("POST", "/events", json=body)
    except (TimeoutError, httpx.HTTPError, ObjectNotFound) as error:
        names = ", ".join(sorted({each.event for each in alerts}))
        logger.warning(
            "Prefect's server did not take %s, the next run or pass tells it: %s", names, error or "too slow"
        )
        return False
    return True


def run_resource(run_id: str) -> dict[str, str]:
    """The resource of events about a run."""
    return {"prefect.resource.id": f"seedream.run.{run_id}", "prefect.resource.name": f"run {run_id}"}


def tell_shrunk(run_id: str, shrunk: Shrunk) -> None:
    """The catalog lost most of the last run's products: sent before anything is bought."""
    payload = {
        "run_id": run_id,
        "products_before": shrunk.before,
        "products_still_there": shrunk.still,
        "catalog_before": shrunk.catalog_uri,
        "what_to_do": "Compare the catalog with its source; until it is whole, do not prune.",
    }
    emit_event(SHRANK, resource=run_resource(run_id), payload=payload)


async def tell_end(ledger: Ledger, summary: Summary, manifest: str) -> None:
    """A run has ended: its figures; if a cap limited it, by how much; what gateways charged above the reservation."""
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
            attempt_rows.note(connection, alerts.TOLD_DRIFT, "", each.attempt_id, run_id)

    drifts = [
        Alert(
            DRIFT,
            each.attempt_id,
            each.run_id,
            {
                "attempt_id": each.attempt_id,
                "run_id": each.run_id,
                "row_key": each.row_key,
                "shot": each.shot,
                "gateway": each.gateway,
                "model": each.model,
                "reserved_usd": plain(each.reserved_usd),
                "billed_usd": plain(each.billed_usd),
                "what_to_do": _DRIFT_TODO,
            },
        )
        for each in found
    ]
    if drifts and await are_told(drifts):
        await ledger.write(told)
