"""What to do about a record: somebody who looks at a run is told, whatever became of it."""

import pytest
from on_offer import ERROR_CODES

from seedream_tasks.core.advice import advice
from seedream_tasks.core.states import COMPLETE, Reason, RecordStatus


@pytest.mark.parametrize("status", RecordStatus)
@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_record_that_is_not_complete_has_something_to_do(status: RecordStatus, reason: str | None) -> None:
    """No status, reason or gateway's code is left without advice; what is archived or skipped needs none."""
    for code in (None, "undecodable", "never heard of", *ERROR_CODES):
        assert bool(advice(status, reason, code)) is (status not in COMPLETE)


@pytest.mark.parametrize(
    ("status", "reason", "code", "word"),
    [
        (RecordStatus.DEFERRED, Reason.OVER_CAP, "over_cap", "max_usd"),
        (RecordStatus.PARTIAL, Reason.OVER_CAP, "over_cap", "max_usd"),
        (RecordStatus.DEFERRED, Reason.NO_PRICE, "no_price", "prices"),
        (RecordStatus.UNKNOWN, Reason.NEW, None, "resolve"),
        (RecordStatus.FAILED, Reason.NEW, "content_policy_violation", "prompt"),
        (RecordStatus.FAILED, Reason.NEW, "invalid_api_key", "key"),
        (RecordStatus.FAILED, Reason.NEW, "undecodable", "quarantine"),
        (RecordStatus.EXPIRED, Reason.NEW, None, "`retry` expired"),
        (RecordStatus.LOST, Reason.NEW, None, "`retry` lost"),
        (RecordStatus.INVALID, Reason.MISSING_KEY, None, "key"),
        (RecordStatus.INVALID, Reason.DUPLICATE_KEY, None, "key"),
    ],
)
def test_the_advice_names_what_changes_it(status: RecordStatus, reason: str, code: str | None, word: str) -> None:
    """Each kind of failure has its own way out."""
    assert word in advice(status, reason, code)
