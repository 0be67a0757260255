"""Some of the sample products as a WooCommerce export and as a Google Merchant feed (TSV and XML) would have them."""

from __future__ import annotations

import csv
import io
from xml.sax.saxutils import escape

from catalog_rows import CATALOG, Row

BY_SKU = {row.sku: row for row in CATALOG}
SHOP = "https://shop.example"

WOOCOMMERCE = (
    *("ID", "Type", "SKU", "GTIN, UPC, EAN, or ISBN", "Name", "Published", "Is featured?", "Visibility in catalog"),
    *("Short description", "Description", "Date sale price starts", "Date sale price ends", "Tax status", "Tax class"),
    *("In stock?", "Stock", "Sale price", "Regular price", "Categories", "Tags", "Shipping class", "Images", "Parent"),
    *("Grouped products", "Upsells", "Cross-sells", "External URL", "Button text", "Position", "Brands"),
    *("Attribute 1 name", "Attribute 1 value(s)", "Attribute 1 visible", "Attribute 1 global"),
)
MERCHANT = (
    *("id", "title", "description", "link", "image_link", "additional_image_link", "availability", "price", "brand"),
    *("google_product_category", "product_type", "color", "material", "condition", "custom_label_0"),
)
FEED = ("HM-1001", "HM-1004", "HM-1006", "HM-1102", "HM-1201", "HM-1203")


def woocommerce_csv() -> str:
    """Five simple products, and one with two variations: one names its parent by SKU, one by ID, one lacks a SKU."""
    lines = [
        {**_simple(number, BY_SKU[sku]), "Images": f"{BY_SKU[sku].image}, photos/dinner-plates.jpg"}
        for number, sku in enumerate(("HM-1001", "HM-1002", "HM-1004", "HM-1201", "HM-1203"), start=101)
    ]
    beanie = next(row for row in CATALOG if row.image == "photos/rib-beanie.jpg")
    variable = {**_simple(110, beanie), "Type": "variable", "Regular price": "", "Attribute 1 name": "Color"}
    variable["Attribute 1 value(s)"] = "Rust, Navy"
    lines.append(variable)
    for number, color, parent, sku in ((111, "Rust", beanie.sku, f"{beanie.sku}-R"), (112, "Navy", "id:110", "")):
        lines.append(
            {
                "ID": str(number),
                "Type": "variation",
                "SKU": sku,
                "Name": f"{beanie.title} - {color}",
                "Published": "1",
                "Regular price": beanie.price,
                "Parent": parent,
                "Attribute 1 name": "Color",
                "Attribute 1 value(s)": color,
            }
        )
    file = io.StringIO()
    writer = csv.DictWriter(file, WOOCOMMERCE, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return "\ufeff" + file.getvalue()  # WooCommerce writes a byte order mark


def _simple(number: int, row: Row) -> dict[str, str]:
    return {
        "ID": str(number),
        "Type": "simple",
        "SKU": row.sku,
        "Name": row.title,
        "Published": "1",
        "Is featured?": "0",
        "Visibility in catalog": "visible",
        "Description": f"<p>{row.description}</p>\n<p>Made of {row.material}.</p>",
        "In stock?": "1",
        "Regular price": row.price,
        "Categories": f"Home > {row.category}, New\\, and kept",
        "Tags": f"{row.color}, {row.material}",
        "Images": row.image,
        "Brands": row.brand,
    }


def _feed_cells(sku: str) -> dict[str, str | list[str]]:
    row = BY_SKU[sku]
    more = ["photos/linen-cushion.jpg", "photos/glass-carafe.jpg"] if sku == "HM-1001" else []
    return {
        "id": row.sku,
        "title": row.title,
        "description": row.description,
        "link": f"{SHOP}/products/{row.sku.lower()}?ref=feed&lang=en",
        "image_link": row.image,
        "additional_image_link": more,
        "availability": "in_stock",
        "price": f"{row.price} EUR",
        "brand": row.brand,
        "google_product_category": "Home & Garden",
        "product_type": f"Home > {row.category}",
        "color": row.color,
        "material": row.material,
        "condition": "new",
        "custom_label_0": "autumn",
    }


def merchant_tsv() -> str:
    """The feed as a table."""
    lines = ["\t".join(MERCHANT)]
    for sku in FEED:
        cells = _feed_cells(sku)
        lines.append("\t".join(", ".join(cell) if isinstance(cell, list) else cell for cell in cells.values()))
    return "\n".join(lines) + "\n"


def merchant_xml() -> str:
    """The same feed as RSS 2.0."""
    items = []
    for sku in FEED:
        elements = [
            f"      <g:{name}>{escape(text)}</g:{name}>"
            for name, cell in _feed_cells(sku).items()
            for text in (cell if isinstance(cell, list) else [cell])
        ]
        items.append("    <item>\n" + "\n".join(elements) + "\n    </item>")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">\n  <channel>\n'
        f"    <title>Sample shop</title>\n    <link>{SHOP}</link>\n    <description>Invented products</description>\n"
        + "\n".join(items)
        + "\n  </channel>\n</rss>\n"
    )
