"""States of attempts and slots, and the status of a record."""

from enum import StrEnum


class AttemptState(StrEnum):
    """The state of one paid submission."""

    INTENT = "intent"  # claimed, reserved and on disk; the request may be leaving right now
    ACCEPTED = "accepted"  # the gateway gave a task id
    DELIVERED = "delivered"  # links are known, the bill is settled; images are being copied
    ARCHIVED = "archived"  # every image it made is copied and verified
    NOT_SENT = "not_sent"  # provably not accepted: slots and reservation are released
    UNKNOWN = "unknown"  # sent, no proof either way: never bought again automatically
    FAILED = "failed"  # the gateway refused, or what it delivered cannot be decoded
    EXPIRED = "expired"  # links expired before the images were copied
    CANCELLED = "cancelled"  # cancelled at the gateway
    LOST = "lost"  # paid for, perhaps, and given up


# Allowed transitions. `unknown` and `not_sent` can still become `accepted`: whoever holds a task id may record it. `archived`
# becomes `delivered` again when a file is missing from the archive and its link may still work.
FOLLOWS: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.INTENT: frozenset(
        {
            AttemptState.ACCEPTED,
            AttemptState.DELIVERED,
            AttemptState.NOT_SENT,
            AttemptState.FAILED,
            AttemptState.UNKNOWN,
        }
    ),
    AttemptState.ACCEPTED: frozenset(
        {
            AttemptState.DELIVERED,
            AttemptState.FAILED,
            AttemptState.CANCELLED,
            AttemptState.LOST,
        }
    ),
    AttemptState.DELIVERED: frozenset({AttemptState.ARCHIVED, AttemptState.FAILED, AttemptState.EXPIRED}),
    AttemptState.UNKNOWN: frozenset(
        {
            AttemptState.ACCEPTED,
            AttemptState.DELIVERED,
            AttemptState.FAILED,
            AttemptState.NOT_SENT,
            AttemptState.LOST,
        }
    ),
    AttemptState.NOT_SENT: frozenset({AttemptState.ACCEPTED, AttemptState.DELIVERED}),
    AttemptState.LOST: frozenset({AttemptState.ACCEPTED}),
    AttemptState.ARCHIVED: frozenset({AttemptState.DELIVERED}),
    AttemptState.FAILED: frozenset(),
    AttemptState.EXPIRED: frozenset(),
    AttemptState.CANCELLED: frozenset(),
}

# A slot with an attempt in one of these is never bought.
LIVE = frozenset({AttemptState.INTENT, AttemptState.ACCEPTED, AttemptState.DELIVERED, AttemptState.UNKNOWN})
# These are followed until their images are archived or the gateway reports a failure.
FOLLOWED = frozenset({AttemptState.ACCEPTED, AttemptState.DELIVERED})


class SlotState(StrEnum):
    """Whether one wanted image may be bought."""

    OPEN = "open"  # may be bought at the next admission
    TAKEN = "taken"  # a live attempt is to deliver it
    FILLED = "filled"  # an image is archived, or paid for and being copied
    CLOSED = "closed"  # only a named --retry, top_up or another gateway may


class Closed(StrEnum):
    """Why a slot is closed: decides what opens it again."""

    REFUSED = "refused"  # refused by a gateway, certainly unbilled: another gateway may accept it
    CONTENT = "content"  # refused for its content: not tried at other gateways
    BILLED = "billed"  # failed, and billed or billing unknown
    FEWER = "fewer"  # the gateway finished with fewer images
    EXPIRED = "expired"
    LOST = "lost"
    PRUNED = "pruned"  # archived, and deliberately pruned since


# Which --retry opens what.
RETRY_OPENS: dict[str, frozenset[Closed]] = {
    "failed": frozenset({Closed.REFUSED, Closed.CONTENT, Closed.BILLED}),
    "expired": frozenset({Closed.EXPIRED}),
    "lost": frozenset({Closed.LOST, Closed.PRUNED}),
}


class RecordStatus(StrEnum):
    """The result of one (row, shot), as in the manifest."""

    ARCHIVED = "archived"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"
    IN_FLIGHT = "in_flight"
    EXPIRED = "expired"
    LOST = "lost"
    CANCELLED = "cancelled"
    DEFERRED = "deferred"
    INVALID = "invalid"
    SKIPPED = "skipped"


# A record without any image shows the worst of its slots, in this order.
WORST_FIRST = (
    RecordStatus.UNKNOWN,
    RecordStatus.IN_FLIGHT,
    RecordStatus.EXPIRED,
    RecordStatus.LOST,
    RecordStatus.FAILED,
    RecordStatus.CANCELLED,
    RecordStatus.DEFERRED,
)

# A run whose records all ended like this is complete (exit 0).
COMPLETE = frozenset({RecordStatus.ARCHIVED, RecordStatus.SKIPPED})


class Reason(StrEnum):
    """Why a record was bought, or was not."""

    NEW = "new"
    PROMPT_CHANGED = "prompt_changed"
    REFERENCE_CHANGED = "reference_changed"
    OPTIONS_CHANGED = "options_changed"
    EDITION_CHANGED = "edition_changed"
    MORE_IMAGES = "more_images"
    REJECTED = "rejected"
    RETRIED = "retried"
    UNCHANGED = "unchanged"
    CONDITION_FALSE = "condition_false"
    NOT_SELECTED = "not_selected"
    NOT_FOR_SALE = "not_for_sale"
    DUPLICATE_ROW = "duplicate_row"
    DUPLICATE_KEY = "duplicate_key"
    MISSING_KEY = "missing_key"
    OVER_CAP = "over_cap"
    NO_PRICE = "no_price"
    NO_GATEWAY = "no_gateway"
    GATEWAY_UNUSABLE = "gateway_unusable"
    INVALID = "invalid"
