"""What an answer to a paid request means, by the table in core.outcomes, and what is kept of an inconclusive one.

Read tolerantly where one reading is possible. A task id beside an error, or one of several, does not count before a status
request knows it (`SubmitOutcome.ask_for`); the readable part of a truncated answer is kept for a person.
"""

from dataclasses import replace
from typing import Any

from ..core.outcomes import (
    AnswerExcerpt,
    ErrorClass,
    ErrorInfo,
    Fate,
    SubmitOutcome,
    judge_refusal,
)
from ..core.storable import storable
from .dialect import Dialect
from .http import Answer
from .ids import ids_in_text, names_a_task, task_ids_in
from .reading import (
    JSON,
    Unreadable,
    first_of,
    has_error,
    named_status,
    read_error,
)

KEEPS_BYTES = 4096
# Codes that say in a 2xx that all is well.
_FINE = frozenset({"0", "ok", "success"})


def read_submit(dialect: Dialect, answer: Answer) -> SubmitOutcome:
    """What an answer to a submit means."""
    if 200 <= answer.status < 300:
        return _of_success(dialect, answer)
    body = answer.json_object()
    return _of_refusal(dialect, answer, body, answer.status, body is not None and has_error(body))


def unknown(why: str, status: int | None = None, content: bytes = b"") -> SubmitOutcome:
    """Sent, without proof either way; `content` is the answer, if any."""
    kept = None
    if content.strip():
        kept = keep(content)
    return SubmitOutcome(Fate.UNKNOWN, error=ErrorInfo("unknown", why, ErrorClass.TRANSIENT), status=status, kept=kept)


def keep(content: bytes) -> AnswerExcerpt:
    """The excerpt kept of an unreadable answer."""
    text = content[:KEEPS_BYTES].decode("utf-8", "replace")
    return AnswerExcerpt(storable(text), ids_in_text(content.decode("utf-8", "replace")))


def _of_success(dialect: Dialect, answer: Answer) -> SubmitOutcome:
    body = _object(answer)
    if body is None:
        return unknown(f"HTTP {answer.status}: {_excerpt(answer)}", answer.status, answer.content)
    named = task_ids_in(body)
    if has_error(body) and not _is_fine(body):
        # An error inside a success counts as its code says; an unknown code proves nothing.
        refusal = _of_refusal(dialect, answer, body, named_status(body) or 0, True)
        if refusal.fate is not Fate.UNKNOWN and names_a_task(body):
            refusal = unknown(f"a task id beside an error: {_excerpt(answer)}", answer.status, answer.content)
        return replace(refusal, ask_for=named)
    try:
        return dialect.read_accepted(body)
    except Unreadable as reason:
        if len(named) == 1 and not dialect.synchronous:
            return SubmitOutcome(Fate.ACCEPTED, task_id=named[0])
        return replace(unknown(f"an unreadable acceptance: {reason}", answer.status, answer.content), ask_for=named)


def _object(answer: Answer) -> JSON | None:
    try:
        body: Any = answer.json()
    except (ValueError, RecursionError):
        return None
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    return body if isinstance(body, dict) else None


def _is_fine(body: JSON) -> bool:
    code = str(body.get("code")).strip().lower()
    return not body.get("error") and (code in _FINE or (len(code) == 3 and code.isdigit() and code.startswith("2")))


def _of_refusal(dialect: Dialect, answer: Answer, body: JSON | None, status: int, own_body: bool) -> SubmitOutcome:
    """`status`: HTTP's, or what the code inside a success names; 0: it names none."""
    rule = judge_refusal(status, own_body)
    error = read_error(body, status, dialect.error_codes) if body is not None and own_body else None
    if rule.fate is Fate.UNKNOWN:
        detail = f"{error.code}: {error.message}" if error else _excerpt(answer)
        return unknown(f"HTTP {answer.status}: {detail}", answer.status, answer.content)
    return SubmitOutcome(
        rule.fate, error=error, retry_after_s=first_of(answer.retry_after_s(), rule.wait_s), status=answer.status
    )


def _excerpt(answer: Answer) -> str:
    return answer.content[:120].decode("utf-8", "replace").strip() or "an empty body"
