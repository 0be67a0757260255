"""Copies paid images: download, decode in full, store, record. The link that expires first is copied first."""

import asyncio
import hashlib
import heapq
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
from sqlalchemy import Connection

from ..core.errors import ArchiveFault, ResourceFault, SeedreamError, UndecodableImage
from ..core.jobs import JobName
from ..core.stored_images import Stored
from ..images.decode import EXTENSIONS
from ..images.image_store import ImageStore, StoreRequest
from ..images.store_pool import Keeping
from ..ledger import archives, identity, image_records, missing_images, queries
from ..ledger.values import Attempt, ImageRecord
from ..ledger.writer import Ledger
from ..references.address_guard import AddressRefused
from ..storage.archive import Archive, archive_id, safe_key
from .download import Elsewhere, Fetch, LinkSource, NoImage, Outcome, is_page
from .result_links import ResultLinks

logger = logging.getLogger("seedream_tasks.engine")

MOST_BYTES = 100 * 1024 * 1024
AT_ONCE = 24
# An image that does not decode is fetched again, in case the transfer was at fault.
TRIES_TO_DECODE = 3
# Pauses between tries of a link that does not yield its image, growing from the first to the longest; no download slot is held
# meanwhile. The quick tries are always made, however short the wait.
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 60.0
_QUICK_S = 4.0
_DOWNLOAD_WITHIN_S = 600.0
# The task may return a new link: asked at the first failure, and at every nth after it.
_ASK_EVERY = 3
# How long an image waits for a failing archive, beyond the retries of the store's own library.
_STORE_WITHIN_S = 120.0
_STORE_AGAIN_S = 1.0
_UNDATED = datetime.max.replace(tzinfo=UTC)


