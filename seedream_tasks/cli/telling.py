"""What happens in a run or a collection, as lines on stderr."""

import click

from ..engine.progress import Happening, Progress

QUIET = frozenset({"archived"})


def in_a_line(happening: Happening) -> str:
    """What happened, to which row and shot."""
    return f"{happening.kind}: {happening.row_key} {happening.shot} {happening.text}".strip()


def in_lines(progress: Progress, happening: Happening | None) -> None:
    """Without a terminal: one line for each thing that matters."""
    if happening is not None and happening.kind not in QUIET:
        click.echo(in_a_line(happening), err=True)
