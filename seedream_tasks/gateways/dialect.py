"""What every dialect offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from ..core.capabilities import Capability
from ..core.jobs import Job
from ..core.outcomes import SubmitOutcome, TaskStatus
from .reading import JSON


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has left, in the units its gateway counts in."""

    usd: Decimal | None = None
    credits: Decimal | None = None
    used_credits: Decimal | None = None  # by this key or account since it was made


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A reference in the gateway's own file service."""

    url: str
    expires_at: datetime | None
    file_id: str | None = None  # what it is deleted by, where it can be


class Dialect(Protocol):
    """One gateway's HTTP API. Paths are below the base URL; `read_*` raise Unreadable for what they cannot read."""

    name: str
    default_base_url: str | None  # None: must be configured
    synchronous: bool
    submit_path: str

    def encode(
        self, job: Job, row: Capability, pictures: int, references: Sequence[str], callback_url: str | None
    ) -> JSON:
        """The submit body for a call of `pictures`; `references` as the gateway is to see them (links or data URIs)."""

    def read_accepted(self, body: JSON) -> SubmitOutcome:
        """A 2xx answer without an error in it."""

    def status_path(self, task_id: str) -> str:
        """Where a task is asked for."""

    def read_status(self, body: JSON) -> TaskStatus:
        """A 2xx status answer without an error of its own."""

    def probe_path(self) -> str:
        """A free request that tells whether key and base URL are right."""

    def read_probe(self, status: int, body: JSON) -> bool:
        """Whether this is the documented answer to the probe (with a good key)."""

    def read_balance(self, body: JSON) -> Balance | None:
        """The balance in a probe's answer; None when this gateway has no such endpoint."""

    def upload_url(self, base_url: str) -> str | None:
        """Where references are uploaded (multipart field `file`); None when there is no file service."""

    def read_upload(self, body: JSON) -> Uploaded:
        """The answer to an upload."""

    def delete_url(self, base_url: str, file_id: str) -> str | None:
        """Where an uploaded file is deleted; None where it cannot be."""

    def is_full(self, body: JSON) -> bool:
        """Whether an upload was refused because the account holds as many files as it may."""
