"""Rows become jobs: templates in a sandbox, the row's text as data, and every error with the name of its field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.errors import InputError, RowError
from seedream_tasks.core.jobs import Job
from seedream_tasks.core.render import (
    Columns,
    build_job,
    check_templates,
    column_fields,
    is_wanted,
    render_job,
    snake_case,
    split_references,
)
from seedream_tasks.core.shots import FIELDS, Shot, make_shot

ROW = {"sku": "p1", "Title": "Desk lamp", "Image Src": "https://shop.example/lamp.jpg", "color": "", "n": "3"}


def shot(**fields: Any) -> Shot:
    """A shot with these fields."""
    return make_shot({"name": "hero", "prompt": "A lamp", **fields}, "test")


def context(row: dict[str, str], **extra: Any) -> dict[str, Any]:
    """What a template sees of a row."""
    return Columns(list(row)).context(list(row.values()), extra)


def render(row: dict[str, str] | None = None, **fields: Any) -> Job:
    """The job of a row and a shot with these fields."""
    return render_job(shot(**fields), "p1", context(ROW if row is None else row))


def prompt(template: str, row: dict[str, str] | None = None) -> str:
    """What a prompt becomes."""
    return render(row, prompt=template).prompt


def refusal(**fields: Any) -> RowError:
    """The error of a shot whose fields cannot be rendered for the row."""
    with pytest.raises(RowError) as caught:
        render(**fields)
    return caught.value


@pytest.mark.parametrize("name", ["row['Image Src']", "image_src", "row['Title'] and image_src"])
def test_a_column_is_reached_by_its_name_and_in_snake_case(name: str) -> None:
    """Both ways lead to the same cell."""
    assert prompt(f"{{{{ {name} }}}}") == "https://shop.example/lamp.jpg"


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Image Src", "image_src"),
        ("Google Shopping / MPN", "google_shopping_mpn"),
        ("Body (HTML)", "body_html"),
        ("SKU", "sku"),
        ("2nd image", "_2nd_image"),
        ("价格", "价格"),
    ],
)
def test_snake_case(column: str, name: str) -> None:
    """Lower case, everything else an underscore; what leaves nothing is reached by row['...'] only."""
    assert snake_case(column) == name


def test_columns_with_one_short_name_are_reached_by_their_full_names_only() -> None:
    """Guessing would put the wrong text into an image."""
    row = {"Image Src": "a.jpg", "image-src": "b.jpg", "Title": "Lamp"}
    assert prompt("{{ row['Image Src'] }} {{ row['image-src'] }}", row) == "a.jpg b.jpg"
    with pytest.raises(RowError, match="image_src"):
        prompt("{{ image_src }}", row)


def test_a_presets_names_win_over_columns() -> None:
    """A column called title does not hide what the preset found."""
    seen = context({"title": "from the column"}, title="from the preset")
    assert render_job(shot(prompt="{{ title }} {{ row['title'] }}"), "p1", seen).prompt == (
        "from the preset from the preset"
    )


@pytest.mark.parametrize("template", ["{{ titel }}", "{{ titel.name }}", "{{ row['Titel'] }}", "{{ titel | upper }}"])
def test_an_undefined_name_is_an_error(template: str) -> None:
    """A typo must not become an image without the product in it."""
    error = refusal(prompt=template)
    assert error.facts == {"field": "prompt", "error_code": "undefined_name"}
    assert "itel" in error.message


@pytest.mark.parametrize(
    "template", ["{{ color | default('natural') }}", "{{ color | d('natural') }}", "{{ colour | default('natural') }}"]
)
def test_default_stands_in_for_an_empty_cell(template: str) -> None:
    """A table has empty cells instead of missing values."""
    assert prompt(template) == "natural"


def test_default_leaves_a_filled_cell_alone() -> None:
    """Only nothing is replaced."""
    assert prompt("{{ color | default('natural') }}", {"color": "0"}) == "0"


@pytest.mark.parametrize("template", ["", "   \n", "{{ color }}", "{% if color %}A lamp{% endif %}"])
def test_an_empty_prompt_is_an_error(template: str) -> None:
    """Whatever emptied it: nothing is bought for nothing."""
    error = refusal(prompt=template)
    assert error.facts == {"field": "prompt", "error_code": "empty_prompt"}


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ ''.__class__ }}",
    "{{ row.__init__ }}",
    "{{ row.__class__.__base__.__subclasses__() }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ joiner.__init__ }}",
    "{{ namespace.__init__ }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ title.format.__self__.__class__ }}",
    "{{ '{0.__class__}'.format(title) }}",
    "{{ '{0.__class__.__mro__}'.format_map({'0': title}) }}",
    "{{ range(10000000) | list }}",
    "{{ row.clear() }}",
    "{{ row.update({'title': 'x'}) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
]


@pytest.mark.parametrize("template", ESCAPES)
def test_a_template_cannot_leave_its_sandbox(template: str) -> None:
    """Nothing but the row is in reach: the record is invalid with template_error, and nothing is rendered."""
    error = refusal(prompt=f"A lamp {template}")
    assert error.facts["field"] == "prompt"
    assert error.facts["error_code"] == "template_error"


@pytest.mark.parametrize("condition", ["''.__class__", "cycler.__init__.__globals__", "row.__init__", "row.clear()"])
def test_a_condition_cannot_leave_it_either(condition: str) -> None:
    """The same sandbox holds for `when`."""
    with pytest.raises(RowError) as caught:
        is_wanted(shot(when=condition), context(ROW))
    assert caught.value.facts == {"field": "when", "error_code": "template_error"}


@pytest.mark.parametrize("cell", ["{{ sku }}", "{% raw %}", "{# hidden #}", "{{ ''.__class__ }}", "{%", "}}", "100 %}"])
def test_a_catalogs_text_is_data(cell: str) -> None:
    """What stands in a cell is put into templates and never read as one."""
    assert prompt("{{ title }}!", {"title": cell}) == f"{cell}!"
    assert build_job("p1", "image", column_fields({"prompt": cell}, {})).prompt == cell


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1))
def test_any_text_in_a_cell_stays_what_it_is(cell: str) -> None:
    """No character means anything to a template, and none is escaped."""
    assert prompt("{{ title }}", {"title": cell}) == prompt("{{ row['title'] }}", {"title": cell})
    assert "&amp;" not in prompt("{{ title }}", {"title": "black & white"})


def test_a_template_changes_nothing_for_the_next() -> None:
    """The row is the same for every shot."""
    seen = context(ROW)
    render_job(shot(prompt="{% set title = 'x' %}{{ title }}"), "p1", seen)
    assert render_job(shot(prompt="{{ title }}"), "p1", seen).prompt == "Desk lamp"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ n / 2 }}", "unsupported operand"),
        ("{{ 1 // (n | int - 3) }}", "zero"),
        ("{{ row.n.nothing() }}", "nothing"),
    ],
)
def test_whatever_an_expression_raises_is_the_rows_error(template: str, says: str) -> None:
    """A filter on the wrong type or a division by zero ends one record, not the run."""
    assert says in refusal(prompt=template).message


@pytest.mark.parametrize(("cell", "n"), [("3", 3), (" 15 ", 15), ("", 1)])
def test_a_templated_n(cell: str, n: int) -> None:
    """A cell may say how many; an empty one takes the default."""
    assert render({"sku": "p1", "pieces": cell}, n="{{ pieces }}").n == n


@pytest.mark.parametrize("cell", ["0", "16", "many", "2.5", "-1"])
def test_a_templated_n_is_checked_like_a_constant(cell: str) -> None:
    """Only when the row is known, with the field's name."""
    with pytest.raises(RowError, match=r"^n: ") as caught:
        render({"sku": "p1", "pieces": cell}, n="{{ pieces }}")
    assert caught.value.facts == {"field": "n", "error_code": "bad_field"}


