"""A short contact sheet in Markdown: the first hundred images, those that need attention first."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from ...images.thumbnails import read_thumbnail, thumbnail
from ...storage.archive import Archive
from .entries import chosen, rows

MOST_TILES = 100
TILE_SIDE = 112  # px


@dataclass(frozen=True, slots=True)
class Tile:
    """One image, or one record that has none."""

    row_key: str
    shot: str
    title: str | None
    status: str
    why: str | None  # of a record that is not archived
    image: str | None  # data URI


def short_sheet(archive: Archive, run_id: str) -> list[Tile]:
    """The first tiles of a run's manifest. Blocks. Raises ArchiveFault."""
    tiles: list[Tile] = []
    with archive.open(f"runs/{run_id}/manifest.parquet") as file:
        manifest = pq.ParquetFile(file)
        positions = chosen(manifest, MOST_TILES)
        for batch in rows(manifest, positions):
            for row in batch:
                tiles += tiles_of(archive, row, row["title"], MOST_TILES - len(tiles))
    return sorted(tiles, key=lambda tile: tile.why is None)[:MOST_TILES]


def tiles_of(archive: Archive, record: Mapping[str, Any], title: str | None, most: int) -> list[Tile]:
    """The tiles of one manifest record: its images, at most `most`, or one that says why there is none. Raises ArchiveFault."""
    images = [_tile(archive, image["sha256"]) for image in (record["images"] or [])[:most]]
    why = None
    if record["status"] != "archived":
        why = record["error_message"] or record["error_code"] or record["reason"]
    return [
        Tile(record["row_key"] or "", record["shot"], title, str(record["status"]), why, each)
        for each in images or [None]
    ]


def _tile(archive: Archive, sha256: str) -> str | None:
    content = read_thumbnail(archive, sha256)
    small = thumbnail(content, TILE_SIDE) if content else None
    return f"data:image/jpeg;base64,{base64.b64encode(small).decode()}" if small else None
