"""Opening a run: check that archive and ledger belong together, check the accounts, find the prices in force."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ..config.embedded_sandbox import embedded_sandbox, sandbox_state
from ..config.environment import Environment, key_variable
from ..config.pairing import (
    check_kind,
    check_others,
    open_pair,
    rescue_folder,
    settle_kind,
    still_there,
)
from ..config.settings import (
    EMBEDDED,
    Locations,
    configured,
    http_clients,
    sandbox_account,
)
from ..core.errors import (
    ConfigurationError,
    GatewayFault,
    KindMismatch,
    NotThisGateway,
    SeedreamError,
)
from ..core.market import market
from ..core.price_book import PriceBook
from ..core.pricing import PriceRow
from ..gateways.client import Account, GatewayClient, Probe
from ..gateways.dialect import Balance
from ..gateways.http import HttpClients
from ..ledger import identity
from ..ledger.writer import Ledger
from ..references.reader import References
from ..storage.archive import Archive
from .account_limiter import Lane, Limits
from .account_shares import Shares, shares_in
from .callback_hints import find_by_callback

logger = logging.getLogger("seedream_tasks.engine")

# How long an unanswered account check is retried before the gateway is out for the run.
PROBE_FOR_S = 30.0


@dataclass
class RunContext:
    """Everything a run's engine needs."""

    run_id: str
    ledger: Ledger
    archive: Archive
    lanes: dict[str, Lane]
    user_prices: tuple[PriceRow, ...]
    references: References
    simulated: bool
    rescue_folder: Path
    max_usd: Decimal | None = None
    max_premium: Decimal | None = None
    retry: tuple[str, ...] = ()
    wait_s: float = 1800.0
    callback_base: str | None = None
    asks: bool = True  # False: no polling where callbacks are on
    in_full: bool = True  # decode every pixel of what is archived
    owns_run: bool = True  # False: another process started the run and continues when this one leaves


def known_kind(ledger: Ledger, archive: Archive, accounts: Mapping[str, Account] | None) -> bool:
    """Whether a run with these accounts is simulated, as far as the ledger knows; sends and writes nothing.

    `accounts` is None for the embedded sandbox. Raises KindMismatch if the run would.
    """
    if accounts is None:
        check_kind(ledger, archive, simulated=True)
        return True
    known = ledger.read_now(identity.known_accounts)
    kinds = {known[each.name] for each in accounts.values() if each.name in known}
    if len(kinds) > 1:
        raise KindMismatch(
            "some of these gateways are real, others are the sandbox",
            field="gateway",
            hint="real and simulated gateways cannot serve one run; see --gateway",
        )
    if kinds:
        found = kinds.pop()
        check_kind(ledger, archive, found)
        return found
    return ledger.read_now(identity.kind) == identity.SIMULATED


async def ask_kind(accounts: Mapping[str, Account], ledger: Ledger | None) -> bool:
    """Whether a run with these accounts would be simulated: as the ledger says, else as they answer. Writes nothing.

    Raises ConfigurationError (key refused, not this gateway).
    """
    known = {} if ledger is None else ledger.read_now(identity.known_accounts)
    kinds = [known[each.name] for each in accounts.values() if each.name in known]
    async with http_clients() as http:
        clients = [GatewayClient(each, http) for each in accounts.values() if each.name not in known]
        answers = await asyncio.gather(*(_probe(client) for client in clients))
    kinds += [each.simulated for each in answers if not isinstance(each, str)]
    return bool(kinds) and all(kinds)


async def check_accounts(
    clients: Sequence[GatewayClient], ledger: Ledger, simulated: bool | None
) -> tuple[bool, dict[str, str], dict[str, Balance]]:
    """Find out whether each account is real or simulated, querying only those the ledger does not know.

    `simulated` is True if the run was started as a simulation, else None. Returns the run's kind, gateway -> why it is out,
    and the balances stated on the way. Raises KindMismatch, ConfigurationError (key refused, not this gateway), or
    SeedreamError when no gateway is left.
    """
    known = ledger.read_now(identity.known_accounts)
    unknown = [client for client in clients if client.account.name not in known]
    answers = await asyncio.gather(*(_probe(client) for client in unknown))
    kinds: dict[str, bool] = {
        client.gateway: known[client.account.name] for client in clients if client.account.name in known
    }
    out: dict[str, str] = {}
    balances: dict[str, Balance] = {}
    for client, answer in zip(unknown, answers, strict=True):
        if isinstance(answer, str):
            out[client.gateway] = answer
            logger.warning("%s is out for this run: %s", client.gateway, answer)
            continue
        kinds[client.gateway] = answer.simulated
        if answer.balance is not None:
            balances[client.gateway] = answer.balance
    if not kinds:
        raise SeedreamError(
            "no gateway answers: " + "; ".join(f"{name}: {why}" for name, why in out.items()), code="no_gateway"
        )
    found = simulated if simulated is not None else next(iter(kinds.values()))
    odd = sorted(name for name, kind in kinds.items() if kind != found)
    if odd:
        raise KindMismatch(
            f"{', '.join(odd)} is {'real' if found else 'the sandbox'}, the other gateways of this run are not",
            field="gateway",
            hint="real and simulated gateways cannot serve one run; see --gateway",
        )
    for client in unknown:
        if client.gateway in kinds:
            ledger.write_now(
                lambda connection, client=client: identity.know_account(  # type: ignore[misc]
                    connection, client.account.name, client.gateway, kinds[client.gateway]
                )
            )
    return found, out, balances


