"""Reading what gateways write: times, links, charges, errors and status words, wherever they put them.

One rule for all: an unambiguous value is read, whatever its form; otherwise Unreadable is raised, and the answer is requested
again or kept for a person. Reading never turns a refusal into an acceptance, or the reverse.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..core.market import market
from ..core.money import ZERO, reported
from ..core.outcomes import (
    ErrorClass,
    ErrorInfo,
    Finished,
    Link,
    TaskState,
    TaskStatus,
    classify,
)

JSON = dict[str, Any]


class Unreadable(ValueError):
    """An answer without the fields that the gateway documents."""


# Values


def text_at(body: JSON, *names: str) -> str:
    """The first non-empty text under these names. Raises Unreadable."""
    for name in names:
        value = body.get(name)
        if isinstance(value, str) and value:
            return value
    raise Unreadable(f"no {' or '.join(names)}")


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


_MILLISECONDS = 100_000_000_000
# Zero and the like mean no time.
_FIRST_YEAR, _LAST_YEAR = 2000, 2200


def read_time(value: Any) -> datetime | None:
    """A point in time as gateways write it: epoch seconds or ISO 8601; None for anything else, and for what is no date of now."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            # Some write milliseconds; an invalid time must not lose the links beside it.
            found = datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
        elif isinstance(value, str):
            found = datetime.fromisoformat(value)
            found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return found if _FIRST_YEAR <= found.year < _LAST_YEAR else None


def first_of(*values: Any) -> Any:
    """The first that is not None."""
    return next((value for value in values if value is not None), None)


# Errors


def has_error(body: JSON) -> bool:
    """Whether a body is an error of the gateway's own: an `error`, or a `code` other than 200."""
    if body.get("error"):
        return True
    code = body.get("code")
    return code is not None and str(code) != "200"


def named_status(body: JSON) -> int | None:
    """The HTTP status named by an error body's code; None if none."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if code is None:
        code = body.get("code")
    try:
        number = int(str(code))
    except ValueError:
        return None
    return number if 400 <= number <= 599 else None


_CODES = ("code", "error_code", "errorCode", "fail_code", "failCode", "err_code")
_MESSAGES = (
    *("message", "msg", "error_message", "errorMessage", "error_msg", "fail_reason", "failReason", "failure_reason"),
    *("fail_msg", "failMsg", "reason", "detail", "status_detail", "description", "error"),
)
_ENVELOPE_CODES = frozenset({"0", "200"})  # of an answer that is fine, whatever it tells of a task


def read_error(body: JSON, status: int | None, codes: Mapping[str, ErrorClass], word: str = "") -> ErrorInfo:
    """A gateway's error, wherever it puts its parts; `status` decides the class where the code says nothing finer.

    `codes`: those that the gateway documents; what only others document is read as they mean it. `status` is None for a failed
    task, whose status `word` stands for a code where it has none.
    """
    error = next((body[name] for name in ("error", "errors", "err") if body.get(name)), None)
    if isinstance(error, list) and len(error) == 1:
        error = error[0]
    if isinstance(error, str) and error.lstrip().startswith("{"):
        error = _decoded(error) or error
    found: JSON = error if isinstance(error, dict) else {}
    code = _text(first_of(*(found.get(name) for name in _CODES), *(body.get(name) for name in _CODES)))
    if status is None and code in _ENVELOPE_CODES:
        code = ""
    kind = _text(found.get("type"))
    # Under the names of messages only: a text beside them may be the request's own.
    message = _said(found) or (_words(error) if not found else "") or _said(body)
    if found and not message:
        message = "" if found.keys() <= {*_CODES, "type", "param"} else json.dumps(found, ensure_ascii=False)
    # A number adds nothing to the HTTP status; the type does.
    name = code if code and not code.isdigit() else (kind or code or str(status or "") or word)
    return ErrorInfo(name, message, classify(name, kind, status, {**market().error_codes, **codes}))


def _said(body: JSON) -> str:
    return next((words for name in _MESSAGES if (words := _words(body.get(name)))), "")


def _words(value: Any) -> str:
    """What an error's part says, in one line: texts as they are, lists joined, objects by their own message."""
    if isinstance(value, list):
        return "; ".join(filter(None, map(_words, value)))
    if isinstance(value, dict):
        return _said(value) or (json.dumps(value, ensure_ascii=False) if value else "")
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# Links

