"""Finding the header row of a table.

It is the first row, unless that cannot be and another clearly is: a title, an export's preamble or a template's own rows may be
above it. A first row that names columns is always the header, and in doubt the first row counts.
"""

import re
from collections.abc import Sequence

from ...core.errors import InputError
from .sources import CatalogSource

# So many rows are looked at, and no more characters of them.
SAMPLE_ROWS, SAMPLE_CHARACTERS = 60, 4_000_000
Line = tuple[int, list[str]]  # where it begins in the file, and its cells

# What identifies a product, and what else its columns are called, in exports and price lists.
_KEYS = frozenset(
    """
    sku|id|handle|prompt|key|code|barcode|gtin|ean|upc|asin|mpn|isbn|item sku|seller sku|variant sku|product sku|contribution sku
    |product id|item id|offer id|variant id|url handle|handleid|parent sku|product code|item code|product number|part number
    |article number|item number|item no|product no|article no|style number|model number|stock code|artikelnummer|artikelnr
    |artikel nr|artikel nummer|art nr|artnr|artikel|bestellnummer|produktnummer|referenz|reference|ref|référence|referencia
    |referência|riferimento|codice|código|codigo|code article|code produit|codice articolo|clave|kod|kod produktu|cikkszám
    |cod produs|kód|varenummer|varenr|tuotenumero|artikul|артикул|код|品番|商品コード|货号|编号
    """.replace("\n", "")
    .replace("    ", "")
    .split("|")
)
_OTHERS = frozenset(
    """
    title|name|product name|item name|product title|product|description|short description|long description|price|standard price
    |regular price|sale price|cost|brand|brand name|vendor|manufacturer|category|categories|product type|type|image|images
    |image url|image link|image src|image urls|main image url|main image|image|photo|photos|link|url|color|colour|size|material
    |quantity|stock|status|tags|weight|titel|bezeichnung|produktname|produkttitel|artikelname|artikelbezeichnung|beschreibung
    |kurzbeschreibung|preis|marke|hersteller|kategorie|bild|bilder|bild url|farbe|größe|grösse|menge|bestand|gewicht|nom
    |désignation|titre|prix|marque|catégorie|photo url|couleur|taille|matière|quantité|nombre
    |título|descripción|precio|marca|categoría|imagen|imágenes|tamaño|cantidad|nome|titolo|descrizione|prezzo|categoria|immagine|colore|taglia|descrição|preço|imagem|cor|tamanho
    |naam|omschrijving|prijs|merk|categorie|afbeelding|kleur|maat|nazwa|opis|cena|kategoria|zdjęcie|kolor|rozmiar|megnevezés|név
    |leírás|ár|kép|denumire|descriere|preț|pret|imagine|název|popis|navn|beskrivelse|pris|namn|beskrivning|färg|nimi|hinta
    |название|наименование|описание|цена|фото|изображение|цвет|商品名|名称|标题|价格|图片|価格|画像
    """.replace("\n", "")
    .replace("    ", "")
    .split("|")
)
_NUMBER = re.compile(r"[\d\s.,:/%€$£+()-]+")
_LINK = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_MACHINE_NAME = re.compile(r"[a-z][a-z0-9_.#\[\]=:-]*")
_LONGEST_NAME = 80


def stated_header(source: CatalogSource) -> int | None:
    """The line or row that `CATALOG#header=N` names. Raises InputError."""
    stated = source.stated.get("header")
    if stated is None:
        return None
    if not stated.isdecimal() or not int(stated):
        raise InputError(
            f"{source.uri}: header={stated}: expected the number of a line or row, from 1", field="header_row"
        )
    return int(stated)


def find_header(lines: Sequence[Line]) -> int:
    """The index (from 0) of the header among a table's first non-empty lines."""
    rows = [_trimmed(cells) for _, cells in lines]
    if len(rows) < 3 or names_a_key(rows[0]) or (_known(rows[0]) > 1 and all(rows[0])):
        return 0
    for place in range(1, len(rows) - 1):
        if _by_its_names(rows, place):
            return place + 1 if _by_its_names(rows, place + 1) and _are_machine_names(rows[place + 1]) else place
        if _by_its_shape(rows, place):
            return place
    return 0


