"""What this process holds of the attempts it works on, in case the ledger does not know them.

After a failover to a replica that lacks the last commits, or with an older copy in the ledger's place, an attempt's rows are
missing, and with them its slots and the money it holds. They are rewritten from here, so that an answer always finds its
attempt. If that fails too, the same rows go into the rescue file with the answer.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Table, select

from ..core.errors import AttemptMoved
from ..core.outcomes import Fate, Finished, SubmitOutcome
from ..core.states import AttemptState, SlotState
from . import attempt_rows, budgets, transitions
from .rescue import Rescued, Rescuer
from .schema import TABLES, Money, UtcTime, attempts, images, jobs, runs, slots
from .sql import database_now, upsert
from .writer import LEASE_S, Ledger

Rows = dict[str, list[dict[str, Any]]]  # by table: a run, a job, an attempt, its slots and images
_TABLES = ("runs", "jobs", "attempts", "slots", "pictures")


@dataclass(slots=True)
class Memory:
    """One attempt: its rows as claimed or taken over, and its gateway's answers since."""

    rows: Rows
    rescuer: Rescuer
    answer: SubmitOutcome | None = None
    answer_expires_at: datetime | None = None
    finished: Finished | None = None  # by a status request
    expires_at: datetime | None = None

    @property
    def attempt_id(self) -> str:
        """Whose."""
        return str(self.rows["attempts"][0]["attempt_id"])

    def restore(self, connection: Connection) -> bool:
        """Write the attempt, with everything known since, into a ledger that lacks it or has an older state."""
        is_there = attempt_rows.exists_here(connection, self.attempt_id)
        if not is_there:
            put_back(connection, self.rows)
        if self.answer is not None:
            transitions.answered(connection, self.attempt_id, self.answer, self.answer_expires_at)
        if self.finished is not None:
            with suppress(AttemptMoved):  # another run has recorded a different end
                transitions.delivered(connection, self.attempt_id, self.finished, self.expires_at)
        return not is_there

    def rescue(self) -> str:
        """Write it to its run's rescue file; returns where."""
        attempt, answer = self.rows["attempts"][0], self.answer or SubmitOutcome(Fate.UNKNOWN)
        finished = answer.finished
        kept = Rescued(
            self.attempt_id,
            answer.task_id or attempt["task_id"],
            answer.estimate_s,
            answer.model,
            None if finished is None else tuple(link.url for link in finished.links),
            None if finished is None or finished.usd is None else str(finished.usd),
            as_json(self.rows),
        )
        return self.rescuer.keep(str(attempt["run_id"]), kept)


def hold(ledger: Ledger, rows: Rows, rescuer: Rescuer) -> Memory:
    """Hold an attempt until it is released."""
    held = Memory(rows, rescuer)
    ledger.hold(held.attempt_id, held)
    return held


def finished(ledger: Ledger, attempt_id: str, made: Finished, expires_at: datetime | None) -> None:
    """Hold the images of an attempt named by a status request; later records need them."""
    held = ledger.held(attempt_id)
    if isinstance(held, Memory):
        held.finished, held.expires_at = made, expires_at


async def take_over(ledger: Ledger, rescuer: Rescuer, attempt_ids: Sequence[str]) -> None:
    """Hold attempts that another process began."""
    new = [each for each in attempt_ids if ledger.held(each) is None]
    if new:
        for rows in await ledger.read(lambda connection: rows_of(connection, new)):
            hold(ledger, rows, rescuer)


def rows_of(connection: Connection, attempt_ids: Sequence[str]) -> list[Rows]:
    """All rows that a ledger needs for each of these attempts."""
    found = []
    for attempt in _rows(connection, attempts, attempts.c.attempt_id.in_(attempt_ids)):
        mine = slots.c.attempt_id == attempt["attempt_id"]
        rows = {
            "runs": run_rows(connection, attempt["run_id"]),
            "jobs": _rows(connection, jobs, jobs.c.job_key == attempt["job_key"]),
            "attempts": [attempt],
            "slots": _rows(connection, slots, mine & (slots.c.job_key == attempt["job_key"])),
            "pictures": _rows(connection, images, images.c.attempt_id == attempt["attempt_id"]),
        }
        if rows["jobs"] and rows["runs"]:
            found.append(rows)
    return found


