"""Shot lists: every field is checked when the list is read, and a typo is answered with what was probably meant."""

from typing import Any

import pytest

from seedream_tasks.core.errors import InputError
from seedream_tasks.core.shots import FIELDS, Shot, is_template, make_shot, parse_shots


def one(fields: str, defaults: str = "{}", line: dict[str, Any] | None = None) -> Shot:
    """The only shot of a list: its further fields, the list's defaults, and those of the command line."""
    (shot,) = parse_shots(f"defaults: {defaults}\nshots:\n  - {{name: hero, prompt: A lamp, {fields}}}", line)
    return shot


def test_the_documented_example_is_read() -> None:
    """Constants are checked values, templates stay text, the condition stands apart."""
    hero, lifestyle = parse_shots(
        """
defaults: {model: seedream-4.5, tier: 2K}
shots:
  - name: hero
    operation: generate
    prompt: "Studio photograph of {{ title }}, {{ color | default('natural') }}, on seamless white"
    ratio: "1:1"
    n: 2
  - name: lifestyle
    operation: edit
    references: ["{{ image_url }}"]
    prompt: "Place this product on a sunlit wooden table"
    when: "category != 'Gift card'"
"""
    )
    assert hero.constants == {"model": "seedream-4.5", "tier": "2K", "operation": "generate", "ratio": "1:1", "n": 2}
    assert list(hero.templates) == ["prompt"]
    assert hero.when is None
    assert lifestyle.templates == {"references": ("{{ image_url }}",)}
    assert lifestyle.when == "category != 'Gift card'"


BAD = [
    ("operation: paint", "operation", "'paint' is not one of generate, edit"),
    ("model: seedream-5", "model", "seedream-4.5, seedream-4.0"),
    ("ratio: wide", "ratio", "not a ratio such as 1:1"),
    ("ratio: '16:9 '", "ratio", "not a ratio"),
    ('ratio: "16:9\\n"', "ratio", "not a ratio"),
    ("pixels: 2048", "pixels", "not a size such as 2048x2048"),
    ("pixels: 2048x2048, tier: 2K", "pixels", "instead of ratio and tier"),
    ("pixels: 2048x2048, ratio: '1:1'", "pixels", "instead of ratio and tier"),
    ("tier: 3K", "tier", "1K, 2K, 4K"),
    ("n: 0", "n", "outside 1 to 15"),
    ("n: 16", "n", "outside 1 to 15"),
    ("n: two", "n", "not a whole number"),
    ("n: 1.5", "n", "not a whole number"),
    ("n: true", "n", "not a whole number"),
    ("n: -1", "n", "not a whole number"),
    ("references: {a: b}", "references", "list of references"),
    ("references: [1]", "references", "list of references"),
    ("speed: turbo", "speed", "standard, fast"),
    ("watermark: maybe", "watermark", "neither true nor false"),
    ("output_format: gif", "output_format", "jpeg, png, webp"),
    ("edition: [a]", "edition", "expected text"),
    ("top_up: often", "top_up", "neither true nor false"),
    ("gateways: [evolinc]", "gateways", "unknown gateway 'evolinc'"),
    ("gateways: []", "gateways", "list of gateway names"),
    ("gateways: {evolink: true}", "gateways", "list of gateway names"),
    ("gateway_options: evolink", "gateway_options", "expected gateways with their options"),
    ("gateway_options: {evolinc: {}}", "gateway_options", "unknown gateway"),
    ("gateway_options: {evolink: pixels}", "gateway_options", "expected options by name"),
    ("gateway_options: {evolink: {size_forn: pixels}}", "gateway_options", "did you mean 'size_form'?"),
    ("gateway_options: {getimg: {seed: 1}}", "gateway_options", "getimg has no option 'seed'"),
    ("gateway_options: {evolink: {size_form: wide}}", "gateway_options", "evolink.size_form: 'wide' is not one of"),
    ("gateway_options: {gccai: {max_images: 20}}", "gateway_options", "gccai.max_images: 20 is outside 1 to 15"),
    ("operation: edit", "references", "an edit needs at least one reference"),
    ("operation: edit, references: []", "references", "an edit needs at least one reference"),
    ("output: {format: gif}", "output", "format is one of jpeg, png, webp"),
    ("output: {format: png, quality: 90}", "output", "quality is for jpeg and webp"),
    ("output: {max_px: 0}", "output", "max_px is a whole number from 1"),
    ("output: {quality: 101}", "output", "quality is a whole number from 1 to 100"),
    ("output: {background: white}", "output", "a colour such as #ffffff"),
    ("output: {size: 3}", "output", "unknown 'size'"),
    ("output: webp", "output", "expected fields such as"),
]


