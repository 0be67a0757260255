"""WooCommerce's export in the languages of its users: the same products as in English, or a refusal that says how to export."""

import csv
import json
from pathlib import Path

import pytest
from catalogs import plan, prompts, told, write

from seedream_tasks.catalog.presets import fitting_preset
from seedream_tasks.catalog.presets.woocommerce_languages import check_language
from seedream_tasks.catalog.tables import open_table
from seedream_tasks.core.errors import InputError

CDN = "https://laden.example/wp-content/uploads"
# As shops' exports have them. The order is WooCommerce's own: id, type, SKU, name, published, featured, visibility, descriptions,
# in stock, weight, prices, categories, tags, images, parent, position, attributes.
HEADERS = {
    "English": 'ID,Type,SKU,Name,Published,"Is featured?","Visibility in catalog","Short description",Description,"In stock?",'
    'Weight (kg),"Sale price","Regular price",Categories,Tags,Images,Parent,Position,"Attribute 1 name","Attribute 1 value(s)"',
    "German": 'ID,Typ,Artikelnummer,Name,Veröffentlicht,"Ist hervorgehoben?","Sichtbarkeit im Katalog",Kurzbeschreibung,'
    'Beschreibung,Vorrätig?,"Gewicht (kg)",Angebotspreis,"Regulärer Preis",Kategorien,Schlagwörter,Bilder,'
    '"Übergeordnetes Produkt",Position,"Attribut 1 Name","Attribut 1 Wert(e)"',
    "French": 'ID,Type,UGS,Nom,Publié,"Mis en avant ?","Visibilité dans le catalogue","Description courte",Description,'
    '"En stock ?","Poids (kg)","Tarif promo","Tarif régulier",Catégories,Étiquettes,Images,Parent,Position,'
    '"Nom de l’attribut 1","Valeur(s) de l’attribut 1 "',
    "Spanish": "ID,Tipo,SKU,Nombre,Publicado,¿Está destacado?,Visibilidad en el catálogo,Descripción corta,Descripción,"
    "¿Existencias?,Peso (kg),Precio rebajado,Precio normal,Categorías,Etiquetas,Imágenes,Superior,Posición,"
    "Nombre del atributo 1,Valor(es) del atributo 1",
    "Italian": 'ID,Tipo,COD,Nome,Pubblicato,"In primo piano?","Visibilità nel catalogo","Breve descrizione",Descrizione,'
    '"In stock?","Peso (kg)","Prezzo in offerta","Prezzo di listino",Categorie,Etichette,Immagine,Genitore,Posizione,'
    '"Attributo 1 nome","Attributo 1 valuta(e)"',
    "Dutch": 'ID,Type,Artikelnummer,Naam,Gepubliceerd,Uitgelicht?,"Zichtbaarheid in catalogus","Korte omschrijving",'
    'Beschrijving,"Op voorraad?","Gewicht (kg)",Actieprijs,"Reguliere prijs",Categorieën,Tags,Afbeeldingen,Hoofd,Positie,'
    '"Naam eigenschap 1","Waarde eigenschap 1"',
    "Portuguese": "ID,Tipo,SKU,Nome,Publicado,Em destaque?,Visibilidade no catálogo,Descrição curta,Descrição,Em estoque?,"
    "Peso (kg),Preço promocional,Preço,Categorias,Tags,Imagens,Ascendente,Posição,Nome do atributo 1,Valores do atributo 1",
    "Polish": "ID,Typ,SKU,Nazwa,Opublikowano,Wyróżniony produkt?,Widoczność w katalogu,Krótki opis,Opis,W magazynie?,"
    "Waga (kg),Cena promocyjna,Cena,Kategorie,Tagi,Obrazki,Element nadrzędny,Pozycja,Nazwa atrybutu 1,Wartości atrybutu 1",
}
ROWS = [
    *[
        ("7", "variable", "KRUG", "Steinkrug", "1", "0", "visible", "Kurz", "<p>Lang</p>", "1", "1,2", "", ""),
        ("8", "variation", "KRUG-B", "", "1", "0", "visible", "", "", "1", "", "11,90", "14,90"),
        ("9", "simple", "", "Kanne", "1", "0", "visible", "Bauchig", "", "1", "", "", "1.039,00"),
        ("10", "simple", "ALT", "Altes", "-1", "0", "visible", "", "", "1", "", "", "5"),
    ]
]
MORE = [
    ("Küche > Krüge, Neu", "blau, groß\\, schwer", f"{CDN}/k1.jpg, {CDN}/k2\\,b.jpg", "", "0", "Farbe", "Blau, Rot"),
    ("", "", "", "id:7", "0", "Farbe", "Blau"),
    ("Küche", "", f"{CDN}/kanne.jpg", "", "0", "", ""),
    ("", "", "", "", "0", "", ""),
]
TEMPLATE = (
    "{{ key }}|{{ title }}|{{ description }}|{{ category }}|{{ price }}|{{ tags }}|{{ image_urls | join(' ') }}"
    "|{{ variants | map(attribute='options') | join }}"
)
IMAGES = f"{CDN}/k1.jpg {CDN}/k2,b.jpg"
RIGHT = {
    "KRUG": f'KRUG|Steinkrug|<p>Lang</p>|Küche > Krüge||blau, groß, schwer|{IMAGES}|{{"Farbe": "Blau"}}'.replace(
        '"', "'"
    ),
    "KRUG-B": f"KRUG-B|Steinkrug|<p>Lang</p>|Küche > Krüge|14,90|blau, groß, schwer|{IMAGES}|",
    "9": f"9|Kanne|Bauchig|Küche|1.039,00||{CDN}/kanne.jpg|",
}