def test_every_templated_field_is_checked() -> None:
    """Ratio, tier and the rest: the same rules as for constants."""
    assert render(ratio="{{ '16' }}:{{ 9 }}", tier="{{ '4' }}K").ratio == "16:9"
    for field in ("ratio", "pixels", "tier", "model", "operation", "speed", "output_format", "watermark", "top_up"):
        assert refusal(**{field: "{{ title }}"}).facts == {"field": field, "error_code": "bad_field"}


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("title == 'Desk lamp'", True),
        ("title != 'Desk lamp'", False),
        ("color", False),
        ("n | int > 2 and 'lamp' in title", True),
        ("row['Image Src'].endswith('.jpg')", True),
        ("colour | default(false)", False),
    ],
)
def test_conditions(condition: str, wanted: bool) -> None:
    """`when` is an expression over the row's columns."""
    assert is_wanted(shot(when=condition), context(ROW)) is wanted


def test_without_a_condition_every_row_is_wanted() -> None:
    """No `when`, no exception."""
    assert is_wanted(shot(), context(ROW))


@pytest.mark.parametrize("condition", ["colour", "colour == 'red'", "row['Colour']", "not colour"])
def test_an_undefined_name_in_a_condition_is_an_error(condition: str) -> None:
    """A typo must not quietly buy nothing, or everything."""
    with pytest.raises(RowError) as caught:
        is_wanted(shot(when=condition), context(ROW))
    assert caught.value.facts == {"field": "when", "error_code": "undefined_name"}


