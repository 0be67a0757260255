"""The flow that finishes what runs left in flight: one pass per scheduled run."""

import asyncio
from collections.abc import Sequence
from typing import Any

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from ..config.pairing import open_pair
from ..config.settings import Locations
from ..core.money import dollars
from ..engine.progress import Event, Progress, listen
from ..ledger.expiring import Expiring
from ..ledger.store import exists
from ..ledger.urls import shown_url
from ..maintenance.collect import Collected, collect
from .artifacts import table
from .notifications import (
    expiring_rows,
    for_show,
    show_unknown,
    tell_expiring,
    tell_unreadable,
)
from .redacted_parameters import discreet_flow
from .retries import retried_if_it_may_help
from .run_settings import access_to, known_place_of
from .shutdown import cancelled_by_a_person, in_order

_SAVED = frozenset({"archived", "surplus"})
_SHOWN = 200


@discreet_flow(name="collect_images", persist_result=False, validate_parameters=True)
@cancelled_by_a_person
@retried_if_it_may_help
async def collect_images(
    archive: str | None = None, ledger: str | None = None, gateways: list[str] | None = None
) -> Any:
    """Finish what runs have left in flight: poll, archive what is done, rewrite the manifests that change. Buys nothing.

    Args:
        archive: Where the images of the runs go; default: ./seedream-out.
        ledger: SQLAlchemy URL of the ledger, without a password, or a block: seedream-ledger/NAME; default: ledger.db in a local
            archive.
        gateways: Whose keys to ask with: names, with keys from the environment, or blocks: seedream-gateway/NAME; default: all
            that the environment configures.
    """
    place = await known_place_of(archive, ledger)
    accounts = (await access_to(gateways, needed=False)).accounts if gateways else None
    if await asyncio.to_thread(_untouched, place):
        return Completed(
            message=f"nothing was ever bought here: there is no ledger at {shown_url(place.ledger_url)} yet"
        )
    told: list[Event] = []
    stop_listening = listen(lambda _, event: told.append(event) if event else None)
    try:
        with in_order():
            done = await collect(place, Progress(), accounts)
    finally:
        stop_listening()
    store = await asyncio.to_thread(open_pair, place, create=False)
    try:
        dying = await tell_expiring(store)
        await show_unknown(store, str(flow_run.id))
        await tell_unreadable(store, str(flow_run.id))
    finally:
        await asyncio.to_thread(store.close)
    saved = [each for each in told if each.kind in _SAVED]
    if saved or dying or done.expired:
        async with for_show():
            await acreate_markdown_artifact(
                _markdown(done, saved, dying),
                key="seedream-collect",
                description="What was saved, and what is about to expire",
            )
    return _state(done, dying)


def _untouched(place: Locations) -> bool:
    """Whether neither ledger nor archive has been used; an archive with a missing ledger is reported as an error."""
    return not exists(place.ledger_url) and place.archive.marker() is None and not place.archive.list_runs()


def _markdown(done: Collected, saved: Sequence[Event], dying: Sequence[Expiring]) -> str:
    parts = [f"# {done.archived} saved, {len(dying)} about to expire", _in_a_line(done)]
    if dying:
        parts.append("## Links that die within six hours, without a copy")
        parts.append(table(["key", "shot", "gateway", "task", "link dies"], expiring_rows(dying[:_SHOWN])))
    if saved:
        more = f" (the first {_SHOWN} of {len(saved)})" if len(saved) > _SHOWN else ""
        parts.append(f"## Saved{more}")
        parts.append(
            table(["key", "shot", "images"], [[each.row_key, each.shot, each.text] for each in saved[:_SHOWN]])
        )
    if done.manifests:
        parts.append("\n".join(["## Manifests written again", *(f"- `{uri}`" for uri in done.manifests)]))
    return "\n\n".join(parts)


def _in_a_line(done: Collected) -> str:
    counts = {
        "asked for": done.polled,
        "archived": done.archived,
        "expired": done.expired,
        "still in flight": done.still_in_flight,
        "of unknown fate": done.unknown,
    }
    text = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{text}; {dollars(done.billed_usd)} billed" if text else "nothing is in flight"


def _state(done: Collected, dying: Sequence[Expiring]) -> State[Any]:
    message = _in_a_line(done)
    if dying:
        message += f"; {len(dying)} images about to expire"
    complete = not (done.still_in_flight or done.unknown)
    return Completed(
        name=None if complete else "Incomplete",
        message=message,
        data={**done.as_json(), "expiring": len(dying), "exit_status": 0 if complete else 3},
    )
