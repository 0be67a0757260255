"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .blocks import ledger_url

F = TypeVar("F", bound=Callable[..., Any])


def ledger(command: F) -> F:
    """--ledger, by URL or by block."""
    return click.option(
        "--ledger",
        metavar="URL",
        callback=ledger_url,
        help="Ledger, sqlite:///... or postgresql://..., or a block: seedream-ledger/NAME.",
    )(command)


def places(command: F) -> F:
    """--archive and --ledger: every command that touches money takes them."""
    return click.option("--archive", metavar="URI", help="Where the pictures are kept.")(ledger(command))


def as_json(command: F) -> F:
    """--json: one object on stdout."""
    return click.option("--json", "json_", is_flag=True, help="Print one JSON object on stdout.")(command)


def gateway(help: str) -> Callable[[F], F]:  # noqa: A002 - click's word
    """--gateway, by name or by block."""
    return click.option("--gateway", "gateway", multiple=True, metavar="NAME", help=help)


def catalog(command: F) -> F:
    """What `run` and `plan` share."""
    for option in reversed(
        [
            click.argument("catalog"),
            click.option(
                "--shots", metavar="FILE", help="Shot list (YAML). Without it the catalog's columns are the shots."
            ),
            click.option(
                "--preset",
                metavar="NAME",
                help="How an export is read: shopify, woocommerce, merchant, amazon, magento, prestashop, wix, squarespace or "
                "bigcommerce. NAME,all also takes what is not for sale.",
            ),
            click.option("--key", metavar="COLUMN", help="Column that identifies a row."),
            click.option(
                "--header-row", type=click.IntRange(1), metavar="N", help="Line or row that holds the columns' names."
            ),
            gateway("Buy only here, a name or a block: seedream-gateway/NAME; may be repeated."),
            click.option("--model", metavar="NAME", help="seedream-4.5 or seedream-4.0, where a shot does not say."),
            click.option("--sandbox", is_flag=True, help="Simulate with the embedded sandbox; keys are ignored."),
            click.option("--prices", metavar="FILE", help="Price file (YAML) above the built-in prices."),
            click.option("--max-usd", metavar="N", help="Most that this run may spend."),
            click.option("--max-premium", metavar="FRACTION", help="Most above the cheapest gateway, as a fraction."),
            click.option("--only", multiple=True, metavar="KEY", help="Buy only for this row key; may be repeated."),
            click.option("--retry", multiple=True, metavar="WHAT", help="Buy again what is failed, expired or lost."),
            click.option("--edition", metavar="TEXT", help="Ask for new pictures of unchanged rows under this word."),
            click.option(
                "--wait", "wait", type=click.FloatRange(0), default=1800.0, help="Longest wait for a job, in seconds."
            ),
            click.option(
                "--granularity", type=click.Choice(["auto", "row", "chunk"]), default="auto", help="Size of task runs."
            ),
        ]
    ):
        command = option(command)
    return command