@pytest.mark.parametrize("column", ["Self", "Range", "Dict", "Args", "Row ", "Context"])
def test_a_column_may_be_called_anything(column: str) -> None:
    """No name of a column gets in the way of rendering."""
    seen = context({"sku": "p1", column: "x"})
    assert is_wanted(shot(when="sku == 'p1'"), seen)
    assert render_job(shot(prompt="{{ row[column] }}".replace("column", repr(column))), "p1", seen).prompt == "x"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": "{{ title"}, "prompt"),
        ({"prompt": "{{ title | shout }}"}, "prompt"),
        ({"references": ["a.jpg", "{{ }}"]}, "references"),
        ({"n": "{% if %}"}, "n"),
        ({"when": "title =="}, "when"),
        ({"when": ""}, "when"),
    ],
)
def test_a_broken_template_is_found_before_the_first_row(fields: dict[str, Any], field: str) -> None:
    """It is an input error: nothing is spent."""
    with pytest.raises(InputError, match=f"shot list: shot hero: {field}: ") as caught:
        check_templates(shot(**fields))
    assert caught.value.facts["field"] == field
    assert not isinstance(caught.value, RowError)


URL_A, URL_B = "https://shop.example/a.jpg", "https://shop.example/b.jpg"


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        (URL_A, [URL_A]),
        (f"{URL_A}|{URL_B}", [URL_A, URL_B]),
        (f"{URL_A} | {URL_B} ", [URL_A, URL_B]),
        (f"{URL_A}\n{URL_B}", [URL_A, URL_B]),
        (f"{URL_A}\r\n\r\n{URL_B}", [URL_A, URL_B]),
        (f'["{URL_A}", "{URL_B}"]', [URL_A, URL_B]),
        (f'[" {URL_A} ", ""]', [URL_A]),
        ("[]", []),
        ("", []),
        (" | ", []),
        ("photo (front, left).jpg", ["photo (front, left).jpg"]),
        ("https://shop.example/a,b.jpg?x=1,2", ["https://shop.example/a,b.jpg?x=1,2"]),
        ("data:image/svg+xml,<a|b>", ["data:image/svg+xml,<a|b>"]),
        ("[front] a.jpg", ["[front] a.jpg"]),
        (f'["{URL_A}", 1]', [f'["{URL_A}", 1]']),
    ],
)
def test_several_references_in_one_cell(cell: str, found: list[str]) -> None:
    """A JSON list, or split by | or newline; commas and blanks belong to names."""
    assert split_references(cell) == found


def test_rendered_references_are_split_too() -> None:
    """A template may give several, or none."""
    row = {"sku": "p1", "photos": f"{URL_A}|{URL_B}", "spare": ""}
    job = render(row, operation="edit", references=["{{ spare }}", "{{ photos }}", "scene.png"])
    assert [each.uri for each in job.references] == [URL_A, URL_B, "scene.png"]


def test_an_edit_of_a_row_without_a_photo_is_an_error() -> None:
    """Its references rendered to nothing; an edit of nothing is not bought."""
    error = refusal(operation="edit", references=["{{ color }}"])
    assert error.facts == {"field": "references", "error_code": "no_reference"}


def test_defaults_of_a_job() -> None:
    """What a shot leaves out."""
    job = render()
    assert (job.model, job.operation, job.ratio, job.tier, job.pixels, job.n) == (
        *("seedream-4.5", "generate", "1:1", "2K", None, 1),
    )
    assert (job.speed, job.watermark, job.output_format, job.edition, job.top_up) == (
        "standard",
        False,
        None,
        None,
        False,
    )


def test_pixels_leave_no_ratio() -> None:
    """A job has one size."""
    job = render(pixels="2048x1024")
    assert (job.pixels, job.ratio, job.tier) == ("2048x1024", None, None)


# Column mode


def from_columns(cells: dict[str, str], defaults: dict[str, Any] | None = None) -> Job:
    """The job of a row whose columns are the shot fields."""
    return build_job("p1", "image", column_fields(cells, defaults or {}))


def test_columns_named_like_fields_are_fields() -> None:
    """Every field of a shot may be a column; the cells are checked like the fields."""
    job = from_columns(
        {
            "operation": "edit",
            "prompt": "On a table",
            "references": f"{URL_A}|{URL_B}",
            "model": "seedream-4.0",
            "ratio": "16:9",
            "tier": "4K",
            "n": "2",
            "speed": "fast",
            "watermark": "yes",
            "output_format": "png",
            "edition": "spring",
            "top_up": "true",
            "gateways": "evolink, getimg",
            "gateway_options": '{"evolink": {"prompt_hint": false}}',
        }
    )
    assert [each.uri for each in job.references] == [URL_A, URL_B]
    assert (job.operation, job.model, job.ratio, job.tier, job.n) == ("edit", "seedream-4.0", "16:9", "4K", 2)
    assert (job.speed, job.watermark, job.output_format, job.edition) == ("fast", True, "png", "spring")
    assert (job.top_up, job.gateways) == (True, ("evolink", "getimg"))
    assert job.gateway_options == {"evolink": {"prompt_hint": False}}


