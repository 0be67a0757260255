"""The proxy for gateways and their links, if SEEDREAM_PROXY names one.

The usual variables (HTTP_PROXY and others) apply to everything on a machine, and are not read: paid requests use a proxy only
when configured on purpose. Hosts on this machine are never reached through a proxy.
"""

import ipaddress

import httpx

from ..core.errors import ConfigurationError

PROXY = "SEEDREAM_PROXY"


def read_proxy(text: str) -> httpx.Proxy:
    """The proxy that this names, its password apart from its address. Raises ConfigurationError, without the value."""
    try:
        proxy = httpx.Proxy(text.strip())
    except (ValueError, httpx.InvalidURL):
        proxy = None
    if proxy is None or proxy.url.scheme not in ("http", "https") or not proxy.url.host:
        raise ConfigurationError(
            f"{PROXY} is not the address of an HTTP proxy",
            field=PROXY,
            hint="http://proxy.example:3128, or http://user:password@proxy.example:3128",
        )
    return proxy


def is_here(host: str) -> bool:
    """Whether a host is this machine itself."""
    name = host.lower().strip("[]").rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
