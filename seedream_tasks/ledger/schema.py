"""The ledger's tables, one schema for SQLite and PostgreSQL.

Money is stored as whole millionths of a dollar and time as whole microseconds since 1970 UTC, so that both databases add and
compare them exactly.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from ..core.money import SIX_PLACES, money

# The newest step of ledger/migrations; a ledger's `meta` names its version by a number of its own, 4 being the first step's.
HEAD = "0004"


def version_of(step: str) -> str:
    """The schema version that a ledger has after a step of ledger/migrations."""
    return str(int(step) + 3)


FIRST_VERSION, SCHEMA_VERSION = version_of("0001"), version_of(HEAD)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MICROSECOND


class Money(TypeDecorator[Decimal]):
    """Decimal with six places <-> whole millionths."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> int | None:
        return None if value is None else int(money(value).scaleb(6))

    def process_result_value(self, value: int | None, dialect: Any) -> Decimal | None:
        # SQLite sums integers as integers, PostgreSQL as numeric: both read back exactly.
        return None if value is None else Decimal(value).scaleb(-6).quantize(SIX_PLACES)


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC datetime <-> whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        # What a gateway once called a time may lie beyond all that Python can say.
        return None if value is None else _EPOCH + min(max(value, _FIRST), _LAST) * _MICROSECOND


TABLES = MetaData()

meta = Table(
    "meta",
    TABLES,
    Column(
        "key", Text, primary_key=True
    ),  # ledger_id, schema_version, kind (real or simulated, once known), created_at
    Column("value", Text, nullable=False),
)

# How many commits this ledger has had, as a sum: processes of a PostgreSQL ledger count in different rows, so that none waits.
counts = Table(
    "counts",
    TABLES,
    Column("counter", Integer, primary_key=True, autoincrement=False),
    Column("records", BigInteger, nullable=False),
)

archives = Table(
    "archives",
    TABLES,
    Column("archive", Text, primary_key=True),  # its name here and in its archive.json: the place it had first
    Column("place", Text, nullable=False),  # root URI, where it was last seen
)

