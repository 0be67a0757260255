"""From a catalog row and a shot to a job: templates in Jinja's sandbox, then the field checks.

The row's own text is data: it is inserted into templates, never parsed as one.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError, UndefinedError

from .column_names import BadCell, Columns, RowCells, bad_cell, snake_case
from .errors import BadValue, InputError, RowError
from .invisible import visible
from .jobs import Job, Reference, tidy_prompt
from .market import DEFAULT_MODEL
from .shots import FIELDS, Shot
from .template_values import checked, without_address
from .templates import FAILS, expression, links, template

__all__ = [
    "Columns",
    "build_job",
    "check_templates",
    "column_fields",
    "is_wanted",
    "render_job",
    "snake_case",
    "split_references",
]

_UNDEFINED = re.compile(r"'(.+)' is undefined|'.+ object' has no attribute '(.+)'")
# `&` in a link, escaped as HTML once or several times.
_AMPERSAND = re.compile(r"&(?:amp|#0*38|#x0*26);(?:amp;)*", re.IGNORECASE)
_DEFAULTS: dict[str, Any] = {"operation": "generate", "model": DEFAULT_MODEL, "n": 1}


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def check_templates(shot: Shot, what: str = "shot list") -> None:
    """Compile every template of a shot. Raises InputError naming the field: a typo is found before the first row."""
    fields = [
        (field, text)
        for field, given in shot.templates.items()
        for text in ([given] if isinstance(given, str) else given)
    ]
    for field, text in fields:
        try:
            template(text)
        except FAILS as error:
            raise InputError(f"{what}: shot {shot.name}: {field}: {_said(error)}", field=field) from None
    if shot.when is not None:
        try:
            expression(shot.when)
        except FAILS as error:
            raise InputError(f"{what}: shot {shot.name}: when: {_said(error)}", field="when") from None


def is_wanted(shot: Shot, context: Mapping[str, Any]) -> bool:
    """Whether the shot's condition holds for a row. Raises RowError."""
    if shot.when is None:
        return True
    with _Naming("when", context):
        value = expression(shot.when)(context)
        if isinstance(value, StrictUndefined):
            value._fail_with_undefined_error()
        return bool(checked(value))


def render_job(shot: Shot, row_key: str, context: Mapping[str, Any]) -> Job:
    """The job of one row and shot; its references carry only URIs yet. Raises RowError naming the field."""
    fields = dict(shot.constants)
    for field, given in shot.templates.items():
        with _Naming(field, context):
            made = links if field == "references" else template
            texts = [without_address(made(each)(context)) for each in ([given] if isinstance(given, str) else given)]
            fields[field] = texts[0] if isinstance(given, str) else texts
            if field not in ("prompt", "references"):
                text = str(fields[field]).strip()
                fields[field] = FIELDS[field](text) if text else None
    return build_job(row_key, shot.name, fields)


def build_job(row_key: str, shot: str, fields: Mapping[str, Any]) -> Job:
    """A job from checked fields (`prompt` and `references` as rendered text). Raises RowError naming the field."""
    values = {**_DEFAULTS, **{name: value for name, value in fields.items() if value is not None}}
    prompt = tidy_prompt(str(values["prompt"])) if "prompt" in values else ""
    if not visible(prompt).strip():
        raise RowError("the prompt is empty", field="prompt", error_code="empty_prompt")
    with _Naming("prompt"):
        without_address(prompt)
    given = values.get("references", ())
    uris = [uri for cell in ([given] if isinstance(given, str) else given) for uri in split_references(cell)]
    if values["operation"] == "edit" and not uris:
        raise RowError(
            "an edit needs at least one reference, and this row has none", field="references", error_code="no_reference"
        )
    pixels = values.get("pixels")
    return Job.made(
        row_key=row_key,
        shot=shot,
        model=values["model"],
        operation=values["operation"],
        prompt=prompt,
        ratio=None if pixels else values.get("ratio", "1:1"),
        tier=None if pixels else values.get("tier", "2K"),
        pixels=pixels,
        n=values["n"],
        references=tuple(Reference(uri, None) for uri in uris),
        speed=values.get("speed", "standard"),
        watermark=values.get("watermark", False),
        output_format=values.get("output_format"),
        edition=values.get("edition") or None,
        top_up=values.get("top_up", False),
        gateways=values.get("gateways", ()),
        gateway_options=values.get("gateway_options", {}),
        output=values.get("output"),
    )