def export(path: Path, header: str) -> Path:
    """Such an export; the header's cells stand as they are."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        file.write(header + "\n")
        csv.writer(file).writerows([*first, *rest] for first, rest in zip(ROWS, MORE, strict=True))
    return path


def shots(template: str = TEMPLATE) -> str:
    return json.dumps({"shots": [{"name": "hero", "prompt": template}]})


@pytest.mark.parametrize("language", HEADERS)
def test_each_language_gives_the_same_products(language: str, tmp_path: Path) -> None:
    """SKU keys, prices, categories, tags, images in order, a variation titled from its parent, a draft left out."""
    path = export(tmp_path / "a.csv", HEADERS[language])
    records = plan(path, shots(), preset="woocommerce")
    assert prompts(records) == RIGHT
    assert told(records)[3] == ("ALT", "skipped", "not_for_sale")


@pytest.mark.parametrize("language", HEADERS)
def test_each_language_is_known_for_woocommerces(language: str, tmp_path: Path) -> None:
    """`plan` names the preset to someone who gave none."""
    assert fitting_preset(open_table(str(export(tmp_path / "a.csv", HEADERS[language]))).columns) == "woocommerce"


@pytest.mark.parametrize(
    ("old", "new"),
    [("’", "'"), ("Catégories", "CATEGORIES"), ("En stock ?", "En stock\u00a0?"), ("Étiquettes", "E\u0301tiquettes")],
)
def test_headers_are_compared_as_people_read_them(old: str, new: str, tmp_path: Path) -> None:
    """Typographer's apostrophes, case, blanks and ways to store an accent decide nothing."""
    header = HEADERS["French"].replace(old, new)
    assert prompts(plan(export(tmp_path / "a.csv", header), shots(), preset="woocommerce")) == RIGHT


def test_plugins_columns_are_no_hindrance(tmp_path: Path) -> None:
    """German shops have a dozen of them, in German."""
    header = HEADERS["German"].replace("Position,", '"Ist Dienstleistung?",') + ",Lieferzeit,Meta: _wp_page_template"
    assert prompts(plan(export(tmp_path / "a.csv", header), shots(), preset="woocommerce")) == RIGHT


SWEDISH = (
    "ID,Typ,Artikelnummer,Namn,Publicerad,Utvald?,Synlighet i katalog,Kort beskrivning,Beskrivning,I lager?,Vikt (kg),Reapris,"
    "Ordinarie pris,Kategorier,Etiketter,Bilder,Överordnad,Position,Attribut 1 namn,Attribut 1 värde(n)"
)
HUNGARIAN_WITH_NAME = (
    "ID,Típus,Cikkszám,Name,Közzétéve,Kiemelt?,Láthatóság,Rövid leírás,Leírás,Készleten?,Súly (kg),Akciós ár,Normál ár,"
    "Kategóriák,Címkék,Képek,Szülő,Pozíció,1. tulajdonság neve,1. tulajdonság értéke"
)

