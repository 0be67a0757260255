"""Archives with a made-up run in them, so that a contact sheet of any size and content can be written and looked at."""

import hashlib
import io
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from seedream_tasks.images.thumbnails import keep_thumbnail, thumbnail
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.ledger.writer import Ledger
from seedream_tasks.runs.contact_sheet import sheet_path, write_contact_sheet
from seedream_tasks.runs.frozen import RECORD
from seedream_tasks.storage.archive import Archive

RUN = "5f1c2a34-0000-4000-8000-000000000001"
_NONE: dict[str, Any] = dict.fromkeys(RECORD.names)


def image(colour: str, size: tuple[int, int] = (320, 240)) -> bytes:
    """A JPEG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


class MadeUp:
    """A run of made-up records; `write` publishes its manifest and page."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(str(folder / "archive"))
        self.ledger: Ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}", create=True)
        self.records: list[dict[str, Any]] = []

    def add(self, key: str, shot: str = "hero", *contents: bytes, store: bool = True, **values: Any) -> dict[str, Any]:
        """One record with these images; `store` False leaves the files out of the archive."""
        number = len(self.records) + 1
        images = []
        for slot, content in enumerate(contents):
            digest = hashlib.sha256(content).hexdigest()
            path = f"images/row {number}#/{shot}-{slot}.jpg"  # characters that a link must escape
            if store:
                self.archive.store(path, content)
                keep_thumbnail(self.archive, digest, thumbnail(content) or b"")
            images.append(
                {"slot": slot, "uri": self.archive.uri(path), "path": path, "sha256": digest, "width": 320, "height": 240,
                 "attempt_id": f"attempt-{number}"}
            )  # fmt: skip
        record = _NONE | {
            "row_number": number, "row_key": key, "shot": shot, "job_key": f"{key}/{shot}/{number:064x}", "operation": "generate",
            "model": "seedream-4.5", "prompt": f"An image of {key}", "n": len(images) or 1, "ratio": "4:3", "tier": "2K",
            "references": [], "status": "archived" if images else "failed", "reason": "new", "warnings": [],
            "reused": False, "stale": False, "gateway": "evolink", "attempts": 1, "images": images, "image_count": len(images),
            "billed_usd": Decimal("0.031") * len(images), "cost_usd": Decimal("0.031") * len(images), "at_risk_usd": Decimal(0),
            "title": f"The {key}", "run_id": RUN, "simulated": True,
        }  # fmt: skip
        self.records.append(record | values)
        return self.records[-1]

    def write(self) -> Path:
        """Publish; returns the page."""
        schema = pa.schema([("title", pa.string()), *RECORD], metadata={"catalog_uri": "s3://shop/goods.csv?sig=x"})
        folder = self.archive.local_path(f"runs/{RUN}")
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self.records, schema=schema), folder / "manifest.parquet")
        summary = {
            "run_id": RUN, "rows": len(self.records), "images": sum(each["image_count"] for each in self.records),
            "by_status": Counter(each["status"] for each in self.records), "simulated": True, "billed_usd": "0.062",
            "cost_usd": "0.062", "at_risk_usd": "0", "at_risk_in_words": "$0.00", "at_risk_of_prices": True,
            "deferred_usd": "0", "rework_usd": "0", "by_gateway": {},
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary))
        write_contact_sheet(self.ledger, self.archive, RUN)
        return self.archive.local_path(sheet_path(RUN))