@pytest.mark.parametrize(("fields", "field", "says"), BAD)
def test_a_bad_field_is_named(fields: str, field: str, says: str) -> None:
    """The error names the list, the shot and the field, and says what is allowed."""
    with pytest.raises(InputError, match=r"shot list: shot hero") as caught:
        one(fields)
    assert caught.value.facts["field"] == field
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("promt", "prompt"),
        ("refrences", "references"),
        ("ration", "ratio"),
        ("gateway", "gateways"),
        ("speeed", "speed"),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest(typo: str, meant: str) -> None:
    """A typo must not silently be a field that does nothing."""
    with pytest.raises(InputError, match=f"unknown field '{typo}'; did you mean '{meant}'") as caught:
        one(f"{typo}: x")
    assert caught.value.facts["field"] == typo


def test_a_field_like_no_other_is_answered_with_all_of_them() -> None:
    """Where nothing is near, the message lists what there is."""
    with pytest.raises(InputError) as caught:
        one("zzz: 1")
    assert all(name in caught.value.message for name in FIELDS)


@pytest.mark.parametrize("name", ["Hero", "a b", "", "x" * 41, "ä", "a/b", "a_b", '"hero\\n"'])
def test_a_shots_name_is_plain(name: str) -> None:
    """It stands in file names and keys: a-z, 0-9 and -, at most 40, and no line break either."""
    with pytest.raises(InputError, match="name must be") as caught:
        parse_shots(f"shots: [{{name: {name}, prompt: x}}]")
    assert caught.value.facts["field"] == "name"


def test_two_shots_cannot_share_a_name() -> None:
    """The name tells their records apart."""
    with pytest.raises(InputError, match="two shots are called 'a'") as caught:
        parse_shots("shots: [{name: a, prompt: x}, {name: b, prompt: x}, {name: a, prompt: y}]")
    assert caught.value.facts["field"] == "name"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "shots"),
        ("shots: []", "shots"),
        ("shots: hero", "shots"),
        ("- name: hero", "shots"),
        ("shots: [hero]", "shots[1]"),
        ("shots: [{name: a, prompt: x}]\nshot: 1", "shot"),
        ("shots: [{name: a, prompt: x}]\ndefaults: [a]", "defaults"),
        ("shots: [{name: a, prompt: x}]\ndefaults: {name: b}", "defaults.name"),
        ("shots: [{name: a}]", "prompt"),
    ],
)
def test_a_list_of_the_wrong_shape_is_named(text: str, field: str) -> None:
    """What stands where is said with the place."""
    with pytest.raises(InputError, match="shot list") as caught:
        parse_shots(text)
    assert caught.value.facts["field"] == field


@pytest.mark.parametrize("ratio", ["21:9", '"21:9"', "'21:9'"])
def test_a_ratio_needs_no_quotes(ratio: str) -> None:
    """YAML would read 21:9 as 1269."""
    assert one(f"ratio: {ratio}").constants["ratio"] == "21:9"


