"""Copies of paid pictures: downloaded, decoded in full, stored, recorded. The link that dies first is copied first."""

import asyncio
import hashlib
import heapq
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
from sqlalchemy import Connection

from ..core.errors import ArchiveFault, SeedreamError, UndecodableImage
from ..core.jobs import JobName
from ..core.pictures import Stored
from ..core.states import AttemptState
from ..gateways.http import HttpClients
from ..ledger import archives, facts, missing, views
from ..ledger import pictures as records
from ..ledger.store import Ledger
from ..ledger.views import Attempt, Picture
from ..media.archive import Archive, safe_key
from ..media.images import EXTENSIONS
from ..media.keeping import Keeper, Wanted
from .keeping import Keeping

logger = logging.getLogger("seedream_tasks.engine")

MOST_BYTES = 100 * 1024 * 1024
AT_ONCE = 24
# A picture that does not decode is fetched again, in case the transfer was at fault.
TRIES_TO_DECODE = 3
# Answers that say the link is dead, as opposed to a store that has a bad moment.
_DEAD = frozenset({401, 403, 404, 410})
_TRIES = 8
_TRIES_AT_REFUSAL = 4
_DOWNLOAD_WITHIN_S = 600.0
# A store that keeps failing may have been left by the gateway: then the task names another link.
_ASK_AFTER = 2
# How long a picture waits for an archive that has a bad moment, beyond the tries of the store's own library.
_STORE_WITHIN_S = 120.0
_STORE_AGAIN_S = 1.0
_UNDATED = datetime.max.replace(tzinfo=UTC)

FreshLinks = Callable[[Attempt], Awaitable[list[str]]]


class _Dead(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"the link answers HTTP {status}")
        self.for_good = status == 410


