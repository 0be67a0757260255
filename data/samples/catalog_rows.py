"""The rows of the two sample catalogs, and what a run of `shots.yaml` must record for the awkward one."""

from __future__ import annotations

from dataclasses import dataclass

# A product is easier to read in two lines than in nine:
# fmt: off
COLUMNS = ("sku", "title", "description", "brand", "category", "color", "material", "price", "image")


@dataclass(frozen=True)
class Row:
    """One product; the fields are the columns, all of them text."""

    sku: str
    title: str
    description: str
    brand: str
    category: str
    color: str
    material: str
    price: str
    image: str = ""

    def cells(self) -> list[str]:
        return [getattr(self, column) for column in COLUMNS]


CATALOG = [
    Row("HM-1001", "Dune Stoneware Mug", "Hand-dipped mug with a raw clay foot. Holds 320 ml, dishwasher safe.", "Lerhus",
        "Tableware", "cream", "stoneware", "18.00", "photos/stoneware-mug.jpg"),
    Row("HM-1002", "Tide Serving Bowl", "Wide bowl for salad or fruit, glazed inside and out.", "Lerhus",
        "Tableware", "sea blue", "stoneware", "46.00", "photos/serving-bowl.jpg"),
    Row("HM-1003", "Everyday Plate Set", "Three dinner plates and a side plate that stack without rattling.", "Lerhus",
        "Tableware", "chalk white", "stoneware", "72.00", "photos/dinner-plates.jpg"),
    Row("HM-1004", "Ember Teapot", "Cast body with a brass bow handle; keeps tea warm for an hour.", "Kawara & Co",
        "Tableware", "dark green", "cast iron", "89.00", "photos/iron-teapot.jpg"),
    Row("HM-1005", "Ridge Carafe with Tumbler", "Mouth-blown carafe, 1 litre, with a cork stopper.", "Kawara & Co",
        "Tableware", "smoke green", "recycled glass", "54.00", "photos/glass-carafe.jpg"),
    Row("HM-1006", "Trail Flask 750", "Double-walled flask: 24 hours cold, 12 hours hot. Powder-coated.", "Fjella",
        "Drinkware", "pine green", "stainless steel", "32.50", "photos/steel-flask.jpg"),
    Row("HM-1101", "Fluted Vase", "Matt vase with soft ribs and a narrow neck for dried stems.", "Atelier Bonde",
        "Decor", "sand", "earthenware", "58.00", "photos/ribbed-vase.jpg"),
    Row("HM-1102", "Cedar & Smoke Candle", "Soy wax candle with a wooden lid, 220 g, burns for 45 hours.", "Nord & Salt",
        "Decor", "charcoal", "ceramic, soy wax", "36.00", "photos/cedar-candle.jpg"),
    Row("HM-1103", "Terracotta Pot with Saucer", "Frost-proof pot for medium plants, 12 cm opening.", "Atelier Bonde",
        "Garden", "terracotta", "fired clay", "24.00", "photos/plant-pot.jpg"),
    Row("HM-1104", "Garden Linen Cushion", "Washed linen cover with a feather inner, 50 x 50 cm.", "Vevhus",
        "Textiles", "moss green", "linen", "49.00", "photos/linen-cushion.jpg"),
    Row("HM-1105", "Harbour Towel Set", "Four bath towels in three colours, 550 g per square metre.", "Vevhus",
        "Bath", "blue, sand and clay", "organic cotton", "84.00", "photos/towel-set.jpg"),
    Row("HM-1106", "Bergamot Hand Wash", "Plant-based hand wash in a refillable pump bottle, 500 ml.", "Halden",
        "Bath", "amber", "glass", "22.00", "photos/hand-wash.jpg"),
    Row("HM-1201", "Bay Table Lamp", "Glazed base and a pleasant wide shade. Takes one E27 bulb, not included.", "Lumo Verk",
        "Lighting", "sage", "ceramic, cotton", "129.00", "photos/table-lamp.jpg"),
    Row("HM-1202", "Dome Lamp", "Opal shade on a brass foot, dimmable, warm white.", "Lumo Verk",
        "Lighting", "brass", "brass, opal glass", "174.00", "photos/dome-lamp.jpg"),
    Row("HM-1203", "Workshop Stool", "Turned stool with a dished seat, 65 cm high, oiled by hand.", "Ask & Alm",
        "Furniture", "natural", "ash", "210.00", "photos/ash-stool.jpg"),
    Row("HM-1301", "Pocket Notebook A5", "192 ruled pages, lies flat, with elastic band and ribbon.", "Papirlaget",
        "Stationery", "forest green", "bonded leather, paper", "19.50", "photos/pocket-notebook.jpg"),
    Row("AP-2001", "Meridian Market Tote", "Heavy canvas tote with long handles, carries 15 kg.", "Meridian",
        "Bags", "ecru", "cotton canvas", "28.00", "photos/canvas-tote.jpg"),
    Row("AP-2002", "Tarn Field Backpack", "18 litre pack with leather straps and brass buckles.", "Tarn",
        "Bags", "slate blue", "waxed cotton", "148.00", "photos/field-backpack.jpg"),
    Row("AP-2003", "Six Panel Cap", "Unlined twill cap with a stitched peak and adjustable strap.", "Meridian",
        "Headwear", "tan", "cotton twill", "34.00", "photos/twill-cap.jpg"),
    Row("AP-2004", "Rib Beanie with Bobble", "Chunky knit with a double brim. One size.", "Vevhus",
        "Headwear", "rust", "merino wool", "42.00", "photos/rib-beanie.jpg"),
    Row("AP-2005", "Court Sneaker", "Low sneaker with a vulcanised sole and leather heel.", "Solvei",
        "Footwear", "off-white", "canvas, leather", "96.00", "photos/court-sneaker.jpg"),
    Row("AP-2006", "Meridian Dial Watch", "38 mm steel case, sapphire glass, vegetable-tanned strap.", "Tarn",
        "Watches", "midnight blue", "steel, leather", "185.00", "photos/dial-watch.jpg"),
    Row("GC-0025", "Gift Card 25", "Printed card in an envelope, valid for three years.", "Lerhus",
        "Gift card", "coral", "paper", "25.00"),
    Row("GC-0100", "Gift Card 100", "Printed card in an envelope, valid for three years.", "Lerhus",
        "Gift card", "navy", "paper", "100.00"),
]


