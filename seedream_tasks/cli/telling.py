"""What the command line says, in lines that act on no terminal and hold no secret of an address."""

import json
from typing import Any

import click

from ..core.printable import printable, printable_json
from ..core.secrets import without_secrets
from ..engine.progress import Happening, Progress

QUIET = frozenset({"archived"})


def say(line: str = "", err: bool = False) -> None:
    """One line."""
    click.echo(printable(without_secrets(line)), err=err)


def print_json(value: Any) -> None:
    """One object on stdout."""
    click.echo(printable_json(json.dumps(value, ensure_ascii=False, default=str)))


def in_a_line(happening: Happening) -> str:
    """What happened, to which row and shot."""
    return printable(
        without_secrets(f"{happening.kind}: {happening.row_key} {happening.shot} {happening.text}".strip())
    )


def in_lines(progress: Progress, happening: Happening | None) -> None:
    """Without a terminal: one line for each thing that matters."""
    if happening is not None and happening.kind not in QUIET:
        say(in_a_line(happening), err=True)
