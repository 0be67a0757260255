"""Prefect blocks by name, as flows take them. Prefect takes seconds to import, so only if a block is named."""

import asyncio
from collections.abc import Sequence

from ..config.process import prepare_command
from ..config.settings import Gateways, configured, read_prices
from ..core.pricing import PriceRow

_GATEWAY, _LEDGER = "seedream-gateway/", "seedream-ledger/"


def access(words: Sequence[str], sandbox: bool = False, prices: str | None = None) -> tuple[Gateways, list[PriceRow]]:
    """The gateways that these words name, by names or blocks; the prices of these blocks, then those of the price file.

    No words: what the environment configures, else the embedded sandbox. Raises ConfigurationError, InputError.
    """
    if not any(word.startswith(_GATEWAY) for word in words):
        return configured(words, sandbox, fall_back=True), read_prices(prices)[0]
    prepare_command()
    from ..orchestration.run_settings import access_to, gateway_names

    if sandbox:
        return configured(asyncio.run(gateway_names(words)), sandbox), read_prices(prices)[0]
    found = asyncio.run(access_to(words, prices))
    return Gateways(tuple(found.accounts), found.accounts, embedded=False, asked_for_sandbox=False), list(found.prices)


def ledger_url(word: str) -> str | None:
    """The URL that --ledger means. Raises ConfigurationError."""
    if not word.startswith(_LEDGER):
        return word
    prepare_command()
    from ..orchestration.run_settings import ledger_url

    return asyncio.run(ledger_url(word))
