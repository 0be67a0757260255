"""Orphaned images, known only by their names: they are in the archive, but no known run says who bought them."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection

from ..core.digests import Digests
from ..core.market import market
from ..core.money import ZERO
from ..core.price_book import PriceBook
from ..images.image_store import ImageStore
from ..ledger import orphans, queries
from ..ledger.writer import Ledger
from ..runs.archive_contents import Named, images_in
from ..storage.archive import Archive, safe_key
from .restore import Rebuilt

logger = logging.getLogger("seedream_tasks.maintenance")


@dataclass(frozen=True, slots=True)
class _OfJob:
    job_key: str
    model: str
    tier: str | None


def take_in_named(ledger: Ledger, archive: Archive, simulated: bool, done: Rebuilt) -> None:
    """Verify and adopt images in an archive that the ledger does not know but whose jobs it knows.

    Raises ArchiveFault, LedgerFault.
    """
    known = ledger.read_now(lambda connection: Digests(orphans.known_paths(connection, archive.name)))
    unknown = [image for image in images_in(archive) if image.path not in known]
    if not unknown:
        return
    jobs = ledger.read_now(lambda connection: _jobs_of(connection, unknown))
    prices = PriceBook.for_run(simulated)
    keeper = ImageStore(archive)
    run_id = ledger.read_now(lambda connection: orphans.newest_run(connection, archive.name)) or ""
    strange = [image.path for image in unknown if image.of_job not in jobs]
    if strange:
        logger.warning(
            "%s images are of no job that is known, such as %s: they stay as they are",
            len(strange),
            archive.uri(strange[0]),
        )
    for image in unknown:
        job = jobs.get(image.of_job)
        stored = None if job is None else keeper.verified(image.path)
        if job is None or stored is None:
            continue
        usd = dearest(prices, job.model, job.tier)
        more = ledger.write_now(
            lambda connection, of=job, at=image.slot, what=stored, most=usd: orphans.image(  # type: ignore[misc]
                connection, run_id, of.job_key, of.model, at, what, most
            )
        )
        if more is not None:
            done.found += 1
            done.found_usd += usd if more else ZERO


def dearest(prices: PriceBook, model: str, tier: str | None) -> Decimal:
    """The most that one image may have cost (USD), at any gateway."""
    rows = (prices.row(gateway, model, tier) for gateway in market().gateways)
    return max((row.highest_usd for row in rows if row is not None), default=ZERO)


def _jobs_of(connection: Connection, images: Iterable[Named]) -> dict[tuple[str, str, str], _OfJob]:
    """Folder, shot and fingerprint of an image -> its job."""
    wanted: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for image in images:
        wanted[image.fingerprint].add(image.of_job)
    jobs = {}
    for job_key, row_key, shot, fingerprint, decides in orphans.jobs_by_name(connection, wanted):
        stated = json.loads(decides)
        folder = safe_key(row_key, queries.is_first_of_case(connection, row_key))
        of_job = folder, shot, fingerprint[:8]
        if of_job in wanted[fingerprint[:8]]:
            jobs[of_job] = _OfJob(job_key, stated["model"], stated["size"].get("tier"))
    return jobs
