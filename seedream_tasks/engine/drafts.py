"""A record on its way through planning: what is known before the ledger is looked at."""

from dataclasses import dataclass

from ..catalog.presets import Product
from ..core.jobs import Job, job_key
from ..core.states import Reason
from .first_ones import place


@dataclass
class Draft:
    """One row and one shot."""

    product: Product
    shot: str
    row_key: str | None
    job: Job | None = None
    fingerprint: str = ""  # the job's, computed once its references are known
    reason: Reason = Reason.NEW
    claims_key: bool = True  # nobody else may have its key
    settled: str | None = None
    warnings: tuple[str, ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    unreachable: bool = False  # a reference counts as remembered: good for reuse, never for a purchase
    unchecked: bool = False  # a reference was not looked at (forecasts fetch nothing)
    take: int = 0  # of a record whose pictures were rejected
    beside: tuple[Job, ...] = ()
    wants_beside: tuple[int, ...] = ()

    @property
    def job_key(self) -> str:
        return job_key(self.row_key or "", self.shot, self.fingerprint)

    def refuse(self, reason: Reason, settled: str, code: str, message: str) -> None:
        self.reason, self.settled, self.error_code, self.error_message = reason, settled, code, message


def unreadable(product: Product) -> str:
    """Why a row cannot be read; formats with lines say the line themselves."""
    at = "" if product.line else f"row {product.row_number}: "
    return (f"{product.file}, " if product.file else "") + at + (product.error or "")


def where(draft: Draft) -> str:
    product = draft.product
    at = place(product.file, product.line, product.row_number)
    return f"{at} ({draft.row_key or 'no key'}), shot {draft.shot}"