accounts = Table(
    "accounts",
    TABLES,
    Column("account", Text, primary_key=True),  # gateway, base URL, first digits of the key's hash
    Column("gateway", Text, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("checked_at", UtcTime, nullable=False),
)

runs = Table(
    "runs",
    TABLES,
    Column("run_id", Text, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),  # None: its manifest is not written yet, or out of date
    Column(
        "alive_until", BigInteger, nullable=False
    ),  # microseconds by the database's clock: a process is at work on it
    Column("archive", Text, nullable=False),  # name, see `archives`
    Column("catalog_uri", Text, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("max_usd", Money),  # None: no cap
    Column("marked", BigInteger),  # the sum of `counts` that its newest mark in the archive states; None: it has none
)

jobs = Table(
    "jobs",
    TABLES,
    Column("job_key", Text, primary_key=True),
    Column("row_key", Text, nullable=False),
    Column("shot", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("decides", Text, nullable=False),  # JSON of what the fingerprint is made of: says later what changed
    Column("first_run_id", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Index("jobs_by_row", "row_key", "shot"),
    Index("jobs_by_case", text("lower(row_key)")),
)

slots = Table(
    "slots",
    TABLES,
    Column("job_key", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),  # from 0
    Column("state", Text, nullable=False),
    Column("closed", Text),  # why, when closed
    Column("attempt_id", Text, nullable=False),  # holds it, or held it last
)

attempts = Table(
    "attempts",
    TABLES,
    Column("attempt_id", Text, primary_key=True),  # sorts by the time of the intent
    Column("job_key", Text, nullable=False),
    Column("run_id", Text, nullable=False),  # where it was reserved: billed there, whoever finishes it
    Column("slots", Text, nullable=False),  # JSON list, as claimed
    Column("surplus", Boolean, nullable=False, default=False),  # its slots were bought meanwhile
    Column("purpose", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("task_id", Text),
    Column("route_reason", Text, nullable=False),
    Column("cheapest_usd", Money, nullable=False),  # the same images at the cheapest able gateway
    Column("quoted_usd", Money, nullable=False),
    Column("reserved_usd", Money, nullable=False),  # held while unsettled
    Column("price_usd", Money, nullable=False),  # per image, the row in force when it was reserved
    Column("price_credits", Money),
    Column("price_highest_usd", Money, nullable=False),
    Column("price_as_of", Text, nullable=False),  # ISO date
    Column("billed_usd", Money, nullable=False),
    Column("at_risk_usd", Money, nullable=False),
    Column("billed_credits", Money),
    Column("cost_basis", Text, nullable=False),
    Column("budgets", Text, nullable=False),  # JSON list of budget keys that hold its money
    Column("lease_owner", Text, nullable=False),  # who may send
    Column("lease_until", BigInteger, nullable=False),  # microseconds, by the database's clock
    Column("intent_at", UtcTime, nullable=False),
    Column("submitted_at", UtcTime),
    Column("completed_at", UtcTime),  # the gateway was seen to be done
    Column("expires_at", UtcTime),  # earliest link expiry, where known
    Column("estimate_s", Float),
    Column("not_found", Integer, nullable=False, default=0),  # own 404s in a row
    Column("not_found_since", UtcTime),
    Column("model_reported", Text),
    Column("error_code", Text),
    Column("error_class", Text),
    Column("error_message", Text),
    Column("callback_sha256", Text),  # of the token in its callback URL
    Column("next_look_at", UtcTime),  # not before this is it asked for outside a run
    Column("warnings", Text, nullable=False, default="[]"),  # JSON list: how its references were presented
    Column("uploads", Text, nullable=False, default="[]"),  # JSON list of upload keys that it needs while it lives
    UniqueConstraint("account", "task_id", name="attempts_by_task"),
    Index("attempts_by_job", "job_key"),
    Index("attempts_by_run", "run_id"),
    Index("attempts_by_state", "state"),
    Index("attempts_by_callback", "callback_sha256"),
)

callbacks = Table(
    "callbacks",
    TABLES,
    Column("token_sha256", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),  # as its body names it; empty where it names none
    Column("received_at", BigInteger, nullable=False),  # the last time, in microseconds by the database's clock
    Column("judged", Text),  # of an attempt without a task id: taken, or refused; None while nobody has asked
    Index("callbacks_by_time", "received_at"),
)

answers = Table(
    "answers",
    TABLES,
    Column("attempt_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),  # of the submit, or the last to a status request
    Column("at", UtcTime, nullable=False),
    Column("text", Text, nullable=False),  # its first 4,096 bytes
    Column("ids", Text, nullable=False),  # JSON list: every value in it that may be the task's id
    Column("times", Integer, nullable=False),  # how often such an answer came
)

images = Table(
    "pictures",
    TABLES,
    Column("attempt_id", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True),  # as the gateway listed them
    Column("job_key", Text, nullable=False),
    Column("slot", Integer),  # None: more than was asked for
    Column("url", Text, nullable=False),
    Column("expires_at", UtcTime),
    Column("state", Text, nullable=False),  # delivered, archived, quarantined, expired; lost, pruned: were archived
    Column("sha256", Text),
    Column("width", Integer),  # px
    Column("height", Integer),  # px
    Column("bytes", BigInteger),
    Column("mime_type", Text),
    Column("warnings", Text),  # JSON list
    Column("archived_at", UtcTime),
    Index("pictures_by_job", "job_key"),
    Index("pictures_by_bytes", "sha256"),
)

copies = Table(
    "copies",
    TABLES,
    Column("attempt_id", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("archive", Text, primary_key=True),  # name, see `archives`
    Column("path", Text, nullable=False),  # below the root
    Index("copies_by_path", "archive", "path"),
)

derived = Table(
    "derived",
    TABLES,
    Column("attempt_id", Text, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("archive", Text, primary_key=True),  # name, see `archives`
    Column("profile", Text, nullable=False),  # digest of the output profile it was made with
    Column("path", Text, nullable=False),  # below the root
    Column("sha256", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),  # px
    Column("height", Integer, nullable=False),  # px
    Column("mime_type", Text, nullable=False),
)

budgets = Table(
    "budgets",
    TABLES,
    Column("budget_key", Text, primary_key=True),  # run:<run_id>, or day:<cap_key>:<date>
    Column("cap_usd", Money, nullable=False),
    Column("reserved_usd", Money, nullable=False),  # unsettled attempts
    Column("settled_usd", Money, nullable=False),  # billed and at risk
)

caps = Table(
    "caps",
    TABLES,
    Column("cap_key", Text, primary_key=True),  # all, or a gateway's name
    Column("usd_per_day", Money, nullable=False),
    Column("zone", Text, nullable=False),  # IANA name: whose midnight
)

admissions = Table(
    "admissions",
    TABLES,
    Column("run_id", Text, primary_key=True),
    Column("job_key", Text, primary_key=True),
    Column("reason", Text, nullable=False),  # over_cap, no_price, no_gateway, gateway_unusable
    Column("message", Text, nullable=False),
    Column("usd", Money, nullable=False),  # forecast of what was not bought
    Column("cheapest_usd", Money),
    Column("for_good", Boolean, nullable=False),  # the record is invalid, not only deferred
)

sources = Table(
    "sources",
    TABLES,
    Column("uri", Text, primary_key=True),  # without its signature
    Column("validator", Text, nullable=False),  # ETag, date, or version and size; empty: none
    Column("sha256", Text, nullable=False),  # of the source bytes
    Column("format", Text, nullable=False),
    Column("width", Integer, nullable=False),  # px, upright
    Column("height", Integer, nullable=False),  # px, upright
    Column("bytes", BigInteger, nullable=False),
    Column("flaw", Text),  # what only a converted copy mends
    Column("public", Boolean, nullable=False),  # a gateway could be given a link
    Column("seen_at", UtcTime, nullable=False),  # when it was last asked for
)

uploads = Table(
    "uploads",
    TABLES,
    Column("upload_key", Text, primary_key=True),  # account, base URL, sha256 of the source, recipe of a converted copy
    Column("account", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("file_id", Text),  # what the file service deletes it by; None where it deletes nothing
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime, nullable=False),  # last put into a request
    Index("uploads_by_account", "account", "used_at"),
)

reviews = Table(
    "reviews",
    TABLES,
    Column("review_id", Text, primary_key=True),  # hash of what it says: taken in twice, it is there once
    Column("row_key", Text, nullable=False),
    Column("shot", Text, nullable=False),
    Column("job_key", Text, nullable=False),  # of the job that the image was bought for
    Column("attempt_id", Text, nullable=False),  # with the slot: the image
    Column("slot", Integer, nullable=False),
    Column("verdict", Text, nullable=False),  # approved, rejected
    Column("note", Text),
    Column("prompt", Text),  # of a rejected one: what to ask for instead; None: another take of the same
    Column("reviewer", Text),
    Column("decided_at", UtcTime, nullable=False),
    Column("applied_at", UtcTime, nullable=False),
    Column("applied_by", Text, nullable=False),
    Index("reviews_by_row", "row_key", "shot"),
    Index("reviews_by_attempt", "attempt_id"),
)

seen_uploads = Table(
    "seen_uploads",
    TABLES,
    Column("uri", Text, primary_key=True),
    Column("identity", Text, primary_key=True),  # what tells its contents apart: sha256:..., etag:..., or nothing
    Column("name", Text, nullable=False),  # of the file
    Column("digest", Text),  # sha256 of its bytes, once known
    Column("etag", Text),  # as its store states it
    Column("size", BigInteger),  # bytes
    Column("first_seen", UtcTime, nullable=False),
    Column("last_seen", UtcTime, nullable=False),
    Column("announced_at", UtcTime),  # None: its event is still to be sent
    Index("seen_uploads_waiting", "announced_at"),
)

watched_files = Table(
    "watched_files",
    TABLES,
    Column("uri", Text, primary_key=True),
    Column("stamp", Text, nullable=False),  # size and modification, or ETag, at the last look
    Column("digest", Text),  # sha256 of what was taken under that stamp; None: it may still be written
    Column("looked_at", UtcTime, nullable=False),
)

rate_leases = Table(
    "rate_leases",
    TABLES,
    Column("account", Text, primary_key=True),
    Column("rate", Text, primary_key=True),  # which of the account's limits: see ledger/rates.py
    Column("holder", Text, primary_key=True),  # a process that uses the account
    Column("share", BigInteger, nullable=False),  # what it may use, in the rate's unit
    Column("most", BigInteger, nullable=False),  # what it was told that all holders may use together
    Column("since", BigInteger, nullable=False),  # microseconds by the database's clock: who came first
    Column("until", BigInteger, nullable=False),  # the same: when the share falls back
)

shards = Table(
    "shards",
    TABLES,
    Column("run_id", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True),  # of the run's records, the first
    Column("stop", BigInteger, primary_key=True),  # and the one after the last
    Column("done", BigInteger, nullable=False),  # jobs that are as far as this run takes them
    Column(
        "alive_until", BigInteger, nullable=False
    ),  # microseconds by the database's clock: a process is at work on it
)

events = Table(
    "events",
    TABLES,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("attempt_id", Text),
    Column("run_id", Text),
    Column("detail", Text, nullable=False),
)
