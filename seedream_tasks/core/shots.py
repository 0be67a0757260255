"""Shot lists: which pictures are wanted of each product, and what each field may hold.

Text and number fields may be templates; a constant is checked when the list is read, a template's result when a row is rendered.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .capabilities import CAPABILITIES, GATEWAYS, MODELS
from .errors import BadValue, InputError
from .jobs import MOST_PICTURES
from .output_profiles import read_output
from .sizes import AUTO, TIERS, parse_pixels, parse_ratio
from .yaml_text import read_yaml

SHOT_NAME = re.compile(r"[a-z0-9-]{1,40}")
SOURCE = "shot list"


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise BadValue(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return check


def _text(value: Any) -> str:
    if isinstance(value, dict | list | bool):
        raise BadValue(f"expected text, not {value!r}")
    return str(value)


def _ratio(value: Any) -> str:
    text = _text(value)
    if text != AUTO and parse_ratio(text) is None:
        raise BadValue(f"{text!r} is no ratio such as 1:1 or 16:9, and not auto")
    return text


def _pixels(value: Any) -> str:
    text = _text(value)
    if parse_pixels(text) is None:
        raise BadValue(f"{text!r} is no size such as 2048x2048")
    return text


def _count(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,3}(\.0+)?", str(value).strip()):
        raise BadValue(f"{value!r} is no whole number")
    number = int(float(value))  # a table with an empty cell somewhere writes its whole numbers as 2.0
    if not 1 <= number <= MOST_PICTURES:
        raise BadValue(f"{number} is outside 1 to {MOST_PICTURES}")
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("true", "yes", "1"):
        return True
    if text in ("false", "no", "0"):
        return False
    raise BadValue(f"{value!r} is neither true nor false")


def _gateways(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise BadValue("expected a list of gateway names")
    for name in names:
        if name not in GATEWAYS:
            raise BadValue(f"unknown gateway {name!r}; known: {', '.join(GATEWAYS)}")
    return tuple(names)


_OPTION_VALUES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("evolink", "size_form"): _one_of("ratio", "pixels"),
    ("evolink", "prompt_hint"): _flag,
    ("gccai", "model_name"): _one_of(
        *(name for row in CAPABILITIES if row.gateway == "gccai" for name in row.wire_models.value)
    ),
    ("gccai", "sequential_image_generation"): _one_of("disabled", "auto"),
    ("gccai", "max_images"): _count,
}


def _gateway_options(value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise BadValue("expected gateways with their options, as in {evolink: {size_form: pixels}}")
    checked: dict[str, dict[str, Any]] = {}
    for gateway, options in value.items():
        if gateway not in GATEWAYS:
            raise BadValue(f"unknown gateway {gateway!r}; known: {', '.join(GATEWAYS)}")
        if not isinstance(options, dict):
            raise BadValue(f"{gateway}: expected options by name")
        for name, given in options.items():
            check = _OPTION_VALUES.get((gateway, name))
            if check is None:
                known = sorted(option for owner, option in _OPTION_VALUES if owner == gateway)
                raise BadValue(f"{gateway} has no option {name!r}{_nearest(str(name), known)}")
            try:
                checked.setdefault(gateway, {})[name] = check(given)
            except BadValue as error:
                raise BadValue(f"{gateway}.{name}: {error}") from None
    return checked


def _references(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise BadValue("expected a list of references")
    return tuple(items)


# Every field a shot may have, with the check of its value.
FIELDS: dict[str, Callable[[Any], Any]] = {
    "name": _text,
    "operation": _one_of("generate", "edit"),
    "prompt": _text,
    "model": _one_of(*MODELS),
    "ratio": _ratio,
    "pixels": _pixels,
    "tier": _one_of(*TIERS),
    "n": _count,
    "references": _references,
    "when": _text,
    "speed": _one_of("standard", "fast"),
    "watermark": _flag,
    "output_format": _one_of("jpeg", "png", "webp"),
    "edition": _text,
    "top_up": _flag,
    "gateways": _gateways,
    "gateway_options": _gateway_options,
    "output": read_output,
}
# These cannot be templates: they are needed before there is a row.
_FIXED = frozenset({"name", "when", "gateways", "gateway_options", "output"})


@dataclass(frozen=True)
class Shot:
    """One kind of picture: field -> constant (checked) or template text."""

    name: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    templates: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    when: str | None = None


def is_template(value: Any) -> bool:
    """Whether a value must be rendered for each row."""
    if isinstance(value, list | tuple):
        return any(is_template(item) for item in value)
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)


def parse_shots(text: str, defaults: Mapping[str, Any] | None = None, what: str = SOURCE) -> list[Shot]:
    """Read a shot list. `defaults` (from the command line) rank below the list's own. Raises InputError with field and hint."""
    tree = read_yaml(text, what)
    if not isinstance(tree, dict) or not isinstance(tree.get("shots"), list) or not tree["shots"]:
        raise InputError(f"{what}: expected a list under `shots:`", field="shots")
    stray = sorted(set(map(str, tree)) - {"defaults", "shots"})
    if stray:
        raise InputError(
            f"{what}: unknown {stray[0]!r} at the top; only `defaults` and `shots` stand there"
            + _nearest(stray[0], ["defaults", "shots"]),
            field=stray[0],
        )
    listed = tree.get("defaults") or {}
    if not isinstance(listed, dict):
        raise InputError(f"{what}: `defaults` must be fields with values", field="defaults")
    if "name" in listed:
        raise InputError(f"{what}: `name` cannot be a default: each shot has its own", field="defaults.name")
    shots = []
    for number, entry in enumerate(tree["shots"], 1):
        if not isinstance(entry, dict):
            raise InputError(f"{what}: shot {number} must be fields with values", field=f"shots[{number}]")
        shots.append(make_shot(_layered(defaults or {}, listed, entry), f"{what}: shot {entry.get('name', number)}"))
    names = [shot.name for shot in shots]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{what}: two shots are called {name!r}; the name must be unique", field="name")
    return shots