# `Type` is English too.
DANISH = (
    "ID,Type,Varenummer,Navn,Publiceret,Fremhævet?,Synlighed,Kort beskrivelse,Beskrivelse,På lager?,Vægt,Tilbudspris,"
    "Normalpris,Kategorier,Tags,Billeder,Overordnet,Placering,Egenskab 1 navn,Egenskab 1 værdi(er)"
)


@pytest.mark.parametrize(
    "header",
    [
        SWEDISH,
        DANISH,
        HUNGARIAN_WITH_NAME,
        HUNGARIAN_WITH_NAME.replace("Súly (kg)", "Súly"),
        HEADERS["Portuguese"].replace(",SKU,", ",REF,").replace("Preço,Cat", "Preço normal,Cat"),
        HEADERS["German"].replace('"Regulärer Preis"', "Normalpreis"),
        HEADERS["German"].replace("Artikelnummer", "Bestellnr."),
        HEADERS["Spanish"].replace("Imágenes", "Fotos del producto"),
    ],
    ids=[
        "swedish",
        "Type is English too",
        "ID and Name alike",
        "told by its cells",
        "European Portuguese",
        "another price",
        "another SKU",
        "other images",
    ],
)
@pytest.mark.parametrize("key", [None, "ID"])
def test_a_language_that_is_not_known_is_refused(header: str, key: str | None, tmp_path: Path) -> None:
    """Never read as if its columns were empty; the way out is said."""
    with pytest.raises(InputError) as caught:
        plan(export(tmp_path / "a.csv", header), shots(), preset="woocommerce", key=key)
    assert caught.value.facts["code"] == "headers_translated"
    assert "English" in caught.value.facts["hint"]
    assert "Products > Export" in caught.value.facts["hint"]


@pytest.mark.parametrize(
    "header",
    ["ID,Name,Colour", "SKU,Name,Farbe,Bild", "ID,Name,Images,Material", "ID,SKU,Name,Breite (cm),Published"],
)
def test_a_cut_down_english_export_is_read(header: str, tmp_path: Path) -> None:
    """With columns of its own; nothing says that it is another language."""
    path = write(tmp_path / "a.csv", f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
    check_language(open_table(str(path)))
    assert [record.settled for record in plan(path, shots("{{ title }}"), preset="woocommerce")] == [None]


@pytest.mark.parametrize(
    "header",
    [
        "SKU;Name;Kurzbeschreibung;Preis;Bilder",
        "SKU;Nazwa;Opis;Cena;Kategorie",
        "ID;Nome;Descrição;Preço",
        "ID;Name;Marcas",
    ],
)
def test_a_price_list_in_such_a_language_is_not_called_woocommerces(header: str, tmp_path: Path) -> None:
    """Words that everybody uses say nothing about whose export it is."""
    assert fitting_preset(header.split(";")) is None
    path = write(tmp_path / "a.csv", f"{header}\n" + ";".join("1" for _ in header.split(";")) + "\n")
    if "Name" in header:
        assert [
            record.settled for record in plan(path, shots("{{ title }}"), preset="magento", key=header[:3].strip(";"))
        ] == [None]


def test_an_english_export_with_a_brand_in_another_language_is_english(tmp_path: Path) -> None:
    """Cut down, with columns of its own."""
    path = write(tmp_path / "a.csv", "ID,Name,Marcas,Material\n1,Mug,Hus,clay\n")
    assert prompts(plan(path, shots("{{ title }}"), preset="woocommerce")) == {"1": "Mug"}


def test_another_shops_file_is_not_called_translated(tmp_path: Path) -> None:
    """What fits is named instead."""
    path = write(tmp_path / "a.csv", "Handle,Title,Variant Price,Image Src\nx,X,1,\n")
    with pytest.raises(InputError) as caught:
        plan(path, shots(), preset="woocommerce")
    assert caught.value.facts["hint"] == "this looks like a Shopify export: --preset shopify"
