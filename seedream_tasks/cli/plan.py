"""`seedream plan`: the forecast. Pays and sends nothing, fetches nothing, creates and writes nothing."""

from typing import Any

import click

from ..catalog.presets import advice, listed
from ..catalog.tables import stating
from ..config.run_options import RunOptions
from ..config.settings import amount, locations, retry_words
from ..core.errors import InputError
from ..core.money import dollars
from ..core.preflight import shown
from ..core.pricing import quote
from ..core.secrets import without_secrets
from ..planning.forecast import Forecast
from ..planning.freeze import Understood
from ..planning.planner import Planned
from . import options
from .block_names import access
from .preview import PreviewRequest
from .terminal import print_json, say

_NAMES_SHOWN = 12


@click.command()
@options.catalog
@options.places
@options.as_json
@click.option(
    "--columns", is_flag=True, help="List every name that templates may use, with its column. Default: the first few."
)
@click.option(
    "--show",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    metavar="N",
    help="Print the first N rendered prompts.",
)
def plan(
    catalog: str,
    shots: str | None,
    preset: str | None,
    key: str | None,
    header_row: int | None,
    archive: str | None,
    ledger: str | None,
    gateway: tuple[str, ...],
    model: str | None,
    sandbox: bool,
    prices: str | None,
    max_usd: str | None,
    max_premium: str | None,
    only: tuple[str, ...],
    limit: int | None,
    yes: bool,
    retry: tuple[str, ...],
    edition: str | None,
    wait: float,
    granularity: str,
    json_: bool,
    show: int,
    columns: bool,
) -> int:
    """Say what a run would buy and cost."""
    catalog = stating(catalog, header=header_row)
    chosen, rows = access(gateway, sandbox, prices)
    place = locations(archive, ledger, chosen.embedded)
    cap = amount(max_usd, "max_usd", "--max-usd")
    premium = amount(max_premium, "max_premium", "--max-premium")
    options = RunOptions(
        catalog, shots, preset, key, model, edition, only, retry_words(retry), limit, max_usd=cap, max_premium=premium
    )
    wanted = PreviewRequest(options, chosen, rows, place)
    figures, understood, simulated = wanted.foresee(0 if json_ else show)
    for warning in (*understood.warnings, *([figures.shrunk] if figures.shrunk else [])):
        say(f"WARNING {warning}", err=True)
    if not json_:
        _tell_understood(understood, columns)
        for planned in understood.first:
            _tell_prompt(planned)
        for line in understood.refused.lines():
            say(line)
        _tell(figures, simulated)
    if not figures.jobs and figures.by_status["invalid"]:
        reason = understood.refused.lines()[0].removeprefix("invalid: ")
        raise InputError(f"{without_secrets(catalog)}: no row can be planned: {reason}", code="nothing_to_plan")
    if json_:
        print_json(figures.as_json())
    return 3 if figures.by_status["invalid"] else 0


def _line(name: str, value: Any) -> None:
    say(f"{name:<24}{value}")


def _tell_understood(understood: Understood, all_names: bool) -> None:
    """What was made of the file, before anyone pays for it."""
    _line("catalog", ", ".join((understood.facts.format, *understood.facts.details)))
    _line("columns", listed(understood.columns))
    preset = understood.preset or "none" + (f" ({advice(understood.fits)})" if understood.fits else "")
    _line("preset", preset)
    _line("key", f"the column {understood.key}" if understood.key else f"the preset's ({understood.preset})")
    _tell_names(understood, all_names)
    say()


def _tell_names(understood: Understood, all_of_them: bool) -> None:
    """What templates may use: the first names in a line, or each in a line of its own."""
    if all_of_them:
        _line("name in templates", "column")
        for name, column in understood.names:
            _line(f"  {name}", f" {column or 'the preset ' + str(understood.preset)}")
        return
    shown = [name if column in ("", name) else f"{name} ({column})" for name, column in understood.names[:_NAMES_SHOWN]]
    more = len(understood.names) - len(shown)
    _line("names in templates", ", ".join(shown) + (f", and {more} more: --columns lists them all" if more else ""))


def _tell_prompt(planned: Planned) -> None:
    """One record as it would be asked for."""
    record, job = planned.record, planned.record.job
    if job is None:
        return
    at = f"line {record.line}" if record.line else f"row {record.row_number}"
    if planned.route is not None and planned.slots:
        usd = quote(planned.route.price, len(planned.slots)).usd
        buys = f"{len(planned.slots)} at {planned.route.offer.gateway}, {dollars(usd)}"
    else:
        buys = "no price" if planned.unpriced else "nothing to buy"
    say(f"{at}  {record.row_key}  {record.shot}  ({buys})")
    say(f"  {job.prompt}")
    for reference in job.references:
        found = f"{reference.format}, {reference.width}x{reference.height} px" if reference.sha256 else "not looked at"
        say(f"  reference {shown(reference.uri)} ({found})")
    say()


def _tell(figures: Forecast, simulated: bool) -> None:
    _line("rows", figures.rows)
    _line("jobs", figures.jobs)
    for status, count in sorted(figures.by_status.items()):
        _line(f"  {status}", count)
    for name, each in sorted(figures.by_gateway.items()):
        _line(f"  {name}", f"{each.jobs} jobs, {each.images} images, {dollars(each.usd)}")
    _line("forecast", dollars(figures.usd) + (" (simulated)" if simulated else ""))
    if figures.reserved_usd != figures.usd:
        _line(
            "reserved while running",
            f"{dollars(figures.reserved_usd)} (sources disagree about a price; see `seedream gateways`)",
        )
    if figures.unpriced_jobs:
        _line("without a price", f"{figures.unpriced_jobs} jobs, deferred; give one with --prices")
    if figures.unchecked_references:
        _line("references", f"{figures.unchecked_references} not checked: a forecast fetches nothing")
