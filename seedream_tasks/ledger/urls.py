"""A ledger's URL: validation and display."""

import sqlalchemy
from sqlalchemy import (
    make_url,
)

from ..core.errors import ConfigurationError
from ..core.secrets import is_secret_name, without_secrets


def parse_url(text_url: str) -> sqlalchemy.URL:
    """A ledger URL (`sqlite:///path` or `postgresql://...`). Raises ConfigurationError."""
    try:
        url = make_url(text_url)
    except sqlalchemy.exc.ArgumentError:
        raise ConfigurationError(
            f"not a ledger URL: {_no_url(text_url)!r}",
            field="ledger",
            hint="sqlite:///path/ledger.db or postgresql://user@host/name",
        ) from None
    backend = url.get_backend_name()
    if backend == "postgresql" and url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if backend == "postgresql" and "@" in f"{url.host or ''}{url.database or ''}":
        raise ConfigurationError(
            f"the ledger's address {_no_url(text_url)!r} has more than one @ before it",
            field="ledger",
            hint="in a password, write @ as %40 and / as %2F",
        )
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"a ledger is kept in sqlite or postgresql, not {backend}", field="ledger")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigurationError("a ledger in memory would be lost with the process", field="ledger")
    return url


def _no_url(text: str) -> str:
    """The given text without a possible password: everything before an @ is removed, even in a malformed URL."""
    return f"***@{text.rpartition('@')[2]}" if "@" in text else without_secrets(text)


def shown_url(text_url: str) -> str:
    """A ledger URL without its password."""
    url = make_url(text_url)
    secret = [name for name in url.query if is_secret_name(name)]
    return without_secrets(url.difference_update_query(secret).render_as_string(hide_password=True))


def holds_password(text_url: str) -> bool:
    """Whether a ledger URL holds a password, in any position: it must not be shown or stored. Raises ConfigurationError."""
    url = parse_url(text_url)
    return url.password is not None or any(map(is_secret_name, url.query))
