"""`seedream ledger`: maintains the durable record itself."""

import click

from ..config.settings import known_locations, locations
from ..core.money import dollars, plain
from ..ledger.schema import SCHEMA_VERSION
from ..ledger.store import open_ledger
from ..ledger.urls import shown_url
from ..maintenance.export import export as export_ledger
from ..maintenance.prune import prune as prune_archive
from ..maintenance.rebuild import merge as merge_ledger
from ..maintenance.rebuild import rebuild as rebuild_ledger
from ..storage.archive import Archive
from . import options
from .terminal import print_json, say

_SHOWN = 20


@click.group()
def ledger() -> None:
    """Look after the ledger."""


@ledger.command()
@click.option(
    "--archive",
    "archives",
    metavar="URI",
    multiple=True,
    help="An archive of the ledger; may be repeated. Default: SEEDREAM_ARCHIVE, else ./seedream-out.",
)
@options.ledger
@click.option(
    "--merge",
    is_flag=True,
    help="Add to the ledger that is there what the archives know and it does not. Default: make a new ledger.",
)
@options.as_json
def rebuild(archives: tuple[str, ...], ledger: str | None, merge: bool, json_: bool) -> int:
    """Restore a lost ledger from its archives, or bring one up to them. What may have been paid for becomes unknown."""
    place = locations(archives[0] if archives else None, ledger, simulated=False)
    given = [place.archive, *(Archive(each) for each in archives[1:])]
    done = (merge_ledger if merge else rebuild_ledger)(given, place.ledger_url)
    if json_:
        print_json(
            {
                "runs": done.runs,
                "jobs": done.jobs,
                "attempts": done.attempts,
                "pictures": done.images,
                "unknown": done.unknown,
                "unknown_usd": plain(done.unknown_usd),
                "found": done.found,
                "found_usd": plain(done.found_usd),
            }
        )
        return 0
    if merge and done.nothing:
        say("nothing to add: the ledger knows all that the archive does")
        return 0
    word = "added" if merge else "restored"
    say(f"{word} {done.runs} runs, {done.jobs} jobs, {done.attempts} attempts, {done.images} images")
    if done.found:
        say(
            f"{done.found} more images stand in the archive, of which no manifest says what they cost:"
            f" {dollars(done.found_usd)} at risk for them"
        )
    if done.unknown:
        say(f"{done.unknown} jobs may have been paid for and are unknown now: {dollars(done.unknown_usd)} at risk")
    return 0


@ledger.command()
@options.places
@options.as_json
def migrate(archive: str | None, ledger: str | None, json_: bool) -> int:
    """Bring an older version's ledger to this one. Of an SQLite file a copy is put beside first; of PostgreSQL put one aside."""
    url = known_locations(archive, ledger).ledger_url
    opened = open_ledger(url, create=False, migrates=True)
    opened.close()
    if json_:
        print_json({"ledger": shown_url(url), "version": SCHEMA_VERSION})
    else:
        say(f"the ledger {shown_url(url)} has version {SCHEMA_VERSION}")
    return 0


@ledger.command()
@options.places
@click.option("--yes", is_flag=True, help="Set them aside. Default: nothing is touched, and what would go is listed.")
@click.option(
    "--at-most",
    type=click.IntRange(0),
    metavar="N",
    help="How many images may go at once. Default: a fifth of the archive's.",
)
@click.option(
    "--quarantine", is_flag=True, help="Also paid bytes that never were an image of a record. Default: these stay."
)
@options.as_json
def prune(
    archive: str | None, ledger: str | None, yes: bool, at_most: int | None, quarantine: bool, json_: bool
) -> int:
    """Set images of removed products aside, and those that newer ones have replaced. The ledger keeps jobs and costs.

    They go to trash/ and are deleted by a prune a week later; until then a run that wants them again takes them back.
    """
    done = prune_archive(known_locations(archive, ledger), yes, quarantine, at_most)
    if json_:
        print_json(done.as_json())
        return 0
    total, moves = done.total, "moved to trash/" if done.deleted else "would move to trash/"
    say(
        f"{moves}: {total.images} of {done.of_images} images, {_megabytes(total.bytes)}, bought for {dollars(total.cost_usd)}"
    )
    for reason, share in done.by_reason.items():
        say(f"  {reason:<11}{share.images} images, {_megabytes(share.bytes)}, {dollars(share.cost_usd)}")
    if done.emptied:
        say(
            f"{'deleted' if done.deleted else 'would delete'}: {len(done.emptied)} files that were in trash/ for a week"
        )
    say(f"what stays is what the run {done.run_id} of {done.catalog_uri or 'an unknown catalog'} shows")
    for catalog, images in done.by_catalog.items():
        if catalog != done.catalog_uri:
            say(f"  {images} of these images were bought for another catalog: {catalog}")
    for path in done.paths[:_SHOWN]:
        say(f"    {path}")
    if len(done.paths) > _SHOWN:
        say(f"    and {len(done.paths) - _SHOWN} more (--json lists all)")
    if not done.deleted and total.images:
        bound = f" --at-most {total.images}" if total.images > done.unbounded_limit else ""
        say(f"nothing was touched; --yes{bound} sets them aside")
    return 0


@ledger.command()
@click.argument("target")
@options.places
@options.as_json
def export(target: str, archive: str | None, ledger: str | None, json_: bool) -> int:
    """Write the ledger as Parquet: every table into a folder, or the attempts into one FILE.parquet."""
    rows = export_ledger(known_locations(archive, ledger).ledger_url, target)
    if json_:
        print_json({"target": target, "rows": rows})
    else:
        for table, count in rows.items():
            say(f"{table:<12}{count} rows")
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
