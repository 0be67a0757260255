"""Quotes in delimited text: where one opens that never closes, and where text follows a closing one."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.errors import InputError


@dataclass(frozen=True, slots=True)
class Quotes:
    """The state of a record's quotes."""

    open_on: int | None  # the line (from 0) on which the quote opened that the record ends inside of
    text_after: int | None  # the first line on which text follows a closing quote


def quotes_of(record: Sequence[str], delimiter: str) -> Quotes:
    """Read as the csv module does: a quote opens only at the beginning of a cell, and two inside one stand for a quote."""
    opened: int | None = None
    text_after: int | None = None
    at_start, after_quote = True, False
    for number, line in enumerate(record):
        for character in line:
            if opened is not None and not after_quote:
                after_quote = character == '"'
                continue
            if after_quote:
                after_quote = False
                if character == '"':
                    continue  # a doubled quote: still inside
                opened = None
                if character != delimiter and character not in "\r\n" and text_after is None:
                    text_after = number
            if at_start and character == '"':
                opened, at_start = number, False
                continue
            at_start = character == delimiter or character in "\r\n"
    return Quotes(None if after_quote else opened, text_after)


def unclosed(uri: str, record: Sequence[str], start: int, delimiter: str) -> InputError:
    """The error for a quote that never closes, with the line where it opens."""
    line = start + (quotes_of(record, delimiter).open_on or 0)
    return InputError(
        f"{uri}: line {line}: a quote opens here and never closes", line=line, field="catalog", code="unclosed_quote"
    )
