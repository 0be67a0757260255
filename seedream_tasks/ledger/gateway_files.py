"""References in the gateways' own file services: uploaded once per content and account, used until they expire.

A file service holds a limited number of files. Our files that no live attempt links to are deleted to make room: the row
first, then the file. A claim finds its rows, or is refused before anything is sent, so that no paid request links to a file
that was deleted while the request was prepared.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from ..core.errors import UploadGone
from ..core.states import AttemptState
from .schema import attempts, uploads
from .sql import upsert

# In these states a gateway may still fetch the linked files.
_ENDING = (AttemptState.INTENT, AttemptState.ACCEPTED)
_NEEDING = (*_ENDING, AttemptState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class GatewayFile:
    """One file of ours in a gateway's file service."""

    upload_key: str
    account: str
    url: str
    file_id: str | None
    expires_at: datetime


def known_upload(connection: Connection, upload_key: str, good_until: datetime) -> str | None:
    """The link of an upload that is still valid then."""
    query = select(uploads.c.url).where(uploads.c.upload_key == upload_key, uploads.c.expires_at > good_until)
    url = connection.scalar(query)
    return None if url is None else str(url)


def remember_upload(connection: Connection, upload: GatewayFile, now: datetime) -> None:
    """Record an upload until it expires."""
    values = {
        "account": upload.account,
        "url": upload.url,
        "file_id": upload.file_id,
        "expires_at": upload.expires_at,
        "used_at": now,
    }
    row = upsert(connection, uploads).values(upload_key=upload.upload_key, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[uploads.c.upload_key], set_=values))


def hold(connection: Connection, upload_keys: Collection[str]) -> None:
    """Lock these uploads against deletion until this transaction ends. Raises UploadGone when one is missing."""
    if not upload_keys:
        return
    there = set(
        connection.scalars(
            select(uploads.c.upload_key)
            .where(uploads.c.upload_key.in_(upload_keys))
            .order_by(uploads.c.upload_key)  # always in the same order, so that no two processes deadlock
            .with_for_update()
        )
    )
    gone = sorted(set(upload_keys) - there)
    if gone:
        raise UploadGone(f"{len(gone)} uploaded references were deleted to make room", upload_keys=gone)


def used(connection: Connection, upload_keys: Collection[str], now: datetime) -> None:
    """Record that these uploads are used in a request now."""
    if upload_keys:
        connection.execute(update(uploads).where(uploads.c.upload_key.in_(upload_keys)).values(used_at=now))


def spare(connection: Connection, account: str, keep: Collection[str], most: int, now: datetime) -> list[GatewayFile]:
    """Remove up to `most` unneeded uploads, the longest unused first, and return those to delete.

    `keep` names what the caller is about to use. Expired ones are removed too: the gateway deletes those itself.
    """
    connection.execute(delete(uploads).where(uploads.c.account == account, uploads.c.expires_at <= now))
    rows = connection.execute(
        select(uploads)
        .where(uploads.c.account == account, uploads.c.file_id.is_not(None))
        .order_by(uploads.c.upload_key)
        .with_for_update()
    ).all()
    # Read after the rows are locked: a concurrent claim with one of them is written by now.
    needed = _linked(connection, account, _NEEDING) | set(keep)
    found = [
        GatewayFile(row.upload_key, row.account, row.url, row.file_id, row.expires_at)
        for row in sorted(rows, key=lambda each: each.used_at)
        if row.upload_key not in needed
    ][:most]
    if found:
        connection.execute(delete(uploads).where(uploads.c.upload_key.in_([each.upload_key for each in found])))
    return found


def may_become_spare(connection: Connection, account: str, keep: Collection[str]) -> bool:
    """Whether attempts that will end without intervention link to our uploads other than `keep`."""
    return bool(_linked(connection, account, _ENDING) - set(keep))


def _linked(connection: Connection, account: str, states: Collection[AttemptState]) -> set[str]:
    query = select(attempts.c.uploads).where(attempts.c.account == account, attempts.c.state.in_(states))
    return {key for text in connection.scalars(query) for key in json.loads(text)}