# Result fields come first: a body may repeat the request, whose own references are `image_urls`.
_RESULTS = ("results", "result", "result_data", "resultUrls", "output", "images")
_LINK_FIELDS = (*_RESULTS, "data", "url", "urls", "image_url", "image_urls")
_SCHEME = re.compile(r"https?:(?=//)", re.IGNORECASE)
# Fields of a result whose links are not the generated image.
_ELSEWHERE = re.compile(r"thumb|preview|input|source|reference|callback|webhook|status|doc|mask", re.IGNORECASE)


def as_link(text: str) -> str | None:
    """A link as browsers read it: blanks around it and line breaks in it are left out, the scheme is in any case, and what
    begins with `//` goes by https; None for a text that is none.
    """
    bare = re.sub(r"[\t\r\n]", "", text.strip("".join(map(chr, range(33)))))
    if bare.startswith("//"):
        bare = f"https:{bare}"
    scheme = _SCHEME.match(bare)
    return None if scheme is None or len(bare) < scheme.end() + 3 else scheme[0].lower() + bare[scheme.end() :]


def find_links(value: Any, expires_at: datetime | None = None, named: bool = False) -> list[Link]:
    """Every image link under the usual names, in order: strings, lists, objects with url, nested results.

    `named`: it stands under the name of a result, so that an object with a single link is understood whatever that is called.
    """
    if isinstance(value, str):
        link = as_link(value)
        if link is None and value.lstrip().startswith(("[", "{")):
            return find_links(_decoded(value), expires_at, named)  # JSON in a text
        return [Link(link, expires_at)] if link else []
    if isinstance(value, list):
        return [link for item in value for link in find_links(item, expires_at, named)]
    if not isinstance(value, dict):
        return []
    own_expiry = read_time(first_of(value.get("expires_at"), value.get("deletes_at"))) or expires_at
    for name in _LINK_FIELDS:
        links = find_links(value.get(name), own_expiry, named or name in _RESULTS)
        if links:
            return links
    return _only_link(value, own_expiry) if named else []


def _only_link(value: JSON, expires_at: datetime | None) -> list[Link]:
    links = [
        link
        for name, each in value.items()
        if isinstance(each, str) and not _ELSEWHERE.search(name) and (link := as_link(each))
    ]
    return [Link(links[0], expires_at)] if len(links) == 1 else []


def no_links_stated(value: Any) -> bool:
    """Whether a finished task states that it made nothing: a known list of results that is empty."""
    if isinstance(value, dict):
        return any(no_links_stated(value.get(name)) for name in _LINK_FIELDS)
    return isinstance(value, list) and not value


def made_links(*places: Any) -> tuple[Link, ...]:
    """The links of a finished task, from the first of these places that has any. Raises Unreadable where none has, and none
    says that nothing was made: the image stands somewhere that is not known yet, it is not taken for nothing.
    """
    for place in places:
        links = find_links(place, named=True)
        if links:
            return tuple(links)
    if not any(map(no_links_stated, places)):
        raise Unreadable("completed without a link that can be read")
    return ()


# Charges

_FIGURES = (
    *("credits_used", "credits_consumed", "credits_charged", "charged_credits", "creditsConsumed", "credits_cost"),
    *("credits", "cost", "cost_usd", "total_cost", "charge"),
)
_NOT_CHARGED = frozenset({"released", "refunded", "not_charged", "uncharged", "voided"})
_CHARGED = frozenset({"charged", "settled", "captured", "billed"})