def test_names_are_exact_in_column_mode() -> None:
    """`Model` and `N` are a customer's own columns."""
    job = from_columns({"prompt": "A lamp", "Model": "XL-200", "N": "12", "Speed": "3000 rpm"})
    assert (job.model, job.n, job.speed) == ("seedream-4.5", 1, "standard")


def test_empty_cells_take_the_command_lines_defaults() -> None:
    """A column counts where it says something."""
    defaults = {"model": "seedream-4.0", "edition": "may"}
    assert from_columns({"prompt": "A lamp", "model": " "}, defaults).model == "seedream-4.0"
    assert from_columns({"prompt": "A lamp", "edition": "june"}, defaults).edition == "june"


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"n": "0"}, "n"),
        ({"ratio": "wide"}, "ratio"),
        ({"model": "XL-200"}, "model"),
        ({"gateways": "evolinc"}, "gateways"),
        ({"gateway_options": "{size_form"}, "gateway_options"),
        ({"gateway_options": "[1]"}, "gateway_options"),
        ({"pixels": "2048x2048", "tier": "4K"}, "pixels"),
        ({"watermark": "perhaps"}, "watermark"),
    ],
)
def test_a_bad_cell_names_its_column(cells: dict[str, str], field: str) -> None:
    """One row is invalid; the others go on."""
    with pytest.raises(RowError, match=field) as caught:
        from_columns({"prompt": "A lamp", **cells})
    assert caught.value.facts == {"field": field, "error_code": "bad_field"}


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ Title.strip }}",
        "{{ title.strip }}",
        "{{ title | map('upper') }}",
        "{{ [title.strip] }}",
        "{{ {'a': [title.strip]} }}",
        "{{ [title] | map(attribute='nope') | list }}",
        "{{ range }}",
        "{{ row.items() }}",
    ],
)
def test_a_template_prints_texts_only(prompt: str) -> None:
    """A method without its brackets prints its address in memory: another prompt, and another purchase, in each run."""
    with pytest.raises(RowError, match="prompt") as caught:
        render(prompt=prompt)
    assert caught.value.facts["error_code"] in ("template_error", "undefined_name")


def test_what_a_template_may_print() -> None:
    """Texts, numbers, and lists and objects of them."""
    prompt = (
        "{{ title }} {{ n | int }} {{ 1.5 }} {{ true }} {{ [1, 'a'] }} {{ {'a': none} }} {{ title | list | length }}"
    )
    assert render(prompt=prompt).prompt == "Desk lamp 3 1.5 True [1, 'a'] {'a': None} 9"


def _rendered(prompt: str) -> Job:
    check_templates(shot(prompt=prompt))
    return render(prompt=prompt)


@pytest.mark.parametrize("prompt", ["{{ [1, 2, 3] | random }}", "{{ lipsum() }}"])
def test_nothing_in_a_template_is_random(prompt: str) -> None:
    """Chance would be another prompt, and another purchase, in each run."""
    with pytest.raises((InputError, RowError), match=r"random|lipsum"):
        _rendered(prompt)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("{{ 9 ** 9 ** 9 }}", "not allowed"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{{ n | int ** 2 }}", "not allowed"),
    ],
)
def test_a_template_that_would_not_end_is_an_error_of_its_row(prompt: str, says: str) -> None:
    """Neither the machine nor the run goes down with it."""
    with pytest.raises(RowError, match=says):
        render(prompt=prompt)


def test_constants_that_cannot_be_computed_are_found_before_the_first_row() -> None:
    """They are computed when the template is compiled."""
    with pytest.raises(InputError, match="prompt"):
        check_templates(shot(prompt="{{ 1" + "0" * 5000 + " }}"))


def test_a_prompt_cell_is_no_template() -> None:
    """In column mode the cell is the prompt, brackets and all."""
    assert from_columns({"prompt": "A {{ lamp }}"}).prompt == "A {{ lamp }}"


def test_every_field_is_known_to_column_mode() -> None:
    """A field added to shots is a column too."""
    cells = {name: "x" for name in FIELDS if name not in ("name", "when", "prompt", "references", "edition")}
    for name in cells:
        with pytest.raises(RowError) as caught:
            column_fields({name: "x"}, {})
        assert caught.value.facts["field"] == name
