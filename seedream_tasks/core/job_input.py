"""User-written jobs: every field is checked as a shot's fields are, before any gateway is asked.

The engine's own jobs, made from checked shots or read from frozen runs, are not checked again: see `Job.made`.
"""

import base64
import os
from collections.abc import Iterable, Mapping
from typing import Any

from .cells import cell_text
from .errors import BadValue, InputError, RowError
from .invisible import as_key, visible
from .jobs import EDIT, Job, Reference, tidy_prompt
from .market import market
from .output_profiles import OutputProfile
from .preflight import obstacles
from .render import Columns, is_wanted, render_job
from .shots import FIELDS, SHOT_NAME, Shot, make_shot
from .template_values import without_address

_KEYS = ("sku", "id", "handle")
# Defaults of these fields, and which may be None.
_MAY_BE_NONE = frozenset({"ratio", "tier", "pixels", "output_format", "edition", "output"})
# What a run's own gateways can do is checked at purchase; these fail at any gateway.
_OF_ANY_GATEWAY = frozenset({"ratio", "tier", "pixels", "prompt", "references", "gateways"})


def checked_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a job in the engine's form. Raises InputError naming field and limit."""
    name = f"Job({given['row_key']!r}, {given['shot']!r})"
    values = dict(given)
    for field, value in given.items():
        try:
            values[field] = _checked(field, value)
        except BadValue as error:
            raise InputError(f"{name}: {field}: {error}", field=field) from None
    if values["pixels"] is not None:
        if (values["ratio"], values["tier"]) not in (("1:1", "2K"), (None, None)):
            raise InputError(f"{name}: give pixels instead of ratio and tier, not both", field="pixels")
        values["ratio"] = values["tier"] = None
    elif values["ratio"] is None or values["tier"] is None:
        raise InputError(f"{name}: ratio and tier, or pixels, say the size", field="ratio")
    if values["operation"] == EDIT and not values["references"]:
        raise InputError(f"{name}: references: an edit needs at least one", field="references")
    if any(slot >= values["n"] for slot in values["slots"]):
        raise InputError(f"{name}: slots: {values['slots']} are not below n, which is {values['n']}", field="slots")
    _check_offers(Job.made(**values), name)
    return values


def job_of_row(row: Mapping[str, Any], shot: Shot | Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
    """The fields of the job that a row and a shot make, as in a catalog. `key`: the column that identifies the row.

    Raises InputError; a RowError when the row does not fit the shot.
    """
    wanted = shot if isinstance(shot, Shot) else make_shot(shot, "shot")
    cells = {str(name): cell_text(value) for name, value in row.items()}
    column = key or next((name for each in _KEYS for name in cells if name.lower() == each), None)
    if column is None or column not in cells:
        raise InputError(f"row: no column {key or ' or '.join(_KEYS)!r}; it has {', '.join(cells)}", field="key")
    row_key = as_key(cells[column])
    if not row_key:
        raise RowError(f"row: the key {column!r} is empty", field="key", error_code="missing_key")
    context = Columns(list(cells)).context(list(cells.values()), {})
    if not is_wanted(wanted, context):
        raise RowError(
            f"row {row_key!r}: the condition of shot {wanted.name} is false", field="when", error_code="when"
        )
    made = render_job(wanted, row_key, context)
    return {name: getattr(made, name) for name in made.__dataclass_fields__}


def _checked(field: str, value: Any) -> Any:
    if value is None and field in _MAY_BE_NONE:
        return None
    if field == "row_key":
        return _row_key(value)
    if field == "shot":
        if not isinstance(value, str) or not SHOT_NAME.fullmatch(value):
            raise BadValue(f"{value!r} is not 1 to 40 of a-z, 0-9 and -")
        return value
    if field == "prompt":
        return _prompt(value)
    if field == "references":
        return _references(value)
    if field == "slots":
        return _slots(value)
    if field == "gateways":
        names = [value] if isinstance(value, str) else _listed(value, "gateway names")
        return FIELDS[field](names) if names else ()
    if field == "output" and isinstance(value, OutputProfile):
        return value
    if field in ("operation", "model", "tier", "speed", "output_format", "edition", "ratio", "pixels"):
        if not isinstance(value, str):
            raise BadValue(f"expected text, not {value!r}")
        return FIELDS[field](value) or None
    return FIELDS[field](value)


def _row_key(value: Any) -> str:
    text = as_key(_text(value))
    if not text:
        raise BadValue("the key is empty")
    return text


def _prompt(value: Any) -> str:
    text = tidy_prompt(visible(_text(value)))
    if not text:
        raise BadValue("the prompt is empty")
    return without_address(text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(f"expected text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadValue(f"{value[:60]!r} holds half a character") from None
    if "\0" in value:
        raise BadValue(f"{value[:60]!r} holds a NUL byte")
    return value


def _references(value: Any) -> tuple[Reference, ...]:
    return tuple(_reference(each) for each in _listed(value, "references: links, paths, bytes or Reference"))


def _reference(value: Any) -> Reference:
    if isinstance(value, Reference):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        if not content:
            raise BadValue("a reference has no bytes")
        return Reference(f"data:application/octet-stream;base64,{base64.b64encode(content).decode('ascii')}", None)
    if not isinstance(value, str | os.PathLike):
        raise BadValue(f"expected a link, a path, bytes or a Reference, not {value!r}")
    uri = _text(os.fspath(value)).strip()
    if not uri:
        raise BadValue("a reference is empty")
    return Reference(uri, None)


def _slots(value: Any) -> tuple[int, ...]:
    slots = _listed(value, "slot numbers")
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in slots):
        raise BadValue(f"expected slot numbers from 0, not {value!r}")
    return tuple(slots)


def _listed(value: Any, what: str) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise BadValue(f"expected a list of {what}, not {str(value)[:60]!r}")
    return list(value)


def _check_offers(job: Job, name: str) -> None:
    """Raises InputError for a size, prompt or references that no gateway selling this model accepts, naming the limits."""
    against = {
        row.gateway: [each for each in obstacles(job, row) if each.field in _OF_ANY_GATEWAY]
        for row in market().capabilities
        if row.model == job.model
    }
    if not all(against.values()):
        return
    # Gateways that the job itself excludes are not the reason.
    named = {gateway: found for gateway, found in against.items() if all(each.limit != "gateways" for each in found)}
    failing = named or against
    field = min(failing.values(), key=len)[0].field
    said = "; ".join(str(found[0]) for found in failing.values())
    raise InputError(f"{name}: {field}: {said}", field=field)
