"""What an answer means for the money: the submit table, the documented error codes, and what becomes of the slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_offer import ERROR_CODES

from seedream_tasks.core.capabilities import Billing
from seedream_tasks.core.outcomes import (
    ErrorClass,
    ErrorInfo,
    Fate,
    SlotFate,
    SubmitRule,
    after_failed_task,
    after_refusal,
    class_of_status,
    classify,
    judge_refusal,
)
from seedream_tasks.core.states import Closed, SlotState

AGAIN_AFTER_A_MINUTE = SubmitRule(Fate.NOT_SENT, 60.0)
AGAIN_AFTER_HALF_A_MINUTE = SubmitRule(Fate.NOT_SENT, 30.0)
REFUSED = SubmitRule(Fate.REFUSED)
UNKNOWN = SubmitRule(Fate.UNKNOWN)

SUBMITS = [
    # status, the gateway's own error body, what it is
    (429, True, AGAIN_AFTER_A_MINUTE),
    (503, True, AGAIN_AFTER_HALF_A_MINUTE),
    *((status, True, REFUSED) for status in (400, 401, 402, 403, 404, 413, 422)),
    *((status, True, UNKNOWN) for status in (500, 502, 504, 408, 409)),
    *((status, True, UNKNOWN) for status in (405, 406, 410, 418, 425, 451, 501, 505, 507, 520, 524, 529)),
    *((status, True, UNKNOWN) for status in (200, 201, 202, 204, 301, 302, 307, 308)),
    *((status, False, UNKNOWN) for status in (400, 401, 402, 403, 404, 413, 422, 429, 503)),
    *((status, False, UNKNOWN) for status in (200, 202, 301, 307, 408, 409, 500, 502, 504)),
]


@pytest.mark.parametrize(("status", "own_body", "rule"), SUBMITS)
def test_what_an_answer_to_a_submit_means(status: int, own_body: bool, rule: SubmitRule) -> None:
    """The submit table: only what the gateway itself refuses was certainly not accepted."""
    assert judge_refusal(status, own_body) == rule


@given(st.integers(100, 999))
def test_a_stranger_in_between_proves_nothing(status: int) -> None:
    """Without the gateway's own body no status means anything: a proxy may say it of a job that was taken."""
    assert judge_refusal(status, own_body=False) == UNKNOWN


@given(st.integers(100, 999))
def test_only_nine_statuses_prove_anything(status: int) -> None:
    """What stands in no row of the table is unknown, and never bought again by itself."""
    proof = {400, 401, 402, 403, 404, 413, 422, 429, 503}
    assert (judge_refusal(status, own_body=True) == UNKNOWN) is (status not in proof)


# Every code and type that the gateways document, with what kind of no each is.
CONTENT, PARAMETERS, TRANSIENT = ErrorClass.CONTENT, ErrorClass.PARAMETERS, ErrorClass.TRANSIENT
ACCOUNT, RATE, CANCELLED = ErrorClass.ACCOUNT, ErrorClass.RATE, ErrorClass.CANCELLED
DOCUMENTED = {
    # EvoLink: codes of failed tasks
    "content_policy_violation": CONTENT,
    "invalid_parameters": PARAMETERS,
    "image_processing_error": PARAMETERS,
    "image_dimension_mismatch": PARAMETERS,
    "request_cancelled": CANCELLED,
    "service_error": TRANSIENT,
    "generation_timeout": TRANSIENT,
    "resource_exhausted": TRANSIENT,
    "quota_exceeded": TRANSIENT,
    "service_unavailable": TRANSIENT,
    "generation_failed_no_content": CONTENT,
    "resource_not_found": PARAMETERS,
    "unknown_error": PARAMETERS,
    "model_unavailable": PARAMETERS,
    "upstream_error": TRANSIENT,
    "rate_limited": TRANSIENT,
    # EvoLink: codes and types of HTTP errors
    "invalid_task_id": PARAMETERS,
    "rate_limit_exceeded": RATE,
    "invalid_request_error": PARAMETERS,
    "authentication_error": ACCOUNT,
    "insufficient_quota_error": ACCOUNT,
    "permission_error": ACCOUNT,
    "not_found_error": PARAMETERS,
    "request_too_large_error": PARAMETERS,
    "rate_limit_error": RATE,
    "internal_server_error": TRANSIENT,
    "service_unavailable_error": TRANSIENT,
    # gccai: types of HTTP errors (those it shares with EvoLink stand above)
    "payment_required": ACCOUNT,
    "server_error": TRANSIENT,
    # getimg: codes of HTTP errors
    "invalid_api_key": ACCOUNT,
    "parameter_missing": PARAMETERS,
    "invalid_parameter": PARAMETERS,
    "rate_limit": RATE,
    # API in One: the one type it shows
    "invalid_request": PARAMETERS,
}


