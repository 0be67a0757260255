"""Schema 4, the first that is migrated from."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "admissions",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("usd", sa.BigInteger(), nullable=False),
        sa.Column("cheapest_usd", sa.BigInteger(), nullable=True),
        sa.Column("for_good", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "job_key"),
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("slots", sa.Text(), nullable=False),
        sa.Column("surplus", sa.Boolean(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=True),
        sa.Column("route_reason", sa.Text(), nullable=False),
        sa.Column("cheapest_usd", sa.BigInteger(), nullable=False),
        sa.Column("quoted_usd", sa.BigInteger(), nullable=False),
        sa.Column("reserved_usd", sa.BigInteger(), nullable=False),
        sa.Column("price_usd", sa.BigInteger(), nullable=False),
        sa.Column("price_credits", sa.BigInteger(), nullable=True),
        sa.Column("price_highest_usd", sa.BigInteger(), nullable=False),
        sa.Column("price_as_of", sa.Text(), nullable=False),
        sa.Column("billed_usd", sa.BigInteger(), nullable=False),
        sa.Column("at_risk_usd", sa.BigInteger(), nullable=False),
        sa.Column("billed_credits", sa.BigInteger(), nullable=True),
        sa.Column("cost_basis", sa.Text(), nullable=False),
        sa.Column("budgets", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("intent_at", sa.BigInteger(), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("estimate_s", sa.Float(), nullable=True),
        sa.Column("not_found", sa.Integer(), nullable=False),
        sa.Column("not_found_since", sa.BigInteger(), nullable=True),
        sa.Column("model_reported", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("callback_sha256", sa.Text(), nullable=True),
        sa.Column("next_look_at", sa.BigInteger(), nullable=True),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("uploads", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id"),
        sa.UniqueConstraint("account", "task_id", name="attempts_by_task"),
    )
    op.create_index("attempts_by_callback", "attempts", ["callback_sha256"], unique=False)
    op.create_index("attempts_by_job", "attempts", ["job_key"], unique=False)
    op.create_index("attempts_by_run", "attempts", ["run_id"], unique=False)
    op.create_index("attempts_by_state", "attempts", ["state"], unique=False)
    op.create_table(
        "budgets",
        sa.Column("budget_key", sa.Text(), nullable=False),
        sa.Column("cap_usd", sa.BigInteger(), nullable=False),
        sa.Column("reserved_usd", sa.BigInteger(), nullable=False),
        sa.Column("settled_usd", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("budget_key"),
    )
    op.create_table(
        "callbacks",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("judged", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("token_sha256", "task_id"),
    )
    op.create_index("callbacks_by_time", "callbacks", ["received_at"], unique=False)
    op.create_table(
        "caps",
        sa.Column("cap_key", sa.Text(), nullable=False),
        sa.Column("usd_per_day", sa.BigInteger(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cap_key"),
    )
    op.create_table(
        "copies",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", "ordinal", "archive"),
    )
    op.create_index("copies_by_path", "copies", ["archive", "path"], unique=False)
    op.create_table(
        "derived",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", "ordinal", "archive"),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_table(
        "jobs",
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("shot", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("decides", sa.Text(), nullable=False),
        sa.Column("first_run_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_key"),
    )
    op.create_index("jobs_by_row", "jobs", ["row_key", "shot"], unique=False)
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "pictures",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("mime_type", sa.Text(), nullable=True),
        sa.Column("warnings", sa.Text(), nullable=True),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("attempt_id", "ordinal"),
    )
    op.create_index("pictures_by_job", "pictures", ["job_key"], unique=False)
    op.create_table(
        "rate_leases",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("rate", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("share", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "rate", "holder"),
    )
    op.create_table(
        "reviews",
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("shot", sa.Text(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("review_id"),
    )
    op.create_index("reviews_by_attempt", "reviews", ["attempt_id"], unique=False)
    op.create_index("reviews_by_row", "reviews", ["row_key", "shot"], unique=False)
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("alive_until", sa.BigInteger(), nullable=False),
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("catalog_uri", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("max_usd", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "seen_uploads",
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("announced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("uri", "identity"),
    )
    op.create_index("seen_uploads_waiting", "seen_uploads", ["announced_at"], unique=False)
    op.create_table(
        "shards",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("alive_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "start", "stop"),
    )
    op.create_table(
        "slots",
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed", sa.Text(), nullable=True),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_key", "slot"),
    )
    op.create_table(
        "sources",
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("validator", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("flaw", sa.Text(), nullable=True),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uri"),
    )
    op.create_table(
        "uploads",
        sa.Column("upload_key", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("upload_key"),
    )
    op.create_index("uploads_by_account", "uploads", ["account", "used_at"], unique=False)
    op.create_table(
        "watched_files",
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uri"),
    )
    op.create_index("jobs_by_case", "jobs", [sa.text("lower(row_key)")])