def run_rows(connection: Connection, run_id: str) -> list[dict[str, Any]]:
    """A run's row in the ledger."""
    return _rows(connection, runs, runs.c.run_id == run_id)


def _rows(connection: Connection, table: Table, where: Any) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(select(table).where(where))]


def know_run(connection: Connection, run: Mapping[str, Any]) -> None:
    """Write a run that the ledger does not know, with its cap; its manifest is still to be written."""
    row = upsert(connection, runs).values(**{**run, "finished_at": None, "alive_until": 0})
    connection.execute(row.on_conflict_do_nothing())
    budgets.open_run_budget(connection, run["run_id"], run["max_usd"])


def put_back(connection: Connection, rows: Rows) -> None:
    """Write an attempt that the ledger does not know: run, job, slots, money and all.

    If another attempt has one of its slots by now, it has none (`surplus`): it is paid for, and its images are kept aside.
    """
    run, job, attempt = rows["runs"][0], rows["jobs"][0], rows["attempts"][0]
    attempt_id, job_key = attempt["attempt_id"], attempt["job_key"]
    know_run(connection, run)
    connection.execute(upsert(connection, jobs).values(**job).on_conflict_do_nothing())
    there = {
        row.slot: row for row in connection.execute(select(slots).where(slots.c.job_key == job_key).with_for_update())
    }
    surplus = bool(attempt["surplus"]) or any(
        (other := there.get(each["slot"])) is not None
        and other.attempt_id != attempt_id
        and other.state in (SlotState.TAKEN, SlotState.FILLED)
        for each in rows["slots"]
    )
    if not surplus:
        for each in rows["slots"]:
            place = upsert(connection, slots).values(**each)
            values = {name: each[name] for name in ("state", "closed", "attempt_id")}
            connection.execute(place.on_conflict_do_update(index_elements=[slots.c.job_key, slots.c.slot], set_=values))
    until = database_now(connection) + int(LEASE_S * 1_000_000)
    connection.execute(attempts.insert().values(**{**attempt, "surplus": surplus, "lease_until": until}))
    for each in rows["pictures"]:
        connection.execute(images.insert().values(**{**each, "slot": None if surplus else each["slot"]}))
    capped = run["max_usd"] is not None
    budgets.budgets_for(connection, run["run_id"], capped, attempt["gateway"], attempt["intent_at"])
    held = attempt_rows.held_by(
        attempt["state"], attempt["reserved_usd"], attempt["billed_usd"], attempt["at_risk_usd"]
    )
    budgets.move(connection, json.loads(attempt["budgets"]), *held)
    lost_at = "surplus: somebody else has its slots" if surplus else "with its slots"
    attempt_rows.note(
        connection, "attempt_restored", f"the ledger did not know it; {lost_at}", attempt_id, run["run_id"]
    )


def as_json(rows: Rows) -> dict[str, Any]:
    """Rows as JSON values."""
    return {
        table: [{name: _plain(value) for name, value in row.items()} for row in found] for table, found in rows.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def from_json(found: Mapping[str, Any], attempt_id: str) -> Rows:
    """Read what `as_json` wrote. Raises ValueError for anything that is not one attempt's rows."""
    try:
        rows = {name: [_typed(TABLES.tables[name], row) for row in found[name]] for name in _TABLES}
        (attempt,), (job,), (run,) = rows["attempts"], rows["jobs"], rows["runs"]
        AttemptState(attempt["state"])
        fits = (
            attempt["attempt_id"] == attempt_id
            and attempt["job_key"] == job["job_key"]
            and attempt["run_id"] == run["run_id"]
            and all(each["job_key"] == job["job_key"] for each in rows["slots"])
            and all(each["attempt_id"] == attempt_id for each in (*rows["slots"], *rows["pictures"]))
        )
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not fits:
        raise ValueError("its parts belong to different attempts")
    return rows


def _typed(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for column in table.c:
        if column.name not in row:
            continue  # written before this column existed: its default applies
        value = row[column.name]
        if value is not None and isinstance(column.type, Money):
            value = Decimal(value)
        elif value is not None and isinstance(column.type, UtcTime):
            value = datetime.fromisoformat(value)
        values[column.name] = value
    return values