def _layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers win; explicit pixels and a ratio or tier drive each other out across layers."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if "pixels" in layer:
            merged = {name: value for name, value in merged.items() if name not in ("ratio", "tier")}
        elif "ratio" in layer or "tier" in layer:
            merged.pop("pixels", None)
        merged.update(layer)
    return merged


def make_shot(fields: Mapping[str, Any], what: str) -> Shot:
    """Check one shot's fields. Raises InputError naming the field."""
    for name in fields:
        if name not in FIELDS:
            raise InputError(f"{what}: unknown field {name!r}{_nearest(str(name), list(FIELDS))}", field=str(name))
    shot_name = str(fields.get("name", ""))
    if not SHOT_NAME.fullmatch(shot_name):
        raise InputError(f"{what}: name must be 1 to 40 of a-z, 0-9 and -, not {shot_name!r}", field="name")
    given = {key: value for key, value in fields.items() if value is not None and key not in ("name", "when")}
    if "prompt" not in given:
        raise InputError(f"{what}: prompt is missing", field="prompt")
    if "pixels" in given and ("ratio" in given or "tier" in given):
        raise InputError(f"{what}: pixels stands instead of ratio and tier, not beside them", field="pixels")
    constants: dict[str, Any] = {}
    templates: dict[str, str | tuple[str, ...]] = {}
    for key, value in given.items():
        try:
            if key not in _FIXED and is_template(value):
                templates[key] = _references(value) if key == "references" else _text(value)
            else:
                constants[key] = FIELDS[key](value)
        except BadValue as error:
            raise InputError(f"{what}: {key}: {error}", field=key) from None
    if constants.get("operation") == "edit" and not given.get("references"):
        raise InputError(f"{what}: an edit needs at least one reference", field="references")
    when = fields.get("when")
    return Shot(shot_name, constants, templates, None if when is None else str(when))


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
