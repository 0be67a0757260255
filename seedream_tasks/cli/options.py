"""Options shared by several commands."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..core.market import DEFAULT_MODEL, market

F = TypeVar("F", bound=Callable[..., Any])


def _ledger_url(context: click.Context, parameter: click.Parameter, word: str | None) -> str | None:
    if word is None:
        return None
    from .block_names import ledger_url  # takes a second to import, and commands print something before that

    return ledger_url(word)


def ledger(command: F) -> F:
    """--ledger, by URL or by block."""
    return click.option(
        "--ledger",
        metavar="URL",
        callback=_ledger_url,
        help="Ledger, sqlite:///... or postgresql://..., or a block: seedream-ledger/NAME. Default: SEEDREAM_LEDGER, else"
        " ledger.db in a local archive.",
    )(command)


def places(command: F) -> F:
    """--archive and --ledger: every command that touches money takes them."""
    return click.option(
        "--archive",
        metavar="URI",
        help="Where the images are kept, a folder or s3://... and the like. Default: SEEDREAM_ARCHIVE, else ./seedream-out, of"
        " simulated runs ./seedream-sandbox-out.",
    )(ledger(command))


def as_json(command: F) -> F:
    """--json: one object on stdout."""
    return click.option(
        "--json", "json_", is_flag=True, help="Print one JSON object on stdout. Default: lines for people."
    )(command)


def gateway(help: str) -> Callable[[F], F]:  # noqa: A002 - click's word
    """--gateway, by name or by block."""
    return click.option("--gateway", "gateway", multiple=True, metavar="NAME", help=help)


def catalog(command: F) -> F:
    """What `run` and `plan` share."""
    for option in reversed(
        [
            click.argument("catalog"),
            click.option(
                "--shots", metavar="FILE", help="Shot list (YAML). Default: the catalog's own columns are the shots."
            ),
            click.option(
                "--preset",
                metavar="NAME",
                help="How an export is read: shopify, woocommerce, merchant, amazon, magento, prestashop, wix, squarespace or "
                "bigcommerce. NAME,all also takes what is not for sale. Default: none.",
            ),
            click.option(
                "--key",
                metavar="COLUMN",
                help="Column that identifies a row. Default: the preset's, else sku, id or handle.",
            ),
            click.option(
                "--header-row",
                type=click.IntRange(1),
                metavar="N",
                help="Line or row that holds the columns' names. Default: the first that is not empty.",
            ),
            gateway(
                "Buy only here, a name or a block: seedream-gateway/NAME; may be repeated. Default: all that are configured."
            ),
            click.option(
                "--model",
                metavar="NAME",
                help=f"{' or '.join(market().models)}, where a shot does not say. Default: {DEFAULT_MODEL}.",
            ),
            click.option(
                "--sandbox",
                is_flag=True,
                help="Simulate with the embedded sandbox; keys are ignored. Default: only when no gateway is configured.",
            ),
            click.option(
                "--prices",
                metavar="FILE",
                help="Price file (YAML) above the built-in prices. Default: SEEDREAM_PRICES, else the built-in ones alone.",
            ),
            click.option(
                "--max-usd",
                metavar="N",
                help="Most that this run may spend, in US dollars. Default: no cap but the standing ones.",
            ),
            click.option(
                "--max-premium",
                metavar="FRACTION",
                help="Most above the cheapest gateway, as a fraction (0.1: 10 %). Default: no limit.",
            ),
            click.option(
                "--only", multiple=True, metavar="KEY", help="Buy only for this row key; may be repeated. Default: all."
            ),
            click.option(
                "--limit",
                type=click.IntRange(1),
                metavar="N",
                help="Buy for the first N products that still want something; run it again for the next. Default: all.",
            ),
            click.option(
                "--yes",
                is_flag=True,
                help="Buy without asking. Default: a terminal is asked, unless --max-usd is given.",
            ),
            click.option(
                "--retry",
                multiple=True,
                metavar="WHAT",
                help="Buy again what is failed, expired or lost; may be repeated. Default: nothing.",
            ),
            click.option(
                "--edition",
                metavar="TEXT",
                help="Ask for new images of unchanged rows under this word. Default: none.",
            ),
            click.option(
                "--wait",
                "wait",
                type=click.FloatRange(0),
                default=1800.0,
                show_default=True,
                help="Longest wait for a job, in seconds.",
            ),
            click.option(
                "--granularity",
                type=click.Choice(["auto", "row", "chunk"]),
                default="auto",
                show_default=True,
                help="Size of task runs.",
            ),
        ]
    ):
        command = option(command)
    return command
