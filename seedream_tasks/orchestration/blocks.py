"""Blocks: a gateway's account and a ledger, kept by Prefect, with their secrets encrypted in its database."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import uuid4

import yaml
from prefect.blocks.abstract import CredentialsBlock, JobBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import BlockType
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from ..config.settings import base_url_of, http_clients
from ..core.jobs import Job
from ..core.market import market
from ..core.price_book import read_price_file
from ..core.pricing import PriceRow
from ..gateways.client import Account, GatewayClient
from ..ledger.urls import parse_url

if TYPE_CHECKING:
    from .single_jobs import SeedreamImages

_ICON = "data:image/png;base64," + base64.b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()
_DOCUMENTATION = "https://docs.prefect.io/v3/concepts/blocks"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


class _WithoutIcon(Block):
    """Registers without the icon: Prefect takes only web addresses as logos, and in a closed network nobody could fetch one."""

    @classmethod
    def _to_block_type(cls) -> BlockType:
        return BlockType(
            id=cls._block_type_id or uuid4(),
            slug=cls.get_block_type_slug(),
            name=cls.get_block_type_name(),
            documentation_url=cls._documentation_url,
            description=cls.get_description(),
            code_example=cls.get_code_example(),
        )


class SeedreamGateway(_WithoutIcon, CredentialsBlock, JobBlock[list[str]]):
    """An account at a gateway: whose key it is, where it is, how hard it may be worked, what it charges.

    Example:
        Buy one image in a flow of your own; running it again buys nothing twice:
        ```python
        from prefect import flow
        from seedream_tasks import Job, SeedreamGateway

        @flow
        async def one_image() -> list[str]:
            gateway = await SeedreamGateway.aload("my-account")
            job = Job(row_key="mug", shot="hero", model="seedream-4.5", operation="generate", prompt="A blue mug")
            run = await gateway.trigger(job, archive="s3://shop/pictures", ledger="seedream-ledger/prod")
            await run.wait_for_completion()
            return await run.fetch_result()
        ```
        Without a running event loop: `gateway = SeedreamGateway.load("BLOCK_NAME")`.
    """

    _block_type_name: ClassVar[str] = "Seedream Gateway"
    _block_type_slug: ClassVar[str] = "seedream-gateway"
    _description: ClassVar[str] = (
        f"An account at {_listed([each.title for each in market().offers])}: flows take it by name,"
        " `seedream-gateway/NAME`."
        " A new key is a new account: let what is in flight finish before you change it."
    )
    _code_example: ClassVar[str] = """\
