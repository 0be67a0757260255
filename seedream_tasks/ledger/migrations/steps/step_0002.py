"""A ledger that is behind its archive is noticed, and an archive that was moved is the same archive."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count records, remember each run's last mark, and know archives by name and place."""
    op.create_table(
        "counts",
        sa.Column("counter", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("counter"),
    )
    op.create_table(
        "archives",
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("archive"),
    )
    # Until now an archive was known by its place.
    op.execute(
        "INSERT INTO archives (archive, place)"
        " SELECT archive, archive FROM runs UNION SELECT archive, archive FROM copies"
    )
    op.add_column("runs", sa.Column("marked", sa.BigInteger(), nullable=True))
