"""Keys, limits and prices of accounts, from the environment or from Prefect blocks.

Processes pass on names only; keys and passwords are looked up here, in the process that needs them, and go nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from prefect.blocks.core import Block
from prefect.runtime import deployment

from ..config.durability import check_it_lasts
from ..config.settings import (
    Locations,
    configured,
    known_locations,
    locations,
    read_prices,
)
from ..core.errors import ConfigurationError
from ..core.market import market
from ..core.pricing import PriceRow
from ..engine.account_limiter import Limits
from ..engine.opening import limits_from_environment
from ..gateways.client import Account
from ..ledger.urls import holds_password
from .blocks import SeedreamGateway, SeedreamLedger


@dataclass(frozen=True)
class Access:
    """The accounts a run may use. Its text forms never show a key."""

    accounts: Mapping[str, Account]  # by gateway
    limits: Mapping[str, Limits] = field(default_factory=dict)  # by gateway, if a block lowers them
    prices: tuple[PriceRow, ...] = ()  # of the blocks, then of the price file: the later row counts
    prices_text: str = ""


def is_block(word: str, block: type[Block]) -> bool:
    """Whether a word names a document of this block type (`seedream-gateway/my-account`)."""
    return word.startswith(f"{block.get_block_type_slug()}/")


async def _load(word: str, field_name: str) -> Block:
    try:
        return await Block.aload(word)
    except ValueError as error:
        raise ConfigurationError(
            f"the block {word} cannot be loaded: {error}",
            field=field_name,
            hint="`prefect block ls` lists what there is",
        ) from None


async def gateway_block(word: str) -> SeedreamGateway:
    """The block of that name, including its key. Raises ConfigurationError."""
    block = await _load(word, "gateways")
    if not isinstance(block, SeedreamGateway):
        raise ConfigurationError(f"{word} is not a SeedreamGateway", field="gateways")
    return block


async def gateway_names(words: Sequence[str]) -> tuple[str, ...]:
    """The gateways these words name, in our order. Raises ConfigurationError if one is named twice."""
    names = [(await gateway_block(word)).gateway if is_block(word, SeedreamGateway) else word for word in words]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"{', '.join(twice)} is named twice in {', '.join(words)}",
            field="gateways",
            hint="a run has one account each",
        )
    known = market().gateways
    return tuple(sorted(names, key=lambda name: known.index(name) if name in known else -1))


async def access_to(words: Sequence[str], prices: str | None = None, needed: bool = True) -> Access:
    """The accounts that these words name: a gateway's name means the environment's key, a block's name that block; no words:
    all that the environment configures. `prices` is a price file; with `needed` False the result may be empty.

    Raises ConfigurationError, InputError.
    """
    await gateway_names(words)
    plain = [word for word in words if not is_block(word, SeedreamGateway)]
    blocks = {word: await gateway_block(word) for word in words if is_block(word, SeedreamGateway)}
    accounts = dict(configured(plain, needed=needed).accounts) if plain or not words else {}
    of_blocks = access_by(blocks, prices)
    return replace(of_blocks, accounts={**accounts, **of_blocks.accounts})


def access_by(blocks: Mapping[str, SeedreamGateway], prices: str | None) -> Access:
    """The accounts of loaded blocks, by their names in errors and prices. Raises ConfigurationError, InputError."""
    rows, text = read_prices(prices)
    usual = limits_from_environment()
    stated = "".join(f"{name}: {block.prices}\n" for name, block in blocks.items() if block.prices)
    return Access(
        {block.gateway: block.account(name) for name, block in blocks.items()},
        {block.gateway: replace(usual, **block.limits()) for block in blocks.values()},
        (*(row for name, block in blocks.items() for row in block.price_rows(name)), *rows),
        stated + text,
    )


async def place_of(archive: str | None, ledger: str | None, simulated: bool) -> Locations:
    """Archive and ledger as given: the ledger by URL or by block. Raises ConfigurationError."""
    return locations(archive, await ledger_url(ledger), simulated)


async def lasting_place_of(archive: str | None, ledger: str | None, simulated: bool) -> Locations:
    """Like `place_of`, for runs that buy: accepts only durable places. Raises ConfigurationError."""
    url = await ledger_url(ledger)
    check_it_lasts(archive, url, simulated, of_deployment=bool(deployment.id))
    return locations(archive, url, simulated)


async def known_place_of(archive: str | None, ledger: str | None) -> Locations:
    """Like `lasting_place_of`, for maintenance flows. Raises ConfigurationError."""
    url = await ledger_url(ledger)
    check_it_lasts(archive, url, simulated=False, of_deployment=bool(deployment.id))
    return known_locations(archive, url)


async def ledger_url(ledger: str | None) -> str | None:
    """The URL of a ledger that is given by URL or by block; a URL must hold no password. Raises ConfigurationError."""
    if ledger is not None and is_block(ledger, SeedreamLedger):
        block = await _load(ledger, "ledger")
        if not isinstance(block, SeedreamLedger):
            raise ConfigurationError(f"{ledger} is not a SeedreamLedger", field="ledger")
        return block.url.get_secret_value()
    if ledger is not None and holds_password(ledger):
        raise ConfigurationError(
            "the ledger's URL holds a password, and parameters are stored in plain text",
            field="ledger",
            hint="keep the URL in SEEDREAM_LEDGER or in a SeedreamLedger block and give its name: seedream-ledger/NAME",
        )
    return ledger


def to_hand_on(ledger: str | None, place: Locations) -> str | None:
    """The ledger as passed to other processes: its URL, or if that holds a password, the value as given."""
    hidden = holds_password(place.ledger_url) or (ledger is not None and is_block(ledger, SeedreamLedger))
    return ledger if hidden else place.ledger_url
