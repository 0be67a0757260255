"""Placeholders that are not Jinja's: `{title}`, `$title`, `[title]`, which would be sent literally."""

import re
from collections.abc import Iterable

from .column_names import Columns
from .errors import InputError
from .shots import Shot
from .templates import literals

# No word of a prompt looks like this; when its name is a column's, the column was meant.
_NAME = r"([^\W\d][\w .-]{0,60}?)"
_PLACES = re.compile(
    rf"\$?\{{\s*{_NAME}\s*\}}|%\({_NAME}\)s|%{_NAME}%|<+\s*{_NAME}\s*>+|\[+\s*{_NAME}\s*\]+|\$([^\W\d]\w*)"
)


def misspelled_place(literal: str, columns: Columns, extra: Iterable[str]) -> tuple[str, str] | None:
    """The placeholder found and its Jinja spelling; None when there is none. `extra`: a preset's names."""
    names = set(extra)
    for found in _PLACES.finditer(literal):
        name = next(each for each in found.groups() if each is not None)
        if name in names:
            return found[0], f"{{{{ {name} }}}}"
        column = columns.column(name)
        if column is not None:
            short = columns.names_of(columns.names.index(column))
            return found[0], f"{{{{ {short or f'row[{column!r}]'} }}}}"
    return None


def check_places(shot: Shot, columns: Columns, extra: Iterable[str]) -> None:
    """Raises InputError for a prompt with a placeholder that is not Jinja's: it would be sent literally for every row."""
    prompt = shot.templates.get("prompt", shot.constants.get("prompt"))
    extra = tuple(extra)
    for literal in literals(prompt) if isinstance(prompt, str) else ():
        if (found := misspelled_place(literal, columns, extra)) is not None:
            stands, meant = found
            raise InputError(
                f"shot list: shot {shot.name}: prompt: {stands!r} would be sent literally",
                field="prompt",
                hint=f"write {meant} where the column's text is meant",
            )