class _NotNow(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a picture in this run."""

    state: str  # archived, quarantined, expired, or delivered (not copied yet: it stays to be done)
    why: str = ""
    record: Callable[[Connection], AttemptState] | None = None  # what the ledger is to be told of it


class Archiver:
    """Copies pictures into one archive; at most AT_ONCE at a time, by the earliest expiry."""

    def __init__(
        self, http: HttpClients, ledger: Ledger, archive: Archive, fresh_links: FreshLinks, in_full: bool = True
    ) -> None:
        self._http = http
        self._ledger = ledger
        self._archive = archive
        self._fresh_links = fresh_links
        self._free = AT_ONCE
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._number = 0
        self._keeping = Keeping(Keeper(archive, in_full))

    async def close(self) -> None:
        """What is being stored is finished."""
        await self._keeping.close()

    async def save(self, name: JobName, attempt: Attempt, picture: Picture, folder: str) -> Outcome:
        """Copy one picture below this folder of its row, or say why it cannot be. Every end but "not yet" is recorded.

        Raises ArchiveFault, LedgerFault.
        """
        stem = _stem(name, picture, folder)
        await self._enter(picture.expires_at or _UNDATED)
        try:
            outcome = await self._save(name, attempt, picture, stem)
        finally:
            # Before its record: what waits for a commit is on the disk, and holds no picture in memory.
            self._leave()
        if outcome.record is not None:
            await self._ledger.write(outcome.record)
        return outcome

    async def _enter(self, expires_at: datetime) -> None:
        if self._free > 0:
            self._free -= 1
            return
        self._keeping.expect_many()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._waiting, (expires_at, self._number, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    async def _save(self, name: JobName, attempt: Attempt, picture: Picture, stem: str) -> Outcome:
        url, undecodable, fresh, refused = picture.url, 0, False, 0
        for number in range(_TRIES):
            try:
                content = await self._download(url)
            except _Dead as dead:
                # The same task may give out another link; asking is free.
                other = None if fresh else await self._another_link(attempt, picture, url)
                fresh = True
                if other:
                    url = other
                    continue
                refused += 1
                known_dead = picture.expires_at is not None and datetime.now(UTC) >= picture.expires_at
                if refused < _TRIES_AT_REFUSAL and not known_dead and not dead.for_good:
                    # A fresh link may not have reached every server of the store yet.
                    await asyncio.sleep(0.25 * 2**refused)
                    continue
                return await self._expired(name, picture, stem, str(dead))
            except _NotNow as moment:
                logger.info("%s picture %s: %s; again", picture.attempt_id, picture.ordinal, moment)
                await asyncio.sleep(min(8.0, 0.25 * 2**number))
                if number == _ASK_AFTER and not fresh:
                    url = await self._another_link(attempt, picture, url) or url
                    fresh = True
                continue
            try:
                return await self._kept(name, picture, stem, content)
            except UndecodableImage as error:
                undecodable += 1
                if undecodable >= TRIES_TO_DECODE:
                    return await self._quarantine(picture, content, error.message)
        return Outcome("delivered", "its store does not answer")

    async def _download(self, url: str) -> bytes:
        try:
            async with asyncio.timeout(_DOWNLOAD_WITHIN_S), self._http.stream(url) as response:
                if response.status_code in _DEAD:
                    raise _Dead(response.status_code)
                if response.status_code != 200:
                    raise _NotNow(f"HTTP {response.status_code}")
                content = bytearray()
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        break  # no picture of this model is that large: what is here is kept as undecodable
                return bytes(content)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
            raise _NotNow(f"{type(error).__name__}: {error}") from None

    async def _another_link(self, attempt: Attempt, picture: Picture, url: str) -> str | None:
        links = await self._fresh_links(attempt)
        other = links[picture.ordinal] if picture.ordinal < len(links) else None
        return other if other and other != url else None

    async def _kept(self, name: JobName, picture: Picture, stem: str, content: bytes) -> Outcome:
        wanted = Wanted(stem, name.aspect, name.edits)
        stored = await self._patiently(lambda: self._keeping.keep(wanted, content))
        return Outcome(
            "archived",
            record=lambda connection: records.archived(connection, picture.attempt_id, picture.ordinal, stored),
        )

    async def _patiently(self, store: Callable[[], Awaitable[Stored]]) -> Stored:
        loop, wait = asyncio.get_running_loop(), _STORE_AGAIN_S
        until = loop.time() + _STORE_WITHIN_S
        while True:
            try:
                return await store()
            except ArchiveFault as fault:
                # The bytes are here, and paid for: a store that has a bad moment is asked again.
                if not fault.facts.get("passing") or loop.time() + wait > until:
                    raise
                logger.warning("%s; again in %.0f s", fault.message, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 30.0)

    async def _quarantine(self, picture: Picture, content: bytes, why: str) -> Outcome:
        stored = await self._patiently(lambda: self._keeping.keep_undecodable(_aside(picture), content))
        return Outcome(
            "quarantined",
            why,
            lambda connection: records.quarantined(connection, picture.attempt_id, picture.ordinal, stored, why),
        )

    async def _expired(self, name: JobName, picture: Picture, stem: str, why: str) -> Outcome:
        # The copy may have been made by a process that died before it could say so.
        for extension in EXTENSIONS.values():
            path = f"{stem}.{extension}"
            if await asyncio.to_thread(self._archive.exists, path):
                content = await asyncio.to_thread(self._archive.read, path)
                if picture.sha256 and hashlib.sha256(content).hexdigest() != picture.sha256:
                    continue  # it had been copied before, and this is not it
                try:
                    return await self._kept(name, picture, stem, content)
                except UndecodableImage:
                    continue
        if picture.expires_at is not None and (late := datetime.now(UTC) - picture.expires_at) > timedelta(0):
            hours = late.total_seconds() / 3600
            why += f"; it was good until {picture.expires_at:%Y-%m-%d %H:%M} UTC, missed by {hours:.1f} hours"
        return Outcome(
            "expired", why, lambda connection: records.expired(connection, picture.attempt_id, picture.ordinal, why)
        )

    async def copy_here(self, name: JobName, picture: Picture) -> None:
        """Bring an archived picture into this archive from another one. Raises ArchiveFault when none can give it.

        When the others certainly have it no more, that is recorded: it is then fetched again, or lost.
        """

        def work() -> bytes:
            problem, gone = "no copy is known", True
            for path in set(picture.copies.values()):
                # An archive that was copied has it where the original does.
                if (content := _whole(self._archive, path, picture)) is not None:
                    return content
            for archive, path in picture.copies.items():
                try:
                    other = Archive(self._ledger.read_now(archives.places).get(archive, archive))
                    if not self._is_ours(other, archive):
                        problem, gone = f"the archive {archive} is not at {other.root}: moved, or not mounted", False
                        continue
                    if (content := _whole(other, path, picture)) is not None:
                        return content
                    problem = f"{other.uri(path)} is gone, or is not the picture that was archived"
                except SeedreamError as fault:
                    problem, gone = fault.message, False
            raise ArchiveFault(problem, gone=gone)

        try:
            content = await asyncio.to_thread(work)
        except ArchiveFault as fault:
            if fault.facts.get("gone"):
                which = [(picture.attempt_id, picture.ordinal)]
                for archive in picture.copies:
                    await self._ledger.write(lambda connection, of=archive: missing.gone(connection, of, which))  # type: ignore[misc]
            raise
        first = await self._ledger.read(lambda connection: views.is_first_of_case(connection, name.row_key))
        stem = _stem(name, picture, safe_key(name.row_key, first))
        wanted = Wanted(stem, warnings=picture.warnings)
        stored = await self._patiently(lambda: self._keeping.keep(wanted, content))
        await self._ledger.write(
            lambda connection: records.copied(connection, picture.attempt_id, picture.ordinal, stored)
        )

    def _is_ours(self, other: Archive, name: str) -> bool:
        """Whether that archive of this ledger stands there, and not another one, or an empty mount."""
        marker = other.marker()
        if marker is None or marker["ledger_id"] != self._ledger.read_now(facts.ledger_id):
            return False
        return str(marker.get("archive", name)) == name


def _stem(name: JobName, picture: Picture, folder: str) -> str:
    """Where a picture is to stand, up to its extension."""
    if picture.slot is None:
        return _aside(picture)
    return f"images/{folder}/{name.shot}-{name.fingerprint[:8]}-{picture.slot}"


def _aside(picture: Picture) -> str:
    return f"quarantine/{picture.attempt_id}-{picture.ordinal}"


def _whole(archive: Archive, path: str, picture: Picture) -> bytes | None:
    """The picture's bytes as they were archived; None when they are not there."""
    if archive.size(path) != picture.bytes:
        return None
    content = archive.read(path)
    return content if hashlib.sha256(content).hexdigest() == picture.sha256 else None
