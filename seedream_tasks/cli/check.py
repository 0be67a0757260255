"""`seedream check`: checks everything a run needs, on one screen."""

import asyncio
import os

import click
import httpx

from ..config.process import direct_to_this_machine
from ..config.readiness import check_gateways, check_place, check_prefect
from ..config.settings import configured, known_locations
from ..core.errors import SeedreamError
from . import options
from .terminal import print_json, say

_WITHIN_S = 10.0


@click.command()
@options.places
@options.as_json
def check(archive: str | None, ledger: str | None, json_: bool) -> int:
    """Look at keys, balances, archive, ledger and Prefect's server. Exit 2 when a run would fail. Writes and spends nothing."""
    direct_to_this_machine()
    accounts = configured(needed=False).accounts
    found = [
        *asyncio.run(check_gateways(accounts)),
        *check_place(known_locations(archive, ledger)),
        asyncio.run(check_prefect(os.environ.get("PREFECT_API_URL", "").strip() or None, _ask)),
    ]
    good = all(each.ok for each in found)
    if json_:
        print_json({"ok": good, "checks": [{"what": each.what, "ok": each.ok, "said": each.said} for each in found]})
        return 0 if good else 2
    for each in found:
        say(f"{'ok ' if each.ok else 'BAD'}  {each.what:<8} {each.said}")
    if not accounts:
        say("no gateway is configured: runs are simulated with the embedded sandbox")
    return 0 if good else 2


async def _ask(url: str) -> None:
    try:
        async with httpx.AsyncClient(timeout=_WITHIN_S) as client:
            (await client.get(f"{url.rstrip('/')}/health")).raise_for_status()
    except httpx.HTTPError as error:
        raise SeedreamError(f"does not answer: {error or type(error).__name__}") from None
