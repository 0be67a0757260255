"""Importing rescued answers: each line is one transaction, and a bad line does not prevent a start."""

import logging
from pathlib import Path

from sqlalchemy import Connection

from ..core.errors import AttemptMoved, LedgerFault, UnknownAttempt
from ..core.money import reported
from ..core.outcomes import Fate, Finished, Link, SubmitOutcome
from . import attempt_rows, transitions
from .held_attempts import from_json, put_back
from .rescue import FoundRescues, Rescued, identity, rescued
from .writer import Ledger

logger = logging.getLogger("seedream_tasks.ledger")


def take_in_rescued(ledger: Ledger, folder: Path) -> None:
    """Import the rescue files beside the ledger, and those that could not be written there. Raises LedgerFault."""
    ledger_id, secret = ledger.write_now(identity)
    for found in rescued(folder, ledger_id, secret):
        _take_in(ledger, found, is_beside=found.path.parent == folder)


def _take_in(ledger: Ledger, found: FoundRescues, is_beside: bool) -> None:
    taken, unknown, bad = 0, found.others, list(found.bad)
    for answer in found.ours:
        try:
            ledger.write_now(lambda connection, answer=answer: take_in(connection, answer))  # type: ignore[misc]
        except UnknownAttempt:
            unknown += 1  # written before such lines named their owner
        except (LedgerFault, AttemptMoved, ValueError) as fault:
            bad.append(f"attempt {answer.attempt_id}: {fault}")
        else:
            taken += 1
    for each in bad:
        logger.warning("%s: not taken in: %s", found.path, each)
    if unknown and not taken:
        # This user's own folder holds the files of all of the user's ledgers.
        logger.log(
            logging.WARNING if is_beside else logging.DEBUG,
            "%s is another ledger's and stays where it is",
            found.path,
        )
        return
    if taken or bad:
        aside = found.path.with_suffix(".taken-in" if taken else ".set-aside")
        try:
            found.path.rename(aside)
        except OSError as error:
            logger.warning("%s stays where it is, and is read again at each start: %s", found.path, error)
        if taken:
            logger.warning("%s: %s rescued answers are in the ledger now", found.path, taken)
        else:
            logger.warning("%s is set aside as %s", found.path, aside.name)


def take_in(connection: Connection, answer: Rescued) -> None:
    """Record one rescued answer; a known one changes nothing. Raises UnknownAttempt, ValueError."""
    if attempt_rows.exists_here(connection, answer.attempt_id):
        if answer.task_id is None:
            return  # its intent ends by its lease
    elif answer.rows is None:
        raise UnknownAttempt(
            f"the ledger knows no attempt {answer.attempt_id}", attempt_id=answer.attempt_id, state=None
        )
    else:
        put_back(connection, from_json(answer.rows, answer.attempt_id))
        if answer.task_id is None:
            transitions.unknown(connection, answer.attempt_id, None)
            return
    finished = None
    if answer.links is not None:
        finished = Finished(tuple(map(Link, answer.links)), usd=reported(answer.usd), model=answer.model)
    outcome = SubmitOutcome(
        Fate.ACCEPTED, task_id=answer.task_id, finished=finished, estimate_s=answer.estimate_s, model=answer.model
    )
    transitions.answered(connection, answer.attempt_id, outcome, None)
