"""The interface of every dialect, with its optional parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from ..core.capabilities import Capability
from ..core.jobs import Job
from ..core.outcomes import ErrorClass, SubmitOutcome, TaskStatus
from .reading import JSON, Unreadable


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's balance, in its gateway's units."""

    usd: Decimal | None = None
    credits: Decimal | None = None
    used_credits: Decimal | None = None  # by this key or account since its creation


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A reference in the gateway's own file service."""

    url: str
    expires_at: datetime | None
    file_id: str | None = None  # its id for deletion, if it can be deleted


@dataclass(frozen=True, slots=True)
class ModelInForce:
    """A model's current facts from the gateway itself: they override any document. None: not stated."""

    source: str
    ratios: frozenset[str] | None
    tiers: frozenset[str] | None
    references: int | None
    usd: Mapping[str, Decimal]  # by tier; "*" where a rate names none


class Dialect(Protocol):
    """One gateway's HTTP API. Paths are below the base URL; `read_*` raise Unreadable for what they cannot read.

    A dialect is a subclass: the defaults here mean that a gateway lacks the optional part.
    """

    name: str
    default_base_url: str | None  # None: must be configured
    synchronous: bool  # the answer to a submit holds the images, and cannot be fetched again
    submit_path: str
    error_codes: Mapping[str, ErrorClass]  # as its offers state them

    # Buying

    def encode(
        self, job: Job, row: Capability, images: int, references: Sequence[str], callback_url: str | None
    ) -> JSON:
        """The submit body for a call of `images`; `references` as sent (links or data URIs)."""
        ...

    def read_accepted(self, body: JSON) -> SubmitOutcome:
        """A 2xx answer without an error in it."""
        ...

    def status_path(self, task_id: str) -> str:
        """The path of a task's status."""
        raise Unreadable(f"{self.name} keeps no finished images to ask for")

    def read_status(self, body: JSON) -> TaskStatus:
        """A 2xx status answer without an error of its own."""
        raise Unreadable(f"{self.name} keeps no finished images to ask for")

    # The account

    def probe_path(self) -> str:
        """A free request that shows whether key and base URL are right."""
        ...

    def read_probe(self, status: int, body: JSON) -> bool:
        """Whether this is the documented answer to the probe (with a good key)."""
        ...

    def read_balance(self, body: JSON) -> Balance | None:
        """The balance in a probe's answer; None when this gateway has no such endpoint."""
        return None

    def costs_path(self, start: datetime, end: datetime) -> str | None:
        """The path of the account's costs by day; None when there is no such endpoint."""
        return None

    def read_costs(self, body: JSON) -> dict[date, Decimal]:
        """USD by day (UTC)."""
        raise Unreadable(f"{self.name} shows no costs")

    def model_path(self, row: Capability) -> str | None:
        """The path of a model's current limits and prices; None when there is no such endpoint."""
        return None

    def read_model(self, body: JSON) -> ModelInForce:
        """A model's current limits and prices."""
        raise Unreadable(f"{self.name} describes no model")

    # Its file service

    def upload_url(self, base_url: str) -> str | None:
        """Where references are uploaded (multipart field `file`); None when there is no file service."""
        return None

    def read_upload(self, body: JSON) -> Uploaded:
        """The answer to an upload."""
        raise Unreadable(f"{self.name} has no file service")

    def delete_url(self, base_url: str, file_id: str) -> str | None:
        """The path for deleting an uploaded file; None when it cannot be deleted."""
        return None

    def is_full(self, body: JSON) -> bool:
        """Whether an upload was refused because the account's file limit is reached."""
        return False
