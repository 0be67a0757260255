"""The column names of WooCommerce's export: they are translated into the exporting user's language.

English is `WC_Product_CSV_Exporter::get_default_column_names` (plugins/woocommerce/includes/export); the others are its
translations (https://translate.wordpress.org/projects/wp-plugins/woocommerce) as language packs and shops' exports have them,
older ones too. Cell values (`simple`, `variation`, 1, 0) are not translated. An unknown language is refused, never
guessed: keys, prices or images would be missing silently.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice

from ...core.errors import InputError
from ..tables import Table
from .products import Names, tidy

_ENGLISH = {
    "id": "ID",
    "type": "Type",
    "sku": "SKU",
    "name": "Name",
    "published": "Published",
    "short description": "Short description",
    "description": "Description",
    "sale price": "Sale price",
    "regular price": "Regular price",
    "categories": "Categories",
    "tags": "Tags",
    "images": "Images",
    "parent": "Parent",
    "brand": "Brands|Brand",
    "attribute": "Attribute {n} name",
    "value": "Attribute {n} value(s)",
}
_LANGUAGES = {
    "English": _ENGLISH,
    "German": {
        "type": "Typ",
        "sku": "Artikelnummer",
        "published": "Veröffentlicht",
        "short description": "Kurzbeschreibung",
        "description": "Beschreibung",
        "sale price": "Angebotspreis",
        "regular price": "Regulärer Preis",
        "categories": "Kategorien",
        "tags": "Schlagwörter",
        "images": "Bilder",
        "parent": "Übergeordnetes Produkt",
        "attribute": "Attribut {n} Name",
        "value": "Attribut {n} Wert(e)",
    },
    "French": {
        "sku": "UGS",
        "name": "Nom",
        "published": "Publié",
        "short description": "Description courte",
        "sale price": "Tarif promo",
        "regular price": "Tarif régulier",
        "categories": "Catégories",
        "tags": "Étiquettes",
        "attribute": "Nom de l’attribut {n}",
        "value": "Valeur(s) de l’attribut {n}",
    },
    "Spanish": {
        "type": "Tipo",
        "name": "Nombre",
        "published": "Publicado",
        "short description": "Descripción corta",
        "description": "Descripción",
        "sale price": "Precio rebajado",
        "regular price": "Precio normal",
        "categories": "Categorías",
        "tags": "Etiquetas",
        "images": "Imágenes",
        "parent": "Superior|Principal",
        "brand": "Marcas",
        "attribute": "Nombre del atributo {n}",
        "value": "Valor(es) del atributo {n}",
    },
    "Italian": {
        "type": "Tipo",
        "sku": "COD",
        "name": "Nome",
        "published": "Pubblicato",
        "short description": "Breve descrizione",
        "description": "Descrizione",
        "sale price": "Prezzo in offerta",
        "regular price": "Prezzo di listino",
        "categories": "Categorie",
        "tags": "Etichette|Tag",
        "images": "Immagine|Immagini",
        "parent": "Genitore",
        "attribute": "Attributo {n} nome",
        "value": "Attributo {n} valuta(e)|Attributo {n} valore(i)",
    },
    "Dutch": {
        "sku": "Artikelnummer",
        "name": "Naam",
        "published": "Gepubliceerd",
        "short description": "Korte omschrijving",
        "description": "Beschrijving",
        "sale price": "Actieprijs",
        "regular price": "Reguliere prijs",
        "categories": "Categorieën",
        "images": "Afbeeldingen",
        "parent": "Hoofd",
        "attribute": "Naam eigenschap {n}",
        "value": "Waarde eigenschap {n}",
    },
    "Portuguese": {
        "type": "Tipo",
        "sku": "REF",
        "name": "Nome",
        "published": "Publicado",
        "short description": "Descrição curta|Descrição breve",
        "description": "Descrição",
        "sale price": "Preço promocional",
        "regular price": "Preço",
        "categories": "Categorias",
        "tags": "Etiquetas",
        "images": "Imagens",
        "parent": "Ascendente|Produto ascendente",
        "brand": "Marcas",
        "attribute": "Nome do atributo {n}|Atributo {n} nome",
        "value": "Valores do atributo {n}|Atributo {n} valor(es)",
    },
    "Polish": {
        "id": "Identyfikator",
        "type": "Typ",
        "name": "Nazwa",
        "published": "Opublikowano|Opublikowany",
        "short description": "Krótki opis",
        "description": "Opis",
        "sale price": "Cena promocyjna",
        "regular price": "Cena|Cena regularna",
        "categories": "Kategorie",
        "tags": "Tagi",
        "images": "Obrazki",
        "parent": "Element nadrzędny|Nadrzędny",
        "attribute": "Nazwa atrybutu {n}",
        "value": "Wartości atrybutu {n}",
    },
}
# If one of these is missing from a translated export, it may be there under an unknown name.
_DECIDING = {
    "sku": "its SKU",
    "type": "whether it is a variation",
    "regular price": "its price",
    "categories": "its category",
    "images": "its images",
}
_KINDS = frozenset(
    {"simple", "variable", "variation", "grouped", "external", "virtual", "downloadable", "subscription"}
)
_UNIT = re.compile(r"\((kg|g|lbs|oz|cm|m|mm|in|yd)\)$")
_OF_NO_LANGUAGE = re.compile(r"^(meta|download|gtin)\b|^(weight|length|width|height) \(|: _", re.IGNORECASE)
_ROWS_LOOKED_AT = 50


def columns_of(columns: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The names of the language that these columns are in; what it does not translate is English."""
    return _spellings(_language(columns))


