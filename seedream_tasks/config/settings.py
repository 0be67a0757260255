"""A run's settings: gateways and keys from the environment, archive, ledger, caps. Checked before anything is opened."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import fsspec
from fsspec.core import url_to_fs

from ..catalog.tables import reference_base
from ..core.addresses import check_address
from ..core.errors import BadValue, ConfigurationError, InputError
from ..core.market import market
from ..core.money import stated
from ..core.price_book import read_price_file
from ..core.pricing import PriceRow
from ..core.states import RETRY_OPENS
from ..core.store_schemes import driver_hint
from ..gateways.client import Account
from ..gateways.http import HttpClients
from ..gateways.registry import dialect
from ..references.address_guard import AllowedHosts
from ..references.places import parse_roots
from ..references.reader import References
from ..storage.archive import Archive
from ..storage.regular_files import NotRegularError, check_regular
from .environment import Environment, base_variable, key_variable, variable

DEFAULT_ARCHIVE = "seedream-out"
DEFAULT_SANDBOX_ARCHIVE = "seedream-sandbox-out"
SANDBOX_KEY = "sandbox"


@dataclass(frozen=True)
class Gateways:
    """Which gateways a run may use. `embedded`: all of `names`, on a sandbox that has yet to be started."""

    names: tuple[str, ...]
    accounts: Mapping[str, Account]
    embedded: bool
    asked_for_sandbox: bool  # False with `embedded`: nothing is configured, and the user is told


def sandbox_account(gateway: str, base_url: str) -> Account:
    """The account at the embedded sandbox: the same one each time it is started, on any port."""
    return Account(gateway, base_url, SANDBOX_KEY, place=EMBEDDED)


def configured(
    only: Sequence[str] = (), sandbox: bool = False, fall_back: bool = False, needed: bool = True
) -> Gateways:
    """The configured gateways, narrowed to `only`. `fall_back`: if none is configured, use the embedded sandbox;
    `needed` False: an empty result is valid.

    Raises ConfigurationError for inconsistent settings.
    """
    offered = market()
    for name in only:
        if name not in offered.gateways:
            raise ConfigurationError(offered.why_not(name), field="gateway")
    chosen = tuple(name for name in offered.gateways if not only or name in only)
    if sandbox:
        return Gateways(chosen, {}, embedded=True, asked_for_sandbox=True)
    accounts: dict[str, Account] = {}
    environment = Environment()
    for name, why in offered.broken.items():
        if name not in offered.gateways and not only and environment.gateway(name).api_key:
            raise ConfigurationError(
                why, field="gateway", hint=f"fix or uninstall the package, unset {key_variable(name)}, or name others"
            )
    for name in offered.gateways:
        of_gateway = environment.gateway(name)
        key, base = of_gateway.api_key, of_gateway.base_url
        if base and not key:
            raise ConfigurationError(
                f"{base_variable(name)} is set but {key_variable(name)} is not",
                field=key_variable(name),
                hint="set the key, or unset the base URL",
            )
        if key:
            accounts[name] = Account(name, base_url_of(name, base, base_variable(name)), key)
    if not accounts and not only and fall_back:
        return Gateways(chosen, {}, embedded=True, asked_for_sandbox=False)
    for name in only:
        if name not in accounts:
            raise ConfigurationError(
                f"gateway {name} is not configured", field="gateway", hint=f"set {key_variable(name)}, or use --sandbox"
            )
    if not accounts and needed:
        raise ConfigurationError(
            "no gateway is configured",
            field="gateway",
            hint=f"set {key_variable(offered.gateways[0])} or another gateway's key",
        )
    kept = {name: account for name, account in accounts.items() if name in chosen}
    return Gateways(tuple(kept), kept, embedded=False, asked_for_sandbox=False)


def base_url_of(gateway: str, given: str, field: str) -> str:
    """A gateway's base URL: `given`, or its own default. `field` is named in errors. Raises ConfigurationError."""
    usual = dialect(gateway).default_base_url
    base = given or usual
    if not base:
        raise ConfigurationError(
            f"{gateway} has no default base URL",
            field=field,
            hint=f"set {field} to the address of your {gateway} account's API",
        )
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{field} is not an http(s) address: {base!r}", field=field)
    if parts.username or parts.password:
        raise ConfigurationError(f"{field} must not hold a password", field=field)
    return base


EMBEDDED = "embedded-sandbox"


@dataclass(frozen=True)
class Locations:
    """A run's archive and ledger."""

    archive: Archive
    ledger_url: str


def locations(archive: str | None, ledger: str | None, simulated: bool) -> Locations:
    """Archive and ledger, from options, then environment, then defaults. Raises ConfigurationError."""
    environment = Environment()
    root = archive or environment.archive or (DEFAULT_SANDBOX_ARCHIVE if simulated else DEFAULT_ARCHIVE)
    place = Archive(root)
    if place.is_local and (found := _file_in(place.local_path())):
        raise ConfigurationError(
            f"the archive {place.root} is not a folder: {found} is a file",
            field="archive",
            code="archive_unwritable",
            hint="give --archive a folder, which is made where there is none",
        )
    url = ledger or environment.ledger
    if not url:
        if not place.is_local:
            raise ConfigurationError(
                f"the archive {place.root} is not a local folder, so it has no default ledger",
                field="ledger",
                hint="give --ledger sqlite:///path/ledger.db or postgresql://user@host/name",
            )
        url = f"sqlite:///{place.local_path('ledger.db')}"
    return Locations(place, url)


