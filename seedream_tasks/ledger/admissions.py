"""Why a run did not buy a job."""

from dataclasses import asdict, dataclass
from decimal import Decimal

from sqlalchemy import Connection

from .schema import admissions
from .sql import upsert


@dataclass(frozen=True, slots=True)
class Admission:
    """Why a run did not buy a job."""

    reason: str
    message: str
    usd: Decimal  # forecast of what was not bought
    cheapest_usd: Decimal | None
    for_good: bool = False  # the record is invalid, not only deferred


def defer(connection: Connection, run_id: str, job_key: str, admission: Admission) -> None:
    """Record why this run did not buy a job; the last reason counts."""
    values = asdict(admission)
    row = upsert(connection, admissions).values(run_id=run_id, job_key=job_key, **values)
    connection.execute(
        row.on_conflict_do_update(index_elements=[admissions.c.run_id, admissions.c.job_key], set_=values)
    )