async def _probe(client: GatewayClient) -> Probe | str:
    """An account's answer, or why it is out. Raises ConfigurationError."""
    until = time.monotonic() + PROBE_FOR_S
    wait = 0.5
    while True:
        try:
            return await client.probe()
        except NotThisGateway as fault:
            raise ConfigurationError(
                fault.message, code="not_this_gateway", field="gateway", hint=fault.facts.get("hint")
            ) from None
        except GatewayFault as fault:
            if fault.facts.get("key_refused"):
                raise ConfigurationError(
                    f"{client.gateway} refuses the key: {fault.message}",
                    code="key_refused",
                    field=key_variable(client.gateway),
                ) from None
            if time.monotonic() + wait > until:
                return fault.message
            await asyncio.sleep(min(wait, fault.facts.get("retry_after_s") or wait))
            wait = min(wait * 2, 8.0)


@asynccontextmanager
async def lanes_to(
    ledger: Ledger, place: Locations, needed: Collection[str], given: Mapping[str, Account] | None = None
) -> AsyncIterator[tuple[HttpClients, dict[str, Lane]]]:
    """Lanes, by gateway, to those of these accounts whose keys are `given`; None: those configured in the environment.

    The embedded sandbox is started for its own accounts.

    Raises KindMismatch, ConfigurationError.
    """
    async with AsyncExitStack() as stack:
        if any(f"@{EMBEDDED}#" in account for account in needed):
            bases = await asyncio.to_thread(stack.enter_context, embedded_sandbox(sandbox_state(place)))
            accounts = {name: sandbox_account(name, base) for name, base in bases.items()}
        else:
            known = configured(needed=False).accounts if given is None else given
            accounts = dict(known) if needed else {}
        http = await stack.enter_async_context(http_clients())
        clients = {
            name: GatewayClient(account, http)
            for name, account in accounts.items()
            if account.name in needed or f"{name}@unknown" in needed
        }
        out: dict[str, str] = {}
        if clients:
            kind = await ledger.read(identity.kind)
            simulated, out, _ = await check_accounts(list(clients.values()), ledger, None)
            if (identity.SIMULATED if simulated else identity.REAL) != kind:
                raise KindMismatch(f"the ledger is {kind}, the configured gateways are not", field="ledger")
        shares = await stack.enter_async_context(shares_in(ledger))
        yield http, make_lanes(clients, out, {}, shares)


def make_lanes(
    clients: Mapping[str, GatewayClient], out: Mapping[str, str], limits: Mapping[str, Limits], shares: Shares
) -> dict[str, Lane]:
    """A lane per account with its gateway's documented capabilities; `limits` by gateway, else from the environment."""
    usual = limits_from_environment()
    lanes = {}
    for name, client in clients.items():
        lanes[name] = Lane(
            client,
            market().rows_of(name),
            limits.get(name, usual),
            shares,
        )
        lanes[name].out = out.get(name)
    return lanes


@dataclass(frozen=True)
class Opened:
    """A run's surroundings, before anything is frozen."""

    ledger: Ledger
    archive: Archive
    http: HttpClients
    lanes: dict[str, Lane]
    user_prices: tuple[PriceRow, ...]
    simulated: bool
    rescue_folder: Path
    balances: dict[str, Balance]  # of the accounts queried on opening

    @property
    def prices(self) -> PriceBook:
        """The rows in force before any gateway was queried."""
        return PriceBook.for_run(self.simulated, self.user_prices)


@asynccontextmanager
async def opened(
    place: Locations,
    accounts: Mapping[str, Account],
    simulated: bool | None,
    user_prices: Sequence[PriceRow],
    limits: Mapping[str, Limits],
) -> AsyncIterator[Opened]:
    """Open everything a run needs and check that it is consistent, before the first claim or reuse."""
    ledger = await asyncio.to_thread(open_pair, place)
    try:
        await asyncio.to_thread(still_there, ledger, place.archive)
        await asyncio.to_thread(check_others, ledger, place.archive)
        async with http_clients() as http, shares_in(ledger) as shares:
            clients = {name: GatewayClient(account, http) for name, account in accounts.items()}
            found, out, balances = await check_accounts(list(clients.values()), ledger, simulated)
            await asyncio.to_thread(settle_kind, ledger, place.archive, found)
            await asyncio.to_thread(place.archive.prove_writable)
            lanes = make_lanes(clients, out, limits, shares)
            await find_by_callback(ledger, lanes)
            folder = rescue_folder(place.ledger_url)
            yield Opened(ledger, place.archive, http, lanes, tuple(user_prices), found, folder, balances)
    finally:
        await asyncio.to_thread(ledger.close)


def limits_from_environment() -> Limits:
    """Limits per account; SEEDREAM_IN_FLIGHT, SEEDREAM_SUBMITS_PER_MINUTE and SEEDREAM_POLLS_PER_SECOND lower them."""
    environment = Environment()
    usual = Limits()
    return Limits(
        environment.in_flight or usual.in_flight,
        environment.submits_per_minute or usual.submits_per_minute,
        environment.polls_per_second or usual.polls_per_second,
    )
