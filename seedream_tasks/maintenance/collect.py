"""One pass over everything in flight, from any run: poll, archive, rewrite the manifests that change. Buys nothing."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from ..config.environment import Environment
from ..config.pairing import belong_together, open_pair, rescue_folder
from ..config.settings import Locations
from ..core.errors import SeedreamError
from ..core.jobs import JobName
from ..core.money import ZERO, plain
from ..core.states import AttemptState
from ..engine.callback_hints import find_by_callback
from ..engine.follower import Follower, Whose, age_s, run_all
from ..engine.opening import lanes_to
from ..engine.progress import Progress
from ..gateways.client import Account
from ..ledger import archives, held_attempts, known_runs, queries, transitions
from ..ledger.attempt_rows import Recorded
from ..ledger.queries import batched
from ..ledger.rescue import Rescuer, identity
from ..ledger.values import Attempt
from ..ledger.writer import Ledger
from ..runs.publish import manifest_uris, publish_concerned
from ..storage.archive import Archive

logger = logging.getLogger("seedream_tasks.maintenance")

# Interval between two polls of an attempt: this share of its age, at most an hour.
LOOK_SHARE = 0.1
LOOK_AT_LEAST = timedelta(hours=1)
_AT_ONCE = 200


@dataclass
class Collected:
    """What one pass did and what it left, in attempts."""

    polled: int = 0
    archived: int = 0
    expired: int = 0
    billed_usd: Decimal = ZERO  # of attempts that this pass settled
    still_in_flight: int = 0
    unknown: int = 0
    manifests: list[str] = field(default_factory=list)  # URIs

    def as_json(self) -> dict[str, Any]:
        """The object of `collect --json`."""
        return {
            "polled": self.polled,
            "archived": self.archived,
            "still_in_flight": self.still_in_flight,
            "unknown": self.unknown,
            "expired": self.expired,
            "billed_usd": plain(self.billed_usd),
            "manifests": self.manifests,
        }


async def collect(place: Locations, progress: Progress, accounts: Mapping[str, Account] | None = None) -> Collected:
    """Finish what any run left in this ledger, at these accounts (by gateway; None: those of the environment).

    Raises LedgerMismatch, ConfigurationError, LedgerFault, ArchiveFault.
    """
    ledger = await asyncio.to_thread(open_pair, place, create=False)
    try:
        return await _collect(ledger, place, progress, accounts)
    finally:
        await asyncio.to_thread(ledger.close)


async def _collect(
    ledger: Ledger, place: Locations, progress: Progress, accounts: Mapping[str, Account] | None
) -> Collected:
    done = Collected()
    settled: set[str] = set()
    known = {place.archive.name: place.archive}
    async with AsyncExitStack() as stack:
        needed = await ledger.read(known_runs.accounts_in_flight)
        _, lanes = await stack.enter_async_context(lanes_to(ledger, place, needed, accounts))
        await find_by_callback(ledger, lanes)
        live = await ledger.read(queries.live_ids)
        rescuer = Rescuer(rescue_folder(place.ledger_url), *await ledger.read(identity))
        for name in await ledger.read(known_runs.archives_to_finish):
            if name not in known and (other := await asyncio.to_thread(_also, ledger, name)) is not None:
                known[name] = other
        for name, archive in known.items():
            whose = Whose("", 0.0, lambda: None, _tell_fault, in_full=Environment().verify == "full")
            follower = Follower(ledger, archive, lanes, progress, whose)
            try:
                for ids in batched(live, _AT_ONCE):
                    await held_attempts.take_over(ledger, rescuer, ids)
                    await _pass(ledger, follower, name, ids, done)
                    ledger.release(ids)
            finally:
                await follower.close()
            settled |= follower.others
    for archive in known.values():
        written = await asyncio.to_thread(publish_concerned, ledger, archive, settled)
        done.manifests += manifest_uris(archive, written)
    by_state: Counter[AttemptState] = Counter(await ledger.read(queries.count_by_state))
    done.still_in_flight = sum(
        by_state[state] for state in (AttemptState.INTENT, AttemptState.ACCEPTED, AttemptState.DELIVERED)
    )
    done.unknown = by_state[AttemptState.UNKNOWN]
    return done


def _tell_fault(fault: SeedreamError) -> None:
    logger.error("%s", fault)


def _also(ledger: Ledger, name: str) -> Archive | None:
    """Another archive used by runs of this ledger; None if it cannot be reached, or is not this ledger's."""
    root = ledger.read_now(archives.places).get(name, name)
    try:
        archive = Archive(root)
        belong_together(ledger, archive, archive.marker(), archive.list_runs())
    except SeedreamError as fault:
        logger.warning("what runs left in %s stays as it is: %s", root, fault)
        return None
    return archive if archive.name == name else None


async def _pass(ledger: Ledger, follower: Follower, archive: str, ids: Sequence[str], done: Collected) -> None:
    """Poll those of these attempts that belong to runs of this archive and are due."""

    def due(connection: Connection) -> tuple[list[Attempt], dict[str, JobName]]:
        found = queries.attempts_by_id(connection, ids)
        home = known_runs.archives_of(connection, {each.run_id for each in found})
        now = datetime.now(UTC)
        mine = [
            each
            for each in found
            if home.get(each.run_id) == archive
            and (each.state is AttemptState.DELIVERED or _is_due(each.next_look_at, now))
        ]
        return mine, queries.job_names(connection, [each.job_key for each in mine])

    mine, names = await ledger.read(due)
    await run_all([_one(ledger, follower, names[each.job_key], each, done) for each in mine])


def _is_due(at: datetime | None, now: datetime) -> bool:
    # A time further away than the polling interval was set by a clock that has jumped since.
    return at is None or at <= now or at > now + 2 * LOOK_AT_LEAST


async def _one(ledger: Ledger, follower: Follower, name: JobName, attempt: Attempt, done: Collected) -> None:
    now = Recorded(attempt)
    if attempt.state is AttemptState.ACCEPTED:
        done.polled += follower.can_ask(attempt)
        now = await follower.look(name, attempt)
        if now.state is AttemptState.ACCEPTED and follower.can_ask(attempt):
            wait = min(LOOK_AT_LEAST, timedelta(seconds=LOOK_SHARE * age_s(attempt)))
            at = datetime.now(UTC) + wait
            await ledger.write(lambda connection: transitions.poll_later(connection, attempt.attempt_id, at))
        else:
            done.billed_usd += now.attempt.billed_usd
    if now.state is AttemptState.DELIVERED:
        await follower.archive(name, now)
        now = Recorded(await follower.attempt(attempt.attempt_id))
    done.archived += now.state is AttemptState.ARCHIVED
    done.expired += now.state is AttemptState.EXPIRED
