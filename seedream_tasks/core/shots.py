"""Shot lists: which images are wanted of each product, and what each field may hold.

Text and number fields may be templates; constants are checked when the list is read, template results when a row is rendered.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import BadValue, InputError
from .field_checks import count, flag, one_of
from .market import market
from .output_profiles import read_output
from .sizes import AUTO, TIERS, parse_pixels, parse_ratio
from .yaml_text import read_yaml

SHOT_NAME = re.compile(r"[a-z0-9-]{1,40}")
SOURCE = "shot list"


def _text(value: Any) -> str:
    if isinstance(value, dict | list | bool):
        raise BadValue(f"expected text, not {value!r}")
    return str(value)


def _ratio(value: Any) -> str:
    text = _text(value)
    if text != AUTO and parse_ratio(text) is None:
        raise BadValue(f"{text!r} is not a ratio such as 1:1 or 16:9, and not auto")
    return text


def _pixels(value: Any) -> str:
    text = _text(value)
    if parse_pixels(text) is None:
        raise BadValue(f"{text!r} is not a size such as 2048x2048")
    return text


def _gateways(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise BadValue("expected a list of gateway names")
    for name in names:
        if name not in market().gateways:
            raise BadValue(market().why_not(name))
    return tuple(names)


def _gateway_options(value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise BadValue(f"expected gateways with their options{_example()}")
    checked: dict[str, dict[str, Any]] = {}
    for gateway, options in value.items():
        if gateway not in market().gateways:
            raise BadValue(market().why_not(gateway))
        if not isinstance(options, dict):
            raise BadValue(f"{gateway}: expected options by name")
        known = market().at(gateway).options
        for name, given in options.items():
            option = known.get(name)
            if option is None:
                raise BadValue(f"{gateway} has no option {name!r}{_nearest(str(name), sorted(known))}")
            try:
                checked.setdefault(gateway, {})[name] = option.check(given)
            except BadValue as error:
                raise BadValue(f"{gateway}.{name}: {error}") from None
    return checked


def _example() -> str:
    """An example option, of the first gateway that has one."""
    for offers in market().offers:
        for name, option in offers.options.items():
            if option.example:
                return f", as in {{{offers.gateway}: {{{name}: {option.example}}}}}"
    return ""


def _model(value: Any) -> str:
    return one_of(*market().models)(value)


def _references(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise BadValue("expected a list of references")
    return tuple(items)


# Every field of a shot, with its check.
FIELDS: dict[str, Callable[[Any], Any]] = {
    "name": _text,
    "operation": one_of("generate", "edit"),
    "prompt": _text,
    "model": _model,
    "ratio": _ratio,
    "pixels": _pixels,
    "tier": one_of(*TIERS),
    "n": count,
    "references": _references,
    "when": _text,
    "speed": one_of("standard", "fast"),
    "watermark": flag,
    "output_format": one_of("jpeg", "png", "webp"),
    "edition": _text,
    "top_up": flag,
    "gateways": _gateways,
    "gateway_options": _gateway_options,
    "output": read_output,
}
# These cannot be templates: they are needed before there is a row.
_FIXED = frozenset({"name", "when", "gateways", "gateway_options", "output"})


@dataclass(frozen=True)
class Shot:
    """One kind of image: field -> constant (checked) or template text."""

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
            f"{what}: unknown {stray[0]!r} at the top; only `defaults` and `shots` are allowed"
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
    """Later layers win; across layers, explicit pixels and a ratio or tier replace each other."""
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
        raise InputError(f"{what}: give pixels instead of ratio and tier, not both", field="pixels")
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
