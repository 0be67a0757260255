"""The callback endpoint for gateways. It authenticates, stores and answers; it holds no key and sends no requests."""

import asyncio
import hashlib
import logging
import re
from typing import Any

from aiohttp import web

from ..core.errors import LedgerFault
from ..core.storable import read_json
from ..gateways.ids import task_id_in
from ..ledger import callbacks, identity
from ..ledger.writer import Ledger
from .listening import Connections

logger = logging.getLogger("seedream_tasks.server")

# Gateways wait 10 s and try three times: if a callback cannot be stored at once, answer 503 and be called again.
ANSWER_WITHIN_S = 0.9
MOST_BYTES = 1024 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 random bytes


class Service:
    """The routes, on an open ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._writing: set[asyncio.Task[bool]] = set()
        self.connections = Connections()
        self.app = web.Application(client_max_size=MOST_BYTES, middlewares=[self.connections.bounded])
        self.app.router.add_get("/health", self.health)
        self.app.router.add_post("/callbacks/{token}", self.callback)

    async def health(self, _: web.Request) -> web.Response:
        """200 while the ledger can be read."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._ledger.read(identity.ledger_id)
        except (LedgerFault, TimeoutError) as fault:
            return _answer(503, f"the ledger cannot be read: {fault}")
        return web.json_response({"ok": True})

    async def callback(self, request: web.Request) -> web.Response:
        """A gateway reports a change of a task. Only the task id is stored, and used only as a hint to poll."""
        token = request.match_info["token"]
        if not _TOKEN.fullmatch(token):
            return _answer(404, "no such callback")
        digest = hashlib.sha256(token.encode()).hexdigest()
        task_id = task_id_in(_parsed(await request.read()))
        write = asyncio.create_task(
            self._ledger.write(lambda connection: callbacks.received(connection, digest, task_id))
        )
        self._writing.add(write)
        write.add_done_callback(self._done)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                known = await asyncio.shield(write)
        except (LedgerFault, TimeoutError):
            return web.json_response(
                {"error": {"code": "busy", "message": "the ledger is busy"}}, status=503, headers={"Retry-After": "1"}
            )
        return web.json_response({"ok": True}) if known else _answer(404, "no such callback")

    def _done(self, write: "asyncio.Task[bool]") -> None:
        self._writing.discard(write)
        if not write.cancelled() and (error := write.exception()) is not None:
            logger.error("a callback could not be stored: %s", error)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = read_json(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _answer(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": str(status), "message": message}}, status=status)
