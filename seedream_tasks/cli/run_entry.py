"""`seedream run`: its options and first output, before slow imports."""

from typing import Any

import click

from . import options
from .terminal import say


@click.command()
@options.catalog
@options.places
@options.as_json
def run(**given: Any) -> int:
    """Buy what is new or changed, archive it, and write the manifest."""
    say("starting", err=True)
    from .run import run_catalog

    return run_catalog(**given)
