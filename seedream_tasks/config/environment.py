"""Every environment variable of this project, in one class. Nothing else reads them; see docs/gateways.md for details.

`Environment()` reads the process's variables afresh and checks the form of all of them: a bad value is an error that names
the variable, whichever command or flow reads it. What must also fit this machine or this run (folders, the callback
address) is checked where it is used. A blank variable counts as unset.

Prefect's own variables are not read here, nor are those of stores and databases: config/process.py sets Prefect's.
"""

import difflib
import os
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import httpx
from pydantic import (
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from ..core.errors import ConfigurationError
from ..core.market import market
from ..gateways.proxy import read_proxy
from ..references.address_guard import AllowedHosts

PREFIX = "SEEDREAM_"


def variable(field: str) -> str:
    """The environment variable that a field of `Environment` is read from."""
    return f"{PREFIX}{field.upper()}"


def key_variable(gateway: str) -> str:
    """The environment variable that holds a gateway's key."""
    return variable(f"{gateway}_api_key")


def base_variable(gateway: str) -> str:
    """The environment variable that holds a gateway's base URL."""
    return variable(f"{gateway}_base_url")


def _one_of(*words: str) -> Callable[[str, ValidationInfo], str]:
    allowed = f"{', '.join(words[:-1])} or {words[-1]}"

    def check(text: str, info: ValidationInfo) -> str:
        word = text.strip().lower()
        if word not in words:
            name = variable(info.field_name or "")
            raise ConfigurationError(f"{name} is {allowed}, not {word!r}", field=name)
        return word

    return check


def _above_zero(text: str, info: ValidationInfo) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or int(digits) < 1:
        name = variable(info.field_name or "")
        raise ConfigurationError(f"{name} is not a number above zero: {digits!r}", field=name)
    return int(digits)


_Count = Annotated[int | None, BeforeValidator(_above_zero)]


class OfGateway(BaseModel):
    """The variables of each gateway: SEEDREAM_<GATEWAY>_API_KEY and SEEDREAM_<GATEWAY>_BASE_URL."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    api_key: str = Field(default="", repr=False, description="the gateway's key; with one the gateway is configured")
    base_url: str = Field(
        default="", description="the prefix of its endpoints' paths; default: the gateway's own address"
    )


class Environment(BaseSettings):
    """The operator's settings, one field per variable: SEEDREAM_ and the field's name in capitals.

    Reading it raises ConfigurationError for the first unusable value.
    """

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=variable),
        case_sensitive=True,
        frozen=True,
        validate_default=False,
        extra="ignore",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    archive: str | None = Field(
        default=None,
        description="default of --archive: a folder or an fsspec URI; unset: ./seedream-out, simulated seedream-sandbox-out",
    )
    ledger: str | None = Field(
        default=None,
        repr=False,
        description="default of --ledger: sqlite:///... or postgresql://...; unset: ledger.db in the archive",
    )
    prices: str | None = Field(
        default=None,
        description="default of --prices: a price file (YAML) above the built-in prices; unset: those alone",
    )
    allow_hosts: Annotated[InstanceOf[AllowedHosts], NoDecode, BeforeValidator(AllowedHosts.parse)] = Field(
        default=AllowedHosts(),
        description="hosts, host:port, addresses and networks with private addresses that references and results may come from,"
        " separated by commas; unset: public addresses only",
    )
    proxy: Annotated[InstanceOf[httpx.Proxy] | None, BeforeValidator(read_proxy)] = Field(
        default=None, description="http://[user:password@]host:port, the proxy to gateways and their links; unset: none"
    )
    reference_roots: str = Field(
        default="",
        description="further folders that references may come from, separated as in PATH; unset: the catalog's alone",
    )
    uploads: str | None = Field(
        default=None,
        description="where prefect.yaml's watch-uploads looks for catalogs; read by `prefect deploy`, not by this code",
    )
    upload_secret: SecretStr | None = Field(
        default=None,
        description="secret of the senders of upload notices at `seedream serve`; unset: nobody may send any",
    )
    callback_url: str | None = Field(
        default=None,
        description="public base of `seedream serve`, which gateways are told to call; unset: no callbacks",
    )
    polling: Annotated[Literal["on", "off"], BeforeValidator(_one_of("on", "off"))] = Field(
        default="on", description="off: runs wait for callbacks instead of asking gateways"
    )
    verify: Annotated[Literal["full", "header"], BeforeValidator(_one_of("full", "header"))] = Field(
        default="full",
        description="full decodes every pixel before an image counts as archived; header trusts the header",
    )
    in_flight: _Count = Field(default=None, description="most attempts in flight per account; unset: 400")
    submits_per_minute: _Count = Field(default=None, description="submits a minute per account; unset: not paced")
    polls_per_second: _Count = Field(default=None, description="status requests a second per account; unset: 400")
    debug: Annotated[bool, BeforeValidator(bool)] = Field(
        default=False, description="set to anything: unexpected errors show where they came from"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The process's variables only: no .env file is read."""
        return (env_settings,)

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if not isinstance(value, str) or value.strip()}

    def gateway(self, name: str) -> OfGateway:
        """One gateway's settings."""
        return OfGateway(
            api_key=os.environ.get(key_variable(name), "").strip(),
            base_url=os.environ.get(base_variable(name), "").strip().rstrip("/"),
        )


def keep_ledger(url: str) -> None:
    """Make this the ledger of this process and of those it starts. Set in the environment, since a flow's parameters are
    stored in Prefect's database and shown in its UI.
    """
    os.environ[variable("ledger")] = url


def known_variables() -> dict[str, str]:
    """Every variable's name and meaning."""
    of_gateways = {
        variable(f"{gateway}_{field}"): f"{gateway}: {info.description}"
        for gateway in (*market().gateways, *market().broken)
        for field, info in OfGateway.model_fields.items()
    }
    return of_gateways | {variable(field): str(info.description) for field, info in Environment.model_fields.items()}


def unknown_variables(names: Iterable[str]) -> list[str]:
    """A line for each unknown SEEDREAM_* variable, with the closest known one."""
    known, said = known_variables(), []
    for name in sorted(names):
        if not name.upper().startswith(PREFIX) or name in known:
            continue
        close = (
            name.upper()
            if name.upper() in known
            else next(iter(difflib.get_close_matches(name.upper(), known, 1)), None)
        )
        said.append(f"{name} is not a setting and is ignored" + (f"; did you mean {close}?" if close else ""))
    return said
