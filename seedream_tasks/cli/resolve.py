"""`seedream resolve`: a person's word on an attempt whose fate nobody knows."""

import asyncio
import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click
from sqlalchemy import Connection

from ..core.errors import InputError
from ..core.money import ZERO, dollars, plain
from ..core.outcomes import ErrorClass, ErrorInfo
from ..core.states import AttemptState
from ..engine.evidence import evidence
from ..engine.pairing import open_pair
from ..engine.settings import known_locations
from ..gateways.client import DIALECTS, SYNCHRONOUS_TIMEOUT_S
from ..ledger import facts, records, views
from ..ledger.claims import LEASE_S
from ..ledger.views import Attempt
from . import options
from .telling import print_json, say

# Nothing of a request can arrive at the gateway later than this after its intent.
_UNDER_WAY = timedelta(seconds=LEASE_S + SYNCHRONOUS_TIMEOUT_S)


@click.command()
@click.argument("attempt_ids", nargs=-1, required=True, metavar="ATTEMPT_ID...")
@click.option("--as", "word", type=click.Choice(["paid", "not-sent", "lost"]), required=True, help="What became of it.")
@click.option(
    "--task-id", metavar="ID", help="With paid: the task at the gateway, to be followed from now on. Default: none."
)
@click.option("--yes", is_flag=True, help="Do not ask. Default: a terminal is asked.")
@options.places
@options.as_json
def resolve(
    attempt_ids: tuple[str, ...],
    word: str,
    task_id: str | None,
    yes: bool,
    archive: str | None,
    ledger: str | None,
    json_: bool,
) -> int:
    """Say what became of unknown attempts: paid (with its task id), not-sent (slots and money back), or lost (given up)."""
    if (word == "paid") != (task_id is not None):
        raise InputError("--as paid needs --task-id, and only it takes one", field="task-id")
    if task_id is not None and len(attempt_ids) != 1:
        raise InputError("one task id belongs to one attempt", field="task-id")
    place = known_locations(archive, ledger)
    store = open_pair(place, create=False)
    try:
        found = store.read_now(lambda connection: views.attempts_by_id(connection, attempt_ids))
        _check(attempt_ids, found, word)
        at_risk = sum((each.at_risk_usd for each in found), ZERO)
        shown = asyncio.run(evidence(store, place, found))
        for each in found:
            say(
                f"{each.attempt_id}  {each.gateway}  sent {each.intent_at:%Y-%m-%d %H:%M:%S} UTC"
                f"  {dollars(each.at_risk_usd)} at risk",
                err=True,
            )
        for told in shown:
            say(f"{told.account}: {told.text}", err=True)
        say(f"{len(found)} attempts, {dollars(at_risk)} at risk, become {word}", err=True)
        if not yes and sys.stdin.isatty():
            click.confirm("go on?", abort=True, err=True)
        for each in found:
            store.write_now(_record(each, word, task_id))
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
    # A task id may also be found for what was given up, or was taken for not sent.
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
        if word == "paid" and DIALECTS[each.gateway].synchronous:
            raise InputError(
                f"attempt {each.attempt_id}: {each.gateway} keeps no pictures to ask for; a lost answer is lost there",
                field="attempt_id",
                hint="--as lost gives it up",
            )
        if word == "not-sent" and datetime.now(UTC) - each.intent_at < _UNDER_WAY:
            raise InputError(
                f"attempt {each.attempt_id} was begun at {each.intent_at:%H:%M:%S} UTC; its request could still be under way",
                field="attempt_id",
                hint=f"try again {_UNDER_WAY.seconds // 60} minutes after that",
            )


def _record(attempt: Attempt, word: str, task_id: str | None) -> Callable[[Connection], None]:
    who = getpass.getuser()
    said = ErrorInfo("resolved", f"{word}, said {who}", ErrorClass.TRANSIENT)

    def write(connection: Connection) -> None:
        if word == "paid":
            records.accepted(connection, attempt.attempt_id, str(task_id), None, None)
        elif word == "lost":
            records.lost(connection, attempt.attempt_id, f"given up by {who}")
        else:
            records.not_sent(connection, attempt.attempt_id, said)
        facts.reopen_run(connection, attempt.run_id)  # its manifest says otherwise
        records.note(connection, "resolved", f"{word} by {who}", attempt.attempt_id, attempt.run_id)

    return write
