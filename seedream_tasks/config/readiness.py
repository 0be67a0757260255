"""Checks everything a run needs: keys, balances, archive, ledger. Spends nothing and writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ..core.errors import GatewayFault, SeedreamError
from ..core.market import market
from ..core.money import dollars, plain
from ..gateways.client import Account, GatewayClient
from ..gateways.dialect import Balance
from ..ledger import identity
from ..ledger.urls import shown_url
from .environment import key_variable
from .pairing import open_known
from .settings import Locations, http_clients
from .writability import why_not_writable


@dataclass(frozen=True, slots=True)
class Checked:
    """One check and its result."""

    what: str
    ok: bool
    said: str


async def check_gateways(accounts: Mapping[str, Account]) -> list[Checked]:
    """Ask each configured gateway, free of charge, whether it accepts the key, and its balance."""
    async with http_clients() as http:
        asked = {name: _account(GatewayClient(account, http)) for name, account in accounts.items()}
        answers = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    unset = [
        Checked(name, True, f"not configured ({key_variable(name)})")
        for name in market().gateways
        if name not in answers
    ]
    return [*answers.values(), *unset]


async def _account(client: GatewayClient) -> Checked:
    try:
        probe = await client.probe()
    except GatewayFault as fault:
        return Checked(client.gateway, False, f"{client.account.base_url}: {fault.message}")
    kind = "the sandbox, nothing is charged" if probe.simulated else "real"
    return Checked(client.gateway, True, f"{client.account.base_url}: key accepted, {kind}, {_left(probe.balance)}")


def _left(balance: Balance | None) -> str:
    if balance is not None and balance.usd is not None:
        return f"balance {dollars(balance.usd)}"
    if balance is not None and balance.credits is not None:
        return f"balance {plain(balance.credits)} credits"
    return "its balance is not stated"


def check_place(place: Locations) -> list[Checked]:
    """Whether archive and ledger are usable and belong together."""
    return [
        _told("archive", place.archive.root, lambda: _archive(place)),
        _told("ledger", shown_url(place.ledger_url), lambda: _ledger(place)),
    ]


def _told(what: str, name: str, look: Callable[[], tuple[bool, str]]) -> Checked:
    try:
        ok, said = look()
    except SeedreamError as error:
        ok, said = False, str(error)
    return Checked(what, ok, f"{name}: {said}")


def _archive(place: Locations) -> tuple[bool, str]:
    marker = place.archive.marker()
    why = why_not_writable(place.archive.local_path()) if place.archive.is_local else None
    if why:
        return False, f"cannot be written: {why}"
    return True, "new" if marker is None else f"holds {marker.get('kind')} images"


def _ledger(place: Locations) -> tuple[bool, str]:
    known = open_known(place)
    if known is None:
        return True, "new"
    try:
        return True, f"{known.read_now(identity.kind) or 'unused'}, and the archive's"
    finally:
        known.close()


async def check_prefect(url: str | None, ask: Callable[[str], Awaitable[None]]) -> Checked:
    """Whether the Prefect server that runs report to answers."""
    if not url:
        return Checked("prefect", True, "PREFECT_API_URL is not set: a run starts a server of its own")
    try:
        await ask(url)
    except SeedreamError as error:
        return Checked("prefect", False, f"{url}: {error.message}")
    return Checked("prefect", True, f"{url}: answers")