def split_references(cell: str) -> list[str]:
    """Several references in one cell: a JSON list, or separated by | or newline. Empty parts are skipped."""
    return [_unescaped(part) for part in _parts(cell.strip())]


def _unescaped(uri: str) -> str:
    """Unescape `&amp;` in a link copied from HTML."""
    return _AMPERSAND.sub("&", uri) if "&" in uri and uri[:8].lower().startswith(("http://", "https://")) else uri


def _parts(text: str) -> list[str]:
    if text.startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            items = None
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return [item.strip() for item in items if item.strip()]
    if text.startswith("data:"):
        return [text]
    return [part.strip() for part in re.split(r"[|\n\r]", text) if part.strip()]


def column_fields(cells: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Column mode: the shot fields among a row's own columns, checked. Empty cells count as not given. Raises RowError."""
    fields: dict[str, Any] = dict(defaults)
    for name in ("shot", *FIELDS):
        if isinstance(cell := cells.get(name), BadCell):
            raise bad_cell(name, cell)
    given = {
        name: cells[name].strip() for name in FIELDS if name not in ("name", "when") and cells.get(name, "").strip()
    }
    if "pixels" in given and ("ratio" in given or "tier" in given):
        raise RowError("give pixels instead of ratio and tier, not both", field="pixels", error_code="bad_field")
    for name, text in given.items():
        with _Naming(name):
            fields[name] = text if name in ("prompt", "references") else FIELDS[name](_structured(name, text))
    return fields


def _structured(name: str, text: str) -> Any:
    if name == "gateways" and text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            raise BadValue(f"expected a JSON list, not {text[:60]!r}") from None
    if name == "gateways":
        return [part.strip() for part in re.split(r"[|,\n]", text) if part.strip()]
    if name in ("gateway_options", "output"):
        try:
            return json.loads(text)
        except ValueError:
            raise BadValue(f"expected a JSON object, not {text[:60]!r}") from None
    return text


class _Naming:
    """Convert errors of templates and checks to a RowError that names the field."""

    def __init__(self, field: str, context: Mapping[str, Any] | None = None) -> None:
        self._field = field
        self._context = context or {}

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        field = self._field
        if error is None:
            return
        if isinstance(error, RowError):
            if error.facts.get("error_code") != "bad_cell":
                return
            raise RowError(f"{field}: {error.message}", field=field, error_code="bad_cell") from None
        if isinstance(error, BadValue):
            raise RowError(f"{field}: {error}", field=field, error_code="bad_field") from None
        if isinstance(error, UndefinedError):
            raise RowError(f"{field}: {self._no_such(str(error))}", field=field, error_code="undefined_name") from None
        if isinstance(error, SecurityError):
            raise RowError(
                f"{field}: not allowed in a template: {error}", field=field, error_code="template_error"
            ) from None
        if isinstance(error, FAILS):
            raise RowError(f"{field}: {_said(error)}", field=field, error_code="template_error") from None

    def _no_such(self, said: str) -> str:
        """The undefined name, with the name that was probably meant."""
        row = self._context.get("row")
        found = _UNDEFINED.fullmatch(said)
        if found is None or not isinstance(row, RowCells) or (found[2] and "RowCells object" not in said):
            return said if found is None else f"{said}; no column has that name"
        return row.no_such(found[1] or found[2], self._context)
