"""A ledger as the tests of this folder use it: jobs to claim, attempts driven into any state, every row to compare."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest
from sqlalchemy import Connection, select, update

from seedream_tasks.core.jobs import Job
from seedream_tasks.core.outcomes import ErrorClass, ErrorInfo, Finished, Link, SlotFate
from seedream_tasks.core.pricing import PriceRow
from seedream_tasks.core.slots import Purpose
from seedream_tasks.core.states import AttemptState, Closed, SlotState
from seedream_tasks.core.stored_images import Stored
from seedream_tasks.ledger import image_records, transitions
from seedream_tasks.ledger.attempt_rows import Recorded
from seedream_tasks.ledger.claims import Claim, Lease, boot_time, claim, new_attempt_id
from seedream_tasks.ledger.known_runs import Run, open_run
from seedream_tasks.ledger.queries import attempts_by_id, job_views
from seedream_tasks.ledger.schema import TABLES, attempts
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.ledger.values import Attempt, JobView
from seedream_tasks.ledger.writer import Ledger

T = TypeVar("T")
# For tests of what the two databases could do differently: transactions and locks of several connections, savepoints, clocks,
# statements that are theirs alone (upserts, what the queries group and compare), constraints, and what they make of amounts,
# times and JSON. The rules of the records are ours, over the same statements: SQLite tries them.
on_both = pytest.mark.usefixtures("ledger_url")
PRICE = PriceRow("evolink", "seedream-4.5", "*", Decimal("0.031"), Decimal("2.25"), "a test", date(2026, 11, 1))
DISPUTED = PriceRow(
    "apiin", "seedream-4.5", "*", Decimal("0.024"), Decimal("12"), "a test", date(2026, 11, 1), Decimal("0.12")
)
ACCOUNT = "evolink@https://api.evolink.ai#00000000"
RUN = "run-1"
# The tables that say what was bought and what it costs.
MONEY = ("attempts", "slots", "pictures", "copies", "budgets", "events", "jobs")

BUSY = ErrorInfo("service_error", "try later", ErrorClass.TRANSIENT)
BROKEN = ErrorInfo("unknown", "the connection broke", ErrorClass.TRANSIENT)
NO = ErrorInfo("invalid_parameters", "cannot do this", ErrorClass.PARAMETERS)
OPEN_AGAIN = SlotFate(SlotState.OPEN, None)
REFUSED = SlotFate(SlotState.CLOSED, Closed.REFUSED)
AT_RISK = SlotFate(SlotState.CLOSED, Closed.BILLED, billing_unknown=True)


def make_job(name: str = "sku-1", n: int = 1, **fields: Any) -> Job:
    """A job whose row key and prompt are `name`."""
    values = {"shot": "image", "model": "seedream-4.5", "operation": "generate", "prompt": f"An image of {name}"}
    return Job(row_key=name, n=n, **{**values, **fields})


def make_claim(job: Job | None = None, slots: Iterable[int] = (0,), **fields: Any) -> Claim:
    """What an attempt at these slots is to buy; any field of Claim can be given."""
    price = fields.pop("price", PRICE)
    values: dict[str, Any] = {
        "seen": {},
        "purpose": Purpose.FIRST,
        "run_id": RUN,
        "capped": False,
        "gateway": price.gateway,
        "account": ACCOUNT,
        "cheapest": price,
        "route_reason": "cheapest",
        **fields,
    }
    return Claim(job=job or make_job(), slots=tuple(slots), price=price, **values)


def taking(owner: str, wanted: Claim, attempt_id: str) -> Callable[[Connection], Lease]:
    """The claim as an operation of the ledger."""
    granted_at = boot_time()
    return lambda connection: claim(connection, owner, attempt_id, wanted, granted_at)


def made(links: int = 1, **charge: Any) -> Finished:
    """A finished task with that many links."""
    return Finished(tuple(Link(f"https://images.example/{number}") for number in range(links)), **charge)


def stored(name: str = "a.jpg", archive: str = "/archive") -> Stored:
    """An image as it stands in an archive."""
    digest = hashlib.sha256(f"{archive}/{name}".encode()).hexdigest()
    return Stored(archive, name, digest, 1234, "image/jpeg", 64, 48, ("ratio_off",))


class Book:
    """An open ledger with one event loop to write through: every write goes the way that runs use."""

    def __init__(self, url: str, create: bool = True) -> None:
        self.url = url
        self.ledger: Ledger = open_ledger(url, create=create)
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger and the loop."""
        self.ledger.close()
        self._loop.close()

    def write(self, operation: Callable[[Connection], T]) -> T:
        """One committed write."""
        return self._loop.run(self.ledger.write(operation))

    def write_all(self, *operations: Callable[[Connection], Any]) -> list[Any]:
        """Writes that are under way at the same time; errors stand in the place of results."""

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*map(self.ledger.write, operations), return_exceptions=True)

        return self._loop.run(all_at_once())

    def read(self, operation: Callable[[Connection], T]) -> T:
        """One read."""
        return self.ledger.read_now(operation)

    def rows(self, *names: str) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of these tables (default: of all but what counts commits), in the order of their keys."""
        wanted = [table for table in TABLES.sorted_tables if (table.name in names if names else table.name != "counts")]

        def everything(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
            return {
                table.name: [
                    tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))
                ]
                for table in wanted
            }

        return self.read(everything)

    def open_run(self, run_id: str = RUN, max_usd: str | None = None) -> Run:
        """Begin a run."""
        cap = None if max_usd is None else Decimal(max_usd)
        return self.write(lambda connection: open_run(connection, run_id, "/archive", "catalog.csv", True, cap))

    def claim(
        self, job: Job | None = None, slots: Iterable[int] = (0,), attempt_id: str | None = None, **more: Any
    ) -> str:
        """Claim slots; returns the attempt's id."""
        wanted = make_claim(job, slots, **more)
        return self.write(taking(self.ledger.owner, wanted, attempt_id or new_attempt_id())).attempt_id

    def accepted(self, attempt_id: str, task_id: str | None = None) -> Recorded:
        """The gateway gave a task id."""
        task = task_id or f"task-of-{attempt_id}"
        return self.write(lambda connection: transitions.accepted(connection, attempt_id, task, 12.0, "a-model"))

    def delivered(
        self,
        attempt_id: str,
        finished: Finished | None = None,
        task_id: str | None = None,
        until: datetime | None = None,
    ) -> Recorded:
        """Links are known."""
        result = finished or made()
        return self.write(lambda connection: transitions.delivered(connection, attempt_id, result, until, task_id))

    def not_sent(self, attempt_id: str) -> Recorded:
        """Provably not accepted."""
        return self.write(lambda connection: transitions.not_sent(connection, attempt_id, BUSY))

    def refused(self, attempt_id: str, fate: SlotFate = REFUSED) -> Recorded:
        """The gateway's own no at submit."""
        return self.write(lambda connection: transitions.refused(connection, attempt_id, NO, fate))

    def unknown(self, attempt_id: str) -> Recorded:
        """No proof either way."""
        return self.write(lambda connection: transitions.unknown(connection, attempt_id, BROKEN))

    def failed(
        self,
        attempt_id: str,
        to: AttemptState = AttemptState.FAILED,
        fate: SlotFate = REFUSED,
        charge: Finished | None = None,
    ) -> Recorded:
        """The gateway ended the task without images."""
        return self.write(lambda connection: transitions.failed(connection, attempt_id, to, NO, fate, charge))

    def lost(self, attempt_id: str) -> Recorded:
        """Given up."""
        return self.write(lambda connection: transitions.lost(connection, attempt_id, "nobody answers"))

    def archived(self, attempt_id: str, ordinal: int = 0, **more: Any) -> AttemptState:
        """An image is copied and verified."""
        kept = stored(f"{attempt_id}-{ordinal}.jpg", **more)
        return self.write(lambda connection: image_records.archived(connection, attempt_id, ordinal, kept))

    def quarantined(self, attempt_id: str, ordinal: int = 0) -> AttemptState:
        """An image cannot be decoded."""
        kept = stored(f"quarantine/{attempt_id}-{ordinal}")
        return self.write(
            lambda connection: image_records.quarantined(connection, attempt_id, ordinal, kept, "no image")
        )

    def expired(self, attempt_id: str, ordinal: int = 0) -> AttemptState:
        """A link died before the copy."""
        return self.write(lambda connection: image_records.expired(connection, attempt_id, ordinal, "the link is dead"))

    def attempt(self, attempt_id: str) -> Attempt:
        """One attempt as it stands."""
        (found,) = self.read(lambda connection: attempts_by_id(connection, [attempt_id]))
        return found

    def view(self, job: Job | None = None) -> JobView:
        """All the ledger knows of a job."""
        key = (job or make_job()).job_key
        return self.read(lambda connection: job_views(connection, [key]))[key]

    def slots(self, job: Job | None = None) -> dict[int, tuple[SlotState, Closed | None, str | None]]:
        """Slot -> state, why closed, whose."""
        return {each.slot: (each.state, each.closed, each.attempt_id) for each in self.view(job).slots}

    def end_lease(self, attempt_id: str) -> None:
        """Bring the attempt's lease to its end, by the database's clock."""
        self.write(
            lambda connection: connection.execute(
                update(attempts).where(attempts.c.attempt_id == attempt_id).values(lease_until=1)
            )
        )

    def money(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Budget key -> reserved, settled."""
        return {row[0]: (row[2], row[3]) for row in self.rows("budgets")["budgets"]}


_WAYS: Mapping[AttemptState, Callable[[Book, str], Any]] = {
    AttemptState.INTENT: lambda book, attempt: None,
    AttemptState.ACCEPTED: lambda book, attempt: book.accepted(attempt),
    AttemptState.DELIVERED: lambda book, attempt: (book.accepted(attempt), book.delivered(attempt)),
    AttemptState.ARCHIVED: lambda book, attempt: (
        book.accepted(attempt),
        book.delivered(attempt),
        book.archived(attempt),
    ),
    AttemptState.NOT_SENT: lambda book, attempt: book.not_sent(attempt),
    AttemptState.UNKNOWN: lambda book, attempt: book.unknown(attempt),
    AttemptState.FAILED: lambda book, attempt: book.refused(attempt),
    AttemptState.EXPIRED: lambda book, attempt: (
        book.accepted(attempt),
        book.delivered(attempt),
        book.expired(attempt),
    ),
    AttemptState.CANCELLED: lambda book, attempt: (
        book.accepted(attempt),
        book.failed(attempt, AttemptState.CANCELLED),
    ),
    AttemptState.LOST: lambda book, attempt: (book.unknown(attempt), book.lost(attempt)),
}


def attempt_in(book: Book, state: AttemptState, job: Job | None = None, **more: Any) -> str:
    """An attempt at slot 0 that was brought into a state the shortest way."""
    attempt_id = book.claim(job, **more)
    _WAYS[state](book, attempt_id)
    assert book.attempt(attempt_id).state is state
    return attempt_id


def far_off() -> datetime:
    """A point in time that no test reaches."""
    return datetime(2100, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
