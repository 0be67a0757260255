"""What an answer means for the payment. One table for submits, one rule for the codes of failed tasks.

The submit table is conservative: only what provably was not accepted may be sent again. Anything else that is not a clear
acceptance becomes `unknown`, which is never bought again automatically.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from .capabilities import Billing
from .secrets import without_secrets
from .states import Closed, SlotState

# Waits (s) when the gateway's own 429 or 503 names none.
WAIT_AFTER_429_S = 60.0
WAIT_AFTER_503_S = 30.0
# After these with the gateway's own error body the job was certainly not accepted and not billed.
REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 422})
# Of those, the ones that concern the account, not the job.
ACCOUNT_REFUSALS = frozenset({401, 402, 403})


class Fate(StrEnum):
    """What became of a submit."""

    ACCEPTED = "accepted"  # a task id, or finished images from a synchronous gateway
    NOT_SENT = "not_sent"  # provably not accepted; sent again after `retry_after_s`
    REFUSED = "refused"  # certainly unbilled, by the gateway's own error
    UNKNOWN = "unknown"  # no proof either way


class ErrorClass(StrEnum):
    """The kind of refusal; decides what may be tried next."""

    ACCOUNT = "account"  # key, balance, permission: the account is not used again in this run
    CONTENT = "content"  # refused for its content: never tried at another gateway
    PARAMETERS = "parameters"  # this gateway cannot do this job: another may
    TRANSIENT = "transient"  # the same request may succeed later
    CANCELLED = "cancelled"
    RATE = "rate"  # too many requests


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """A gateway's own error text. It may repeat a reference's link; secrets are removed from it here."""

    code: str
    message: str
    kind: ErrorClass

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", without_secrets(self.message))


@dataclass(frozen=True, slots=True)
class Link:
    """Where a finished image can be fetched, and until when (None: not stated)."""

    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What a finished task made and what the gateway says it cost."""

    links: tuple[Link, ...]
    usd: Decimal | None = None  # reported charge
    credits: Decimal | None = None  # reported charge of the finished task; never a reservation
    unitless: Decimal | None = None  # an amount without a stated currency: not a bill, but a reason for doubt
    model: str | None = None  # as the gateway reports it


@dataclass(frozen=True, slots=True)
class AnswerExcerpt:
    """An answer that does not say what became of a paid request: kept with the attempt, for a person."""

    text: str  # its first 4,096 bytes
    ids: tuple[str, ...]  # every value in it that may be a task id, those under the usual names first


@dataclass(frozen=True, slots=True)
class SubmitOutcome:
    """The outcome of one paid request. Exactly the fields of that outcome are set."""

    fate: Fate
    task_id: str | None = None
    finished: Finished | None = None  # synchronous gateways
    estimate_s: float | None = None
    model: str | None = None
    error: ErrorInfo | None = None
    retry_after_s: float | None = None
    status: int | None = None  # HTTP, for the record
    kept: AnswerExcerpt | None = None  # of an answer that leaves the outcome unknown
    ask_for: tuple[str, ...] = ()  # ids that make it an acceptance if a status request finds one of them


class TaskState(StrEnum):
    """A task's state at the gateway."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A readable answer to a status request."""

    state: TaskState
    finished: Finished | None = None  # of a failed task: the charge that the gateway reports for it
    error: ErrorInfo | None = None
    in_doubt: bool = False  # of a failed task: it may have been billed, whatever the gateway's document says


@dataclass(frozen=True, slots=True)
class SubmitRule:
    """A row of the submit table, for answers that are not an acceptance."""

    fate: Fate
    wait_s: float | None = field(default=None)


def judge_refusal(status: int, own_body: bool) -> SubmitRule:
    """What an HTTP status (or the `code` inside a 200) means when it accepts nothing.

    `own_body`: the body is the gateway's own error (a JSON object with `error`, or a `code` other than 200). A proxy in
    between may answer with the same status after the gateway has accepted the job, so only the gateway's own body is proof.
    """
    if own_body and status == 429:
        return SubmitRule(Fate.NOT_SENT, WAIT_AFTER_429_S)
    if own_body and status == 503:
        return SubmitRule(Fate.NOT_SENT, WAIT_AFTER_503_S)
    if own_body and status in REFUSALS:
        return SubmitRule(Fate.REFUSED)
    return SubmitRule(Fate.UNKNOWN)


def class_of_status(status: int) -> ErrorClass:
    """The error class of an HTTP status, when the gateway's code does not say more."""
    if status in ACCOUNT_REFUSALS:
        return ErrorClass.ACCOUNT
    if status == 429:
        return ErrorClass.RATE
    return ErrorClass.TRANSIENT if status >= 500 else ErrorClass.PARAMETERS


def classify(code: str, kind: str, status: int | None, codes: Mapping[str, ErrorClass]) -> ErrorClass:
    """The class of an error: by the account statuses first, then by its code, its type, its HTTP status.

    `status` is None for the error of a failed task; `codes` are those that are documented. An undocumented code counts by
    its HTTP status, or, in a failed task, as PARAMETERS: closed until a retry is requested.
    """
    if status in ACCOUNT_REFUSALS:
        return ErrorClass.ACCOUNT
    if status == 429:
        return ErrorClass.RATE
    for name in (code, kind):
        if name in codes:
            return codes[name]
    if status is None and code.isdigit():
        status = int(code)
    return class_of_status(status) if status is not None else ErrorClass.PARAMETERS


@dataclass(frozen=True, slots=True)
class SlotFate:
    """What becomes of a failed attempt's slots."""

    state: SlotState
    closed: Closed | None
    billing_unknown: bool = False  # the attempt's amount stays at risk


def after_refusal(error: ErrorInfo) -> SlotFate:
    """A refusal at submit: certainly unbilled."""
    return _unbilled(error)


def of_failed_task(error: ErrorInfo) -> ErrorInfo:
    """The error of a task that was accepted and then failed: a rate or a balance is transient there, the account is not out."""
    passing = (ErrorClass.RATE, ErrorClass.ACCOUNT)
    return replace(error, kind=ErrorClass.TRANSIENT) if error.kind in passing else error


def after_failed_task(error: ErrorInfo, billed: Billing, charged: bool | None) -> SlotFate:
    """A task that failed or was cancelled at the gateway.

    `charged`: whether the task itself reports a charge; None when it reports nothing: then the document counts.
    """
    if charged is False or (charged is None and billed is Billing.NO):
        return _unbilled(error)
    return SlotFate(SlotState.CLOSED, Closed.BILLED, billing_unknown=charged is None)


def _unbilled(error: ErrorInfo) -> SlotFate:
    match error.kind:
        case ErrorClass.ACCOUNT | ErrorClass.TRANSIENT | ErrorClass.RATE:
            return SlotFate(SlotState.OPEN, None)
        case ErrorClass.CONTENT:
            return SlotFate(SlotState.CLOSED, Closed.CONTENT)
        case ErrorClass.PARAMETERS | ErrorClass.CANCELLED:
            return SlotFate(SlotState.CLOSED, Closed.REFUSED)
