"""One check of a folder or bucket for catalogs: new ones are stored in the ledger, to be announced."""

import asyncio
import logging
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ..ledger.catalog_uploads import CatalogUpload, Look, last_looks, looked, noticed
from ..ledger.writer import Ledger
from .scan import FoundCatalog, find_files, look_again, read_digest

logger = logging.getLogger("seedream_tasks.uploads")


@dataclass
class Watched:
    """What one check found, as file names."""

    new: list[str] = field(default_factory=list)
    known: int = 0
    unsettled: list[str] = field(default_factory=list)  # changed since the last check: perhaps still being written
    unreadable: dict[str, str] = field(default_factory=dict)  # URI -> why


async def look_at(ledger: Ledger, prefix: str, pattern: str) -> Watched:
    """Store every catalog file below the prefix that is complete and not known yet.

    A file is complete when size and modification time are unchanged since the last check; a store's object always is.
    Raises InputError, LedgerFault.
    """
    found = await asyncio.to_thread(find_files, prefix, pattern)
    before = await ledger.read(lambda connection: last_looks(connection, [each.uri for each in found]))
    done = Watched()
    for each in found:
        last = before.get(each.uri)
        unchanged = last is not None and last.stamp == each.stamp
        if last is not None and unchanged and last.digest is not None:
            done.known += 1
        elif each.whole or unchanged:
            await _take(ledger, each, done)
        else:
            await _keep(ledger, each, Look(each.stamp, None))
            done.unsettled.append(each.name)
    return done


async def _take(ledger: Ledger, file: FoundCatalog, done: Watched) -> None:
    try:
        digest, size = await asyncio.to_thread(read_digest, file.uri)
        now = await asyncio.to_thread(look_again, file.uri)
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own; the other files are looked at
        logger.warning("%s cannot be read: %s: %s", file.uri, type(error).__name__, error)
        done.unreadable[file.uri] = f"{type(error).__name__}: {error}"
        return
    if now.stamp != file.stamp:
        await _keep(ledger, now, Look(now.stamp, None))
        done.unsettled.append(file.name)
        return
    upload = CatalogUpload(file.uri, file.name, digest, file.etag, size)

    def keep(connection: Connection) -> bool:
        looked(connection, file.uri, Look(file.stamp, digest))
        return noticed(connection, upload)

    if await ledger.write(keep):
        done.new.append(file.name)
    else:
        done.known += 1


async def _keep(ledger: Ledger, file: FoundCatalog, look: Look) -> None:
    await ledger.write(lambda connection: looked(connection, file.uri, look))
