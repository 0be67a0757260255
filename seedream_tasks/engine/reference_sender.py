"""How a job's references reach a gateway: as links, through its file service, or inline; converted if needed."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..core.capabilities import Capability, Transport
from ..core.errors import GatewayFault, ReferenceFault
from ..core.jobs import Job, Reference
from ..core.preflight import shown
from ..core.reference_transport import Presentation, presentation, presentations, unlinked
from ..gateways.client import GatewayClient
from ..gateways.dialect import Uploaded
from ..ledger import gateway_files
from ..ledger.gateway_files import GatewayFile
from ..ledger.writer import Ledger
from ..references.convert import Converted
from ..references.reader import References, copy_name, data_uri, file_name

logger = logging.getLogger("seedream_tasks.engine")

CONVERTED = "reference_converted"
# An upload must outlive the task that uses it; both file services keep a file for 72 hours.
_GOOD_FOR = timedelta(hours=2)
_UPLOAD_LIFE = timedelta(hours=71)
# Unneeded files deleted at once when a file service is full. Few: the next shot may use them again.
_MAKES_ROOM_FOR = 10
_ROOM_CHECK_S = 1.0
_ROOM_WITHIN_S = 600.0
_MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


@dataclass(frozen=True, slots=True)
class Presented:
    """A request's references as they are sent."""

    links: list[str]  # links or data URIs, in order
    warnings: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()  # keys of the uploads that it links to


class _Full(Exception):
    def __init__(self, fault: GatewayFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Presenter:
    """Presents references; each content is uploaded once per account and reused until it expires."""

    def __init__(self, references: References, ledger: Ledger, stopped: Callable[[], bool]) -> None:
        self._references = references
        self._ledger = ledger
        self._stopped = stopped
        self._uploading: dict[str, asyncio.Task[str]] = {}
        # Accounts whose file service was full: there one job uploads at a time, or none would get all it needs.
        self._tight: dict[str, asyncio.Lock] = {}
        self._vain: set[str] = set()

    async def present(self, job: Job, row: Capability, client: GatewayClient) -> Presented:
        """Prepare a job's references for the gateway.

        Raises ReferenceFault (the file is missing or has changed) or GatewayFault (the upload failed); nothing is bought then.
        """
        if not job.references:
            return Presented([])
        tight = self._tight.get(client.account.name)
        if tight is None:
            try:
                return await self._present(job, row, client, set())
            except _Full:
                tight = self._tight.setdefault(client.account.name, asyncio.Lock())
        async with tight:
            return await self._in_turn(job, row, client)

    async def _in_turn(self, job: Job, row: Capability, client: GatewayClient) -> Presented:
        """Present, making or awaiting room in a full file service; after one failed wait, nobody waits there again."""
        account = client.account.name
        until = time.monotonic() + _ROOM_WITHIN_S
        mine: set[str] = set()
        while True:
            try:
                return await self._present(job, row, client, mine)
            except _Full as full:
                if await self._make_room(client, mine):
                    continue
                if self._stopped() or account in self._vain or not await self._may_get_room(account, mine):
                    raise full.fault from None
                if time.monotonic() > until:
                    self._vain.add(account)
            await asyncio.sleep(_ROOM_CHECK_S)

    async def _may_get_room(self, account: str, keep: set[str]) -> bool:
        return await self._ledger.read(lambda connection: gateway_files.may_become_spare(connection, account, keep))

    async def _make_room(self, client: GatewayClient, keep: set[str]) -> bool:
        """Delete uploads of ours that no live attempt links to."""
        account = client.account.name
        spare = await self._ledger.write(
            lambda connection: gateway_files.spare(connection, account, keep, _MAKES_ROOM_FOR, datetime.now(UTC))
        )
        deleted = 0
        for each in spare:
            try:
                await client.delete_upload(each.file_id or "")
                deleted += 1
            except GatewayFault as fault:
                # Forgotten here but not deleted there: it takes up room until it expires.
                logger.warning("%s: an upload that is not needed stays: %s", client.gateway, fault.message)
        return deleted > 0

    async def _present(self, job: Job, row: Capability, client: GatewayClient, uploaded: set[str]) -> Presented:
        # A plan has checked its references; those passed by a user's own flow have not been checked.
        references = [
            each if each.public is not None else await asyncio.to_thread(self._references.checked, each)
            for each in job.references
        ]
        links: list[str] = []
        converted = False
        keys: list[str] = []
        for reference, found in zip(references, presentations(references, row), strict=True):
            way = found
            if way is not None and way.way is Transport.URL:
                link = await asyncio.to_thread(self._references.link, reference)
                if link is not None:
                    links.append(link)
                    continue
                way = presentation(unlinked(reference), row)  # its store no longer signs links
            if way is None:
                raise ReferenceFault(f"{shown(reference.uri)} cannot be presented to {row.gateway}", uri=reference.uri)
            converted = converted or bool(way.changes)
            if way.way is Transport.INLINE:
                sent = await self._sent(reference, way)
                links.append(data_uri(sent.content, _mime(sent)))
            else:
                keys.append(_upload_key(client, reference, way))
                uploaded.add(keys[-1])
                links.append(await self._uploaded(keys[-1], reference, way, client))
        return Presented(links, (CONVERTED,) if converted else (), tuple(dict.fromkeys(keys)))

    async def _sent(self, reference: Reference, way: Presentation) -> Converted:
        """The bytes to send: the file's, or those of its converted copy."""
        if way.changes:
            return await asyncio.to_thread(self._references.converted, reference, way.fits)
        return Converted(await asyncio.to_thread(self._references.content, reference), reference.format or "")

    async def _uploaded(self, key: str, reference: Reference, way: Presentation, client: GatewayClient) -> str:
        task = self._uploading.get(key)
        if task is None:
            task = self._uploading[key] = asyncio.create_task(self._upload(key, reference, way, client))
            task.add_done_callback(lambda _: self._uploading.pop(key, None))
        return await asyncio.shield(task)

    async def _upload(self, key: str, reference: Reference, way: Presentation, client: GatewayClient) -> str:
        good_until = datetime.now(UTC) + _GOOD_FOR
        known = await self._ledger.read(lambda connection: gateway_files.known_upload(connection, key, good_until))
        if known:
            return known
        sent = await self._sent(reference, way)
        found = await _patiently(client, sent.content, file_name(sent.format), _mime(sent))
        now = datetime.now(UTC)
        upload = GatewayFile(key, client.account.name, found.url, found.file_id, found.expires_at or now + _UPLOAD_LIFE)
        await self._ledger.write(lambda connection: gateway_files.remember_upload(connection, upload, now))
        return found.url


def _upload_key(client: GatewayClient, reference: Reference, way: Presentation) -> str:
    # With the base URL: a link into the embedded sandbox is valid only for the port it was made on.
    content = copy_name(reference, way.fits) if way.changes else reference.sha256
    return f"{client.account.name} {client.account.base_url} {content}"


def _mime(sent: Converted) -> str:
    return _MIME.get(sent.format, "application/octet-stream")


async def _patiently(client: GatewayClient, content: bytes, name: str, mime_type: str) -> Uploaded:
    """An upload costs nothing, so it may be repeated."""
    for wait in (1.0, 3.0, 9.0, None):
        try:
            return await client.upload(content, name, mime_type)
        except GatewayFault as fault:
            if fault.facts.get("full"):
                raise _Full(fault) from None
            status = fault.facts.get("status")
            if wait is None or (status is not None and status < 500 and status != 429):
                raise
            await asyncio.sleep(fault.facts.get("retry_after_s") or wait)
    raise AssertionError("the last try returns or raises")
