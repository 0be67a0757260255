"""Uses of callbacks: a hint to poll now, and the task id of a submission whose answer was lost.

Callback bodies are not trusted. A hint leads to a status request; a task id counts once a status request at the attempt's own
account confirms it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from sqlalchemy import Connection

from ..core.errors import AttemptMoved, GatewayFault, LedgerFault, SeedreamError
from ..ledger import attempt_rows, callbacks, known_runs, transitions
from ..ledger.callbacks import Claimed
from ..ledger.sql import database_now
from ..ledger.values import Attempt
from ..ledger.writer import Ledger
from . import background
from .account_limiter import Lane

logger = logging.getLogger("seedream_tasks.engine")

LOOK_EVERY_S = 1.0
# Commits do not become visible in the order of their times: rows up to this old (microseconds) are read once more.
_OVERLAP = 5_000_000


class Hints:
    """Passes on callbacks for awaited attempts, whichever process received them. Always `close` it."""

    def __init__(
        self, ledger: Ledger, poll_now: Callable[[Attempt], None], broke: Callable[[SeedreamError], None]
    ) -> None:
        self._broke = broke
        self._ledger = ledger
        self._poll_now = poll_now
        self._expected: dict[str, Attempt] = {}
        self._told: dict[str, int] = {}  # by attempt: arrival time of the last callback passed on
        self._watching: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def expected(self, attempt: Attempt) -> AsyncIterator[bool]:
        """Within the context, callbacks for this attempt are passed on; yields whether one has already arrived."""
        if attempt.callback_sha256 is None:
            yield False
            return
        token = attempt.callback_sha256
        here = await self._ledger.read(lambda connection: callbacks.is_here(connection, token))
        # No await between here and the caller's wait, so that the caller is waiting when notified. Callbacks that arrived in
        # between are found by the watch, which reads back a little.
        self._expected[attempt.attempt_id] = attempt
        try:
            if self._watching is None:
                self._watching = background.begin(self._watch(), "looking for callbacks", self._broke)
            yield here
        finally:
            self._expected.pop(attempt.attempt_id, None)
            self._told.pop(attempt.attempt_id, None)

    async def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        since: int | None = None
        while True:
            try:
                if since is None:
                    since = await self._ledger.read(database_now) - _OVERLAP
                await asyncio.sleep(LOOK_EVERY_S)
                if not self._expected:
                    continue
                arrived = await self._ledger.read(
                    lambda connection, after=since: callbacks.arrived_since(connection, after)  # type: ignore[misc]
                )
            except LedgerFault as fault:
                logger.warning("callbacks cannot be read: %s", fault)
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            for attempt_id, at in arrived:
                attempt = self._expected.get(attempt_id)
                if attempt is not None and self._told.get(attempt_id) != at:
                    self._told[attempt_id] = at
                    self._poll_now(attempt)
                since = max(since, at - _OVERLAP)


async def find_by_callback(ledger: Ledger, lanes: Mapping[str, Lane]) -> list[str]:
    """Query the gateways for tasks that callbacks name for unknown submissions; returns the attempts found.

    Raises LedgerFault. Whatever a gateway does not answer now is queried again next time.
    """
    claimed = await ledger.read(callbacks.unjudged)
    by_account = {lane.account: lane for lane in lanes.values()}
    found = []
    for each in claimed:
        lane = by_account.get(each.attempt.account)
        if lane is not None and await _judged(ledger, lane, each):
            found.append(each.attempt.attempt_id)
    return found


async def _judged(ledger: Ledger, lane: Lane, claimed: Claimed) -> bool:
    try:
        await lane.client.fetch(claimed.task_id)
    except GatewayFault as fault:
        if fault.facts.get("status") == 404 and fault.facts.get("own_body"):
            logger.warning(
                "a callback names task %s for attempt %s, which %s does not know",
                claimed.task_id,
                claimed.attempt.attempt_id,
                lane.gateway,
            )
            await ledger.write(lambda connection: callbacks.judge(connection, claimed, callbacks.REFUSED))
        return False

    def record(connection: Connection) -> None:
        transitions.accepted(connection, claimed.attempt.attempt_id, claimed.task_id, None, None)
        callbacks.judge(connection, claimed, callbacks.TAKEN)
        known_runs.reopen_run(connection, claimed.attempt.run_id)
        attempt_rows.note(
            connection, "found_by_callback", claimed.task_id, claimed.attempt.attempt_id, claimed.attempt.run_id
        )

    try:
        await ledger.write(record)
    except AttemptMoved as moved:
        logger.warning("task %s of a callback: %s", claimed.task_id, moved)
        await ledger.write(lambda connection: callbacks.judge(connection, claimed, callbacks.REFUSED))
        return False
    return True
