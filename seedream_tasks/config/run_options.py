"""A run's checked options: the one form between the command line or a flow's parameters and the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..core.addresses import check_address
from ..core.errors import InputError
from ..core.market import market
from ..core.shots import Shot, parse_shots
from .settings import read_text


@dataclass(frozen=True)
class RunOptions:
    """Everything a task needs to work on a run, as plain values that cross processes. Without keys and passwords."""

    catalog: str
    shots: str | None = None  # the shot list's address; None: column mode
    preset: str | None = None
    key: str | None = None
    model: str | None = None
    edition: str | None = None
    only: tuple[str, ...] = ()  # row keys to buy for; empty: all
    retry: tuple[str, ...] = ()
    limit: int | None = None  # max products to buy for in this run
    catalog_digest: str | None = None  # sha256 (hex) the catalog must have
    archive: str | None = None  # root URI; None: the default
    ledger: str | None = None  # a URL without password, or a block's name; None: from the environment or the archive
    gateways: tuple[str, ...] = ()  # names (with keys in the environment) and blocks; empty: all in the environment
    prices: str | None = None  # a price file's address
    max_usd: Decimal | None = None
    max_premium: Decimal | None = None  # a fraction above the cheapest
    approve_above_usd: Decimal | None = None
    wait_s: float = 1800.0
    sandbox: bool = False
    bases: Mapping[str, str] = field(default_factory=dict)  # gateway -> base URL of the embedded sandbox, once it runs

    def defaults(self) -> dict[str, Any]:
        """Default values of shot fields. Raises InputError."""
        if self.model is not None and self.model not in market().models:
            raise InputError(f"--model: {self.model!r} is not one of {', '.join(market().models)}", field="model")
        stated = {"model": self.model, "edition": self.edition or None}
        return {name: value for name, value in stated.items() if value is not None}

    def shot_list(self) -> tuple[Sequence[Shot] | None, str]:
        """The requested shots, None in column mode, and the text they were read from. Raises InputError."""
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit is a number of products from 1 on, not {self.limit}", field="limit")
        check_address(self.catalog, "catalog")
        check_address(self.shots or "", "shots")
        defaults = self.defaults()
        if not self.shots:
            return None, ""
        text = read_text(self.shots, "shots")
        return parse_shots(text, defaults, self.shots), text
