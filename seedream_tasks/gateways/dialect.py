"""What every dialect offers, and the reading of answers that all of them share."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from ..core.capabilities import Capability
from ..core.jobs import Job
from ..core.outcomes import (
    ErrorInfo,
    Fate,
    Link,
    SubmitOutcome,
    TaskStatus,
    classify,
    judge_refusal,
)
from .http import Answer

JSON = dict[str, Any]


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


class Unreadable(ValueError):
    """An answer without the fields that the gateway documents."""


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


def read_submit(dialect: Dialect, answer: Answer) -> SubmitOutcome:
    """What an answer to a submit means, by the table in core.outcomes."""
    body = answer.json_object()
    status, own_body = answer.status, False
    if body is not None:
        named = named_status(body)
        own_body = has_error(body)
        if 200 <= status < 300 and own_body:
            # An error inside a success counts as what its code names; a code that names nothing proves nothing.
            status = named if named is not None else 0
    if body is not None and 200 <= status < 300:
        try:
            return dialect.read_accepted(body)
        except Unreadable as reason:
            return unknown(f"an unreadable acceptance: {reason}", answer.status)
    rule = judge_refusal(status, own_body)
    error = read_error(body, status) if body is not None and own_body else None
    if rule.fate is Fate.UNKNOWN:
        detail = f"{error.code}: {error.message}" if error else _excerpt(answer)
        return unknown(f"HTTP {answer.status}: {detail}", answer.status)
    return SubmitOutcome(
        rule.fate, error=error, retry_after_s=_first(answer.retry_after_s(), rule.wait_s), status=answer.status
    )


def unknown(why: str, status: int | None = None) -> SubmitOutcome:
    """Sent, and no proof either way."""
    return SubmitOutcome(Fate.UNKNOWN, error=ErrorInfo("unknown", why, classify("", "", 500)), status=status)


def has_error(body: JSON) -> bool:
    """Whether a body is an error of the gateway's own: an `error`, or a `code` other than 200."""
    if body.get("error"):
        return True
    code = body.get("code")
    return code is not None and str(code) != "200"


def named_status(body: JSON) -> int | None:
    """The HTTP status that an error body's code names; None when it names none."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if code is None:
        code = body.get("code")
    try:
        number = int(str(code))
    except ValueError:
        return None
    return number if 400 <= number <= 599 else None


def read_error(body: JSON, status: int | None) -> ErrorInfo:
    """A gateway's error, wherever it puts its parts; `status` decides the class where the code says nothing finer."""
    error = body.get("error")
    found: JSON = error if isinstance(error, dict) else {}
    code = _text(_first(found.get("code"), body.get("code")))
    kind = _text(found.get("type"))
    message = (
        _text(error)
        if isinstance(error, str)
        else _text(_first(found.get("message"), body.get("message"), body.get("msg")))
    )
    # A number says no more than the HTTP status; the type does.
    name = code if code and not code.isdigit() else (kind or code or str(status or ""))
    return ErrorInfo(name, message, classify(name, kind, status))


def find_links(value: Any, expires_at: datetime | None = None) -> list[Link]:
    """Every picture link under the usual names, in order: strings, lists, objects with url, nested results."""
    if isinstance(value, str):
        return [Link(value, expires_at)] if value.startswith(("http://", "https://")) else []
    if isinstance(value, list):
        return [link for item in value for link in find_links(item, expires_at)]
    if not isinstance(value, dict):
        return []
    own_expiry = read_time(_first(value.get("expires_at"), value.get("deletes_at"))) or expires_at
    for name in _LINK_FIELDS:
        links = find_links(value.get(name), own_expiry)
        if links:
            return links
    return []


# What is named as a result comes first: a body may repeat the request, whose own references are `image_urls`.
_LINK_FIELDS = (
    "results",
    "result",
    "result_data",
    "resultUrls",
    "output",
    "images",
    "data",
    "url",
    "urls",
    "image_url",
    "image_urls",
)


def no_links_stated(value: Any) -> bool:
    """Whether a finished task says itself that it made nothing: a known list of results, and it is empty."""
    if isinstance(value, dict):
        return any(no_links_stated(value.get(name)) for name in _LINK_FIELDS)
    return isinstance(value, list) and not value


_MILLISECONDS = 100_000_000_000


def read_time(value: Any) -> datetime | None:
    """A point in time as gateways write it: epoch seconds or ISO 8601; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        try:
            # Some write milliseconds; a time that is none must not cost the links beside it.
            return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def text_at(body: JSON, *names: str) -> str:
    """The first non-empty text under these names. Raises Unreadable."""
    for name in names:
        value = body.get(name)
        if isinstance(value, str) and value:
            return value
    raise Unreadable(f"no {' or '.join(names)}")


# It becomes part of a path.
_TASK_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")


def task_id_in(body: JSON) -> str:
    """The task id that a callback's body names, wherever its gateway puts it; empty where it names none that could be one."""
    data = body.get("data")
    if isinstance(data, list):
        data = data[0] if data else None
    for part in (body, data):
        if isinstance(part, dict):
            for name in ("task_id", "taskId", "id"):
                value = part.get(name)
                if isinstance(value, str) and _TASK_ID.fullmatch(value):
                    return value
    return ""


def seconds_at(body: JSON, *names: str) -> float | None:
    """The first non-negative number under these names, in seconds."""
    for name in names:
        value = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
    return None


def object_at(body: JSON, name: str) -> JSON:
    """The object under a name; the first one where it is a list. Raises Unreadable."""
    value = body.get(name)
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        raise Unreadable(f"no object {name}")
    return value


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _excerpt(answer: Answer) -> str:
    return answer.content[:120].decode("utf-8", "replace").strip() or "an empty body"
