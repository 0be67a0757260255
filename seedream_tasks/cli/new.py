"""`seedream new`: a starter shot list for a catalog."""

import shlex
from pathlib import Path

import click

from ..catalog.tables.sources import is_catalog
from ..core.errors import InputError
from ..planning.starter_shots import starter
from . import options
from .terminal import print_json, say


@click.command()
@click.argument("folder", default=".", metavar="[FOLDER]")
@click.option(
    "--catalog",
    metavar="FILE",
    help="The catalog to make it for. Default: the only one in FOLDER, else none: a shot list for any with a column `title`.",
)
@options.as_json
def new(folder: str, catalog: str | None, json_: bool) -> int:
    """Write FOLDER/shots.yaml, a commented shot list made for a catalog's columns, and say what to do next."""
    target = Path(folder, "shots.yaml")
    if target.exists():
        raise _is_there(target)
    if catalog is None and Path(folder).is_dir():
        there = sorted(str(each) for each in Path(folder).iterdir() if each.is_file() and is_catalog(each.name))
        catalog = there[0] if len(there) == 1 else None
    made = starter(catalog)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(made.text)
    except FileExistsError:
        raise _is_there(target) from None
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}", field="folder") from None
    words = [
        catalog or "CATALOG",
        "--shots",
        str(target),
        *(("--preset", made.preset) if made.preset else ()),
        *(("--key", made.key) if made.key else ()),
    ]
    given = shlex.join(words)
    next_ones = [f"seedream plan {given}", f"seedream run {given} --limit 3 --sandbox"]
    if json_:
        print_json({"shots": str(target), "preset": made.preset, "key": made.key, "next": next_ones})
        return 0
    say(f"wrote {target}" + (f" for {catalog}" if catalog else ""))
    say("next: what it would buy and cost, then three products in the sandbox, which charges nothing")
    for command in next_ones:
        say(f"  {command}")
    return 0


def _is_there(target: Path) -> InputError:
    return InputError(
        f"{target} is there already, and is not overwritten",
        field="folder",
        code="already_there",
        hint="give another FOLDER, or move that file away",
    )
