"""How a job's references reach a gateway: as they are, through its file service, or inline."""

import asyncio
from datetime import UTC, datetime, timedelta

from ..core.capabilities import Capability, Transport
from ..core.errors import GatewayFault, ReferenceFault
from ..core.jobs import Job, Reference
from ..core.preflight import shown, transport
from ..gateways.client import GatewayClient
from ..gateways.dialect import Uploaded
from ..ledger import facts
from ..ledger.store import Ledger
from ..media.references import References, data_uri, file_name

# An upload must outlive the task that uses it; both file services keep a file for 72 hours.
_GOOD_FOR = timedelta(hours=2)
_UPLOAD_LIFE = timedelta(hours=71)
_MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


class Presenter:
    """Presents references; each content is uploaded once per account and reused until it expires."""

    def __init__(self, references: References, ledger: Ledger) -> None:
        self._references = references
        self._ledger = ledger
        self._uploading: dict[tuple[str, str], asyncio.Task[str]] = {}

    async def present(self, job: Job, row: Capability, client: GatewayClient) -> list[str]:
        """The links or data URIs that the gateway is to be sent, in order.

        Raises ReferenceFault (the file is gone or another one now) or GatewayFault (the upload failed); nothing is bought then.
        """
        return [await self._one(reference, row, client) for reference in job.references]

    async def _one(self, reference: Reference, row: Capability, client: GatewayClient) -> str:
        way = transport(reference, row)
        if way is None:
            raise ReferenceFault(f"{shown(reference.uri)} cannot be presented to {row.gateway}", uri=reference.uri)
        if way is Transport.URL:
            return reference.uri
        mime_type = _MIME.get(reference.format or "", "application/octet-stream")
        if way is Transport.INLINE:
            return data_uri(await asyncio.to_thread(self._references.content, reference), mime_type)
        return await self._uploaded(reference, mime_type, client)

    async def _uploaded(self, reference: Reference, mime_type: str, client: GatewayClient) -> str:
        key = (client.account.name, reference.sha256 or "")
        task = self._uploading.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._uploading[key] = asyncio.create_task(self._upload(reference, mime_type, client))
        return await asyncio.shield(task)

    async def _upload(self, reference: Reference, mime_type: str, client: GatewayClient) -> str:
        # With the base URL: a link into the embedded sandbox is good for the port it was made on.
        account, digest = f"{client.account.name} {client.account.base_url}", reference.sha256 or ""
        good_until = datetime.now(UTC) + _GOOD_FOR
        known = await self._ledger.read(lambda connection: facts.upload(connection, account, digest, good_until))
        if known:
            return known
        content = await asyncio.to_thread(self._references.content, reference)
        uploaded = await _patiently(client, content, file_name(reference), mime_type)
        expires_at = uploaded.expires_at or datetime.now(UTC) + _UPLOAD_LIFE
        await self._ledger.write(
            lambda connection: facts.remember_upload(connection, account, digest, uploaded.url, expires_at)
        )
        return uploaded.url


async def _patiently(client: GatewayClient, content: bytes, name: str, mime_type: str) -> Uploaded:
    """An upload costs nothing, so it may be repeated."""
    for wait in (1.0, 3.0, 9.0):
        try:
            return await client.upload(content, name, mime_type)
        except GatewayFault as fault:
            status = fault.facts.get("status")
            if status is not None and status < 500 and status != 429:
                raise
            await asyncio.sleep(fault.facts.get("retry_after_s") or wait)
    return await client.upload(content, name, mime_type)
