"""Flows whose parameters Prefect stores without passwords and signatures, and checks of parameters.

Prefect stores a flow run's parameters in its database in plain text, and shows them. A flow called in this process still gets
them in full. A deployment's parameters are stored before any of our code runs, so secrets there must be refused.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.runtime import deployment

from ..core.addresses import check_address
from ..core.errors import InputError
from ..core.secrets import holds_secret, without_secrets
from .coroutines import check_that_it_can_be_awaited, in_hand

P = ParamSpec("P")
R = TypeVar("R")


class DiscreetFlow(Flow[P, R]):
    """A flow whose stored parameters hold no secret of an address."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """What Prefect stores."""
        return {name: _shown(value) for name, value in super().serialize_parameters(parameters).items()}

    if not TYPE_CHECKING:  # a type checker sees Flow's own signature, and with it the parameters

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Call it, where its coroutine can be awaited. Raises NotAwaited."""
            check_that_it_can_be_awaited(self.name)
            return in_hand(self.name, super().__call__(*args, **kwargs))

    def with_options(self, **options: Any) -> "DiscreetFlow[P, R]":
        """The same flow with other options, still redacting."""
        other = super().with_options(**options)
        other.__class__ = type(self)
        return other  # type: ignore[return-value]


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, dict):
        return {name: _shown(each) for name, each in value.items()}
    return value


def discreet_flow(**options: Any) -> Callable[[Callable[P, R]], DiscreetFlow[P, R]]:
    """Like `prefect.flow`, for a flow with addresses as parameters."""
    return lambda function: DiscreetFlow(function, **options)


def check_addresses(**given: str | None) -> None:
    """Addresses of files that a flow was given, by parameter. Raises InputError."""
    for name, address in given.items():
        if address is None:
            continue
        check_address(address, name)
        if deployment.id and holds_secret(address):
            raise InputError(
                f"{name}: the link {without_secrets(address)} carries a signature or a key, and the parameters of a"
                " deployment's run are stored in plain text",
                field=name,
                code="secret_in_parameter",
                hint="put the file where the worker's own credentials reach it (as s3://...), or call the flow from code",
            )
