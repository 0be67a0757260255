"""`seedream review`: applies the verdicts of a contact sheet."""

import getpass

import click

from ..config.pairing import open_pair
from ..config.settings import known_locations, read_text
from ..core.money import dollars
from ..maintenance.review import apply_review, read_review
from . import options
from .terminal import print_json, say


@click.group()
def review() -> None:
    """Take back what people said on a contact sheet."""


@review.command()
@click.argument("file")
@options.places
@options.as_json
def apply(file: str, archive: str | None, ledger: str | None, json_: bool) -> int:
    """Keep the verdicts of an exported review. Buys nothing; the next run buys the rejected images anew."""
    given = read_review(read_text(file, "review"), file)
    place = known_locations(archive, ledger)
    store = open_pair(place, create=False)
    try:
        done = apply_review(store, place.archive, given, file, getpass.getuser())
    finally:
        store.close()
    if json_:
        print_json(done.as_json())
        return 0
    known = "" if done.new else " (all of it was known already)"
    say(f"{done.approved} approved, {done.rejected} rejected{known}")
    if done.rejected:
        say(
            f"the rejected images had cost {dollars(done.cost_of_rejected_usd)} and are kept;"
            " the next run buys them anew, and nothing else of these records"
        )
    return 0
