"""The endpoints for upload notices, and the loop that announces them: stored first, so that no restart loses one."""

import asyncio
import base64
import binascii
import contextlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from ..config.environment import variable
from ..core.errors import InputError, LedgerFault
from ..core.printable import IN_FULL
from ..ledger.catalog_uploads import CatalogUpload, noticed
from ..ledger.writer import Ledger
from .announce import PrefectApi, PrefectUnreachable, announce_waiting
from .notices import Confirmation, plain_notice, store_notice

logger = logging.getLogger("seedream_tasks.uploads")

_SECRET = variable("upload_secret")
# Retry interval for uploads that could not be announced.
_AGAIN_AFTER_S = 15.0
_STORE_WITHIN_S = 10.0


class UploadRoutes:
    """The routes, on an open ledger.

    `secret` None: all requests are refused. `prefect` None: stored uploads are announced by another process.
    """

    def __init__(self, ledger: Ledger, secret: str | None, prefect: PrefectApi | None) -> None:
        self._ledger = ledger
        self._secret = secret
        self._prefect = prefect
        self._came = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and the loop while the application runs."""
        app.router.add_post("/uploads", self.plain)
        app.router.add_post("/uploads/s3", self.store)
        app.cleanup_ctx.append(self._announcing)

    async def plain(self, request: web.Request) -> web.Response:
        """Our own JSON, for any program that uploads catalogs."""
        return await self._take(request, lambda body: [plain_notice(body)])

    async def store(self, request: web.Request) -> web.Response:
        """A notice of an S3-compatible store, in any envelope."""
        return await self._take(request, store_notice)

    async def _take(
        self, request: web.Request, read: Callable[[Any], Sequence[CatalogUpload] | Confirmation]
    ) -> web.Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        try:
            found = read(json.loads(await request.read()))
        except InputError as error:
            return _answer(400, error.message, error.facts.get("field"))
        except (ValueError, RecursionError):  # the latter: brackets in brackets, thousands deep
            return _answer(400, "the body is no JSON")
        if isinstance(found, Confirmation):
            # An address that was sent here is not fetched from here.
            logger.warning(
                "SNS topic %r asks to be confirmed; if it is yours, open this address once: %r",
                found.topic,
                found.url,
                extra={IN_FULL: True},
            )
            return web.json_response({"ok": True, "confirm": "the address to open stands in the log"})

        def keep(connection: Connection) -> int:
            return sum(noticed(connection, each) for each in found)

        try:
            async with asyncio.timeout(_STORE_WITHIN_S):
                new = await asyncio.shield(self._ledger.write(keep))
        except (LedgerFault, TimeoutError) as fault:
            logger.warning("an upload could not be stored and must be sent again: %s", fault)
            return _answer(503, "the ledger is busy", headers={"Retry-After": "5"})
        if new:
            self._came.set()
        return web.json_response({"ok": True, "new": new, "known": len(found) - new}, status=202)

    def _refused(self, request: web.Request) -> web.Response | None:
        if not self._secret:
            return _answer(503, f"uploads are not taken here: {_SECRET} is not set", _SECRET)
        try:
            given = _secret_in(request.headers.get("Authorization", ""))
        except UnicodeEncodeError:
            return _answer(400, "Authorization holds bytes that are not text", "Authorization")
        if not hmac.compare_digest(given, self._secret.encode()):
            return _answer(401, f"Authorization must be `Bearer` and {_SECRET}", headers={"WWW-Authenticate": "Bearer"})
        return None

    async def _announcing(self, _: web.Application) -> AsyncIterator[None]:
        if self._prefect is None:
            if self._secret:
                logger.warning("PREFECT_API_URL is not set: uploads are kept, and announced by the next watch_uploads")
            yield
            return
        loop = asyncio.create_task(self._announce(self._prefect))
        yield
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop

    async def _announce(self, prefect: PrefectApi) -> None:
        """Announce waiting uploads, at once on arrival and periodically: other processes store uploads here too."""
        failing = False
        while True:
            self._came.clear()
            try:
                for each in await announce_waiting(self._ledger, prefect):
                    logger.info("announced %s", each.uri)
                failing = False
            except (PrefectUnreachable, LedgerFault) as fault:
                if not failing:
                    logger.warning("uploads wait to be announced: %s", fault)
                failing = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_AFTER_S):
                    await self._came.wait()


def _secret_in(header: str) -> bytes:
    """The secret of an Authorization header: a Bearer token, or the password of Basic, the only one that SNS can send."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            return base64.b64decode(value, validate=True).partition(b":")[2]
    return b""


def _answer(status: int, message: str, field: str | None = None, headers: dict[str, str] | None = None) -> web.Response:
    error = {"code": str(status), "message": message, "field": field}
    return web.json_response({"error": error}, status=status, headers=headers)