def failed_task(
    task: JSON, state: TaskState, word: str, codes: Mapping[str, ErrorClass], charge: Finished | None = None
) -> TaskStatus:
    """A task that failed or was cancelled, with the gateway's words for it.

    `codes`: those that the gateway documents. `charge`: what the dialect reads as its cost. Where it reads none, a cost of 0 or
    a charge that was released settles it at nothing, and one that is only said to have been made leaves its billing in doubt.
    """
    error = read_error(task, None, codes, word)
    if state is TaskState.CANCELLED and error.code == word:
        error = replace(error, kind=ErrorClass.CANCELLED)
    places = [task, *(task[name] for name in ("billing", "usage", "cost") if isinstance(task.get(name), dict))]
    figures = [amount for place in places for name in _FIGURES if (amount := reported(place.get(name))) is not None]
    said = {
        plain_word(str(place[name]))
        for place in places
        for name in ("charge_status", "refund_status")
        if place.get(name)
    }
    if said & _NOT_CHARGED or (charge is None and figures and not any(figures)):
        charge = Finished((), usd=ZERO)
    in_doubt = charge is None and (word == "expired" or bool(said & _CHARGED) or any(figures))
    return TaskStatus(state, charge, error, in_doubt)


# Status words

# Undocumented status words that gateways of this kind use.
_SYNONYMS: Mapping[str, TaskState] = {
    **dict.fromkeys(
        (
            "pending",
            "queued",
            "queuing",
            "queueing",
            "in_queue",
            "waiting",
            "submitted",
            "created",
            "not_start",
            "accepted",
        ),
        TaskState.RUNNING,
    ),
    **dict.fromkeys(
        ("processing", "in_progress", "generating", "running", "started", "starting", "finalizing"), TaskState.RUNNING
    ),
    **dict.fromkeys(
        ("completed", "complete", "success", "succeeded", "succeed", "successful", "finished", "done"),
        TaskState.FINISHED,
    ),
    **dict.fromkeys(("failed", "failure", "fail", "error", "errored", "expired"), TaskState.FAILED),
    **dict.fromkeys(("cancelled", "canceled"), TaskState.CANCELLED),
}
_STATUS_FIELDS = ("status", "state", "task_status", "taskStatus")
# Fields that distinguish a failed task from a refused request.
_OF_A_TASK = frozenset({"id", "task_id", "taskId", "object", "created", "created_at", "model", "progress", "task_info"})


def plain_word(text: str) -> str:
    """A word as it is looked up: its case does not count, nor do blanks around it, nor how its parts are joined."""
    return re.sub(r"[\s-]+", "_", text.strip().lower())


def tells_status(body: JSON) -> bool:
    """Whether an answer states a task's status, in any word."""
    return any(_word_in(holder) for holder in _holders(body))


def find_task(body: JSON, own: Mapping[str, TaskState], inner_first: bool = False) -> tuple[JSON, TaskState, str]:
    """The object that tells where the task stands, what it says, and the word for it.

    `own`: the words that the gateway documents; `inner_first`: where it stands in `data`. The first place with a word decides:
    an envelope around it may have one of its own. Raises Unreadable with a word that nobody knows.
    """
    holders = _holders(body)
    for holder in reversed(holders) if inner_first else holders:
        text = _word_in(holder)
        if not text:
            continue
        word = plain_word(text)
        state = own.get(word) or _SYNONYMS.get(word)
        if state is None:
            raise Unreadable(f"the status {text.strip()!r} is not known")
        if word not in own and state in (TaskState.FAILED, TaskState.CANCELLED) and not _OF_A_TASK & holder.keys():
            raise Unreadable(f"{text.strip()!r}, which may be the answer's own status")
        if word == "expired" and find_links(holder):
            state = TaskState.FINISHED  # it was made: fetching shows whether its links still work
        return holder, state, word
    raise Unreadable("no status")


def _holders(body: JSON) -> list[JSON]:
    data = body.get("data")
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return [body, data] if isinstance(data, dict) else [body]


def _word_in(holder: JSON) -> str:
    return next((text for name in _STATUS_FIELDS if isinstance(text := holder.get(name), str) and text.strip()), "")


def model_in(task: JSON) -> str | None:
    """The model named by a task."""
    model = task.get("model")
    return model if isinstance(model, str) else None
