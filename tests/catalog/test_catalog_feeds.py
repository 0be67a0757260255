"""Product feeds: Google's TSV and XML, with what shops make of them."""

import json
from pathlib import Path

import pytest
from catalogs import cells, plan, prompts, refused, rows, write

from seedream_tasks.catalog.tables import open_table

ITEM = """
    <item>
      <g:id>MUG-1</g:id>
      <title>plain title</title><g:title>Tin &amp; enamel mug</g:title>
      <g:description><![CDATA[<p>Blue</p>]]></g:description>
      <link>https://shop.example/mug</link>
      <g:image_link>https://cdn.example/w_400,h_300/mug.jpg</g:image_link>
      <g:additional_image_link>https://cdn.example/2.jpg</g:additional_image_link>
      <g:additional_image_link>https://cdn.example/3.jpg</g:additional_image_link>
      <g:price>12.00 EUR</g:price><g:brand>Kettle</g:brand>
      <g:product_type>Kitchen > Mugs</g:product_type>
      <g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping>
    </item>"""
RSS = f"""<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">
  <channel>
    <title>A shop</title><link>https://shop.example</link>
{ITEM}
    <item><g:id>CUP-2</g:id><g:title>Cup 杯子 ☕</g:title></item>
  </channel>
</rss>"""
ATOM = """<?xml version="1.0" encoding="windows-1252"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
  <title>A shop</title>
  <entry>
    <id>tag:shop.example,2026:1</id><g:id>A-1</g:id><title>Größe</title><summary>Short</summary>
    <link href="https://shop.example/a"/><g:image_link>https://cdn.example/a.jpg</g:image_link>
  </entry>
</feed>"""
TEMPLATE = "{{ key }}|{{ title }}|{{ description }}|{{ brand }}|{{ category }}|{{ price }}|{{ tags }}|{{ image_urls }}"


def seen(path: Path, template: str = TEMPLATE) -> dict[str | None, str]:
    """What a template makes of each product under the merchant preset."""
    return prompts(plan(path, json.dumps({"shots": [{"name": "hero", "prompt": template}]}), preset="merchant"))


def test_items_of_rss_are_rows(tmp_path: Path) -> None:
    """Elements are columns without their prefix; Google's own counts where both stand; messages name the item's line."""
    path = write(tmp_path / "feed.xml", RSS)
    first, second = rows(path)
    assert (first.line, second.line) == (6, 18)
    found = dict(zip(open_table(str(path)).columns, first.cells, strict=True))
    assert found["title"] == "Tin & enamel mug"
    assert found["additional_image_link"] == '["https://cdn.example/2.jpg", "https://cdn.example/3.jpg"]'
    assert found["shipping"] == '{"country": "DE", "price": "4 EUR"}'
    assert second.cells[:2] == ["CUP-2", "Cup 杯子 ☕"]


def test_a_feed_under_the_merchant_preset(tmp_path: Path) -> None:
    """One set of names for every shop; a comma inside a link parts nothing."""
    links = '["https://cdn.example/w_400,h_300/mug.jpg", "https://cdn.example/2.jpg", "https://cdn.example/3.jpg"]'
    assert seen(write(tmp_path / "feed.xml", RSS)) == {
        "MUG-1": f"MUG-1|Tin & enamel mug|<p>Blue</p>|Kettle|Kitchen > Mugs|12.00 EUR||{links}",
        "CUP-2": "CUP-2|Cup 杯子 ☕||||||[]",
    }


def test_atom_in_an_encoding_of_its_own(tmp_path: Path) -> None:
    """Entries are items, a link is its address, and the file says itself in which encoding it is."""
    path = write(tmp_path / "feed.xml", ATOM.encode("cp1252"))
    assert seen(path) == {"A-1": 'A-1|Größe|Short|||||["https://cdn.example/a.jpg"]'}
    assert dict(zip(open_table(str(path)).columns, cells(path)[0], strict=True))["link"] == "https://shop.example/a"


@pytest.mark.parametrize("names", ["image_link", "image link", "Image Link", "g:image_link"])
def test_a_tsv_feed_however_its_columns_are_spelled(names: str, tmp_path: Path) -> None:
    """With several links in one cell, parted by commas."""
    more = names.replace("mage", "mage").replace("image", "additional image").replace("Image", "Additional Image")
    path = write(
        tmp_path / "feed.txt",
        f"id\ttitle\t{names}\t{more}\tgoogle product category\tcustom_label_0\tcustom_label_1\n"
        'A\tLamp, red\thttp://c/1.jpg\t"http://c/2.jpg,http://c/3.jpg, http://c/4.jpg"\tHome > Lamps\tsale\tnew\n',
    )
    links = json.dumps([f"http://c/{n}.jpg" for n in (1, 2, 3, 4)])
    assert seen(path) == {"A": f"A|Lamp, red|||Home > Lamps||sale, new|{links}"}


def test_a_categorys_number_is_no_category(tmp_path: Path) -> None:
    """Google takes its own number for one; in a prompt it says nothing."""
    rows = "id\ttitle\timage link\tgoogle product category\nA\tLamp\thttp://c/1.jpg\t166\n"
    assert seen(write(tmp_path / "feed.txt", rows)) == {"A": 'A|Lamp||||||["http://c/1.jpg"]'}


DOCTYPE = '<!DOCTYPE rss [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (RSS.replace("<rss", f"{DOCTYPE}\n<rss").replace("Kettle", "&b;&c;"), 2, "document type"),
        (RSS.replace("<rss", '<!DOCTYPE rss SYSTEM "http://evil.example/x.dtd"><rss'), 2, "document type"),
        (RSS.replace("Kettle", "&b;"), 14, "not XML: undefined entity"),
        (RSS[:500], 12, "not XML"),
        (RSS.replace("</item>", "", 1), 19, "not XML"),
        ("<item>" * 100, 1, "deep"),
        ("<rss><channel/></rss>", None, "not a product feed"),
        ("sku,title\n", 1, "not XML"),
        ('<?xml version="1.0" encoding="klingon"?><rss/>', 1, "not XML"),
        (RSS.replace("Kettle", "x" * 1_000_001), None, "more than 1,000,000 characters"),
    ],
    ids=["entities", "outer", "unknown", "cut", "open", "deep", "none", "csv", "encoding", "huge"],
)
def test_a_feed_that_harms_or_is_broken_is_refused_with_its_line(
    content: str, line: int | None, says: str, tmp_path: Path
) -> None:
    """No entity is ever read: they fill up machines and name files of them."""
    error = refused(write(tmp_path / "feed.xml", content))
    assert says in error.message
    assert line is None or error.facts["line"] == line