class Archiver:
    """Copies images into one archive; at most AT_ONCE at a time, earliest expiry first."""

    def __init__(
        self,
        links: ResultLinks,
        ledger: Ledger,
        archive: Archive,
        source: "LinkSource",
        patience_s: float,
        in_full: bool = True,
    ) -> None:
        self._links = links
        self._source = source
        self._patience_s = max(patience_s, _QUICK_S)
        self._ledger = ledger
        self._archive = archive
        self._free = AT_ONCE
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._number = 0
        self._keeping = Keeping(ImageStore(archive, in_full))

    async def close(self) -> None:
        """Finish what is being stored."""
        await self._keeping.close()

    async def save(self, name: JobName, attempt: Attempt, image: ImageRecord, folder: str) -> Outcome:
        """Copy one image below this folder of its row, or say why not. Every outcome but "not yet" is recorded.

        Raises ArchiveFault, LedgerFault.
        """
        fetch = Fetch(name, attempt, image, _stem(name, image, folder))
        outcome = await self._patiently_fetched(fetch)
        record, of = outcome.record, attempt.attempt_id

        def write(connection: Connection) -> None:
            if outcome.state == "delivered":
                image_records.not_fetched(connection, of, outcome.why)
            elif attempt.error_code == image_records.NOT_FETCHED:
                image_records.not_fetched(connection, of, None)
            if record is not None:
                record(connection)

        await self._ledger.write(write)
        return outcome

    async def _patiently_fetched(self, fetch: Fetch) -> Outcome:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            outcome = await self._in_turn(fetch)
            if outcome is not None:
                return outcome
            pause = min(_LONGEST_PAUSE_S, _PAUSE_S * 2.0 ** min(fetch.failures - 1, 10))
            past = loop.time() - began + pause
            if past > _QUICK_S:
                self._tell(fetch, False)
            if past > self._patience_s:
                until = f"{fetch.dies_at:%Y-%m-%d %H:%M} UTC"
                return Outcome("delivered", f"{fetch.why}; it will be retried until {until}")
            await asyncio.sleep(pause)

    async def once_more(
        self, name: JobName, attempt: Attempt, image: ImageRecord, folder: str
    ) -> Callable[[Connection], object] | None:
        """Try the link of an expired image a last time before it is bought again; returns the ledger record if it is stored
        now. Raises ArchiveFault.
        """
        fetch = Fetch(name, attempt, image, _stem(name, image, folder))
        await self._enter(_UNDATED)
        try:
            record = (await self._kept(name, image, fetch.stem, await self._download(fetch))).record
        except (NoImage, Elsewhere, UndecodableImage, ResourceFault) as reason:
            logger.info("%s image %s is expired: %s", image.attempt_id, image.ordinal, reason)
            return None
        finally:
            self._leave()

        def write(connection: Connection) -> None:
            if record is not None:
                record(connection)
            image_records.note_on_attempt(connection, image.attempt_id, None, None)  # it is not expired any more

        return write

    async def _in_turn(self, fetch: Fetch) -> Outcome | None:
        """One try in a download slot; None: try again later."""
        await self._enter(fetch.image.expires_at or _UNDATED)
        try:
            return await self._try(fetch)
        finally:
            # Store before recording: while waiting for the commit the image is on disk and not in memory.
            self._leave()

    def _tell(self, fetch: Fetch, whether: bool, in_time: bool = True) -> None:
        if fetch.told is not whether:
            fetch.told = whether
            self._source.fetched(fetch.attempt, whether, in_time)

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

    async def _try(self, fetch: Fetch) -> Outcome | None:
        try:
            content = await self._download(fetch)
        except Elsewhere as refused:
            self._tell(fetch, False)
            return Outcome("delivered", str(refused))
        except NoImage as none:
            fetch.failures += 1
            fetch.why = str(none)
            if none.for_good or datetime.now(UTC) >= fetch.dies_at:
                self._tell(fetch, False, in_time=none.for_good or fetch.failures > 1)
                return await self._expired(fetch)
            logger.info("%s image %s: %s; again", fetch.image.attempt_id, fetch.image.ordinal, none)
            return None
        self._tell(fetch, True)
        try:
            return await self._kept(fetch.name, fetch.image, fetch.stem, content)
        except ResourceFault as fault:
            # It stays delivered: as far as known, nothing is wrong with the image.
            fetch.failures += 1
            fetch.why = fault.message
            logger.warning("%s image %s: %s; again", fetch.image.attempt_id, fetch.image.ordinal, fault)
            return None
        except UndecodableImage as error:
            fetch.undecodable += 1
            if fetch.undecodable < TRIES_TO_DECODE:
                return await self._try(fetch)
            return await self._quarantine(fetch.image, content, error.message)

    async def _download(self, fetch: Fetch) -> bytes:
        """The image, by its known link or by a fresh one from its task (asking is free)."""
        try:
            return await self._get(fetch)
        except (NoImage, Elsewhere):
            if fetch.failures % _ASK_EVERY:
                raise
            links = await self._source.fresh_links(fetch.attempt)
            ordinal = fetch.image.ordinal
            other = links[ordinal] if ordinal < len(links) else None
            if not other or other == fetch.url:
                raise
            fetch.url = other
        return await self._get(fetch)

    async def _get(self, fetch: Fetch) -> bytes:
        try:
            async with (
                asyncio.timeout(_DOWNLOAD_WITHIN_S),
                self._links.stream(fetch.url, self._source.origin(fetch.attempt)) as response,
            ):
                if response.status != 200:
                    raise NoImage(f"the link answers HTTP {response.status}", for_good=response.status == 410)
                content = bytearray()
                async for part in response.content.iter_any():
                    content += part
                    if len(content) > MOST_BYTES:
                        break  # no image of this model is that large: keep what was read as undecodable
        except AddressRefused as refused:
            raise Elsewhere(str(refused)) from None
        except (aiohttp.ClientError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NoImage(f"the download failed: {type(error).__name__}: {error}") from None
        if is_page(content):
            raise NoImage("the link answers with a page instead of an image")
        return bytes(content)

    async def _kept(self, name: JobName, image: ImageRecord, stem: str, content: bytes) -> Outcome:
        wanted = StoreRequest(stem, name.aspect, name.edits)
        stored = await self._patiently(lambda: self._keeping.keep(wanted, content))
        return Outcome(
            "archived",
            record=lambda connection: image_records.archived(connection, image.attempt_id, image.ordinal, stored),
        )

    async def _patiently(self, store: Callable[[], Awaitable[Stored]]) -> Stored:
        loop, wait = asyncio.get_running_loop(), _STORE_AGAIN_S
        until = loop.time() + _STORE_WITHIN_S
        while True:
            try:
                return await store()
            except ArchiveFault as fault:
                # The bytes are here and paid for: retry while the store fails.
                if not fault.facts.get("passing") or loop.time() + wait > until:
                    raise
                logger.warning("%s; again in %.0f s", fault.message, wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 30.0)

    async def _quarantine(self, image: ImageRecord, content: bytes, why: str) -> Outcome:
        stored = await self._patiently(lambda: self._keeping.keep_undecodable(_aside(image), content))
        return Outcome(
            "quarantined",
            why,
            lambda connection: image_records.quarantined(connection, image.attempt_id, image.ordinal, stored, why),
        )

    async def _expired(self, fetch: Fetch) -> Outcome:
        name, image, stem, why = fetch.name, fetch.image, fetch.stem, fetch.why
        # A process that died before recording may have made the copy.
        for extension in EXTENSIONS.values():
            path = f"{stem}.{extension}"
            if await asyncio.to_thread(self._archive.exists, path):
                content = await asyncio.to_thread(self._archive.read, path)
                if image.sha256 and hashlib.sha256(content).hexdigest() != image.sha256:
                    continue  # it was copied before, and this file is not that copy
                try:
                    return await self._kept(name, image, stem, content)
                except UndecodableImage:
                    continue
        if (late := datetime.now(UTC) - fetch.dies_at) > timedelta(0):
            hours = late.total_seconds() / 3600
            why += f"; it was good until {fetch.dies_at:%Y-%m-%d %H:%M} UTC, missed by {hours:.1f} hours"
        return Outcome(
            "expired", why, lambda connection: image_records.expired(connection, image.attempt_id, image.ordinal, why)
        )

    async def copy_here(self, name: JobName, image: ImageRecord) -> None:
        """Copy an archived image into this archive from another one. Raises ArchiveFault when none has it.

        If the others certainly no longer have it, that is recorded: it is then fetched again, or lost.
        """

        def work() -> bytes:
            problem, gone = "no copy is known", True
            for path in set(image.copies.values()):
                # A copied archive has it at the same path as the original.
                if (content := _whole(self._archive, path, image)) is not None:
                    return content
            for archive, path in image.copies.items():
                try:
                    other = Archive(self._ledger.read_now(archives.places).get(archive, archive))
                    if not self._is_ours(other, archive):
                        problem, gone = f"the archive {archive} is not at {other.root}: moved, or not mounted", False
                        continue
                    if (content := _whole(other, path, image)) is not None:
                        return content
                    problem = f"{other.uri(path)} is missing, or is not the image that was archived"
                except SeedreamError as fault:
                    problem, gone = fault.message, False
            raise ArchiveFault(problem, gone=gone)

        try:
            content = await asyncio.to_thread(work)
        except ArchiveFault as fault:
            if fault.facts.get("gone"):
                which = [(image.attempt_id, image.ordinal)]
                for archive in image.copies:
                    await self._ledger.write(lambda connection, of=archive: missing_images.gone(connection, of, which))  # type: ignore[misc]
            raise
        first = await self._ledger.read(lambda connection: queries.is_first_of_case(connection, name.row_key))
        stem = _stem(name, image, safe_key(name.row_key, first))
        wanted = StoreRequest(stem, warnings=image.warnings)
        stored = await self._patiently(lambda: self._keeping.keep(wanted, content))
        await self._ledger.write(
            lambda connection: image_records.copied(connection, image.attempt_id, image.ordinal, stored)
        )

    def _is_ours(self, other: Archive, name: str) -> bool:
        """Whether that root holds this ledger's archive, not another one or an empty mount."""
        marker = other.marker()
        if marker is None or marker["ledger_id"] != self._ledger.read_now(identity.ledger_id):
            return False
        return marker.get("archive_id") in (None, archive_id(name))


def _stem(name: JobName, image: ImageRecord, folder: str) -> str:
    """An image's archive path without its extension."""
    if image.slot is None:
        return _aside(image)
    return f"images/{folder}/{name.shot}-{name.fingerprint[:8]}-{image.slot}"


def _aside(image: ImageRecord) -> str:
    return f"quarantine/{image.attempt_id}-{image.ordinal}"


def _whole(archive: Archive, path: str, image: ImageRecord) -> bytes | None:
    """The image's bytes as archived; None when they are missing or changed."""
    if archive.size(path) != image.bytes:
        return None
    content = archive.read(path)
    return content if hashlib.sha256(content).hexdigest() == image.sha256 else None
