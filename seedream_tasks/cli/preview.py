"""The forecast for a command line: for `plan`, and for the confirmation before a run without a cap."""

import asyncio
import sys
from dataclasses import dataclass

import click

from ..config.pairing import check_others, open_known
from ..config.run_options import RunOptions
from ..config.settings import Gateways, Locations
from ..core.errors import InputError
from ..core.price_book import PriceBook
from ..core.pricing import PriceRow
from ..engine.opening import ask_kind, known_kind
from ..planning.forecast import Forecast
from ..planning.freeze import Understood, documented, forecast
from .terminal import say


@dataclass(frozen=True)
class PreviewRequest:
    """A catalog, where its images would be bought, and where they would go."""

    options: RunOptions
    gateways: Gateways
    prices: list[PriceRow]
    place: Locations

    def foresee(self, show: int = 0, asks: bool = False) -> tuple[Forecast, Understood, bool]:
        """Figures, what was understood, and whether it is simulated, as far as the ledger knows; `asks`: else as the gateways
        say. Creates and writes nothing. Raises InputError.
        """
        known = open_known(self.place)
        try:
            accounts = None if self.gateways.embedded else self.gateways.accounts
            simulated = self.gateways.embedded
            if known is not None:
                check_others(known, self.place.archive)
                simulated = known_kind(known, self.place.archive, accounts)
            if asks and accounts is not None and not simulated:
                simulated = asyncio.run(ask_kind(accounts, known))
            prices = PriceBook.for_run(simulated, self.prices)
            capabilities = documented(self.gateways.names)
            figures, understood = forecast(self.options, capabilities, prices, self.place.archive, known, show)
        finally:
            if known is not None:
                known.close()
        return figures, understood, simulated


def confirm(wanted: PreviewRequest) -> None:
    """Say what a real run would buy that nothing bounds, and ask. Without a terminal it is only said that nobody was asked.

    Raises InputError for any answer but yes; nothing is spent.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        say("no --max-usd is given and there is no terminal to ask: all that the forecast says is bought", err=True)
        return
    figures, _, simulated = wanted.foresee(asks=True)
    if simulated or not figures.by_gateway:
        return
    say(f"this buys {figures.in_words(simulated=False)}", err=True)
    say(f"into {wanted.place.archive.root}; the gateways are paid, and no --max-usd is given", err=True)
    click.echo("Buy them? Only `yes` buys: ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError(
            "nothing was bought: the answer was not yes",
            code="not_confirmed",
            hint="--yes buys without asking, --max-usd N says how much at most",
        )
