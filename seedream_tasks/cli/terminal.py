"""Terminal output, without control characters and without the secrets of addresses."""

import json
import time
from typing import Any

import click

from ..core.printable import printable, printable_json
from ..core.secrets import without_secrets
from ..engine.progress import Event, Progress
from ..planning.stages import Stage

_AGAIN_AFTER_S = 5.0
_STAGES = {
    "buying": "buying",
    "following": "nothing to buy; following what is in flight",
    "writing": "writing the manifest",
}
QUIET = frozenset({"archived"})


def say(line: str = "", err: bool = False) -> None:
    """One line."""
    click.echo(printable(without_secrets(line)), err=err)


def print_json(value: Any) -> None:
    """One object on stdout."""
    click.echo(printable_json(json.dumps(value, ensure_ascii=False, default=str)))


class Stages:
    """What a run does before it buys, in lines; planning a large catalog says now and then how far it is."""

    def __init__(self, rows: int | None) -> None:
        self._of = "" if rows is None else f" of {rows:,}"  # None: not known before it is read
        self._told_at = 0.0

    def tell(self, stage: Stage) -> None:
        """One line, or nothing."""
        if stage.kind != "planning":
            say(_STAGES.get(stage.kind, f"{stage.kind}: {stage.text}"), err=True)
        elif time.monotonic() - self._told_at >= _AGAIN_AFTER_S:
            self._told_at = time.monotonic()
            say(f"planning {stage.done:,}{self._of} rows", err=True)


def in_a_line(event: Event) -> str:
    """What happened, to which row and shot."""
    return printable(without_secrets(f"{event.kind}: {event.row_key} {event.shot} {event.text}".strip()))


def in_lines(progress: Progress, event: Event | None) -> None:
    """Without a terminal: one line for each thing that matters."""
    if event is not None and event.kind not in QUIET:
        say(in_a_line(event), err=True)
