"""Frozen values read from the ledger: attempts, images, jobs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    RowMapping,
)

from ..core.outcomes import ErrorClass
from ..core.slots import PastAttempt, Purpose, SlotView
from ..core.states import AttemptState


@dataclass(frozen=True, slots=True)
class Attempt:
    """One paid submission in the ledger."""

    attempt_id: str
    job_key: str
    run_id: str
    slots: tuple[int, ...]
    surplus: bool
    purpose: Purpose
    gateway: str
    model: str
    account: str
    state: AttemptState
    task_id: str | None
    route_reason: str
    cheapest_usd: Decimal
    quoted_usd: Decimal
    reserved_usd: Decimal
    billed_usd: Decimal
    at_risk_usd: Decimal
    billed_credits: Decimal | None
    cost_basis: str
    price_as_of: date
    intent_at: datetime
    submitted_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None
    estimate_s: float | None
    not_found: int
    model_reported: str | None
    error_code: str | None
    error_class: ErrorClass | None
    error_message: str | None
    callback_sha256: str | None  # of its callback URL's token; None: none was given
    next_look_at: datetime | None  # outside a run, not polled before this
    warnings: tuple[str, ...]  # how its references were presented

    @property
    def called_back(self) -> bool:
        """Whether its gateway was given a callback."""
        return self.callback_sha256 is not None

    @property
    def past(self) -> PastAttempt:
        """Its facts for decisions."""
        return PastAttempt(
            self.attempt_id, self.run_id, self.gateway, self.state, self.slots, self.purpose, self.error_class
        )


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image made by a gateway. `path` and `archive` are None until it is copied."""

    attempt_id: str
    ordinal: int
    job_key: str
    slot: int | None
    url: str
    expires_at: datetime | None
    state: str
    sha256: str | None = None
    width: int | None = None  # px
    height: int | None = None  # px
    bytes: int | None = None
    mime_type: str | None = None
    warnings: tuple[str, ...] = ()
    archived_at: datetime | None = None
    copies: dict[str, str] = field(default_factory=dict)  # archive root -> path below it


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is to be archived from an attempt."""

    images: Sequence[ImageRecord]
    first_of_case: bool  # False: a row whose key differs from this one only in case was bought before


@dataclass(slots=True)
class JobView:
    """Everything the ledger knows about one job."""

    job_key: str
    slots: list[SlotView] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)  # in the order of their intents
    images: list[ImageRecord] = field(default_factory=list)
    # Files derived from the images, if requested: (attempt, ordinal, archive root) -> digest of the output profile.
    derived: dict[tuple[str, int, str], str] = field(default_factory=dict)

    @property
    def past(self) -> list[PastAttempt]:
        """Its attempts' facts for decisions."""
        return [attempt.past for attempt in self.attempts]

    def standing(self) -> list[ImageRecord]:
        """Archived images that hold a slot, in the order of the slots."""
        held = [each for each in self.images if each.slot is not None and each.state == "archived"]
        return sorted(held, key=lambda each: (each.slot, each.attempt_id))


def as_attempt(fields: Mapping[str, Any] | RowMapping) -> Attempt:
    """A row of `attempts` as a value."""
    return Attempt(
        attempt_id=fields["attempt_id"],
        job_key=fields["job_key"],
        run_id=fields["run_id"],
        slots=tuple(json.loads(fields["slots"])),
        surplus=bool(fields["surplus"]),
        purpose=Purpose(fields["purpose"]),
        gateway=fields["gateway"],
        model=fields["model"],
        account=fields["account"],
        state=AttemptState(fields["state"]),
        task_id=fields["task_id"],
        route_reason=fields["route_reason"],
        cheapest_usd=fields["cheapest_usd"],
        quoted_usd=fields["quoted_usd"],
        reserved_usd=fields["reserved_usd"],
        billed_usd=fields["billed_usd"],
        at_risk_usd=fields["at_risk_usd"],
        billed_credits=fields["billed_credits"],
        cost_basis=fields["cost_basis"],
        price_as_of=date.fromisoformat(fields["price_as_of"]),
        intent_at=fields["intent_at"],
        submitted_at=fields["submitted_at"],
        completed_at=fields["completed_at"],
        expires_at=fields["expires_at"],
        estimate_s=fields["estimate_s"],
        not_found=fields["not_found"],
        model_reported=fields["model_reported"],
        error_code=fields["error_code"],
        error_class=ErrorClass(fields["error_class"]) if fields["error_class"] else None,
        error_message=fields["error_message"],
        callback_sha256=fields["callback_sha256"],
        next_look_at=fields["next_look_at"],
        warnings=tuple(json.loads(fields["warnings"])),
    )
