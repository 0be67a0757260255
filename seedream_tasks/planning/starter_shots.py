"""A starter shot list for a catalog: made for its columns, tested by the planner, with a comment on each line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from ..catalog.presets import fitting_preset
from ..catalog.tables import Table, open_table
from ..config.run_options import RunOptions
from ..core.addresses import check_address
from ..core.column_names import Columns, snake_case
from ..core.errors import InputError
from ..core.market import DEFAULT_MODEL, market
from ..core.price_book import PriceBook
from ..core.secrets import without_secrets
from ..storage.archive import Archive
from .freeze import documented, forecast
from .row_keys import KEY_COLUMNS

_TITLES = (
    *(
        "title",
        "name",
        "product_title",
        "product_name",
        "item_name",
        "product",
        "bezeichnung",
        "titel",
        "artikel",
        "nom",
    ),
    *("titre", "nombre", "titulo", "nome", "naam", "nazwa", "description"),
)
_PHOTOS = (
    "image",
    "image_url",
    "image_src",
    "image_link",
    "photo",
    "photo_url",
    "picture",
    "picture_url",
    "main_image",
    "img",
)
_LOOKED_AT = 2_000  # rows, for a column that tells all of them apart


@dataclass(frozen=True)
class Starter:
    """A shot list for a catalog, and how the commands should read the catalog."""

    text: str
    preset: str | None
    key: str | None  # to give with --key; None: found automatically


def starter(catalog: str | None) -> Starter:
    """A shot list for a catalog, or for any with a column `title`. Raises InputError for an unreadable catalog."""
    if catalog is None:
        return Starter(_text("your catalog", "title", None, (), False), None, None)
    check_address(catalog, "catalog")
    table = open_table(catalog)
    preset = fitting_preset(table.columns)
    key = None if preset else _key(table)
    title, photo = ("title", "image_url") if preset else _columns(table, key)
    names = [name for name in (Columns(table.columns).names_of(place) for place in range(len(table.columns))) if name]
    # With the supplier's photos if there are readable ones, else with that shot commented out.
    tried = [_text(catalog, title, photo, names, active) for active in ((True, False) if photo else (False,))]
    text = min(tried, key=lambda each: _refused(catalog, each, preset, key))
    return Starter(text, preset, key)


def _refused(catalog: str, text: str, preset: str | None, key: str | None) -> int:
    with TemporaryDirectory(prefix="seedream-") as folder:
        shots = Path(folder, "shots.yaml")
        shots.write_text(text, encoding="utf-8")
        options = RunOptions(catalog, str(shots), preset, key)
        prices = PriceBook.for_run(True, ())
        nowhere = Archive(str(Path(folder, "none")))
        figures, _ = forecast(options, documented(market().gateways), prices, nowhere, None)
    return figures.by_status["invalid"]


def _key(table: Table) -> str | None:
    """The column to name as key; None if one is found automatically. Raises InputError if no column is unique."""
    if any(name.lower() in KEY_COLUMNS for name in table.columns):
        return None
    rows = list(islice(table.rows, _LOOKED_AT))
    for place, name in enumerate(table.columns):
        cells = [row.cells[place].strip() for row in rows if row.error is None]
        if all(cells) and len(set(cells)) == len(cells):
            return name
    raise InputError(
        f"{table.uri}: no column identifies a row: none is filled in and different in every row",
        field="key",
        hint="add a column sku, id or handle",
    )


def _columns(table: Table, key: str | None) -> tuple[str, str | None]:
    """The template expressions for a product's title and, if it has one, its photo."""
    by_name = {snake_case(name): place for place, name in reversed(list(enumerate(table.columns)))}
    identifying = next((n for n, name in enumerate(table.columns) if name == key or name.lower() in KEY_COLUMNS), 0)
    title = next((by_name[name] for name in _TITLES if name in by_name), None)
    if title is None:
        others = (place for place in range(len(table.columns)) if place != identifying)
        title = next(others, identifying)
    photo = next((by_name[name] for name in _PHOTOS if name in by_name), None)
    shown = _expression(table, title)
    if title != identifying:
        shown += f" | default({_expression(table, identifying)}, true)"
    return shown, None if photo is None else _expression(table, photo)


def _expression(table: Table, place: int) -> str:
    """A column as a template expression."""
    return Columns(table.columns).names_of(place) or f"row[{table.columns[place]!r}]"


def _text(catalog: str, title: str, photo: str | None, names: Sequence[str], with_photo: bool) -> str:
    columns = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    known = f"# {_comment(f'Columns of this catalog, as templates write them: {columns}')}\n" if names else ""
    hero = json.dumps(
        f"Studio photograph of {{{{ {title} }}}}, centred on a seamless white background, soft light, sharp focus, no text",
        ensure_ascii=False,
    )
    reference = json.dumps(f"{{{{ {photo or 'image'} }}}}", ensure_ascii=False)
    when = json.dumps(f"{photo or 'image'} != ''", ensure_ascii=False)
    place = json.dumps(
        f"Place this product, {{{{ {title} }}}}, on a light wooden table by a window. Keep its shape, colour and printing",
        ensure_ascii=False,
    )
    mark = "" if with_photo else "# "
    second = "\n".join(
        f"{mark}{line}"
        for line in (
            "  - name: lifestyle",
            "    operation: edit # needs a reference",
            f"    references: [{reference}] # a link, or a path seen from the catalog's folder",
            f"    prompt: {place}",
            '    ratio: "4:3"',
            f"    when: {when} # rows for which this is false are skipped",
        )
    )
    return f"""\
# {_comment(f"What images are wanted of each product of {without_secrets(catalog)}.")}
#
# Text between {{{{ }}}} is filled in from the row; a name that no column has is an error, not an empty text.
{known}# Every field: docs/catalogs-and-shots.md.

defaults: # hold for every shot that does not say otherwise
  model: {DEFAULT_MODEL}
  tier: 2K # about 2048 x 2048 px

shots:
  # An image made from words alone, one for each product.
  - name: hero # stands in the file names and in the manifest
    operation: generate
    prompt: {hero}
    ratio: "1:1" # width to height
    n: 1 # how many images to buy

  # The supplier's own photo, placed in a room: one more image for each product that has a photo.
{second}
"""


def _comment(text: str) -> str:
    """A catalog's own text, safe within one comment line."""
    return " ".join(text.split())
