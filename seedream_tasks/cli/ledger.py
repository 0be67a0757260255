"""`seedream ledger`: looking after the durable record itself."""

import click

from ..core.money import dollars, plain
from ..engine.rebuild import rebuild as rebuild_ledger
from ..engine.settings import locations
from . import options
from .main import print_json


@click.group()
def ledger() -> None:
    """Look after the ledger."""


@ledger.command()
@options.places
@options.as_json
def rebuild(archive: str | None, ledger: str | None, json_: bool) -> int:
    """Restore a lost ledger from the archive's manifests. Jobs that may have been paid for become unknown."""
    place = locations(archive, ledger, simulated=False)
    done = rebuild_ledger(place)
    if json_:
        print_json(
            {
                "runs": done.runs,
                "jobs": done.jobs,
                "attempts": done.attempts,
                "pictures": done.pictures,
                "unknown": done.unknown,
                "unknown_usd": plain(done.unknown_usd),
            }
        )
    else:
        click.echo(f"restored {done.runs} runs, {done.jobs} jobs, {done.attempts} attempts, {done.pictures} pictures")
        if done.unknown:
            click.echo(
                f"{done.unknown} jobs may have been paid for and are unknown now: {dollars(done.unknown_usd)} at risk"
            )
    return 0
