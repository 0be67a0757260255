"""Uploaded catalogs: each content of a file is announced once, even when noticed several times."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from .queries import batched
from .schema import seen_uploads, watched_files
from .sql import upsert


@dataclass(frozen=True, slots=True)
class CatalogUpload:
    """One content of one file, as far as its notice tells."""

    uri: str
    name: str  # of the file
    digest: str | None = None  # sha256 (hex) of its bytes
    etag: str | None = None  # as stated by its store: equal for equal contents, nothing else
    size: int | None = None  # bytes

    @property
    def identity(self) -> str:
        """Identifies this content among the file's; empty when unknown."""
        if self.digest:
            return f"sha256:{self.digest}"
        return f"etag:{self.etag}" if self.etag else ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An upload whose event is still to be sent. `identity` stays what it was when it was first seen."""

    upload: CatalogUpload
    identity: str
    last_seen: datetime


def noticed(connection: Connection, upload: CatalogUpload) -> bool:
    """Store an upload; False for content seen before. An announced one stays announced.

    A notice without details of the content cannot be distinguished from an earlier one: it is pending again, until a process
    that can read the file handles it.
    """
    now = datetime.now(UTC)
    rows = connection.execute(select(seen_uploads).where(seen_uploads.c.uri == upload.uri)).all()
    same = next((row for row in rows if _same(row, upload)), None)
    if same is None:
        connection.execute(
            insert(seen_uploads).values(
                uri=upload.uri,
                identity=upload.identity,
                name=upload.name,
                digest=upload.digest,
                etag=upload.etag,
                size=upload.size,
                first_seen=now,
                last_seen=now,
            )
        )
        return True
    values = {
        "last_seen": now,
        "digest": same.digest or upload.digest,
        "etag": same.etag or upload.etag,
        "size": upload.size if same.size is None else same.size,
    }
    if not same.identity:
        values["announced_at"] = None
    connection.execute(update(seen_uploads).where(_is(upload.uri, same.identity)).values(**values))
    return not same.identity


def _same(row: Row[Any], upload: CatalogUpload) -> bool:
    if upload.digest and row.digest:
        return bool(row.digest == upload.digest)
    if upload.etag and row.etag:
        return bool(row.etag == upload.etag)
    return bool(row.identity == upload.identity)


def _is(uri: str, identity: str) -> ColumnElement[bool]:
    return (seen_uploads.c.uri == uri) & (seen_uploads.c.identity == identity)


def unannounced(connection: Connection) -> list[Waiting]:
    """Uploads whose event is still to be sent, in order of arrival."""
    query = (
        select(seen_uploads)
        .where(seen_uploads.c.announced_at.is_(None))
        .order_by(seen_uploads.c.first_seen, seen_uploads.c.uri)
    )
    return [
        Waiting(CatalogUpload(row.uri, row.name, row.digest, row.etag, row.size), row.identity, row.last_seen)
        for row in connection.execute(query)
    ]


def identified(connection: Connection, waiting: Waiting, read: CatalogUpload) -> None:
    """The file was read: from here on its content is known by its digest, and is to be announced only if that one is new.

    One that was noticed again while it was read is read again: it may be another by now.
    """
    connection.execute(
        delete(seen_uploads).where(
            _is(waiting.upload.uri, waiting.identity), seen_uploads.c.last_seen == waiting.last_seen
        )
    )
    noticed(connection, read)


def announced(connection: Connection, sent: Collection[Waiting]) -> None:
    """Prefect's server has accepted their events; one that was noticed again meanwhile is pending again."""
    now = datetime.now(UTC)
    for each in sent:
        query = update(seen_uploads).where(_is(each.upload.uri, each.identity))
        if not each.identity:
            query = query.where(seen_uploads.c.last_seen == each.last_seen)
        connection.execute(query.values(announced_at=now))


@dataclass(frozen=True, slots=True)
class Look:
    """The last observed state of a watched file."""

    stamp: str  # size and modification, or ETag
    digest: str | None  # of what was taken under that stamp; None: it may still be written


def last_looks(connection: Connection, uris: Collection[str]) -> dict[str, Look]:
    """The last observed state of each of these files, if any."""
    found = {}
    for some in batched(uris):
        for row in connection.execute(select(watched_files).where(watched_files.c.uri.in_(some))):
            found[row.uri] = Look(row.stamp, row.digest)
    return found


def looked(connection: Connection, uri: str, look: Look) -> None:
    """Store the observed state of a watched file."""
    values = {"stamp": look.stamp, "digest": look.digest, "looked_at": datetime.now(UTC)}
    row = upsert(connection, watched_files).values(uri=uri, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[watched_files.c.uri], set_=values))
