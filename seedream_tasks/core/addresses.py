"""File addresses given by a person: what they may contain."""

from .errors import InputError
from .secrets import holds_credentials, without_secrets


def check_address(address: str, field: str) -> None:
    """Raises InputError for an address that contains a password; `field` is the option or parameter that held it."""
    if holds_credentials(address):
        raise InputError(
            f"{field}: the address {without_secrets(address)} was given with a password or a token before its host",
            field=field,
            code="password_in_address",
            hint="leave it out: stores find credentials in the environment, a profile or a role; a web server may be given a"
            " signed link",
        )
