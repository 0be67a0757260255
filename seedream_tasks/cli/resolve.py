"""`seedream resolve`: settles an unknown attempt by a user's decision."""

import asyncio
import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import click
from sqlalchemy import Connection

from ..config.pairing import open_pair
from ..config.settings import known_locations
from ..core.errors import InputError
from ..core.money import ZERO, dollars, plain
from ..core.outcomes import ErrorClass, ErrorInfo
from ..core.states import AttemptState
from ..gateways.client import SYNCHRONOUS_TIMEOUT_S
from ..gateways.ids import is_task_id
from ..gateways.registry import dialect
from ..ledger import (
    attempt_rows,
    known_runs,
    queries,
    transitions,
    unread_answers,
)
from ..ledger.values import Attempt
from ..ledger.writer import LEASE_S
from ..maintenance.evidence import confirmed, evidence
from . import options
from .terminal import print_json, say

# A request cannot reach the gateway later than this after its intent.
_UNDER_WAY = timedelta(seconds=LEASE_S + SYNCHRONOUS_TIMEOUT_S)


@click.command()
@click.argument("attempt_ids", nargs=-1, required=True, metavar="ATTEMPT_ID...")
@click.option("--as", "word", type=click.Choice(["paid", "not-sent", "lost"]), required=True, help="What became of it.")
@click.option(
    "--task-id",
    metavar="ID",
    help="With paid: the task at the gateway, to be followed from now on. Default: the one that its own answer names.",
)
@click.option(
    "--unchecked",
    is_flag=True,
    help="With paid: take the task id though its gateway does not confirm it. Default: it has to.",
)
@click.option("--yes", is_flag=True, help="Do not ask. Default: a terminal is asked.")
@options.places
@options.as_json
def resolve(
    attempt_ids: tuple[str, ...],
    word: str,
    task_id: str | None,
    unchecked: bool,
    yes: bool,
    archive: str | None,
    ledger: str | None,
    json_: bool,
) -> int:
    """Say what became of unknown attempts: paid (with its task id), not-sent (slots and money back), or lost (given up)."""
    if word != "paid" and (task_id is not None or unchecked):
        raise InputError("--task-id and --unchecked belong to --as paid", field="task-id")
    if word == "paid" and len(attempt_ids) != 1:
        raise InputError("one task id belongs to one attempt", field="task-id")
    if task_id is not None and not is_task_id(task_id):
        raise InputError(
            f"--task-id {task_id!r} is not the form of a task id: letters, digits and ._:~@+=|$- without blanks,"
            " at most 200 characters",
            field="task-id",
        )
    place = known_locations(archive, ledger)
    store = open_pair(place, create=False)
    try:
        found = store.read_now(lambda connection: queries.attempts_by_id(connection, attempt_ids))
        _check(attempt_ids, found, word)
        kept = store.read_now(lambda connection: unread_answers.kept_of(connection, attempt_ids))
        says = ""
        if word == "paid":
            task_id = task_id or _only_id(found[0], kept)
            if not unchecked:
                says = asyncio.run(confirmed(store, place, found[0], task_id))
        at_risk = sum((each.at_risk_usd for each in found), ZERO)
        shown = asyncio.run(evidence(store, place, found))
        for each in found:
            say(
                f"{each.attempt_id}  {each.gateway}  sent {each.intent_at:%Y-%m-%d %H:%M:%S} UTC"
                f"  {dollars(each.at_risk_usd)} at risk",
                err=True,
            )
            for answer in kept.get(each.attempt_id, ()):
                say(f"    its answer could not be read: {' '.join(answer.text.split())}", err=True)
                for number in answer.ids:
                    say(
                        f"    it names {number}: seedream resolve {each.attempt_id} --as paid --task-id {number}",
                        err=True,
                    )
        if says:
            say(says, err=True)
        for told in shown:
            say(f"{told.account}: {told.text}", err=True)
        say(f"{len(found)} attempts, {dollars(at_risk)} at risk, become {word}", err=True)
        if not yes and sys.stdin.isatty():
            click.confirm("go on?", abort=True, err=True)
        for each in found:
            store.write_now(_record(each, word, task_id, says or ("unchecked" if unchecked else "")))
    finally:
        store.close()
    if json_:
        print_json(
            {
                "resolved": [each.attempt_id for each in found],
                "as": word,
                "at_risk_usd": plain(at_risk),
                "evidence": [told.as_json() for told in shown],
            }
        )
    return 0


def _check(asked: tuple[str, ...], found: list[Attempt], word: str) -> None:
    missing = sorted(set(asked) - {each.attempt_id for each in found})
    if missing:
        raise InputError(f"the ledger knows no attempt {missing[0]}", field="attempt_id")
    # A task id may also turn up for an attempt that was given up or resolved as not sent.
    allowed = {AttemptState.UNKNOWN}
    if word == "paid":
        allowed |= {AttemptState.LOST, AttemptState.NOT_SENT}
    for each in found:
        if each.state not in allowed:
            raise InputError(
                f"attempt {each.attempt_id} is {each.state}; {word} is for {', '.join(sorted(allowed))}",
                field="attempt_id",
            )
        if word == "paid" and not each.gateway:
            raise InputError(
                f"attempt {each.attempt_id} was rebuilt from a run without a manifest: nobody knows where it was sent",
                field="attempt_id",
                hint="--as not-sent where no gateway's books show it, else --as lost",
            )
        if word == "paid" and dialect(each.gateway).synchronous:
            raise InputError(
                f"attempt {each.attempt_id}: {each.gateway} keeps no images to ask for; a lost answer is lost there",
                field="attempt_id",
                hint="--as lost gives it up",
            )
        if word == "not-sent" and abs(datetime.now(UTC) - each.intent_at) < _UNDER_WAY:
            raise InputError(
                f"attempt {each.attempt_id} was begun at {each.intent_at:%H:%M:%S} UTC; its request could still be under way",
                field="attempt_id",
                hint=f"try again {_UNDER_WAY.seconds // 60} minutes after that",
            )


def _only_id(attempt: Attempt, kept: Mapping[str, Sequence[unread_answers.KeptAnswer]]) -> str:
    """The task id that the attempt's own answer names, where it names one. Raises InputError."""
    ids = [each for answer in kept.get(attempt.attempt_id, ()) for each in answer.ids]
    if len(ids) == 1:
        return ids[0]
    offered = f"its answer names {', '.join(ids)}" if ids else "nothing that was kept of its answer names one"
    raise InputError(
        f"--as paid needs --task-id; {offered}",
        field="task-id",
        hint=f"--task-id {ids[0]}" if ids else "look it up in the gateway's console",
    )


def _record(attempt: Attempt, word: str, task_id: str | None, says: str) -> Callable[[Connection], None]:
    who = getpass.getuser()
    said = ErrorInfo("resolved", f"{word}, said {who}", ErrorClass.TRANSIENT)

    def write(connection: Connection) -> None:
        if word == "paid":
            transitions.accepted(connection, attempt.attempt_id, str(task_id), None, None)
        elif word == "lost":
            transitions.lost(connection, attempt.attempt_id, f"given up by {who}")
        else:
            transitions.not_sent(connection, attempt.attempt_id, said)
        known_runs.reopen_run(connection, attempt.run_id)  # its manifest is out of date
        detail = f"{word} by {who}" + (f"; {says}" if says else "")
        attempt_rows.note(connection, "resolved", detail, attempt.attempt_id, attempt.run_id)

    return write
