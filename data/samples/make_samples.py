"""Write the sample data: catalogs, what is expected of them, and the suppliers' photos.

    python data/samples/make_samples.py             everything (the photos take some minutes)
    python data/samples/make_samples.py --tables    the tables only

Needs numpy and Pillow. The same versions of both write the same tables byte for byte and the same photos pixel for pixel.
"""

from __future__ import annotations

import io
import json
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import exports
import homeware
import shop_exports
import wearables
from camera import photograph
from catalog_rows import AWKWARD, CATALOG, COLUMNS, Row
from PIL import Image

HERE = Path(__file__).resolve().parent
SCENES = {**homeware.SCENES, **wearables.SCENES}
JPEG_QUALITY = 85


def cell(text: str) -> str:
    """One CSV cell, quoted where RFC 4180 wants it and where a reader might trim it."""
    if any(mark in text for mark in ',"\r\n') or text != text.strip(" "):
        return '"' + text.replace('"', '""') + '"'
    return text


def table(rows: list[Row]) -> tuple[str, list[int]]:
    """The file's text, and the line on which each record starts (the header is line 1)."""
    text = ",".join(COLUMNS) + "\n"
    starts = []
    for row in rows:
        starts.append(text.count("\n") + 1)
        text += ",".join(map(cell, row.cells())) + "\n"
    return text, starts


def expected(starts: list[int]) -> list[dict[str, object]]:
    """One object per data row and shot of awkward.csv, in the order of the manifest."""
    return [
        {
            "row_number": number,
            "line": line,
            "row_key": case.row.sku,
            "shot": shot,
            "status": outcome.status,
            "reason": outcome.reason,
            "error_code": outcome.error_code,
            "why": case.why,
        }
        for number, (case, line) in enumerate(zip(AWKWARD, starts, strict=True), start=1)
        for shot, outcome in (("hero", case.hero), ("lifestyle", case.lifestyle))
    ]


def write_tables() -> None:
    clean, _ = table(CATALOG)
    awkward, starts = table([case.row for case in AWKWARD])
    records = ",\n".join("  " + json.dumps(record, ensure_ascii=False) for record in expected(starts))
    for name, text in (
        ("catalog.csv", clean),
        ("awkward.csv", awkward),
        ("awkward.expected.json", f"[\n{records}\n]\n"),
        ("woocommerce.csv", exports.woocommerce_csv()),
        ("merchant.tsv", exports.merchant_tsv()),
        ("merchant.xml", exports.merchant_xml()),
        *((name, make()) for name, make in shop_exports.ALL.items()),
    ):
        (HERE / name).write_bytes(text.encode("utf-8"))


def take_photo(name: str) -> str:
    image = Image.fromarray(photograph(SCENES[name](), seed=zlib.crc32(name.encode())))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    (HERE / "photos" / f"{name}.jpg").write_bytes(file.getvalue())
    return f"photos/{name}.jpg  {image.width} x {image.height} px  {len(file.getvalue()) // 1000} kB"


def main(arguments: list[str]) -> None:
    named = {row.image for row in CATALOG if row.image}
    drawn = {f"photos/{name}.jpg" for name in SCENES}
    if named != drawn:
        sys.exit(f"catalog and studio differ: {sorted(named ^ drawn)}")
    write_tables()
    if "--tables" in arguments:
        return
    (HERE / "photos").mkdir(exist_ok=True)
    with ProcessPoolExecutor() as studio:
        for line in studio.map(take_photo, SCENES):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
