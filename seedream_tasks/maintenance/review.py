"""Applies a review: checked as a whole against the ledger, then stored; the next run buys rejected images again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from ..core.errors import InputError
from ..core.jobs import tidy_prompt
from ..core.money import ZERO, money, plain
from ..ledger import identity, known_runs
from ..ledger.queries import attempts_by_id, job_names, job_views
from ..ledger.reviews import Review, Verdict, record_reviews
from ..ledger.writer import Ledger
from ..runs.contact_sheet import write_contact_sheet
from ..runs.manifest import manifest_path
from ..storage.archive import Archive

FORMAT, VERSION = "seedream-review", 1
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class Given:
    """A review file, read and well-formed."""

    run_id: str
    ledger_id: str
    reviews: Sequence[Mapping[str, Any]]
    reviewer: str | None


@dataclass(frozen=True)
class Applied:
    """The result of applying a review."""

    run_id: str
    approved: int
    rejected: int
    new: int  # verdicts new to the ledger
    cost_of_rejected_usd: Decimal  # what the rejected images cost

    def as_json(self) -> dict[str, Any]:
        """The object of `review apply --json`."""
        return {
            "run_id": self.run_id,
            "approved": self.approved,
            "rejected": self.rejected,
            "new": self.new,
            "cost_of_rejected_usd": plain(self.cost_of_rejected_usd),
        }


def read_review(text: str, name: str) -> Given:
    """A review file as the contact sheet exports it. Raises InputError naming the entry and the field."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"{name}: no JSON: {error}", field="review") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(
            f"{name}: no review that a contact sheet exported (`format` is not {FORMAT!r})", field="format"
        )
    if value.get("version") != VERSION:
        raise InputError(f"{name}: version {value.get('version')!r}; this is version {VERSION}", field="version")
    for field in ("run_id", "ledger_id"):
        if not isinstance(value.get(field), str):
            raise InputError(f"{name}: {field} is missing", field=field)
    entries = value.get("reviews")
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InputError(f"{name}: reviews is no list of objects", field="reviews")
    return Given(value["run_id"], value["ledger_id"], entries, _text(value, "reviewer", name, 0))


def apply_review(ledger: Ledger, archive: Archive, given: Given, name: str, applied_by: str) -> Applied:
    """Store a review in the ledger, all or nothing; then show it on the run's contact sheet.

    Raises InputError if it belongs to another ledger or run, or names an image that the ledger does not hold.
    """

    def write(connection: Connection) -> Applied:
        own = identity.ledger_id(connection)
        if given.ledger_id != own:
            raise InputError(
                f"{name} belongs to the ledger {given.ledger_id}, not to this one ({own})", field="ledger_id"
            )
        if known_runs.find_run(connection, given.run_id) is None:
            raise InputError(f"{name}: the ledger knows no run {given.run_id}", field="run_id")
        found, cost = _checked(connection, given, name)
        new = record_reviews(connection, found, applied_by)
        rejected = sum(each.verdict is Verdict.REJECTED for each in found)
        return Applied(given.run_id, len(found) - rejected, rejected, new, cost)

    done = ledger.write_now(write)
    if archive.exists(manifest_path(given.run_id)):
        write_contact_sheet(ledger, archive, given.run_id)
    return done


def _checked(connection: Connection, given: Given, name: str) -> tuple[list[Review], Decimal]:
    ids = [_required(each, "attempt_id", str, name, number) for number, each in enumerate(given.reviews, 1)]
    attempts = {each.attempt_id: each for each in attempts_by_id(connection, ids)}
    keys = list({each.job_key for each in attempts.values()})
    names, views = job_names(connection, keys), job_views(connection, keys)
    found: list[Review] = []
    cost = ZERO
    for number, (attempt_id, entry) in enumerate(zip(ids, given.reviews, strict=True), 1):
        attempt, slot = attempts.get(attempt_id), _required(entry, "slot", int, name, number)
        images = views[attempt.job_key].standing() if attempt else []
        of_attempt = [each for each in images if each.attempt_id == attempt_id]
        if attempt is None or slot not in {each.slot for each in of_attempt}:
            raise InputError(
                f"{name}, entry {number}: the ledger holds no image of attempt {attempt_id} in slot {slot}",
                field="attempt_id",
            )
        try:
            verdict = Verdict(_required(entry, "verdict", str, name, number))
        except ValueError:
            raise InputError(f"{name}, entry {number}: verdict is approved or rejected", field="verdict") from None
        prompt = tidy_prompt(_text(entry, "prompt", name, number) or "") or None
        if verdict is Verdict.APPROVED and prompt:
            raise InputError(f"{name}, entry {number}: only a rejected image is asked for anew", field="prompt")
        if verdict is Verdict.REJECTED:
            cost += money(attempt.billed_usd / len(of_attempt))
        job = names[attempt.job_key]
        note = _text(entry, "note", name, number)
        at = _time(entry, name, number)
        found.append(
            Review(job.row_key, job.shot, attempt.job_key, attempt_id, slot, verdict, note, prompt, given.reviewer, at)
        )
    return found, cost


def _required(entry: Mapping[str, Any], field: str, kind: type[Any], name: str, number: int) -> Any:
    value = entry.get(field)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{name}, entry {number}: {field} is missing or of another type", field=field)
    return value


def _text(entry: Mapping[str, Any], field: str, name: str, number: int) -> str | None:
    value = entry.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
        raise InputError(
            f"{name}, entry {number}: {field} is no text of at most {_MOST_CHARACTERS} characters", field=field
        )
    return value.strip() or None


def _time(entry: Mapping[str, Any], name: str, number: int) -> datetime:
    text = _required(entry, "decided_at", str, name, number)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{name}, entry {number}: decided_at is no ISO 8601 time: {text[:40]!r}", field="decided_at"
        ) from None
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
