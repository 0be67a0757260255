"""Announces uploaded catalogs to Prefect's server, with confirmation.

Prefect's own `emit_event` sends in the background and drops what it cannot send. An upload stays in the ledger until the
server has answered, so its event is posted here. An event's id is derived from its content, so the server recognizes a repeat.
Does not import Prefect, which takes seconds to load: `seedream serve` uses this too.
"""

import asyncio
import base64
import ipaddress
import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx

from ..core.errors import SeedreamError
from ..ledger import identity
from ..ledger.catalog_uploads import CatalogUpload, Waiting, announced, identified, unannounced
from ..ledger.writer import Ledger
from .scan import read_digest, slug

logger = logging.getLogger("seedream_tasks.uploads")

UPLOADED = "seedream.catalog.uploaded"
_NAMESPACE = uuid.UUID("5c2f8f0e-2a5b-4a5e-9a45-3d1f5d6f9a10")
_TIMEOUT_S = 30.0
_READ_WITHIN_S = 300.0
_AT_ONCE = 50


class PrefectUnreachable(SeedreamError):
    """Prefect's server did not take an event; the upload waits in the ledger."""

    code = "prefect_unreachable"


@dataclass(frozen=True)
class PrefectApi:
    """The event endpoint of Prefect's server."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, url: str, key: str | None = None, auth: str | None = None) -> "PrefectApi":
        """The server at this address, with an API key or `user:password`."""
        headers = {}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        elif auth:
            headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
        return cls(url.rstrip("/"), headers)

    @classmethod
    def from_environment(cls) -> "PrefectApi | None":
        """The server at PREFECT_API_URL; None if that is not set."""
        url = os.environ.get("PREFECT_API_URL", "").strip()
        if not url:
            return None
        return cls.at(url, os.environ.get("PREFECT_API_KEY"), os.environ.get("PREFECT_API_AUTH_STRING"))

    def _is_here(self) -> bool:
        host = httpx.URL(self.url).host
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def post(self, events: list[dict[str, Any]]) -> None:
        """Post these events. Raises PrefectUnreachable."""
        try:
            answer = httpx.post(
                f"{self.url}/events",
                json=events,
                headers=dict(self.headers),
                timeout=_TIMEOUT_S,
                trust_env=not self._is_here(),  # a proxy stands between machines, never between this one and itself
            )
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise PrefectUnreachable(
                f"Prefect's server at {self.url} refuses the event: {error.response.status_code}"
                f" {error.response.text[:200]}"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PrefectUnreachable(f"Prefect's server at {self.url} cannot be reached: {error}") from None


def event_of(upload: CatalogUpload, which: str) -> dict[str, Any]:
    """An upload's event; `which` distinguishes it from others about the same file."""
    return {
        "id": str(uuid.uuid5(_NAMESPACE, f"{upload.uri}\n{which}")),
        "occurred": datetime.now(UTC).isoformat(),
        "event": UPLOADED,
        "resource": {
            "prefect.resource.id": f"seedream.catalog.{slug(upload.name)}",
            "prefect.resource.name": upload.name,
        },
        "related": [],
        "payload": {"uri": upload.uri, "digest": upload.digest, "size": upload.size, "name": upload.name},
    }


async def announce_waiting(ledger: Ledger, api: PrefectApi) -> list[CatalogUpload]:
    """Send the event of every waiting upload; returns those sent. Raises PrefectUnreachable, LedgerFault."""
    unread = set()
    for each in await ledger.read(unannounced):
        if not each.identity and not await _identify(ledger, each):
            unread.add(each)
    ledger_id = await ledger.read(identity.ledger_id)
    # A notice that arrived in the meantime without content details is left to the next pass.
    waiting = [each for each in await ledger.read(unannounced) if each.identity or each in unread]
    for start in range(0, len(waiting), _AT_ONCE):
        some = waiting[start : start + _AT_ONCE]
        events = [event_of(each.upload, f"{ledger_id} {each.identity or each.last_seen}") for each in some]
        await asyncio.to_thread(api.post, events)
        await ledger.write(lambda connection, sent=some: announced(connection, sent))  # type: ignore[misc]
    return [each.upload for each in waiting]


async def _identify(ledger: Ledger, waiting: Waiting) -> bool:
    read = await with_digest(waiting.upload)
    if read.digest is None:
        return False
    await ledger.write(lambda connection: identified(connection, waiting, read))
    return True


async def with_digest(upload: CatalogUpload) -> CatalogUpload:
    """The upload with its file's digest, if the file can be read here; web addresses are not fetched."""
    if upload.digest is not None or upload.uri.startswith(("http://", "https://")):
        return upload
    try:
        # Not wait_for: in Python 3.11 it loses a cancellation that arrives as the read ends, and serve would not stop.
        async with asyncio.timeout(_READ_WITHIN_S):
            digest, size = await asyncio.to_thread(read_digest, upload.uri)
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own; the run reads the file itself
        logger.info(
            "%s cannot be read here, so its event has no digest: %s: %s", upload.uri, type(error).__name__, error
        )
        return upload
    return replace(upload, digest=digest, size=size)
