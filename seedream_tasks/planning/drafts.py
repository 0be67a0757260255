"""A record during planning: what is known before the ledger is queried."""

from dataclasses import dataclass

from ..catalog.presets import Product
from ..core.invisible import as_key, visible
from ..core.jobs import Job, job_key, tidy_prompt
from ..core.states import Reason
from .first_records import place


@dataclass
class Draft:
    """One row and one shot."""

    product: Product
    shot: str
    row_key: str | None
    job: Job | None = None
    as_written: Job | None = None  # the same with the invisible characters in key and prompt, if there are any
    fingerprint: str = ""  # the job's, computed once its references are known
    reason: Reason = Reason.NEW
    claims_key: bool = True  # no other row may use its key
    settled: str | None = None
    warnings: tuple[str, ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    unreachable: bool = False  # a reference counts as remembered: good for reuse, never for a purchase
    unchecked: bool = False  # a reference was not checked (forecasts fetch nothing)
    take: int = 0  # of a record whose images were rejected
    beside: tuple[Job, ...] = ()
    wants_beside: tuple[int, ...] = ()

    @property
    def job_key(self) -> str:
        return job_key(self.row_key or "", self.shot, self.fingerprint)

    def look_through(self) -> None:
        """From here on, use the job without invisible characters."""
        if self.job is None:
            return
        key, prompt = as_key(self.job.row_key), visible(self.job.prompt)
        if (key, prompt) == (self.job.row_key, self.job.prompt):
            self.as_written = None
        else:
            self.job = self.job.having(row_key=key, prompt=tidy_prompt(prompt))

    def written(self) -> Job | None:
        """The job with key and prompt as written, if that differs; its references are the job's."""
        if self.as_written is None or self.job is None:
            return None
        return self.as_written.having(references=self.job.references)

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
