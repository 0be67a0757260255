"""`seedream plan`: the forecast. Pays and sends nothing, fetches nothing, creates and writes nothing."""

from typing import Any

import click

from ..core.money import dollars
from ..core.pricing import PriceBook
from ..engine.context import open_known
from ..engine.forecast import Forecast
from ..engine.freezing import Request, documented, forecast
from ..engine.settings import amount, configured, locations, read_prices, retry_words
from ..ledger import facts
from . import options
from .main import print_json


@click.command()
@options.catalog
@options.places
@options.as_json
@click.option("--show", type=click.IntRange(0), default=0, metavar="N", help="Also print the first N rendered prompts.")
def plan(
    catalog: str,
    shots: str | None,
    preset: str | None,
    key: str | None,
    archive: str | None,
    ledger: str | None,
    gateway: tuple[str, ...],
    model: str | None,
    sandbox: bool,
    prices: str | None,
    max_usd: str | None,
    max_premium: str | None,
    only: tuple[str, ...],
    retry: tuple[str, ...],
    edition: str | None,
    wait: float,
    granularity: str,
    json_: bool,
    show: int,
) -> int:
    """Say what a run would buy and cost."""
    chosen = configured(gateway, sandbox, fall_back=True)
    place = locations(archive, ledger, chosen.embedded)
    rows, _ = read_prices(prices)
    request = Request(
        catalog, shots, preset, key, model, edition, only, retry_words(retry), amount(max_premium, "max_premium")
    )
    known = open_known(place)
    try:
        simulated = chosen.embedded or (known is not None and known.read_now(facts.kind) == facts.SIMULATED)
        figures, first = forecast(
            request,
            documented(chosen.names),
            PriceBook.for_run(simulated, rows),
            known,
            amount(max_usd, "max_usd"),
            show,
        )
    finally:
        if known is not None:
            known.close()
    if json_:
        print_json(figures.as_json())
    else:
        for planned in first:
            record = planned.record
            text = record.job.prompt if record.job else record.error_message
            click.echo(f"row {record.row_number} {record.row_key} {record.shot}: {text}")
        _tell(figures, simulated)
    return 0


def _tell(figures: Forecast, simulated: bool) -> None:
    def line(name: str, value: Any) -> None:
        click.echo(f"{name:<24}{value}")

    line("rows", figures.rows)
    line("jobs", figures.jobs)
    for status, count in sorted(figures.by_status.items()):
        line(f"  {status}", count)
    for name, each in sorted(figures.by_gateway.items()):
        line(f"  {name}", f"{each.jobs} jobs, {each.images} pictures, {dollars(each.usd)}")
    line("forecast", dollars(figures.usd) + (" (simulated)" if simulated else ""))
    if figures.reserved_usd != figures.usd:
        line(
            "reserved while running",
            f"{dollars(figures.reserved_usd)} (sources disagree about a price; see `seedream gateways`)",
        )
    if figures.unpriced_jobs:
        line("without a price", f"{figures.unpriced_jobs} jobs, put off; give one with --prices")
    if figures.unchecked_references:
        line("references", f"{figures.unchecked_references} not checked: a forecast fetches nothing")
