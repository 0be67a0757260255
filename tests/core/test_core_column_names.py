"""Names in templates: as they stand, in snake case, and in whatever case where only one column can be meant."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest

from seedream_tasks.core.column_names import BadCell, Columns
from seedream_tasks.core.errors import RowError
from seedream_tasks.core.render import render_job
from seedream_tasks.core.shots import make_shot


def prompt(template: str, names: Sequence[str], cells: Sequence[str] | None = None, **extra: Any) -> str:
    """What a prompt becomes for a row of these columns; each cell says its column's number."""
    row = [f"cell {number}" for number in range(1, len(names) + 1)] if cells is None else cells
    shot = make_shot({"name": "hero", "prompt": template}, "test")
    return render_job(shot, "p1", Columns(names).context(row, extra)).prompt


def refusal(template: str, names: Sequence[str], cells: Sequence[str] | None = None) -> RowError:
    """Why it is refused."""
    with pytest.raises(RowError) as caught:
        prompt(template, names, cells)
    return caught.value


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["productImageUrl", "x"], "productImageUrl"),
        (["productImageUrl", "x"], "productimageurl"),
        (["productImageUrl", "x"], "product_image_url"),
        (["productImageUrl", "x"], "ProductImageURL"),
        (["Product Image URL", "x"], "product_image_url"),
        (["Product Image URL", "x"], "PRODUCT_IMAGE_URL"),
        (["Product Image URL", "x"], "row['product image url']"),
        (["Product Image URL", "x"], "row.get('product image url')"),
        (["SKUCode", "x"], "sku_code"),
        (["sku", "SKU"], "sku"),
        (["SKU", "sku"], "SKU"),
        (["image_src", "Image Src"], "image_src"),
        (["image_src", "Image Src"], "row['image_src']"),
        (["Größe", "x"], "größe"),
        ([unicodedata.normalize("NFD", "Größe"), "x"], "Größe"),
        ([unicodedata.normalize("NFD", "Größe"), "x"], "row['größe']"),
        (["pri\u00adce", "x"], "price"),
        (["pri\u200dce", "x"], "row['Price']"),
        (["class", "not"], "class"),
        (["1st choice", "x"], "_1st_choice"),
        (["商品名", "x"], "商品名"),
    ],
)
def test_a_name_finds_its_column(names: list[str], name: str) -> None:
    """The first column, in every spelling that means only it; the exact one wins."""
    assert prompt(f"{{{{ {name} }}}}", names) == "cell 1"


@pytest.mark.parametrize(
    ("names", "template", "says"),
    [
        (["Titel", "Preis"], "{{ title }}", "'title' is undefined; no column has that name; the nearest is titel"),
        (["Product Name"], "{{ product_nam }}", "the nearest is product_name"),
        (["sku", "productTitle"], "{{ title }}", "the nearest is productTitle"),
        (
            ["Image-Src", "Image Src"],
            "{{ image_src }}",
            "could be any of 2 columns; write row['Image-Src'] or row['Image Src']",
        ),
        (["SKU", "Sku"], "{{ sku }}", "could be any of 2 columns"),
        (["Titel"], "{{ row['Titl'] }}", "'Titl' is undefined; no column has that name; the nearest is titel"),
        (["Titel"], "{{ row.Titl }}", "the nearest is titel"),
        (["abc"], "{{ zzzzz }}", "no column has that name"),
    ],
)
def test_a_name_that_finds_nothing_is_told_with_the_nearest(names: list[str], template: str, says: str) -> None:
    """Or with the columns that it could mean."""
    error = refusal(template, names)
    assert says in error.message
    assert error.facts["error_code"] == "undefined_name"


def test_a_presets_name_wins_and_is_found_in_any_case() -> None:
    """`Title` is the shop's column where it stands so; `TITLE` means what `title` means."""
    assert prompt("{{ title }} {{ Title }} {{ TITLE }} {{ Brand }}", ["Title"], title="T", brand="B") == "T cell 1 T B"
    assert prompt("{{ row['title'] }}", ["Title"], title="T") == "T"


def test_a_default_stands_in_for_a_column_that_is_not_there() -> None:
    """As ever: looking a name up in other spellings does not make it an error."""
    assert prompt("{{ colour | default('natural') }}", ["title"]) == "natural"
    assert prompt("{{ row.get('colour', 'natural') }}", ["title"]) == "natural"


@pytest.mark.parametrize(
    "template",
    ["{{ Note }}", "{{ note }}", "{{ row.Note }}", "{{ row['note'] }}", "{{ row.values() | list }}", "{{ row }}"],
)
def test_a_bad_cell_is_an_error_of_whoever_reads_it(template: str) -> None:
    """However it is reached; the others stay readable."""
    row = ["Mug", BadCell.saying("#N/A", "it holds the error #N/A")]
    assert refusal(template, ["Title", "Note"], row).facts["error_code"] == "bad_cell"
    assert prompt("{{ title }} {{ row['Title'] }} {{ 'Note' in row }}", ["Title", "Note"], row) == "Mug Mug True"


# References


def links(template: str, cell: str) -> list[str]:
    """The references that a template makes of a cell `x`."""
    shot = make_shot({"name": "hero", "prompt": "p", "references": [template]}, "test")
    return [each.uri for each in render_job(shot, "p1", Columns(["x"]).context([cell], {})).references]


A, B = "https://shop.example/a,1.jpg", "https://shop.example/b|2.jpg"


@pytest.mark.parametrize(
    ("template", "cell"),
    [
        ("{{ x.split(';') }}", f"{A};{B}"),
        ("{{ x.split() }}", f"{A}  {B}"),
        ("{{ x.split(' ') | map('trim') | list }}", f"{A} {B}"),
        ("{{ x.split(';') | map('trim') }}", f"{A} ; {B} ; "),
        ("{{ x.split(';') | select }}", f"{A};{B};"),
        ("{{ [x.split(';')[0], x.split(';')[1]] }}", f"{A};{B}"),
    ],
)
def test_references_take_a_list(template: str, cell: str) -> None:
    """As a template makes it, its items as they are: nothing parts them again."""
    assert links(template, cell) == [A, B]


def test_a_list_in_a_prompt_reads_as_ever() -> None:
    """Only references know lists: what a prompt shows decides what is bought."""
    assert prompt("{{ x.split(',') }}", ["x"], ["a,b"]) == "['a', 'b']"


@pytest.mark.parametrize(
    ("cell", "uri"),
    [
        ("https://shop.example/a.jpg?v=1&amp;w=9", "https://shop.example/a.jpg?v=1&w=9"),
        ("HTTP://shop.example/a.jpg?v=1&#038;w=9&AMP;x=1", "HTTP://shop.example/a.jpg?v=1&w=9&x=1"),
        ("https://shop.example/a.jpg?v=1&amp;amp;w=9", "https://shop.example/a.jpg?v=1&w=9"),
        ("https://shop.example/a.jpg?v=1&w=9&amplitude=2", "https://shop.example/a.jpg?v=1&w=9&amplitude=2"),
        ("images/salt &amp; pepper.jpg", "images/salt &amp; pepper.jpg"),
    ],
)
def test_a_link_out_of_html_is_an_address_again(cell: str, uri: str) -> None:
    """`&amp;` in it is `&`; a file's name is left alone."""
    assert links("{{ x }}", cell) == [uri]
