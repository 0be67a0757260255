"""Uploaded catalogs: the flow that watches a folder or bucket for them, and the function that announces one."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.settings import get_current_settings
from prefect.states import Completed

from ..config.environment import Environment
from ..config.pairing import open_pair
from ..core.errors import ConfigurationError
from ..ledger.catalog_uploads import CatalogUpload, noticed
from ..orchestration.artifacts import table
from ..orchestration.notifications import for_show
from ..orchestration.redacted_parameters import check_addresses, discreet_flow
from ..orchestration.retries import retried_if_it_may_help
from ..orchestration.run_settings import known_place_of
from .announce import PrefectApi, announce_waiting, event_of, with_digest
from .scan import file_name, settled_uri
from .watch import Watched, look_at


@discreet_flow(name="watch_uploads", persist_result=False, validate_parameters=True)
@retried_if_it_may_help
async def watch_uploads(
    prefix: str,
    pattern: str = "*",
    archive: str | None = None,
    ledger: str | None = None,
) -> Any:
    """Check a folder or bucket for catalogs once, and announce each new content with one event. Buys nothing.

    A file is taken once its size and modification time are unchanged in two checks; a store's object is taken at once. What
    `seedream serve` stored while Prefect was unreachable is announced too.

    Args:
        prefix: Where catalogs are put: a folder or any fsspec URI; what lies below it counts too.
        pattern: Which files, by their path below the prefix, such as `*.csv` or `shop-a/*`.
        archive: The archive of the runs; it names the ledger where `ledger` does not.
        ledger: The ledger that remembers what was seen: its SQLAlchemy URL, or a block: seedream-ledger/NAME.
    """
    check_addresses(prefix=prefix)
    store = await asyncio.to_thread(open_pair, await known_place_of(archive, ledger))
    try:
        seen = await look_at(store, prefix, pattern)
        sent = await announce_waiting(store, _server())
    finally:
        await asyncio.to_thread(store.close)
    if sent or seen.unreadable:
        async with for_show():
            await acreate_markdown_artifact(
                _markdown(prefix, seen, sent), key="seedream-uploads", description="Catalogs that have arrived"
            )
    return _state(seen, sent)


def _markdown(prefix: str, seen: Watched, sent: list[CatalogUpload]) -> str:
    parts = [f"# {len(sent)} new {'catalog' if len(sent) == 1 else 'catalogs'}", f"Watched: `{prefix}`"]
    if sent:
        rows = [[each.name, each.uri, each.size, _short(each.digest)] for each in sent]
        parts.append(table(["name", "address", "bytes", "sha256"], rows))
    if seen.unreadable:
        parts.append("## Could not be read, and is tried again")
        parts.append(table(["address", "why"], [[uri, why] for uri, why in seen.unreadable.items()]))
    return "\n\n".join(parts)


def _short(digest: str | None) -> str:
    """A shortened digest for the page; the event has all of it."""
    return f"{digest[:12]}..." if digest else "not read yet"


def _state(seen: Watched, sent: list[CatalogUpload]) -> State[Any]:
    counts = [
        (len(sent), "announced"),
        (seen.known, "known"),
        (len(seen.unsettled), "perhaps still being written"),
        (len(seen.unreadable), "unreadable"),
    ]
    message = ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing is there"
    result = {
        "announced": [each.uri for each in sent],
        "known": seen.known,
        "unsettled": seen.unsettled,
        "unreadable": seen.unreadable,
    }
    return Completed(name="Incomplete" if seen.unreadable else None, message=message, data=result)


def emit_catalog_uploaded(
    uri: str,
    digest: str | None = None,
    size: int | None = None,
    name: str | None = None,
    archive: str | None = None,
    ledger: str | None = None,
) -> bool:
    """Say that a catalog has been uploaded, so that deployments triggered by `seedream.catalog.uploaded` run.

    For programs that write catalogs: call it when the file is complete. `digest` is the sha256 (hex) of its bytes; without it
    the file is read. If a ledger is named (here, or by SEEDREAM_LEDGER or SEEDREAM_ARCHIVE), content that it has seen before is
    not announced again; otherwise Prefect treats repeats within minutes as one. Returns whether an event was sent.

    Raises InputError for a relative path, ConfigurationError without a Prefect server, PrefectUnreachable when that does not
    answer: with a ledger, the upload is kept there and announced by the next `watch_uploads` or `seedream serve`.
    """
    place = settled_uri(uri)
    upload = CatalogUpload(place, name or file_name(place), digest, None, size)
    api = _server()
    # In its own thread: this is called from both coroutines and plain functions.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _emit(upload, api, archive, ledger)).result()


async def _emit(upload: CatalogUpload, api: PrefectApi, archive: str | None, ledger: str | None) -> bool:
    environment = Environment()
    if not any((archive, ledger, environment.archive, environment.ledger)):
        read = await with_digest(upload)
        api.post([event_of(read, read.identity or str(uuid.uuid4()))])
        return True
    store = await asyncio.to_thread(open_pair, await known_place_of(archive, ledger))
    try:
        await store.write(lambda connection: noticed(connection, upload))
        return upload.uri in {each.uri for each in await announce_waiting(store, api)}
    finally:
        await asyncio.to_thread(store.close)


def _server() -> PrefectApi:
    """The server of this process, or of the flow run it is in. Raises ConfigurationError."""
    settings = get_current_settings().api
    context = FlowRunContext.get()
    url = settings.url or (str(context.client.api_url) if context else None)
    if not url:
        raise ConfigurationError(
            "there is no Prefect server to tell", field="PREFECT_API_URL", hint="set PREFECT_API_URL"
        )
    key, auth = settings.key, settings.auth_string
    return PrefectApi.at(url, key.get_secret_value() if key else None, auth.get_secret_value() if auth else None)