```python
from seedream_tasks import Job
from seedream_tasks import SeedreamGateway

gateway = SeedreamGateway.load("BLOCK_NAME")
job = Job(row_key="mug", shot="hero", model="seedream-4.5", operation="generate", prompt="A blue mug")
run = await gateway.trigger(job, archive="s3://shop/pictures", ledger="seedream-ledger/prod", max_usd="1")
await run.wait_for_completion()
uris = await run.fetch_result()
```"""
    _logo_url: ClassVar[Any] = _ICON
    _documentation_url: ClassVar[Any] = _DOCUMENTATION
    # Error messages do not show a mistyped key or URL.
    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    gateway: str = Field(
        default=...,
        description=f"Which gateway the account is at: {_listed(market().gateways)}.",
        json_schema_extra={"enum": list(market().gateways)},
    )
    api_key: SecretStr = Field(default=..., title="API key", description="The account's key.")
    base_url: str = Field(
        default="",
        title="Base URL",
        description="What stands before the paths of the gateway's API; empty: the gateway's own, where it has one.",
    )
    in_flight: int | None = Field(default=None, ge=1, description="Most attempts in flight at once.")
    submits_per_minute: int | None = Field(default=None, ge=1, description="Most paid requests a minute.")
    polls_per_second: float | None = Field(default=None, gt=0, description="Most status requests a second.")
    prices: dict[str, dict[str, dict[str, Any]]] = Field(
        default_factory=dict,
        description="What the account is charged, instead of built-in prices: {model: {tier: {usd, credits}}}, tier * for all.",
    )
    prices_as_of: date | None = Field(default=None, description="The day these prices were read; needed with prices.")

    @field_validator("gateway")
    @classmethod
    def _is_one(cls, value: str) -> str:
        if value not in market().gateways:
            raise ValueError(market().why_not(value))
        return value

    @field_validator("api_key")
    @classmethod
    def _has_a_key(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise ValueError("the key is empty")
        return SecretStr(value.get_secret_value().strip())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.account()
        self.price_rows("prices")
        return self

    def account(self, name: str = "base_url") -> Account:
        """The account that is billed; `name` is this block's name in errors. Raises ConfigurationError."""
        base = base_url_of(self.gateway, self.base_url.strip().rstrip("/"), name)
        return Account(self.gateway, base, self.api_key.get_secret_value())

    def limits(self) -> dict[str, Any]:
        """The limits that this block sets, as `engine.account_limiter.Limits` names them."""
        names = ("in_flight", "submits_per_minute", "polls_per_second")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def price_rows(self, name: str) -> list[PriceRow]:
        """The prices that this block states; `name` is their source. Raises InputError, ValueError."""
        if not self.prices:
            return []
        if self.prices_as_of is None:
            raise ValueError("prices_as_of: say on which day these prices were read")
        return read_price_file(yaml.safe_dump({self.gateway: self.prices}), self.prices_as_of, name)

    @asynccontextmanager
    async def get_client(self) -> AsyncIterator[GatewayClient]:
        """The account's HTTP client, for free requests: `async with block.get_client() as client`.

        To buy, use `trigger`: the client's own `submit` pays without the ledger's knowledge.
        """
        async with http_clients() as http:
            yield GatewayClient(self.account(), http)

    async def trigger(  # type: ignore[override] # what is to be made is no property of an account
        self,
        job: Job,
        archive: str | None = None,
        ledger: str | None = None,
        prices: str | None = None,
        max_usd: Decimal | float | str | None = None,
        wait_s: float = 1800.0,
    ) -> "SeedreamImages":
        """Buy what is missing of one job at this account; the ledger ensures that a retry buys nothing twice.

        `archive`, `ledger`, `prices` and `max_usd` (USD, for the whole flow run) as for `catalog_images`; `wait_s` is how long
        `wait_for_completion` waits (s). Raises SeedreamError when nothing could be bought, saying why.
        """
        from .single_jobs import trigger  # the session of a run loads blocks, so this cannot be loaded before them

        return await trigger(self, job, archive, ledger, prices, max_usd, wait_s)


class SeedreamLedger(_WithoutIcon):
    """A ledger by name, so that its password stands in no parameter.

    Example:
        ```python
        from seedream_tasks import SeedreamLedger

        SeedreamLedger(url="postgresql://seedream:PASSWORD@db.example.com/seedream").save("prod")
        ```
    """

    _block_type_name: ClassVar[str] = "Seedream Ledger"
    _block_type_slug: ClassVar[str] = "seedream-ledger"
    _description: ClassVar[str] = (
        "The ledger that decides what may be bought; flows take it by name, `seedream-ledger/NAME`."
    )
    _code_example: ClassVar[str] = """\
```python
from seedream_tasks import SeedreamLedger, catalog_images

ledger = SeedreamLedger.load("BLOCK_NAME")  # that it is there; flows take its name
await catalog_images("s3://shop/products.parquet", archive="s3://shop/pictures", ledger="seedream-ledger/BLOCK_NAME")
```"""
    _logo_url: ClassVar[Any] = _ICON
    _documentation_url: ClassVar[Any] = _DOCUMENTATION
    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    url: SecretStr = Field(
        default=...,
        title="URL",
        description="SQLAlchemy URL of the ledger: postgresql://user:password@host/name or sqlite:///path/ledger.db.",
    )

    @field_validator("url")
    @classmethod
    def _is_a_ledger(cls, value: SecretStr) -> SecretStr:
        parse_url(value.get_secret_value())
        return value
