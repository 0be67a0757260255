"""`seedream collect`: finish what is in flight, from any earlier run."""

import asyncio

import click

from ..config.settings import known_locations
from ..core.money import dollars
from ..engine.progress import Progress, listen
from ..maintenance.collect import collect as collect_all
from . import options
from .block_names import access
from .terminal import in_lines, print_json, say


@click.command()
@options.gateway(
    "Ask with this account's key, a name or a block: seedream-gateway/NAME; may be repeated. Default: all that are configured."
)
@options.places
@options.as_json
def collect(gateway: tuple[str, ...], archive: str | None, ledger: str | None, json_: bool) -> int:
    """Ask once for everything in flight, archive what is done, and write the manifests that this changes. Buys nothing."""
    accounts = access(gateway)[0].accounts if gateway else None
    stop_listening = listen(in_lines)
    try:
        done = asyncio.run(collect_all(known_locations(archive, ledger), Progress(), accounts))
    finally:
        stop_listening()
    if json_:
        print_json(done.as_json())
    else:
        say(
            f"asked for {done.polled} attempts: {done.archived} archived, {done.expired} expired,"
            f" {dollars(done.billed_usd)} billed"
        )
        say(f"left: {done.still_in_flight} in flight, {done.unknown} unknown")
        for uri in done.manifests:
            say(f"manifest   {uri}")
    return 3 if done.still_in_flight or done.unknown else 0
