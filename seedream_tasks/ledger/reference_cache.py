"""Cached facts about reference images, by URI without its signature, so that an unchanged one is not fetched again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from .queries import batched
from .schema import sources
from .sql import upsert


@dataclass(frozen=True, slots=True)
class CachedReference:
    """The cached facts about one reference."""

    validator: str  # ETag or date of a link, version and size of a file in a store; empty: none
    sha256: str
    format: str
    width: int  # px, upright
    height: int  # px, upright
    bytes: int
    flaw: str | None
    public: bool
    seen_at: datetime


def known_sources(connection: Connection, uris: Sequence[str]) -> dict[str, CachedReference]:
    """The cached facts about these URIs."""
    found = {}
    for some in batched(uris):
        for row in connection.execute(select(sources).where(sources.c.uri.in_(some))):
            values = row._asdict()
            uri = values.pop("uri")
            found[uri] = CachedReference(**values)
    return found


def remember_sources(connection: Connection, found: Mapping[str, CachedReference]) -> None:
    """Cache what was found under these URIs, replacing older entries."""
    for uri, source in found.items():
        values = asdict(source)
        row = upsert(connection, sources).values(uri=uri, **values)
        connection.execute(row.on_conflict_do_update(index_elements=[sources.c.uri], set_=values))