def check_language(table: Table) -> None:
    """Refuse an export in a language that is not known. Raises InputError."""
    language = _language(table.columns)
    names = Names(table.columns, _spellings(language))
    unknown = [
        column
        for place, column in enumerate(table.columns)
        if place not in names.places() and not _OF_NO_LANGUAGE.match(tidy(column))
    ]
    missing = [what for meaning, what in _DECIDING.items() if not names.has(meaning)]
    named = names.has("name") and (names.has("sku") or names.has("id"))
    if language != "English":
        refused = bool(missing and unknown)
    elif named and any(
        names.has(meaning) for meaning in ("published", "short description", "regular price", "categories")
    ):
        refused = False
    else:
        # `Type` is the same word in several languages; a missing column may have another name.
        alike = names.places("type") if unknown and not names.has("name") else ()
        refused = _is_translated(table, unknown, [*unknown, *(table.columns[place] for place in alike)])
    if not refused:
        return
    shown = ", ".join(repr(column) for column in unknown[:6]) + (", ..." if len(unknown) > 6 else "")
    lacking = f"; no column was found that says {', '.join(missing)}" if named else ""
    raise InputError(
        f"{table.uri}: these headers are WooCommerce's in a language, or a version of one, that is not known here"
        f" ({shown}){lacking}{table.facts.where_columns_are()}",
        field="preset",
        code="headers_translated",
        hint="set the language of your own profile to English (Users > Profile > Language), then export again with"
        f" Products > Export; headers are known in {', '.join(_LANGUAGES)}",
    )


def marks() -> tuple[str, ...]:
    """Names of columns that only WooCommerce's export has, in the languages that are known."""
    translated = [
        spelling
        for language in _LANGUAGES.values()
        if language is not _ENGLISH
        for meaning in ("published", "regular price", "attribute")
        for spelling in language.get(meaning, "").split("|")
        if meaning != "regular price" or " " in spelling  # a single word for a price is not specific
    ]
    english = (
        *("regular price", "visibility in catalog", "is featured", "in stock", "attribute {n} name"),
        "grouped products",
    )
    return tuple(dict.fromkeys(tidy(each).replace("{n}", "1") for each in (*english, *translated) if each))


def _spellings(language: str) -> dict[str, tuple[str, ...]]:
    own = _LANGUAGES[language]
    return {
        meaning: tuple(dict.fromkeys([*own.get(meaning, english).split("|"), *english.split("|")]))
        for meaning, english in _ENGLISH.items()
    }


def _language(columns: Sequence[str]) -> str:
    """The language that knows most of these columns; English where several do."""
    # A plugin's column for the brand may have any name.
    meanings = [meaning for meaning in _ENGLISH if meaning != "brand"]
    return max(_LANGUAGES, key=lambda name: len(Names(columns, _spellings(name)).places(*meanings)))


def _is_translated(table: Table, unknown: Sequence[str], able: Sequence[str]) -> bool:
    """Whether one of these columns holds this export's product types, or unknown names contain its units."""
    if any(_UNIT.search(column.strip()) for column in unknown):
        return True
    places = [table.columns.index(column) for column in able]
    kinds: dict[int, bool] = {}
    for row in islice(table.rows, _ROWS_LOOKED_AT):
        for place in places:
            if cell := row.cells[place].strip().lower():
                fits = all(each.strip() in _KINDS for each in cell.split(","))
                kinds[place] = kinds.get(place, True) and fits
    return any(kinds.values())