@pytest.mark.parametrize("code", DOCUMENTED)
def test_every_documented_code_is_mapped(code: str) -> None:
    """Each code or type is known by name, wherever in the error it stands."""
    assert ERROR_CODES.get(code) == DOCUMENTED[code]
    assert classify(code, "", None, ERROR_CODES) == DOCUMENTED[code]
    assert classify("", code, None, ERROR_CODES) == DOCUMENTED[code]


def test_nothing_is_mapped_that_nobody_documents() -> None:
    """The map and the list above are the same codes."""
    assert set(ERROR_CODES) == set(DOCUMENTED)


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("code", ["content_policy_violation", "quota_exceeded", "invalid_request_error", "", "402"])
def test_an_account_status_decides_before_any_code(status: int, code: str) -> None:
    """getimg says quota_exceeded with a 402: that is the account, whatever the word means elsewhere."""
    assert classify(code, "invalid_request_error", status, ERROR_CODES) is ErrorClass.ACCOUNT


def test_too_many_requests_is_a_matter_of_rate() -> None:
    """Whatever code stands in the body."""
    assert classify("invalid_parameters", "", 429, ERROR_CODES) is ErrorClass.RATE


def test_the_code_says_more_than_the_type() -> None:
    """getimg's type is always invalid_request_error; its code tells content from parameters."""
    assert classify("content_policy_violation", "invalid_request_error", 422, ERROR_CODES) is ErrorClass.CONTENT


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("", 400, ErrorClass.PARAMETERS),
        ("", 404, ErrorClass.PARAMETERS),
        ("", 500, ErrorClass.TRANSIENT),
        ("new_code", 422, ErrorClass.PARAMETERS),
        ("new_code", None, ErrorClass.PARAMETERS),
        ("", None, ErrorClass.PARAMETERS),
        ("500", None, ErrorClass.TRANSIENT),
        ("402", None, ErrorClass.ACCOUNT),
        ("429", None, ErrorClass.RATE),
    ],
)
def test_an_unknown_code_counts_by_its_status(code: str, status: int | None, kind: ErrorClass) -> None:
    """A number as code is a status; with nothing to go by the slot stays closed until somebody asks."""
    assert classify(code, "", status, ERROR_CODES) is kind


@given(st.integers(400, 599))
def test_every_status_has_a_class(status: int) -> None:
    """The kind of no behind a bare status: account, rate, parameters below 500, transient from there."""
    expected = ErrorClass.ACCOUNT if status in (401, 402, 403) else ErrorClass.RATE if status == 429 else None
    assert class_of_status(status) is (expected or (ErrorClass.TRANSIENT if status >= 500 else ErrorClass.PARAMETERS))


OPEN = SlotFate(SlotState.OPEN, None)
CLOSED_REFUSED = SlotFate(SlotState.CLOSED, Closed.REFUSED)
CLOSED_CONTENT = SlotFate(SlotState.CLOSED, Closed.CONTENT)
UNBILLED = [
    (ErrorClass.ACCOUNT, OPEN),
    (ErrorClass.RATE, OPEN),
    (ErrorClass.TRANSIENT, OPEN),
    (ErrorClass.PARAMETERS, CLOSED_REFUSED),
    (ErrorClass.CANCELLED, CLOSED_REFUSED),
    (ErrorClass.CONTENT, CLOSED_CONTENT),
]


def error(kind: ErrorClass) -> ErrorInfo:
    """An error of that kind."""
    return ErrorInfo("code", "message", kind)


@pytest.mark.parametrize(("kind", "fate"), UNBILLED)
def test_slots_after_a_refusal(kind: ErrorClass, fate: SlotFate) -> None:
    """Certainly unbilled: open again for what may pass, closed for what will not, and content is not shopped around."""
    assert after_refusal(error(kind)) == fate


@pytest.mark.parametrize(("kind", "fate"), UNBILLED)
@pytest.mark.parametrize(("document", "charged"), [(Billing.NO, None), (Billing.UNKNOWN, False), (Billing.NO, False)])
def test_slots_after_a_failed_task_that_cost_nothing(
    kind: ErrorClass, fate: SlotFate, document: Billing, charged: bool | None
) -> None:
    """By the gateway's document, or by the task's own report of no charge: as after a refusal."""
    assert after_failed_task(error(kind), document, charged) == fate


@pytest.mark.parametrize("kind", ErrorClass)
def test_slots_after_a_failed_task_of_which_nobody_knows_the_bill(kind: ErrorClass) -> None:
    """No report and no document: closed, and its amount stays at risk."""
    fate = after_failed_task(error(kind), Billing.UNKNOWN, None)
    assert fate == SlotFate(SlotState.CLOSED, Closed.BILLED, billing_unknown=True)


@pytest.mark.parametrize("kind", ErrorClass)
@pytest.mark.parametrize("document", Billing)
def test_slots_after_a_failed_task_that_was_charged(kind: ErrorClass, document: Billing) -> None:
    """A reported charge counts above the document: paid for, closed, nothing in doubt."""
    assert after_failed_task(error(kind), document, True) == SlotFate(SlotState.CLOSED, Closed.BILLED)
