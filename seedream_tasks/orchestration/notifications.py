"""Notifications sent once: unknown payments, and images whose links expire. Artifact and events."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from sqlalchemy import Connection

from ..config.pairing import open_pair
from ..config.settings import Locations
from ..core.errors import SeedreamError
from ..core.market import market
from ..core.secrets import without_secrets
from ..core.states import AttemptState
from ..ledger import attempt_rows, queries, spending, unread_answers
from ..ledger.expiring import Expiring, expiring, notified_expiring
from ..ledger.urls import shown_url
from ..ledger.values import Attempt
from ..ledger.writer import Ledger
from ..planning.forecast import Forecast
from .artifacts import Unknown, stopped_markdown, unknown_markdown
from .events import Alert, are_told

logger = logging.getLogger("seedream_tasks.orchestration")

# Prefect itself retries for more than a minute each time.
_SHOWN_WITHIN_S = 10.0
# A link that expires sooner than this, without a copy, is reported.
EXPIRES_WITHIN = timedelta(hours=6)
# A stopped run leaves within ten seconds.
_STOPPED_WITHIN_S = 4.0
_LIVE = (AttemptState.INTENT, AttemptState.ACCEPTED, AttemptState.DELIVERED, AttemptState.UNKNOWN)
_EXPIRING_TODO = (
    "Its copy could not be made yet. See the log of `collect_images` for the reason, mend it (the gateway's key, the archive),"
    " and run `seedream collect` before the link dies; afterwards the image is gone and stays billed."
)

_UNREADABLE_TODO = (
    "It is asked for again, and given up as lost after seven days. Ask the gateway's support what its answer means;"
    " `seedream attempts` shows it."
)


@asynccontextmanager
async def for_show() -> AsyncIterator[None]:
    """For display only: a failing Prefect server does not stop a run, which follows and archives what is paid without it."""
    try:
        async with asyncio.timeout(_SHOWN_WITHIN_S):
            yield
    except (TimeoutError, httpx.HTTPError) as error:
        logger.warning("Prefect's server does not show it: %s: %s", type(error).__name__, error)


async def name_run(catalog: str, figures: Forecast) -> None:
    """Name this flow run after what it will buy, and tag it with the gateways; a user-given name is kept."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        return
    count = figures.by_status.get("planned", 0)
    ours = re.fullmatch(rf"{re.escape(catalog)} \d{{4}}-\d\d-\d\d", run.name)
    name = f"{catalog}: {count or 'nothing'} to buy" if ours else run.name
    tags = [*dict.fromkeys([*run.tags, *figures.by_gateway])]
    async with for_show(), get_client() as client:
        await client.update_flow_run(run.id, name=name, tags=tags)
        run.name, run.tags = name, tags  # what its hooks are given


async def show_stopped(place: Locations, run_id: str) -> None:
    """An artifact of a stopped run: what it leaves in flight, in money."""

    def look(connection: Connection) -> tuple[list[tuple[Attempt, str, str]], dict[str, Decimal]]:
        live = [each for state in _LIVE for each in queries.list_attempts(connection, state, run_id)]
        return live, spending.spent(connection, run_id)

    try:
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            store = await asyncio.to_thread(open_pair, place, create=False)
            try:
                live, money = await store.read(look)
            finally:
                await asyncio.to_thread(store.close)
            async with for_show():
                await acreate_markdown_artifact(
                    stopped_markdown(live, money["reserved_usd"], money["at_risk_usd"]),
                    key="seedream-stopped",
                    description="What the run left in flight",
                )
    except (SeedreamError, TimeoutError) as error:
        logger.warning("what this run left in flight is not shown: %s", error or type(error).__name__)


async def show_unknown(ledger: Ledger, by: str) -> int:
    """Unknown payments: an artifact with all of them, and an event for each not yet reported.

    `by`: the reporting run. Returns their number.
    """

    def look(connection: Connection) -> tuple[list[Unknown], set[str]]:
        found = [
            Unknown(
                each.attempt_id,
                each.run_id,
                row_key,
                shot,
                each.gateway,
                each.account,
                each.intent_at,
                each.at_risk_usd,
            )
            for each, row_key, shot in queries.list_attempts(connection, AttemptState.UNKNOWN)
        ]
        return found, set(queries.unknown_to_notify(connection))

    def told(connection: Connection) -> None:
        for attempt_id in sorted(untold):
            attempt_rows.note(connection, queries.TOLD_UNKNOWN, "", attempt_id, by)

    found, untold = await ledger.read(look)
    if not found:
        return 0
    text = unknown_markdown(found, shown_url(ledger.url))
    async with for_show():
        await acreate_markdown_artifact(text, key="seedream-unknown", description="Payments of unknown fate")
    alerts = [
        Alert("seedream.attempt.unknown", each.attempt_id, each.run_id, each.payload())
        for each in found
        if each.attempt_id in untold
    ]
    if alerts and await are_told(alerts):
        await ledger.write(told)
    return len(found)


async def tell_unreadable(ledger: Ledger, by: str) -> None:
    """Tasks with unreadable gateway answers: an event for each not yet reported. `by`: the reporting run."""
    found = await ledger.read(unread_answers.untold)

    def told(connection: Connection) -> None:
        for each in found:
            attempt_rows.note(connection, unread_answers.TOLD_UNREADABLE, "", each.attempt_id, by)

    alerts = [
        Alert(
            "seedream.attempt.unreadable",
            each.attempt_id,
            each.run_id,
            {**asdict(each), "answer": without_secrets(each.answer), "what_to_do": _UNREADABLE_TODO},
        )
        for each in found
    ]
    if alerts and await are_told(alerts):
        await ledger.write(told)


async def tell_expiring(ledger: Ledger) -> list[Expiring]:
    """Images whose links expire soon: an event for each not yet reported. Returns all of them."""
    until = datetime.now(UTC) + EXPIRES_WITHIN
    found = await ledger.read(lambda connection: expiring(connection, until, _link_lives()))
    untold = [each for each in found if not each.told]
    alerts = [
        Alert("seedream.image.expiring", f"{each.attempt_id} {each.ordinal}", each.run_id, _payload(each))
        for each in untold
    ]
    if alerts and await are_told(alerts):
        await ledger.write(lambda connection: notified_expiring(connection, untold))
    return found


def _link_lives() -> Mapping[tuple[str, str], timedelta]:
    return {
        offer: timedelta(seconds=row.link_life_s.value)
        for offer, row in market().by_offer.items()
        if row.link_life_s is not None
    }


def _payload(each: Expiring) -> dict[str, object]:
    return {
        "attempt_id": each.attempt_id,
        "run_id": each.run_id,
        "picture": each.ordinal,
        "row_key": each.row_key,
        "shot": each.shot,
        "gateway": each.gateway,
        "account": each.account,
        "task_id": each.task_id,
        "expires_at": each.expires_at.isoformat(),
        "delivered": each.delivered,
        "what_to_do": _EXPIRING_TODO,
    }


def expiring_rows(found: Sequence[Expiring]) -> list[list[object]]:
    """As table rows: key, shot, gateway, task, when its link expires."""
    return [
        [each.row_key, each.shot, each.gateway, each.task_id, f"{each.expires_at:%Y-%m-%d %H:%M} UTC"] for each in found
    ]