@pytest.mark.parametrize(
    ("fields", "defaults", "line", "model"),
    [
        ("model: seedream-4.0", "{model: seedream-4.5}", {"model": "seedream-4.5"}, "seedream-4.0"),
        ("n: 1", "{model: seedream-4.0}", {"model": "seedream-4.5"}, "seedream-4.0"),
        ("n: 1", "{}", {"model": "seedream-4.0"}, "seedream-4.0"),
    ],
)
def test_the_nearest_default_counts(fields: str, defaults: str, line: dict[str, Any], model: str) -> None:
    """The shot, then the list's defaults, then the command line."""
    assert one(fields, defaults, line).constants["model"] == model


@pytest.mark.parametrize(
    ("fields", "defaults", "kept"),
    [
        ("pixels: 2048x1024", "{ratio: '16:9', tier: 4K}", {"pixels": "2048x1024"}),
        ("ratio: '16:9'", "{pixels: 2048x1024}", {"ratio": "16:9"}),
        ("tier: 4K", "{pixels: 2048x1024, n: 2}", {"tier": "4K", "n": 2}),
        ("n: 3", "{pixels: 2048x1024}", {"pixels": "2048x1024", "n": 3}),
        ("ratio: '16:9'", "{ratio: '1:1', tier: 4K}", {"ratio": "16:9", "tier": "4K"}),
    ],
)
def test_pixels_and_ratio_drive_each_other_out(fields: str, defaults: str, kept: dict[str, Any]) -> None:
    """A nearer size replaces a farther one of the other form; only side by side they are an error."""
    assert one(fields, defaults).constants == {"prompt": "A lamp", **kept}


@pytest.mark.parametrize("field", ["model", "ratio", "tier", "n", "speed", "watermark", "output_format", "edition"])
def test_text_and_number_fields_may_be_templates(field: str) -> None:
    """Their check waits for the row."""
    shot = one(f"{field}: '{{{{ row.{field} }}}}'")
    assert shot.templates[field] == f"{{{{ row.{field} }}}}"
    assert field not in shot.constants


@pytest.mark.parametrize("field", ["gateways", "gateway_options"])
def test_what_is_needed_before_there_is_a_row_is_no_template(field: str) -> None:
    """Which gateways are asked cannot hang on a cell."""
    with pytest.raises(InputError) as caught:
        one(f"{field}: '{{{{ where }}}}'")
    assert caught.value.facts["field"] == field


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("yes", True), ("'1'", True), ("false", False), ("no", False), ("0", False)]
)
def test_switches_are_read_as_people_write_them(text: str, value: bool) -> None:
    """true, yes and 1; false, no and 0."""
    assert one(f"watermark: {text}").constants["watermark"] is value


def test_options_are_checked_values() -> None:
    """What is fingerprinted and sent is the checked value, not the text."""
    shot = one("gateway_options: {evolink: {prompt_hint: no, size_form: pixels}, gccai: {max_images: '4'}}")
    assert shot.constants["gateway_options"] == {
        "evolink": {"prompt_hint": False, "size_form": "pixels"},
        "gccai": {"max_images": 4},
    }


def test_one_gateway_or_reference_needs_no_list() -> None:
    """A single value is a list of one."""
    shot = one("gateways: evolink, references: images/a.jpg")
    assert (shot.constants["gateways"], shot.constants["references"]) == (("evolink",), ("images/a.jpg",))


def test_an_empty_field_is_not_given() -> None:
    """A field with nothing behind it takes its default."""
    assert "model" not in one("model: null").constants


@pytest.mark.parametrize(
    ("value", "found"),
    [("{{ a }}", True), ("{% if a %}", True), ("{# a #}", True), ("{a}", False), (["x", "{{ a }}"], True), (3, False)],
)
def test_what_counts_as_a_template(value: Any, found: bool) -> None:
    """Jinja's three kinds of brackets."""
    assert is_template(value) is found


def test_a_shot_is_checked_alone_too() -> None:
    """The same checks hold for fields that come from code."""
    with pytest.raises(InputError, match="here: prompt is missing"):
        make_shot({"name": "a"}, "here")