def names_a_key(cells: Sequence[str]) -> bool:
    """Whether these cells name a column that identifies a product."""
    return any(_tidy(cell) in _KEYS for cell in cells)


def is_clear(lines: Sequence[Line]) -> bool:
    """Whether a table names its columns in words that are known."""
    if not lines:
        return False
    cells = _trimmed(lines[find_header(lines)][1])
    return names_a_key(cells) and _known(cells) > 1


def is_table(lines: Sequence[Line]) -> bool:
    """Whether rows stand below names, in whatever language: the first row names columns, and most of the others fill them."""
    rows = [_trimmed(cells) for _, cells in lines]
    if len(rows) < 2 or len(rows[0]) < 2 or not _could_be_names(rows[0]):
        return False
    filled = [sum(map(bool, row)) for row in rows]
    return sum(each * 2 > filled[0] for each in filled[1:]) * 2 > len(rows) - 1


def looks_like_data(cells: Sequence[str]) -> bool:
    """Whether the assumed column names are not names: numbers, links, a title, or nothing."""
    return not _could_be_names(["" if cell == f"column_{number}" else cell for number, cell in enumerate(cells, 1)])


def told(uri: str, at: str, first: Line, how: str) -> str:
    """The warning about a header that is not the first row."""
    shown = " | ".join(cell.strip() for cell in _trimmed(first[1]) if cell.strip())
    return (
        f"{uri}: {at} was taken for the header; the rows above it were skipped ({shown[:60]!r}); {how} says otherwise"
    )


def _by_its_names(rows: Sequence[Sequence[str]], place: int) -> bool:
    """It names a key and something else that products have (anything, below a title), and the rows below fit under it."""
    row = rows[place]
    below = rows[place + 1 :]
    fitting = sum(len(each) <= len(row) for each in below)
    enough = _known(row) > 1 or len(rows[0]) == 1
    return _could_be_names(row) and names_a_key(row) and enough and bool(below) and fitting * 2 >= len(below)


def _by_its_shape(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Every column has a name, there are more of them than any row above has cells, and the rows below hold other things."""
    row, above, below = rows[place], rows[:place], rows[place + 1 :]
    if len(row) < 3 or not all(row) or not _could_be_names(row) or not below:
        return False
    if len(rows[0]) > 2 or any(len(each) >= len(row) for each in above) or any(len(each) > len(row) for each in below):
        return False
    return any(
        sum(_is_number_or_link(each[column]) for each in below if len(each) > column) * 2 > len(below)
        for column in range(len(row))
    )


def _could_be_names(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    # Amazon's fields say in brackets whose they are, and are told apart by what stands behind: `bullet_point[...]#2.value`.
    alike = len({re.sub(r"[\W_]+", " ", cell.lower()).strip() for cell in filled}) < len(filled)
    odd = any(len(cell.split("[", 1)[0]) > _LONGEST_NAME or _is_number_or_link(cell) for cell in filled)
    return len(filled) > 1 and not alike and not odd


def _are_machine_names(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return any("_" in cell for cell in filled) and all(_MACHINE_NAME.match(cell) for cell in filled)


def _is_number_or_link(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell) or _LINK.match(cell))


def _known(cells: Sequence[str]) -> int:
    return sum(_tidy(cell) in _KEYS or _tidy(cell) in _OTHERS for cell in cells)


def _tidy(cell: str) -> str:
    return re.sub(r"[\W_]+", " ", cell.split("#", 1)[0].split("[", 1)[0].lower()).strip()


def _trimmed(cells: Sequence[str]) -> list[str]:
    """Without the blanks around its cells, and without empty ones at its end."""
    stripped = [cell.strip() for cell in cells]
    while stripped and not stripped[-1]:
        stripped.pop()
    return stripped
