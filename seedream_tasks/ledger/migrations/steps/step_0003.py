"""Images with the same bytes are found, whichever jobs they were bought for."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Images are looked up by their bytes."""
    op.create_index("pictures_by_bytes", "pictures", ["sha256"])