def _file_in(path: Path) -> Path | None:
    """The nearest existing part of a path, if it is a file."""
    there = next((each for each in (path, *path.parents) if each.exists()), None)
    return None if there is None or there.is_dir() else there


def known_locations(archive: str | None, ledger: str | None) -> Locations:
    """Like `locations`, for maintenance commands: the simulated ones if only simulated runs were made."""
    environment = Environment()
    given = archive or environment.archive or ledger or environment.ledger
    simulated = not given and not Path(DEFAULT_ARCHIVE).exists() and Path(DEFAULT_SANDBOX_ARCHIVE).exists()
    return locations(archive, ledger, simulated)


def read_prices(uri: str | None) -> tuple[list[PriceRow], str]:
    """The user's price rows and the file's text; empty without a file. Raises InputError."""
    uri = uri or Environment().prices
    if not uri:
        return [], ""
    check_address(uri, "prices")
    text = read_text(uri, "prices")
    return read_price_file(text, _date_of(uri), uri), text


def _date_of(uri: str) -> date:
    path = Path(uri.removeprefix("file://"))
    if path.exists():
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    return datetime.now(UTC).date()


def read_text(uri: str, field: str) -> str:
    """A small text file from any fsspec URI. Raises InputError."""
    try:
        store, path = url_to_fs(uri)
        check_regular(store, path)
        with fsspec.open(uri, "r", encoding="utf-8") as file:
            return str(file.read())
    except FileNotFoundError:
        raise InputError(f"{uri}: there is no such file", field=field) from None
    except NotRegularError as error:
        raise InputError(f"{uri}: {error}", field=field) from None
    except UnicodeDecodeError:
        raise InputError(f"{uri}: not UTF-8", field=field) from None
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        hint = driver_hint(uri, error)
        raise InputError(f"{uri}: cannot be read: {type(error).__name__}: {error}", field=field, hint=hint) from None


_TOKEN_CHARACTERS = 43


def callback_base() -> str | None:
    """The public base URL of the callback endpoint, if SEEDREAM_CALLBACK_URL turns callbacks on. Raises ConfigurationError."""
    environment = Environment()
    base = (environment.callback_url or "").strip().rstrip("/")
    if not base:
        return None
    parts = urlsplit(base)
    problem = None
    longest = min(each.longest_callback for each in market().offers if each.longest_callback is not None)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        problem = "must be an https address"
    elif _is_allowed(environment.allow_hosts, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)):
        problem = None  # the operator states that the gateway is in the same network, as the sandbox is
    elif parts.scheme != "https":
        problem = "must be an https address"
    elif _is_private(parts.hostname):
        problem = "must be public: a gateway cannot reach it"
    elif len(f"{base}/callbacks/") + _TOKEN_CHARACTERS > longest:
        problem = f"must leave room for its token within {longest} characters"
    if problem:
        name = variable("callback_url")
        raise ConfigurationError(f"{name} {problem}: {base[:80]!r}", field=name)
    return base


def _is_allowed(allowed: AllowedHosts, host: str, port: int) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return (host, None) in allowed.names or (host, port) in allowed.names
    return allowed.holds(host, port, host)


def asks() -> bool:
    """Whether runs poll: SEEDREAM_POLLING=off relies on callbacks. Raises ConfigurationError."""
    polls = Environment().polling == "on"
    if not polls and callback_base() is None:
        raise ConfigurationError(
            "SEEDREAM_POLLING=off needs callbacks: set SEEDREAM_CALLBACK_URL", field=variable("polling")
        )
    return polls


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def amount(value: object, field: str, called: str | None = None) -> Decimal | None:
    """An option's amount or fraction, not below zero; `called`: its name for the user. Raises ConfigurationError."""
    if value is None:
        return None
    try:
        return stated(value)
    except BadValue as error:
        raise ConfigurationError(f"{called or field}: {error}", field=field) from None


def retry_words(words: Sequence[str]) -> tuple[str, ...]:
    """Checked --retry words. Raises ConfigurationError."""
    for word in words:
        if word not in RETRY_OPENS:
            raise ConfigurationError(f"--retry takes {', '.join(RETRY_OPENS)}, not {word!r}", field="retry")
    return tuple(dict.fromkeys(words))


def references_of(catalog: str) -> References:
    """A reader of a catalog's references, within SEEDREAM_ALLOW_HOSTS and SEEDREAM_REFERENCE_ROOTS.

    Raises InputError.
    """
    environment = Environment()
    return References(reference_base(catalog), environment.allow_hosts, parse_roots(environment.reference_roots))


def http_clients() -> HttpClients:
    """Connections to gateways, through the proxy that SEEDREAM_PROXY names. Raises ConfigurationError."""
    return HttpClients(proxy=Environment().proxy)