@dataclass(frozen=True)
class Expected:
    """What the manifest says of one row and shot."""

    status: str
    reason: str
    error_code: str | None = None


@dataclass(frozen=True)
class Case:
    """A row as real exports write it, why it is awkward, and what becomes of its two shots."""

    why: str
    row: Row
    hero: Expected
    lifestyle: Expected


BOUGHT = Expected("archived", "new")
NO_PHOTO = Expected("invalid", "invalid", "reference_unreadable")
NO_KEY = Expected("invalid", "missing_key")
SAME_JOB = Expected("skipped", "duplicate_row")
OTHER_JOB = Expected("invalid", "duplicate_key")
NOT_WANTED = Expected("skipped", "condition_false")

_SHELF = Row("AW-006", "Полка «Север» из дуба", "Настенная полка, 80 см.\r\nКрепёж в комплекте.", "Берёзка",
             "Furniture", "светлый дуб", "oak", "4 990 ₽", "photos/ash-stool.jpg")

LONG_TITLE = " ".join(["Six Panel Cap with Stitched Peak, Adjustable Strap and Cotton Sweatband,"] * 6) + " One Size"

AWKWARD = [
    Case("quotes inside quotes, commas",
         Row("AW-001", 'The "Big One" Mug, 12" tall', 'He said: "best mug, ever".', "Lerhus",
         "Tableware", "cream, speckled", "stoneware", "18.00", "photos/stoneware-mug.jpg"), BOUGHT, BOUGHT),
    Case("line feeds inside a cell, one empty line among them",
         Row("AW-002", "Fluted Vase", "Care:\n- wipe clean\n\n- keep dry",
         "Atelier Bonde", "Decor", "sand", "earthenware", "58.00", "photos/ribbed-vase.jpg"), BOUGHT, BOUGHT),
    Case("Japanese, full-width forms, a line break in the title",
         Row("AW-003", "南部鉄器\n急須(大)", "職人の手作り。容量０.９Ｌ", "瓦工房",
         "Tableware", "深緑", "鋳鉄", "￥12,800", "photos/iron-teapot.jpg"), BOUGHT, BOUGHT),
    Case("Arabic, written right to left",
         Row("AW-004", "مصباح طاولة خزفي", "إضاءة دافئة، قاعدة مزججة", "لومو",
         "Lighting", "أخضر", "سيراميك", "١٢٩٫٠٠", "photos/table-lamp.jpg"), BOUGHT, BOUGHT),
    Case("umlauts, and a price with a decimal comma",
         Row("AW-005", "Größenverstellbare Mütze für Übergangstage",
         "Weich, wärmend; maschinenwaschbar bei 30 °C", "Wollwärts", "Headwear", "rostrot", "Schurwolle", "1.234,50 €",
         "photos/rib-beanie.jpg"), BOUGHT, BOUGHT),
    Case("Cyrillic, and CRLF inside a cell", _SHELF, BOUGHT, BOUGHT),
    Case("emoji, one of them joined from several",
         Row("AW-007", "Trail Flask 750 🏔️✨", "For the whole family 👩‍👩‍👧 🇳🇴", "Fjella",
         "Drinkware", "pine green 🌲", "stainless steel", "32.50", "photos/steel-flask.jpg"), BOUGHT, BOUGHT),
    Case("leading and trailing spaces, a tab, a no-break space",
         Row("AW-008", "  Harbour  Towel\tSet  ", " Four towels ", " Vevhus",
         "Bath", "blue\u00a0and sand ", "organic cotton", " 84.00 ", "photos/towel-set.jpg"), BOUGHT, BOUGHT),
    Case("a very long title",
         Row("AW-009", LONG_TITLE, "Title filled for search engines.", "Meridian", "Headwear", "tan", "cotton twill", "34.00",
         "photos/twill-cap.jpg"), BOUGHT, BOUGHT),
    Case("a photo that is not there: the shot that needs none is bought",
         Row("AW-010", "Ridge Carafe", "Photo follows.", "Kawara & Co",
         "Tableware", "smoke green", "glass", "54.00", "photos/missing.jpg"), BOUGHT, NO_PHOTO),
    Case("no key",
         Row("", "Sample without number", "Not yet in the system.", "Lerhus", "Tableware", "white", "porcelain", "0.00",
         "photos/dinner-plates.jpg"), NO_KEY, NO_KEY),
    Case("an earlier row once more, cell by cell", _SHELF, SAME_JOB, SAME_JOB),
    Case("an earlier key with another product: its title is in both prompts",
         Row("AW-005", "Mütze ohne Bommel",
         "Dünn gestrickt", "Wollwärts", "Headwear", "anthrazit", "Schurwolle", "29,90 €", "photos/rib-beanie.jpg"),
         OTHER_JOB, OTHER_JOB),
    Case("HTML from a shop's editor",
         Row("AW-011", "Bergamot Hand Wash &amp; Refill",
         '<p>Plant-based <strong>hand wash</strong>.</p>\n<ul>\n  <li style="color:#333">500&nbsp;ml</li>\n</ul>', "Halden",
         "Bath", "amber", "glass", "22.00", "photos/hand-wash.jpg"), BOUGHT, BOUGHT),
    Case("cells that a spreadsheet would run",
         Row("AW-012", '=HYPERLINK("https://shop.example/cap","Workshop Stool")', "+1 free, @home",
         "Ask & Alm", "Furniture", "-natural-", "ash", "210.00", "photos/ash-stool.jpg"), BOUGHT, BOUGHT),
    Case("template marks in a cell stay text",
         Row("AW-013", "Notebook {{ title }} {% if x %}", "{{ 7 * 7 }} pages {# none #}",
         "Papirlaget", "Stationery", "forest green", "paper", "19.50", "photos/pocket-notebook.jpg"), BOUGHT, BOUGHT),
    Case("a gift card: no photo, and none wanted",
         Row("GC-0050", "Carte cadeau « Noël » 50 €", "Valable 3 ans", "Lerhus",
         "Gift card", "", "paper", "50,00", ""), BOUGHT, NOT_WANTED),
]
