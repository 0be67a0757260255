"""Writing the page: streamed, self-contained, and safe whatever the catalog's text holds.

It is made from the published manifest, the ledger's reviews and the thumbnails, and can be made again from them at any time.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any, TextIO

import pyarrow.parquet as pq

from ...core.errors import ArchiveFault
from ...images.thumbnails import keep_thumbnail, read_thumbnail, thumbnail
from ...ledger import identity
from ...ledger.reviews import reviews_of_images
from ...ledger.writer import Ledger
from ...storage.archive import Archive
from .entries import chosen, name_of, rows, shown

# Thumbnails up to this are inlined in the page; a browser loads the others lazily.
MOST_EMBEDDED_BYTES = 16_000_000
# Thumbnails that an older version did not make are made from the images, up to so many a page.
MOST_MADE = 500
_READERS = 16
_HERE = Path(__file__).parent
_SCRIPTS = ("data.js", "grid.js", "viewer.js")


def sheet_path(run_id: str) -> str:
    """The path of a run's contact sheet below the archive's root."""
    return f"runs/{run_id}/contact-sheet.html"


def write_contact_sheet(ledger: Ledger, archive: Archive, run_id: str) -> None:
    """Write a run's page beside its manifest. Blocks; memory does not grow with the catalog. Raises ArchiveFault, LedgerFault."""
    try:
        file = archive.open(f"runs/{run_id}/manifest.parquet")
    except FileNotFoundError:
        raise ArchiveFault(f"the run {run_id} has no manifest") from None
    with file, tempfile.TemporaryDirectory(prefix="seedream-") as folder:
        manifest = pq.ParquetFile(file)
        target = Path(folder, "contact-sheet.html")
        with target.open("w", encoding="utf-8") as page:
            _Page(ledger, archive, run_id, manifest).write(page)
        archive.publish(sheet_path(run_id), target)


class _Page:
    def __init__(self, ledger: Ledger, archive: Archive, run_id: str, manifest: pq.ParquetFile) -> None:
        self._ledger = ledger
        self._archive = archive
        self._run_id = run_id
        self._manifest = manifest
        self._thumbnails = _Thumbnails(archive)

    def write(self, page: TextIO) -> None:
        css = (_HERE / "page.css").read_text(encoding="utf-8")
        script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
        positions = chosen(self._manifest)
        head = Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
            csp=_policy(css, script), title="Contact sheet", css=css
        )
        page.write(head)
        page.write(_data("run", self._run(len(positions))))
        with ThreadPoolExecutor(_READERS, "seedream-sheet") as readers:
            for batch in rows(self._manifest, positions):
                for block in self._batch(batch, readers):
                    page.write(block)
        page.write(f"<script>{script}</script>\n</body>\n</html>\n")

    def _run(self, count: int) -> dict[str, Any]:
        stated = {key.decode(): value.decode() for key, value in (self._manifest.schema_arrow.metadata or {}).items()}
        summary = json.loads(self._archive.read(f"runs/{self._run_id}/summary.json"))
        total = self._manifest.metadata.num_rows
        return {
            **summary,
            "catalog": name_of(stated.get("catalog_uri", "")),
            "ledger_id": self._ledger.read_now(identity.ledger_id),
            "written_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "records": total,
            "left_out": total - count,
        }

    def _batch(self, batch: Sequence[Mapping[str, Any]], readers: ThreadPoolExecutor) -> Iterator[str]:
        images = [image for row in batch for image in row["images"] or []]
        attempts = {image["attempt_id"] for image in images}
        reviews = self._ledger.read_now(lambda connection: reviews_of_images(connection, attempts))
        wanted: dict[str, str | None] = {}  # sha256 -> the image it can be made from
        for row in batch:
            for reference in row["references"] or []:
                if reference["sha256"]:
                    wanted.setdefault(reference["sha256"], None)
            for image in row["images"] or []:
                if image["uri"] == self._archive.uri(image["path"]):
                    wanted[image["sha256"]] = image["path"]
        yield _data("thumbnails", self._thumbnails.embed(wanted, readers))
        known = self._thumbnails.known
        yield _data("records", [shown(row, self._archive.root, reviews, known) for row in batch])


class _Thumbnails:
    """Reads thumbnails once each, up to the page's bound; beyond it the page links to them."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._bytes = 0
        self._made = 0
        self.known: set[str] = set()  # sha256 of what has a thumbnail

    def embed(self, wanted: Mapping[str, str | None], readers: ThreadPoolExecutor) -> dict[str, str]:
        """sha256 -> data URI, of those that are not in the page yet and still fit."""
        new = [(sha256, path) for sha256, path in wanted.items() if sha256 not in self.known]
        found: dict[str, str] = {}
        if self._bytes >= MOST_EMBEDDED_BYTES:
            self.known.update(sha256 for sha256, _ in new)  # not checked: the browser finds them, or does not
            return found
        for (sha256, _), content in zip(new, readers.map(self._read, new), strict=True):
            if content is None:
                continue
            self.known.add(sha256)
            self._bytes += len(content)
            if self._bytes <= MOST_EMBEDDED_BYTES:
                found[sha256] = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
        return found

    def _read(self, one: tuple[str, str | None]) -> bytes | None:
        sha256, path = one
        content = read_thumbnail(self._archive, sha256)
        if content is None and path is not None and self._made < MOST_MADE:
            self._made += 1
            content = self._make(sha256, path)
        return content

    def _make(self, sha256: str, path: str) -> bytes | None:
        try:
            content = thumbnail(self._archive.read(path))
        except ArchiveFault:
            return None  # the image is missing: the page shows an empty place
        if content is not None:
            keep_thumbnail(self._archive, sha256, content)
        return content


def _policy(css: str, script: str) -> str:
    """Nothing is loaded from anywhere but beside the page, and no script runs but its own."""

    def named(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src 'self' file: data:; style-src {named(css)}; script-src {named(script)};"
        " base-uri 'none'; form-action 'none'"
    )


def _data(kind: str, value: Any) -> str:
    # No `<` at all: no text of a catalog can close the element.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" data-kind="{kind}">{text}</script>\n'
