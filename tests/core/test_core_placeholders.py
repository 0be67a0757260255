"""Prompts that name a column as other programs do are told before the first row."""

import pytest

from seedream_tasks.core.errors import InputError
from seedream_tasks.core.placeholders import check_places
from seedream_tasks.core.render import Columns
from seedream_tasks.core.shots import make_shot

COLUMNS = Columns(["SKU", "Title", "Image Src", "Price (EUR)"])


def check(prompt: str) -> None:
    """Raises InputError for a prompt that names a column so."""
    check_places(make_shot({"name": "hero", "prompt": prompt}, "test"), COLUMNS, ["brand"])


@pytest.mark.parametrize(
    ("stands", "meant"),
    [
        ("{title}", "{{ title }}"),
        ("{ Title }", "{{ title }}"),
        ("${title}", "{{ title }}"),
        ("$title", "{{ title }}"),
        ("%(title)s", "{{ title }}"),
        ("%title%", "{{ title }}"),
        ("<title>", "{{ title }}"),
        ("<<TITLE>>", "{{ title }}"),
        ("[title]", "{{ title }}"),
        ("[[ Image Src ]]", "{{ image_src }}"),
        ("{price_eur}", "{{ price_eur }}"),
        ("{brand}", "{{ brand }}"),
    ],
)
@pytest.mark.parametrize("beside", ["", " beside {{ sku }}"])
def test_a_column_in_other_brackets_is_refused(stands: str, meant: str, beside: str) -> None:
    """It would be sent literally for every product, and every image would be paid for."""
    with pytest.raises(InputError) as caught:
        check(f"A photo of {stands}, on white{beside}")
    assert f"{stands!r} would be sent literally" in caught.value.message
    assert meant in caught.value.facts["hint"]


@pytest.mark.parametrize(
    "prompt",
    [
        "A photo of {{ title }}",
        "{% set x = row['Title'] %}{{ {'title': x}['title'] }}",
        "The words [SALE] and <3 at $20, 50% off, the title in gold",
        "{colour} of {{ title }}",  # no column of this table
        "{# {title} #}A lamp",
    ],
)
def test_other_prompts_are_left_alone(prompt: str) -> None:
    """Templates, comments, and brackets that name no column."""
    check(prompt)
