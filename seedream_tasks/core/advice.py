"""What to do about a record that is not archived: one table, for the UI and for error messages.

`retry` and the other words in backticks are parameters of the flow and, with two dashes, options of `seedream run`.
"""

from .market import market
from .outcomes import ErrorClass
from .states import Reason, RecordStatus

_BY_REASON: dict[str, str] = {
    Reason.OVER_CAP: "Run it again, or raise the cap (`max_usd`, `seedream cap set`).",
    Reason.NO_PRICE: "Name its price in a price file (`prices`).",
    Reason.NO_GATEWAY: "Run it again when a gateway that can do it answers, or configure one.",
    Reason.GATEWAY_UNUSABLE: "Nothing that was bought there could be read or fetched: look at `seedream attempts`, ask the"
    " gateway's support, and run it again when its answers are whole.",
    Reason.MISSING_KEY: "Fill in the row's key in the catalog.",
    Reason.DUPLICATE_KEY: "Give each product a key of its own, or choose another column (`key`).",
    Reason.INVALID: "Correct the row or the shot list; the message names the field.",
}
_BY_STATUS: dict[RecordStatus, str] = {
    RecordStatus.PARTIAL: "Run it again; what a gateway refused for good: `retry` failed.",
    RecordStatus.UNKNOWN: "Look it up in the gateway's console, then `seedream resolve`. It is never sent again by itself.",
    RecordStatus.IN_FLIGHT: "Run it again, or `seedream collect`: it is followed, not bought again.",
    RecordStatus.EXPIRED: "Its link died before the copy: `retry` expired buys it again.",
    RecordStatus.LOST: "The gateway does not know the task any more: ask its support, or `retry` lost buys it again.",
    RecordStatus.FAILED: "Read the message; `retry` failed buys it again.",
    RecordStatus.CANCELLED: "It was cancelled at the gateway: `retry` failed buys it again.",
    RecordStatus.DEFERRED: "Run it again: it is bought by itself.",
    RecordStatus.INVALID: "Correct the row or the shot list; the message names the field.",
    RecordStatus.ARCHIVED: "",
    RecordStatus.SKIPPED: "",
}
_BY_CLASS: dict[ErrorClass, str] = {
    ErrorClass.CONTENT: "Change the prompt or the reference; `retry` failed sends it unchanged.",
    ErrorClass.PARAMETERS: "Change what the message names, or allow another gateway; `retry` failed sends it unchanged.",
    ErrorClass.ACCOUNT: "Look after the account's key and balance, then run it again.",
    ErrorClass.TRANSIENT: "Run it again: it is bought by itself.",
    ErrorClass.RATE: "Run it again: it is bought by itself.",
    ErrorClass.CANCELLED: "It was cancelled at the gateway: `retry` failed buys it again.",
}
# Error codes of failed records that no gateway refused.
_BY_CODE = {
    "undecodable": "It was paid for and is not an image; it is kept under quarantine/. `retry` failed buys it again.",
    "no_images": "The gateway finished without an image: `retry` failed buys it again.",
}


def advice(status: RecordStatus, reason: str | None, error_code: str | None) -> str:
    """What to do next about this record; empty when nothing is to be done."""
    if status in (RecordStatus.DEFERRED, RecordStatus.INVALID, RecordStatus.PARTIAL) and reason in _BY_REASON:
        return _BY_REASON[reason]
    if status is RecordStatus.FAILED and error_code:
        kind = market().error_codes.get(error_code)
        return _BY_CODE.get(error_code) or (_BY_CLASS[kind] if kind else _BY_STATUS[status])
    return _BY_STATUS[status]
